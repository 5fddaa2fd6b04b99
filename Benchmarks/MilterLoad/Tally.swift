import MilterClient

/// What the filter has answered, and how fast.
struct Tally: Sendable {
  /// Answers by kind.
  struct Verdicts: Codable, Sendable {
    var continued = 0
    var accepted = 0
    var skipped = 0
    var discarded = 0
    var refused = 0

    var all: Int { continued + accepted + skipped + discarded + refused }

    mutating func add(_ other: Verdicts) {
      continued += other.continued
      accepted += other.accepted
      skipped += other.skipped
      discarded += other.discarded
      refused += other.refused
    }
  }

  /// How the MTA goes on after an answer.
  enum Course {
    case onward
    /// No more of this message (or connection) is shown to the filter.
    case unwatched
    case refused
    /// Refused with 421: the MTA ends the connection.
    case hungUp
  }

  var verdicts = Verdicts()
  /// Messages that came to an end of one kind or another.
  var messages = 0
  /// Of those, the ones that the filter would not let through whole, or would have thrown away.
  var stoppedMessages = 0
  /// Nanoseconds of each answered round trip; 4.2 s at most.
  var latencies: [UInt32] = []
  /// What ended a session before its time.
  var faults: [String] = []

  mutating func add(_ other: Tally) {
    verdicts.add(other.verdicts)
    messages += other.messages
    stoppedMessages += other.stoppedMessages
    latencies += other.latencies
    faults += other.faults
  }

  /// Times one round trip; one without an answer does not count.
  mutating func measure(
    _ stage: () throws(MilterClientError) -> MilterClient.Response
  ) throws(MilterClientError) -> Course {
    let start = nanoseconds()
    let response = try stage()
    let end = nanoseconds()
    switch response {
    case .notAsked, .noReplyNegotiated: return .onward
    default: latencies.append(UInt32(clamping: end - start))
    }
    switch response {
    case .accept:
      verdicts.accepted += 1
      return .unwatched
    case .discard:
      verdicts.discarded += 1
      return .refused
    case .reject, .tempfail:
      verdicts.refused += 1
      return .refused
    case .reply(let lines):
      verdicts.refused += 1
      return lines.first?.hasPrefix("421") == true ? .hungUp : .refused
    case .skip:
      verdicts.skipped += 1
      return .onward
    default:
      verdicts.continued += 1
      return .onward
    }
  }
}
