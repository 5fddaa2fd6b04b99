import WardenCore

/// One key in trouble: from the first rule that tripped on it until all was quiet again.
public struct Incident: Sendable, Equatable {
  /// A rule that tripped on the key.
  public struct Trip: Sendable, Equatable {
    public let rule: String
    /// The first time.
    public let at: Timestamp
    /// The reason at the first trip.
    public let reason: Reason
    /// How often the rule was over its limits, as far as is known.
    public internal(set) var times: Int
  }

  /// What is done to a key, the hardest last.
  public enum Act: Int, Sendable, Comparable {
    /// Nothing: the rule observes, or what the log alone tells does not block a user, nor an address that somebody has
    /// lately logged in from.
    case observed, spared
    case alerted, delayed, held, tempfailed, rejected, blocked

    public static func < (a: Act, b: Act) -> Bool { a.rawValue < b.rawValue }
  }

  /// The first time that something was done to the key.
  public struct Deed: Sendable, Equatable {
    public let act: Act
    public let at: Timestamp
    public let reason: Reason
    /// What the key had sent by then within the rule's window, at most a day.
    public let before: Sent
    /// Whether the rule looks at all of that: it asks no condition, and its window is no longer.
    public let countsAll: Bool
  }

  /// How many messages of the key came within an hour of UTC, and what would have become of them.
  public struct Hour: Sendable, Equatable {
    public let start: Timestamp
    public internal(set) var passed: Int
    public internal(set) var refused: Int
  }

  /// What the policy would have done.
  public struct Consequence: Sendable, Equatable {
    public internal(set) var blockedUntil: Timestamp?
    /// Who was blocked, where it was not the key itself.
    public internal(set) var blockedKey: Key?
    /// The SMTP code with which the first was refused.
    public internal(set) var refusal: Int?
    public internal(set) var isHeld = false
    public internal(set) var isDelayed = false
    public internal(set) var isAlerted = false
    /// A rule has only said what it would have done: because it observes, or because what the log alone tells does not block
    /// a user, nor an address that somebody has lately logged in from.
    public internal(set) var isObserved = false
    public internal(set) var isSpared = false

    public var stops: Bool { blockedUntil != nil || refusal != nil || isHeld }
  }

  public let key: Key
  /// In the order in which they first tripped; at least one.
  public internal(set) var trips: [Trip]
  /// In the order in which they were first done; at least one once the incident is open.
  public internal(set) var deeds: [Deed] = []
  /// The first trip, and the last that was heard of the key within the incident.
  public let opened: Timestamp
  public internal(set) var last: Timestamp
  /// What the key had sent up to the first trip, with what tripped: within the rule's window, to the minute and at most a
  /// day, and within the day.
  public let before: Sent
  public let beforeInDay: Sent
  /// What it went on to send, as the log has it.
  public internal(set) var after = Sent()
  /// What of all that would have been refused, and what of what came after would have passed all the same.
  public internal(set) var refused = Sent()
  public internal(set) var passedAfter = Sent()
  /// Of what the first rule counts, what came after its first trip.
  public internal(set) var more = 0
  /// Connections, commands and logins of the key that would have been refused after the first trip: of each session the
  /// first, and none of those that brought a message.
  public internal(set) var refusedOthers = 0
  /// What others would have been refused because of it: they come from the same address or network.
  public internal(set) var refusedBystanders = 0
  /// Who has logged in among what is told here, in order of appearance; at most ten.
  public internal(set) var users: [String] = []
  public internal(set) var hasMoreUsers = false
  public internal(set) var consequence = Consequence()
  /// Messages by the hour, from a day before the first trip on, oldest first; hours without any are left out.
  public internal(set) var hours: [Hour]
  /// When it is over, if nothing more happens.
  var quietAt: Timestamp

  init(_ key: Key, _ reason: Reason, at now: Timestamp, history: SendingHistory) {
    self.key = key
    (opened, last) = (now, now)
    trips = [Trip(rule: reason.rule, at: now, reason: reason, times: 1)]
    let day = SendingHistory.span
    before = history.sent(by: key, since: now - min(reason.window ?? day, day))
    beforeInDay = history.sent(by: key, since: now - day)
    hours = history.hours(of: key, since: now - day)
    quietAt = now
  }

  /// The hardest.
  public var deed: Deed { deeds.max { $0.act < $1.act }! }

  static let mostUsers = 10
  private static let mostHours = 1_000

  mutating func note(user: String) {
    guard !users.contains(user) else { return }
    if users.count < Self.mostUsers { users.append(user) } else { hasMoreUsers = true }
  }

  /// What came after the first trip.
  mutating func note(_ sent: Sent, at now: Timestamp, isRefused: Bool) {
    after += sent
    if isRefused { refused += sent } else { passedAfter += sent }
    if hours.count < Self.mostHours {
      hours.note(now, passed: isRefused ? 0 : sent.messages, refused: isRefused ? sent.messages : 0)
    }
  }

  /// The message that tripped is refused itself.
  mutating func refuseFirst(_ sent: Sent) {
    refused += sent
    guard let last = hours.indices.last, hours[last].passed >= sent.messages else { return }
    hours[last].passed -= sent.messages
    hours[last].refused += sent.messages
  }
}

extension [Incident.Hour] {
  mutating func note(_ time: Timestamp, passed: Int = 0, refused: Int = 0) {
    let start = Timestamp(microseconds: time.microseconds / 3_600_000_000 * 3_600_000_000)
    if let last = indices.last, self[last].start >= start {
      self[last].passed += passed
      self[last].refused += refused
    } else {
      append(Incident.Hour(start: start, passed: passed, refused: refused))
    }
  }
}
