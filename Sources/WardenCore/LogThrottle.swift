/// Which decisions the log tells one by one, and which only in sums, so that a flood of refusals is no flood of lines.
///
/// What one key is refused by one rule is told a few times, then counted. All lines together are bounded; beyond that
/// they are counted, too. What was counted is told a minute later: by key where it is much, else by rule. Nothing gets lost.
public struct LogThrottle: Sendable {
  /// What a line would say, as far as lines are alike by it.
  public struct Item: Hashable, Sendable {
    public let kind: Notice.Kind
    public let rule: String
    public let key: String

    public init(kind: Notice.Kind, rule: String, key: String) {
      self.kind = kind
      self.rule = rule
      self.key = key
    }
  }

  /// Decisions that were not told one by one.
  public struct Sum: Equatable, Sendable {
    public let kind: Notice.Kind
    public let rule: String
    /// Nothing where they concern several keys.
    public let key: String?
    public let times: Int
    /// How many keys, as far as they were told apart.
    public let keys: Int
    /// For how long they were counted.
    public let span: TimeSpan
  }

  /// After how long what was counted is told.
  public static let period = TimeSpan.minutes(1)
  /// Lines of a kind that comes again and again, on one key under one rule, in a period.
  public static let firsts = 5
  /// Lines a second, and at once.
  public static let rate = (perSecond: 50, burst: 200)
  /// The same of what matters most: blocks, alerts, commands. A spray must not silence them.
  public static let urgentRate = (perSecond: 200, burst: 1_000)
  /// Keys that are counted each by itself.
  static let mostItems = 1_000
  /// Keys that are told apart among all others.
  static let mostOthers = 100_000
  /// Keys that get a sum of their own in a period; those that were counted most.
  static let mostSums = 20

  private struct Count {
    var told = 0
    var hidden = 0
  }
  private struct Group: Hashable {
    let kind: Notice.Kind
    let rule: String
  }
  private struct Others {
    var times = 0
    var keys = 0
  }

  private var now = Timestamp(microseconds: 0)
  /// When the period began; nothing while there is nothing to count.
  private var start: Timestamp?
  private var items: [Item: Count] = [:]
  private var others: [Group: Others] = [:]
  /// Hashes of what is in `others`.
  private var seen: Set<Int> = []
  private var due: [Sum] = []
  private var budget = Budget(rate)
  private var urgentBudget = Budget(urgentRate)
  /// Decisions that were not told one by one, ever.
  public private(set) var summarised = 0

  public init() {}

  /// - Returns: whether to tell it now; else it is counted.
  public mutating func admits(_ item: Item, at time: Timestamp) -> Bool {
    now = max(now, time)
    if start == nil { start = now }
    var count = items[item] ?? Count()
    let isKnown = items[item] != nil
    let hasSaidEnough = item.kind.repeats && (count.told >= Self.firsts || count.hidden > 0)
    let isTold = !hasSaidEnough && (item.kind.isUrgent ? urgentBudget.take(at: now) : budget.take(at: now))
    if isTold { count.told += 1 } else { count.hidden += 1 }
    if !isTold { summarised += 1 }
    // What comes once needs no memory while it is told.
    if isKnown || items.count < Self.mostItems && (item.kind.repeats || !isTold) {
      items[item] = count
    } else if !isTold {
      addToOthers(item, times: 1)
    }
    return isTold
  }

  /// The sums that are to be told now. Asked about once a second.
  public mutating func sums(at time: Timestamp) -> [Sum] {
    now = max(now, time)
    if due.isEmpty, let start, now - start >= Self.period { endPeriod(since: start) }
    var told: [Sum] = []
    while let next = due.last, next.kind.isUrgent ? urgentBudget.take(at: now) : budget.take(at: now) {
      told.append(next)
      due.removeLast()
    }
    return told
  }

  /// All that was counted and not told: at the end.
  public mutating func rest(at time: Timestamp) -> [Sum] {
    now = max(now, time)
    if let start { endPeriod(since: start) }
    defer { due = [] }
    return due.reversed()
  }

  private mutating func endPeriod(since start: Timestamp) {
    let span = now - start
    let hidden = items.filter { $0.value.hidden > 0 }.sorted {
      ($0.value.hidden, $1.key.rule, $1.key.key) > ($1.value.hidden, $0.key.rule, $0.key.key)
    }
    // Of a spray no key stands out.
    let foremost = hidden.prefix(Self.mostSums).prefix { hidden.count <= Self.mostSums || $0.value.hidden > 1 }
    for (item, count) in hidden.dropFirst(foremost.count) { addToOthers(item, times: count.hidden) }
    let own = foremost.map { item, count in
      Sum(kind: item.kind, rule: item.rule, key: item.key, times: count.hidden, keys: 1, span: span)
    }
    let rest = others.sorted { ($0.value.times, $1.key.rule) > ($1.value.times, $0.key.rule) }.map { group, others in
      Sum(kind: group.kind, rule: group.rule, key: nil, times: others.times, keys: others.keys, span: span)
    }
    // The last is told first.
    due += (own + rest).reversed()
    items = [:]
    others = [:]
    seen = []
    self.start = nil
  }

  private mutating func addToOthers(_ item: Item, times: Int) {
    let group = Group(kind: item.kind, rule: item.rule)
    others[group, default: Others()].times += times
    if seen.count < Self.mostOthers, seen.insert(item.hashValue).inserted { others[group]!.keys += 1 }
  }

  var remembered: Int { items.count + others.count + seen.count + due.count }
}

/// So many at once, and so many a second.
private struct Budget: Sendable {
  private let perSecond: Int
  private let burst: Int
  /// In millionths of a line.
  private var left: Int
  private var last: Timestamp?

  init(_ rate: (perSecond: Int, burst: Int)) {
    (perSecond, burst) = rate
    left = rate.burst * 1_000_000
  }

  mutating func take(at now: Timestamp) -> Bool {
    if let last {
      // No more seconds than fill it, so that nothing overflows after years of peace.
      let past = min((now - last).microseconds, burst * 1_000_000)
      left = min(burst * 1_000_000, left + past * perSecond)
    }
    last = now
    guard left >= 1_000_000 else { return false }
    left -= 1_000_000
    return true
  }
}

extension Notice.Kind {
  /// Whether it comes again with each attempt.
  fileprivate var repeats: Bool {
    switch self {
    case .refused, .delayed: true
    // Each held message waits for somebody to look for it.
    case .held, .alert, .observed, .blocked, .run: false
    }
  }

  fileprivate var isUrgent: Bool {
    switch self {
    case .alert, .blocked, .run: true
    case .observed, .refused, .held, .delayed: false
    }
  }
}
