import WardenCore

/// A rule, and how often it would trip at other limits.
public struct RuleReport: Codable, Sendable {
  /// How many keys stand over a number at this moment.
  public struct Rung: Codable, Sendable {
    public let limit: Int
    public let keys: Int
    /// Whether it is the limit in force.
    public let is_current: Bool
  }

  /// How often keys went over a number, by the stored history.
  public struct Past: Codable, Sendable {
    public struct Rung: Codable, Sendable {
      public let limit: Int
      /// Once for as long as a key stayed over.
      public let trips: Int
      public let keys: Int
      public let is_current: Bool
      public init(limit: Int, trips: Int, keys: Int, is_current: Bool) {
        self.limit = limit
        self.trips = trips
        self.keys = keys
        self.is_current = is_current
      }
    }
    /// What of the history was looked at.
    public let from: String
    public let to: String
    public let days: Int
    /// `minute`, `hour` or `day`: the stretches of the clock that the windows were made up of.
    public let by: String
    public let ladder: [Rung]
    /// Whether there is more, of which the latest was looked at.
    public let is_cut: Bool
    public init(from: String, to: String, days: Int, by: String, ladder: [Rung], is_cut: Bool) {
      self.from = from
      self.to = to
      self.days = days
      self.by = by
      self.ladder = ladder
      self.is_cut = is_cut
    }
  }

  public let name: String
  public let description: String
  public let mode: String
  public let per: String
  /// As the policy writes it; of several parts with `and` between.
  public let count: String
  public let limits: [String]
  public let then: [String]
  /// Episodes opened and messages refused, since the start.
  public let trips: Int
  public let refused: Int
  public let open_episodes: Int
  /// Keys that the first limit concerns, and of which something is counted in its window.
  public let keys_counted: Int
  public let now: [Rung]
  /// Nothing where the history does not tell; then the note says why.
  public var past: Past?
  /// What the reader may not expect of `past`.
  public var note: String?
}

/// What is asked of the stored history about a rule.
public struct RuleQuestion: Sendable {
  public let signal: Signal
  public let kind: KeyKind
  public let window: TimeSpan
  public let limits: [Int]
  /// The limit that is in force, one of the limits.
  public let current: Int
  public let days: Int
  /// Keys that the rule's limits do not concern.
  public let isSpared: @Sendable (Key) -> Bool
  /// Where the history counts more or less than the rule.
  public let note: String?
}

extension Control {
  public static let daysOfRule = 1...60

  /// Blocks for as long as a disk takes.
  func rule(_ name: String, days: Int) throws -> any Encodable & Sendable {
    let rules = engine.policy.rules
    guard let rule = rules.first(where: { $0.name == name }) else {
      throw ErrorReport(
        error: "there is no rule \"\(name)\"\(Suggestion.phrase(for: name, among: rules.map(\.name)))", .notFound)
    }
    guard Self.daysOfRule.contains(days) else {
      throw ErrorReport(error: "days has to be from \(Self.daysOfRule.lowerBound) to \(Self.daysOfRule.upperBound)")
    }
    let report = live(rule)
    do {
      return try books.read(.rule(report, question(rule, days)))
    } catch let error as ErrorReport {
      var report = report
      report.note = error.error
      return report
    }
  }

  private func live(_ rule: Rule) -> RuleReport {
    let (ladder, current) = (rule.ladder, rule.parts.first?.limits.first?.number)
    var keys = ladder.map { _ in 0 }
    var counted = 0
    var cursor: KeyCursor? = KeyCursor()
    while let from = cursor {
      let part = engine.reaches(of: rule.name, from: from, atMost: Self.keysAtOnce, at: now())
      counted += part.reaches.count
      for reach in part.reaches {
        for (place, limit) in ladder.enumerated() where limit < reach { keys[place] += 1 }
      }
      cursor = part.next
    }
    let moment = now()
    let figures = engine.status(at: moment).rules.first { $0.rule.name == rule.name }
    return RuleReport(
      name: rule.name, description: rule.description, mode: rule.mode.rawValue, per: rule.per.description,
      count: rule.parts.map(\.quantity.name).joined(separator: " and "),
      limits: rule.parts.flatMap(\.limits).map(\.description), then: rule.then.texts,
      trips: figures?.trips ?? 0, refused: figures?.refused ?? 0,
      open_episodes: engine.openEpisodes.count { $0.id.rule == rule.name && !$0.isOver(at: moment) },
      keys_counted: counted,
      now: zip(ladder, keys).map { RuleReport.Rung(limit: $0, keys: $1, is_current: $0 == current) })
  }

  /// - Throws: why the history cannot tell.
  private func question(_ rule: Rule, _ days: Int) throws(ErrorReport) -> RuleQuestion {
    func silent(_ why: String) -> ErrorReport { ErrorReport(error: "the history does not tell of this rule: \(why)") }
    guard rule.parts.count == 1, let part = rule.parts.first, let limit = part.limits.first else {
      throw silent("it demands several things at once")
    }
    guard case .measure(.signal(let signal)) = part.quantity else {
      throw silent("it keeps neither different values nor shares")
    }
    guard case .count = limit.bound else { throw silent("it does not know what was usual then") }
    guard rule.per.second == nil, [.user, .ip, .server].contains(rule.per.first) else {
      throw silent("it counts users, addresses and the server alone")
    }
    let (engine, now) = (engine, now())
    return RuleQuestion(
      signal: signal, kind: rule.per.first, window: limit.window, limits: rule.ladder,
      current: limit.number, days: days,
      isSpared: { engine.isSpared($0, from: rule.name, at: now) },
      note: Self.note(rule))
  }

  /// Where the history counts more or less than the rule.
  private static func note(_ rule: Rule) -> String? {
    var notes: [String] = []
    if !rule.filter.isEmpty {
      notes.append("the most it can have been: the history counts without the rule's only and except")
    }
    if rule.countsRefused {
      notes.append("the least it can have been: the history does not count what was refused")
    } else if rule.mode == .enforce, rule.then.refusal != nil || rule.then.block != nil {
      notes.append("what the rule refused is not counted: from its own limit on it tripped more often than this says")
    }
    return notes.isEmpty ? nil : notes.joined(separator: "; ")
  }
}

extension Consequences {
  /// As the policy writes them.
  fileprivate var texts: [String] {
    var texts: [String] = []
    if alert { texts.append("alert") }
    if let refusal { texts.append(refusal.rawValue) }
    if hold { texts.append("hold") }
    if let delay { texts.append("delay for \(delay)") }
    if let block {
      let kind = block.kind.map { "\($0.name) " } ?? ""
      texts.append("block \(kind)for \(block.spans.map(\.description).joined(separator: ", "))")
    }
    return texts + run.map { "run \($0)" }
  }
}
