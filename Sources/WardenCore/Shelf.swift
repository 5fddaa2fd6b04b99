/// The counters of one shape of key, and the rules that read them.
///
/// A meter is a signal in a window. Rules that count the same share it, so an alert at 25 in 2 hours and a refusal at 50
/// cost one counter; and a rule that gets another limit at a reload finds its counts as they were.
struct Shelf: Sendable {
  struct Meter: Hashable, Sendable {
    let signal: Signal
    let window: TimeSpan
  }

  /// A rule with what every event asks of it at hand. A class, so that walking the rules copies none.
  final class MeteredRule: Sendable {
    let rule: Rule
    let signal: Signal
    /// For each limit its meter's place.
    let meters: [Int]
    /// How long the rule must not trip on a key before the next trip opens a new episode.
    let quiet: TimeSpan
    /// What it may refuse by itself, before any of it is counted: what a message asks for …
    let refusesWanted: Bool
    /// … or everything that comes after what has happened too often. A block followed as it happened, and a connection
    /// that was let in stays in: those over the limit were refused as they came.
    let refusesAfter: Bool
    /// Whether it refuses without a penalty at all, at whichever stage.
    var refuses: Bool { rule.refuses || refusesWanted }

    init(_ rule: Rule, meters: [Int]) {
      self.rule = rule
      self.meters = meters
      signal = rule.count
      quiet = rule.limits.map(\.window).max()!
      let isAdmitted = rule.count.declaration.counting == .admitted
      refusesWanted = isAdmitted && (rule.refuses || rule.blocks)
      refusesAfter = !isAdmitted && rule.refuses && rule.count != .connections
    }
  }

  let shape: KeyShape
  private(set) var meters: [Meter] = []
  private(set) var rules: [MeteredRule] = []
  /// Bit n: a meter counts signal n.
  private(set) var signals: UInt32 = 0
  /// Whether a rule here may refuse without a penalty.
  private(set) var canRefuse = false
  /// The same at a recipient, where a message asks for nothing yet.
  private(set) var canRefuseRecipients = false
  private(set) var table: KeyTable

  init(shape: KeyShape, capacity: Int) {
    self.shape = shape
    table = KeyTable(capacity: capacity)
  }

  /// Takes over the rules; counters of meters that stay keep their counts.
  mutating func install(_ rules: [Rule]) {
    let old = meters
    meters = []
    for rule in rules {
      for limit in rule.limits {
        let meter = Meter(signal: rule.count, window: limit.window)
        if !meters.contains(meter) { meters.append(meter) }
      }
    }
    self.rules = rules.map { rule in
      MeteredRule(
        rule,
        meters: rule.limits.map { limit in
          meters.firstIndex(of: Meter(signal: rule.count, window: limit.window))!
        })
    }
    signals = meters.reduce(0) { $0 | (1 << UInt32($1.signal.rawValue)) }
    canRefuse = self.rules.contains { $0.refusesWanted || $0.refusesAfter }
    canRefuseRecipients = self.rules.contains { $0.refusesAfter }
    // An event stays counted for one slot longer than the window.
    let longest = meters.map(\.window.microseconds).max() ?? 0
    table.relayout(
      KeyTable.Layout(
        smallestLimits: meters.map { meter in
          rules.filter { $0.count == meter.signal }.flatMap(\.limits).filter { $0.window == meter.window }
            .map(\.count).min()!
        },
        keep: TimeSpan(microseconds: longest + longest / WindowCounter.slotsPerWindow + 1)),
      sources: meters.map { old.firstIndex(of: $0) })
  }

  func counts(_ tally: Tally) -> Bool { signals & tally.mask != 0 }

  /// Counts the tally for the key.
  /// - Returns: the key's place.
  mutating func add(_ tally: Tally, to key: Key, at now: Timestamp) -> Int {
    let place = table.place(for: key, now: now)
    for index in meters.indices where tally.has(meters[index].signal) {
      table[place, index].add(tally[meters[index].signal], at: now, window: meters[index].window)
    }
    return place
  }

  /// Whether the rule is over a limit with `adding` more; of several limits the one that holds longest.
  /// - Parameter place: the key's place; nothing for a key that was never counted.
  mutating func over(_ metered: MeteredRule, key: Key, place: Int?, adding: Int, at now: Timestamp) -> Reason? {
    var worst: Reason?
    for index in metered.meters.indices {
      let (limit, meter) = (metered.rule.limits[index], metered.meters[index])
      let have = place.map { table[$0, meter].count(at: now, window: limit.window) } ?? 0
      let (count, overflow) = have.addingReportingOverflow(adding)
      guard overflow || count > limit.count else { continue }
      var until = now + limit.window
      if adding <= limit.count, let place {
        until = table[place, meter].time(untilAtMost: limit.count - adding, window: limit.window, now: now)
      }
      if let block = metered.rule.then.block {
        // What has happened and only blocks lets go when the block ends, whatever is still counted.
        let onlyBlocks = metered.rule.then.refusal == nil && metered.rule.count.declaration.counting == .occurred
        until = onlyBlocks ? now + block : max(until, now + block)
      }
      if worst == nil || until > worst!.until {
        worst = Reason(
          rule: metered.rule.name, key: key,
          cause: .over(
            signal: metered.rule.count, count: overflow ? .max : count, limit: limit.count, window: limit.window),
          until: until)
      }
    }
    return worst
  }

  mutating func forget(_ key: Key) { table.remove(key) }

  /// Each limit's count of the key, whatever the rule's mode.
  mutating func standings(of key: Key, at now: Timestamp) -> [Standing] {
    let place = table.find(key)
    return rules.flatMap { metered in
      // What is asked for must leave room for one; what has happened may fill its limit.
      let room = metered.signal.declaration.counting == .admitted ? 1 : 0
      return zip(metered.rule.limits, metered.meters).map { limit, meter in
        let count = place.map { table[$0, meter].count(at: now, window: limit.window) } ?? 0
        let most = limit.count - room
        return Standing(
          key: key, rule: metered.rule.name, mode: metered.rule.mode, signal: metered.signal, limit: limit,
          count: count, left: max(0, limit.count - count), isOver: count > most, refuses: metered.refuses,
          freeAt: place.map { table[$0, meter].time(untilAtMost: most, window: limit.window, now: now) } ?? now)
      }
    }
  }

  /// The keys in some of the table's places, each with the limit it is nearest to.
  mutating func busiest(in places: Range<Int>, at now: Timestamp) -> [Standing] {
    places.clamped(to: 0..<table.extent).compactMap { place in
      guard let key = table.key(at: place) else { return nil }
      return standings(of: key, at: now).filter { $0.count > 0 }.max { $0.share < $1.share }
    }
  }
}

/// How a key stands to one limit of one rule.
public struct Standing: Sendable, Equatable {
  public let key: Key
  public let rule: String
  public let mode: Rule.Mode
  public let signal: Signal
  public let limit: Limit
  public let count: Int
  /// How many more are admitted now.
  public let left: Int
  /// Whether there is no room for one more to pass, or too many have happened.
  public let isOver: Bool
  /// Whether the rule refuses then, without a penalty.
  public let refuses: Bool
  /// When that ends, if nothing is counted until then.
  public let freeAt: Timestamp

  /// The count as a share of the limit.
  public var share: Double { limit.count == 0 ? Double(count) : Double(count) / Double(limit.count) }
}
