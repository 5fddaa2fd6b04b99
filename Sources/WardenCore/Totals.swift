/// The whole server's figures, for `status`.
public struct Totals: Sendable {
  private struct Rate: Sendable {
    var total = 0
    var minute = WindowCounter(window: .minutes(1))
    var hour = WindowCounter(window: .hours(1))

    mutating func add(_ count: Int, at now: Timestamp) {
      total += count
      minute.add(count, at: now)
      hour.add(count, at: now)
    }
  }

  private var rates: [Rate] = Array(repeating: Rate(), count: Signal.allCases.count)
  private var refused = Rate()
  private var held = Rate()
  private(set) var trips: [String: Int] = [:]
  private(set) var refusals: [String: Int] = [:]

  /// The latest time seen; threads can come late.
  private var now = Timestamp(microseconds: 0)

  /// The same over a day and a week, to draw it.
  private(set) var trend = Trend()

  mutating func note(_ event: borrowing Event) { add(event.happened, at: event.at) }
  mutating func admit(_ event: borrowing Event) { add(event.wants, at: event.at) }

  mutating func trip(rule: String) { trips[rule, default: 0] += 1 }

  private mutating func add(_ tally: Tally, at time: Timestamp) {
    now = max(now, time)
    trend.note(tally, at: now)
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

  mutating func refuse(rule: String, at time: Timestamp) {
    now = max(now, time)
    refusals[rule, default: 0] += 1
    refused.add(1, at: now)
  }

  mutating func hold(at time: Timestamp) {
    now = max(now, time)
    held.add(1, at: now)
  }

  mutating func note(_ notices: [Notice], at time: Timestamp) {
    now = max(now, time)
    trend.note(notices, at: now)
  }

  /// What earlier processes have counted.
  mutating func restore(minutes: [Trend.Stretch], hours: [Trend.Stretch]) {
    trend.add(minutes: minutes, hours: hours)
  }

  var events: Int { rates.reduce(refused.total) { $0 + $1.total } }

  mutating func figures(at time: Timestamp) -> [Figure] {
    now = max(now, time)
    return Signal.allCases.map { Self.figure($0.name, &rates[Int($0.rawValue)], now) } + [
      Self.figure("refusals", &refused, now), Self.figure("held", &held, now),
    ]
  }

  private static func figure(_ name: String, _ rate: inout Rate, _ now: Timestamp) -> Figure {
    Figure(
      name: name, total: rate.total, lastMinute: rate.minute.count(at: now),
      lastHour: rate.hour.count(at: now))
  }
}

/// What the engine has to say of itself.
public struct EngineStatus: Sendable {
  /// What a rule has done since the start.
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
  /// What the counters take and may take, in bytes.
  public let memory: Int
  public let memoryBound: Int
  /// Keys dropped while they still counted, for want of room.
  public let evictedKeys: Int
  public let droppedPenalties: Int
  public let droppedEpisodes: Int
}
