import WardenCore

/// What a backtest has found.
public struct BacktestResult: Sendable, Equatable {
  /// From which share of a limit on a key that did not trip is told of.
  static let near = 0.5
  static let mostNear = 1_000

  public struct Traffic: Sendable, Equatable {
    public internal(set) var first: Timestamp?
    public internal(set) var last: Timestamp?
    public internal(set) var events = 0
    public internal(set) var sent = Sent()
    public internal(set) var users = 0
    public internal(set) var addresses = 0
    /// Whether there were more than are told apart.
    public internal(set) var isUsersLeast = false
    public internal(set) var isAddressesLeast = false
  }

  public struct RuleFigures: Sendable, Equatable {
    public let rule: String
    public let mode: Rule.Mode
    public internal(set) var incidents = 0
    /// What the rule and its penalties would have refused: messages, and connections, commands and logins.
    public internal(set) var refused = Sent()
    public internal(set) var refusedOthers = 0
  }

  /// A key that came near a limit and did not trip: where a limit would hit honest people next.
  public struct Near: Sendable, Equatable {
    public let key: Key
    public let rule: String
    public let quantity: Quantity
    public let limit: Limit
    public let count: Int
    public let allowed: Int
    public let at: Timestamp
    public var share: Double { allowed == 0 ? 0 : Double(count) / Double(allowed) }
  }

  /// What one policy would have done.
  public struct Side: Sendable, Equatable {
    public let name: String
    /// Those that matter most first.
    public let incidents: [Incident]
    /// For want of room not told.
    public let droppedIncidents: Int
    /// As in the policy.
    public let rules: [RuleFigures]
    public let refused: Sent
    public let refusedOthers: Int
    /// Nearest first, of `nearCount` in all.
    public let near: [Near]
    public let nearCount: Int
    /// Keys whose counts were given up for want of memory; something may be missing where there are any.
    public let droppedKeys: Int
    public let droppedEpisodes: Int
  }

  public let traffic: Traffic
  public let sides: [Side]
  /// Keys of which it was forgotten what they had sent before they tripped.
  public let droppedHistories: Int

  /// What the two policies would have done otherwise to a key.
  public struct Difference: Sendable, Equatable {
    public struct Fate: Sendable, Equatable {
      /// When the hardest thing was done to it first.
      public let first: Timestamp
      /// The rule that did it.
      public let rule: String
      public let before: Sent
      public internal(set) var refused = Sent()
      public internal(set) var refusedOthers = 0
      public internal(set) var stops = false
    }

    public let key: Key
    /// Nothing where the policy has nothing against the key.
    public let first: Fate?
    public let second: Fate?
  }

  /// Of two policies: the keys with which they deal differently, the largest difference first.
  public var differences: [Difference] {
    guard sides.count == 2 else { return [] }
    let (first, second) = (Self.fates(sides[0].incidents), Self.fates(sides[1].incidents))
    return Set(first.keys).union(second.keys).filter { first[$0] != second[$0] }
      .map { Difference(key: $0, first: first[$0], second: second[$0]) }
      .sorted { ($0.weight, $1.key.description) > ($1.weight, $0.key.description) }
  }

  private static func fates(_ incidents: [Incident]) -> [Key: Difference.Fate] {
    incidents.sorted { $0.opened < $1.opened }.reduce(into: [:]) { fates, incident in
      let deed = incident.deed
      var fate =
        fates[incident.key] ?? Difference.Fate(first: deed.at, rule: deed.reason.rule, before: deed.before)
      fate.refused += incident.refused
      fate.refusedOthers += incident.refusedOthers
      fate.stops = fate.stops || incident.consequence.stops
      fates[incident.key] = fate
    }
  }
}

extension BacktestResult.Difference {
  fileprivate var weight: Int {
    func refused(_ fate: Fate?) -> Int { (fate?.refused.messages ?? 0) + (fate?.refusedOthers ?? 0) }
    return abs(refused(first) - refused(second))
  }
}

/// Keys that came near the limits of a rule without its tripping.
struct NearKeys {
  private let parts: [String: Int]
  private let tripped: Set<Key>
  /// What is known of the key at hand: all of one key comes together.
  private var key: Key?
  private var peaks: [Peaks.Peak] = []
  private var found: [BacktestResult.Near] = []
  private(set) var count = 0

  /// - Parameter tripped: keys that are told of already.
  init(in peaks: Peaks, of policy: Policy, except tripped: Set<Key>) {
    parts = Dictionary(policy.rules.map { ($0.name, $0.parts.count) }, uniquingKeysWith: { first, _ in first })
    self.tripped = tripped
    peaks.forEach { take($0) }
    endKey()
  }

  private mutating func take(_ peak: Peaks.Peak) {
    if peak.key != key { endKey() }
    key = peak.key
    if !peak.hasTripped, peak.allowed > 0, peak.share >= BacktestResult.near { peaks.append(peak) }
  }

  /// A part is as near as the nearest of its limits, a rule as its furthest part.
  private mutating func endKey() {
    guard let key, !peaks.isEmpty else { return }
    defer { peaks.removeAll(keepingCapacity: true) }
    if tripped.contains(key) { return }
    for (rule, peaks) in Dictionary(grouping: peaks, by: \.rule) {
      let nearest = Dictionary(grouping: peaks, by: \.part).values.compactMap { $0.max { $0.share < $1.share } }
      guard nearest.count == parts[rule], let peak = nearest.min(by: { $0.share < $1.share }) else { continue }
      count += 1
      found.append(
        BacktestResult.Near(
          key: key, rule: rule, quantity: peak.quantity, limit: peak.limit, count: peak.count, allowed: peak.allowed,
          at: peak.at))
      // Of a million robots near a small limit only the nearest are told.
      if found.count >= 20 * BacktestResult.mostNear { found = self.nearest }
    }
  }

  /// The nearest first, of equally near ones the higher counts: one of two is no news.
  var nearest: [BacktestResult.Near] {
    found.sorted { ($0.share, $0.count) > ($1.share, $1.count) }.prefix(BacktestResult.mostNear)
      .map { (near: $0, name: $0.key.description) }
      .sorted {
        ($0.near.share, $0.near.count, $1.name, $1.near.rule) > ($1.near.share, $1.near.count, $0.name, $0.near.rule)
      }
      .map(\.near)
  }
}
