/// The whole server's figures, for `status`.
public struct Totals: Sendable {
  private struct Rate: Sendable {
    var total = 0
    var minute = WindowCounter()
    var hour = WindowCounter()

    mutating func add(_ count: Int, at now: Timestamp) {
      total += count
      minute.add(count, at: now, window: .minutes(1))
      hour.add(count, at: now, window: .hours(1))
    }
  }

  private var rates: [Rate] = Array(repeating: Rate(), count: Signal.allCases.count)
  private var refused = Rate()
  private(set) var trips: [String: Int] = [:]
  private(set) var refusals: [String: Int] = [:]

  mutating func note(_ event: Event, at now: Timestamp) { add(event.happened, at: now) }
  mutating func admit(_ event: Event, at now: Timestamp) { add(event.wants, at: now) }

  mutating func trip(rule: String) { trips[rule, default: 0] += 1 }

  private mutating func add(_ tally: Tally, at now: Timestamp) {
    var rest = tally.mask
    while rest != 0 {
      let bit = rest.trailingZeroBitCount
      rates[bit].add(tally[Signal(rawValue: UInt8(bit))!], at: now)
      rest &= rest - 1
    }
  }

  /// One signal's figures for the whole server.
  public struct Figure: Sendable, Equatable {
    public let name: String
    /// Since the start.
    public let total: Int
    public let lastMinute: Int
    public let lastHour: Int
  }

  mutating func refuse(rule: String, at now: Timestamp) {
    refusals[rule, default: 0] += 1
    refused.add(1, at: now)
  }

  mutating func figures(at now: Timestamp) -> [Figure] {
    Signal.allCases.map { Self.figure($0.name, &rates[Int($0.rawValue)], now) } + [
      Self.figure("refusals", &refused, now)
    ]
  }

  private static func figure(_ name: String, _ rate: inout Rate, _ now: Timestamp) -> Figure {
    Figure(
      name: name, total: rate.total, lastMinute: rate.minute.count(at: now, window: .minutes(1)),
      lastHour: rate.hour.count(at: now, window: .hours(1)))
  }
}

/// What the engine has to say of itself.
public struct EngineStatus: Sendable {
  public struct RuleFigures: Sendable {
    public let rule: Rule
    /// Episodes opened.
    public let trips: Int
    public let refused: Int
  }
  public let totals: [Totals.Figure]
  public let rules: [RuleFigures]
  public let penalties: Int
  public let keys: Int
  /// Keys dropped while they still counted, for want of room.
  public let evictedKeys: Int
  public let droppedPenalties: Int
  public let droppedEpisodes: Int
}
