import WardenCore

/// What can be asked of the running engine, and ordered.
public struct Control: Sendable {
  /// What the process knows beside the engine.
  public struct Process: Sendable {
    public let version: String
    public let pid: Int
    public let started: Timestamp
    public let policyFile: String
    public init(version: String, pid: Int, started: Timestamp, policyFile: String) {
      self.version = version
      self.pid = pid
      self.started = started
      self.policyFile = policyFile
    }
  }

  /// Figures that change, read when asked for.
  public struct Gauges: Sendable {
    public let openSessions: Int
    public let milterFaults: Int
    public let droppedNotices: Int
    public let droppedCommands: Int
    public let droppedHistory: Int
    public let lastReload: ReloadReport?
    public let state: StateReport?
    public let alerts: [ChannelReport]?
    public let feeds: [FeedReport]
    public let distress: [String]
    public init(
      openSessions: Int, milterFaults: Int, droppedNotices: Int, droppedCommands: Int, droppedHistory: Int,
      lastReload: ReloadReport?, state: StateReport?, alerts: [ChannelReport]?, feeds: [FeedReport],
      distress: [String]
    ) {
      self.openSessions = openSessions
      self.milterFaults = milterFaults
      self.droppedNotices = droppedNotices
      self.droppedCommands = droppedCommands
      self.droppedHistory = droppedHistory
      self.lastReload = lastReload
      self.state = state
      self.alerts = alerts
      self.feeds = feeds
      self.distress = distress
    }
  }

  /// What is kept beyond the engine's memory.
  public struct Books: Sendable {
    /// Enters what an administrator has done, and waits until it is stored with all that it has changed.
    /// - Returns: why it is not stored; nothing when it is, or nothing ever is.
    let enter: @Sendable (AdministratorAction) async -> String?
    /// Answers what the path asks for, with its parameters; blocks for as long as a disk takes.
    let read: @Sendable (Reading) throws -> any Encodable & Sendable

    public enum Reading: Sendable {
      case history(key: Key, parameters: [String: String])
      case report(day: String?)
      case suggestion
      /// The report with what the past says.
      case rule(RuleReport, RuleQuestion)
    }

    public init(
      enter: @escaping @Sendable (AdministratorAction) async -> String?,
      read: @escaping @Sendable (Reading) throws -> any Encodable & Sendable
    ) {
      self.enter = enter
      self.read = read
    }
  }

  private let busiest = Kept<[KeyKind: [Standing]]>()
  private let portraits = Kept<PortraitReport>()
  /// Connections that the page or the control socket had no room for.
  let turnedAway = Locked(0)
  let engine: Engine
  let trail: Trail
  let books: Books
  let tokens: WebTokens
  let watchers: Watchers
  let process: Process
  let now: @Sendable () -> Timestamp
  /// An engine's moment as the wall clock shows it.
  let wall: @Sendable (Timestamp) -> Timestamp
  let gauges: @Sendable () -> Gauges
  let figures: @Sendable () -> Figures
  let reload: @Sendable () -> ReloadReport
  /// Limits as the policy file writes them.
  let limits: @Sendable (String, Quantity) throws(ErrorReport) -> [Limit]

  public init(
    engine: Engine, trail: Trail, books: Books, tokens: WebTokens, watchers: Watchers, process: Process,
    now: @escaping @Sendable () -> Timestamp,
    wall: @escaping @Sendable (Timestamp) -> Timestamp, gauges: @escaping @Sendable () -> Gauges,
    figures: @escaping @Sendable () -> Figures, reload: @escaping @Sendable () -> ReloadReport,
    limits: @escaping @Sendable (String, Quantity) throws(ErrorReport) -> [Limit]
  ) {
    self.engine = engine
    self.trail = trail
    self.books = books
    self.tokens = tokens
    self.watchers = watchers
    self.process = process
    self.now = now
    self.wall = wall
    self.gauges = gauges
    self.figures = figures
    self.reload = reload
    self.limits = limits
  }

  /// The longest that an administrator can block for at once.
  static let longestBlock = TimeSpan.days(3650)
  static let mostKeys = 1_000
  private static let usualCount = 200
  /// As many as the box can hold.
  static let mostPenalties = 100_000
  private static let mostEpisodes = 1_000
  /// Networks, domains and senders of a key, each.
  private static let mostOfPortrait = 50
  private static let portraitSpan = TimeSpan.days(7)
  /// Keys looked at before mail gets its turn again.
  static let keysAtOnce = 128
  /// Messages of a key that are told one by one.
  private static let mostPassages = 100

  func status() -> StatusReport {
    let now = now()
    let status = engine.status(at: now)
    let hours = engine.trend { trend in
      Dictionary(
        uniqueKeysWithValues: status.totals.map {
          ($0.name, (last: trend.lastHour(at: now, of: $0.name), usual: trend.usualHour(at: now, of: $0.name)))
        })
    }
    let gauges = gauges()
    return StatusReport(
      version: process.version, pid: process.pid, started: wall(process.started).rfc3339,
      uptime_seconds: (now - process.started).microseconds / 1_000_000, policy_file: process.policyFile,
      last_reload: gauges.lastReload, sessions_open: gauges.openSessions,
      totals: Dictionary(
        uniqueKeysWithValues: status.totals.map {
          (
            $0.name,
            StatusReport.Rate(
              total: $0.total, last_minute: $0.lastMinute,
              // What an earlier process has counted is in the trend alone.
              last_hour: max($0.lastHour, hours[$0.name]?.last ?? 0),
              usual_hour: hours[$0.name]?.usual)
          )
        }),
      rules: status.rules.map {
        StatusReport.RuleFigures(
          name: $0.rule.name, description: $0.rule.description, mode: $0.rule.mode.rawValue, trips: $0.trips,
          refused: $0.refused)
      },
      penalties: status.penalties, keys: status.keys, memory_bytes: status.memory,
      memory_bound_bytes: status.memoryBound, watchers: watchers.count, state: gauges.state, alerts: gauges.alerts,
      feeds: gauges.feeds,
      distress: gauges.distress,
      faults: StatusReport.Faults(
        milter_faults: gauges.milterFaults, dropped_notices: gauges.droppedNotices,
        dropped_commands: gauges.droppedCommands,
        evicted_keys: status.evictedKeys, dropped_penalties: status.droppedPenalties,
        dropped_episodes: status.droppedEpisodes, dropped_history: gauges.droppedHistory,
        dropped_watchers: watchers.dropped, skipped_records: watchers.skipped,
        dropped_connections: turnedAway.withLock(\.self)))
  }

  /// For Prometheus.
  func metrics() -> String { Metrics.text(status(), engine.census(at: now()), figures()) }

  func counters(of text: String) throws -> [CounterReport] {
    let key = try key(text)
    let now = now()
    return engine.standings(of: key, at: now).map(report)
  }

  /// The busiest keys: `limit` (nearest to a limit first) or `count` (highest count first).
  /// - Parameter kinds: of which kinds, a pair being of its first; empty for all.
  func keys(order: String, of kinds: Set<KeyKind>, atMost limit: Int) throws -> [CounterReport] {
    let isBefore: (Standing, Standing) -> Bool
    switch order {
    case "limit": isBefore = { ($0.share, $0.count) > ($1.share, $1.count) }
    case "count": isBefore = { ($0.count, $0.share) > ($1.count, $1.share) }
    default: throw ErrorReport(error: "unknown order \"\(order)\"; write limit or count")
    }
    // So that a screen with more room than another does not have everything looked through again.
    let count = max(limit, Self.usualCount)
    let busiest = busiest.value(of: [order, "\(count)"], clock: now) {
      var busiest: [KeyKind: [Standing]] = [:]
      var cursor: KeyCursor? = KeyCursor()
      while let from = cursor {
        let (found, next) = engine.keys(from: from, atMost: Self.keysAtOnce, at: now())
        for (kind, standings) in Dictionary(grouping: found, by: { $0.key.first.kind }) {
          busiest[kind] = Array(((busiest[kind] ?? []) + standings).sorted(by: isBefore).prefix(count))
        }
        cursor = next
      }
      return busiest
    }
    let wanted = busiest.filter { kinds.isEmpty || kinds.contains($0.key) }
    return wanted.values.joined().sorted(by: isBefore).prefix(limit).map(report)
  }

  func kinds(_ text: String?) throws -> Set<KeyKind> {
    let names = (text ?? "").split(separator: ",")
    return Set(
      try names.map { name in
        guard let kind = KeyKind(name: name) else {
          let known = KeyKind.allCases.map(\.name)
          throw ErrorReport(
            error: "there is no kind of key \"\(name)\"\(Suggestion.phrase(for: String(name), among: known)); "
              + "write \(known.joined(separator: ", "))")
        }
        return kind
      })
  }

  /// Tripped rules, the latest trip first.
  func episodes() -> [EpisodeReport] {
    let now = now()
    return engine.openEpisodes.filter { !$0.isOver(at: now) }
      .sorted { $0.last != $1.last ? $0.last > $1.last : $0.id.key.description < $1.id.key.description }
      .prefix(Self.mostEpisodes).map(report)
  }

  func trend(span text: String) throws -> TrendReport {
    guard let span = Trend.Span(rawValue: text) else {
      let known = Trend.Span.allCases.map(\.rawValue).joined(separator: ", ")
      throw ErrorReport(error: "unknown span \"\(text)\"; write one of \(known)")
    }
    let now = now()
    let series = engine.trend { $0.series(span, at: now) }
    var counts: [String: [Int]] = [:]
    for (place, name) in Activity.Counts.names.enumerated() {
      let values = series.values.map { $0[place] }
      if values.contains(where: { $0 != 0 }) { counts[name] = values }
    }
    let starts = series.values.indices.map {
      wall(series.start + TimeSpan(microseconds: series.step.microseconds * $0))
    }
    return TrendReport(
      from: starts[0].rfc3339, to: wall(now).rfc3339, step_seconds: series.step.microseconds / 1_000_000,
      at: starts.map(\.rfc3339), series: counts)
  }

  /// What the key's latest mail was.
  func portrait(of text: String) throws -> PortraitReport {
    let key = try key(text)
    return portraits.value(of: [key.description], clock: now) { portrait(of: key, at: now()) }
  }

  private func portrait(of key: Key, at now: Timestamp) -> PortraitReport {
    let portrait = trail.portrait(of: key, since: now - Self.portraitSpan, prefix: engine.policy.networkPrefix)
    let most = Self.mostOfPortrait
    return PortraitReport(
      key: key.description, since: wall(portrait.since ?? now).rfc3339, messages: portrait.messages,
      recipients: portrait.recipients,
      networks: portrait.networks.prefix(most).map {
        PortraitReport.NetworkFigures(
          network: $0.value.description, messages: $0.messages, recipients: $0.recipients, last: wall($0.last).rfc3339)
      },
      recipient_domains: portrait.recipientDomains.prefix(most).map {
        PortraitReport.DomainFigures(domain: $0.value, messages: $0.messages)
      },
      senders: portrait.senders.prefix(most).map {
        PortraitReport.SenderFigures(sender: $0.value, messages: $0.messages)
      },
      is_cut: [portrait.networks.count, portrait.recipientDomains.count, portrait.senders.count].max()! > most)
  }

  func filter(key text: String?, rule: String?, decisions: String?, pulse: String?) throws -> WatchFilter {
    try WatchFilter(
      key: text.map(key), rule: rule, decisions: decisions, pulse: pulse, rules: engine.policy.rules.map(\.name))
  }

  func explain(_ text: String) throws -> ExplainReport {
    let key = try key(text)
    let now = now()
    let explanation = engine.explain(key, at: now)
    let episodes = engine.openEpisodes.filter { $0.id.key == key && !$0.isOver(at: now) }
    let isRefused = !explanation.penalties.isEmpty || explanation.standings.contains { $0.isOver && $0.refuses }
    let isOfInterest = isRefused || !episodes.isEmpty || explanation.standings.contains(where: \.isOver)
    let sent = isOfInterest ? sent(by: key, explanation, at: now) : Trail.Sent()
    return ExplainReport(
      key: key.description, limited: isRefused && !explanation.isExempt, exempt: explanation.exemption,
      overrides: explanation.overrides.map { report($0) }, penalties: explanation.penalties.map(report),
      counters: explanation.standings.map(report), episodes: episodes.map(report), sent: sent.latest.map(report),
      sent_total: sent.messages, sentences: sentences(explanation) + sentences(sent))
  }

  /// What the key's mail was in the longest window that counts it.
  private func sent(by key: Key, _ explanation: Explanation, at now: Timestamp) -> Trail.Sent {
    let window = explanation.standings.map(\.limit.window).max() ?? .days(1)
    return trail.sent(by: key, since: now - window, atMost: Self.mostPassages)
  }

  /// - Parameter most: the newest so many; without it all, those that end first coming first.
  func penalties(atMost most: Int?) -> [PenaltyReport] {
    let penalties = engine.penalties(at: now())
    // Texts are made where moments do not decide: of a hundred thousand they would take seconds.
    func isBefore(_ a: Penalty, _ b: Penalty, _ first: (Penalty) -> Int) -> Bool {
      first(a) != first(b) ? first(a) < first(b) : a.key.description < b.key.description
    }
    guard let most else { return penalties.sorted { isBefore($0, $1) { $0.until.microseconds } }.map(report) }
    return penalties.sorted { isBefore($0, $1) { -$0.since.microseconds } }.prefix(most).map(report)
  }

  func block(_ order: BlockOrder, by who: String) async throws -> BlockReport {
    let key = try key(order.key)
    let span = try span(order.for)
    let note = String((order.reason ?? "").prefix(500))
    let now = now()
    let penalty = engine.block(key, for: span, note: note, at: now)
    let explanation = engine.explain(key, at: now)
    let exemption =
      explanation.exemption ?? explanation.overrides.first { $0.effect == .exempt }.map { "overrides: \($0.origin)" }
    guard let penalty else {
      throw ErrorReport(error: "the penalty box is full; release something first", .unavailable)
    }
    var notes: [String] = []
    if let exemption { notes.append("the block has no effect: the key is exempt (\(exemption))") }
    if penalty.reason.rule != Reason.administrator || penalty.until > now + span {
      notes.append("a penalty that lasts longer was there already and stays")
    }
    let asked = engine.needs
    if key.parts.contains(where: { $0.kind == .helo }) && !asked.contains(.helo)
      || key.shape.isPerRecipient && !asked.contains(.recipientReply)
    {
      notes.append("no rule counts such keys, so the MTA is not asked for them and the block has no effect")
    }
    if let problem = await enter("block", key.description, penalty.reason.sentence, by: who) { notes.append(problem) }
    return BlockReport(penalty: report(penalty), note: notes.isEmpty ? nil : notes.joined(separator: "; "))
  }

  func release(_ text: String, by who: String) async throws -> ReleaseReport {
    let key = try key(text)
    let now = now()
    let released = engine.release(key, at: now)
    let rest = engine.explain(key, at: now).penalties
    let was = released.penalty.map { "was blocked: \($0.reason.sentence)" } ?? "was not blocked"
    return ReleaseReport(
      key: key.description, was_blocked: released.penalty != nil, had_counts: released.hadCounts,
      still_blocked_by: rest.map(report), note: await enter("release", key.description, was, by: who))
  }

  /// - Returns: a note where what was ordered is in force but would not survive.
  func enter(_ action: String, _ key: String, _ detail: String, by who: String) async -> String? {
    let action = AdministratorAction(at: wall(now()), who: who, action: action, key: key, detail: detail)
    watchers.tell(action)
    let problem = await books.enter(action)
    return problem.map { "in force, but not stored, and lost if the daemon is killed now: \($0)" }
  }

  func overrides() -> [OverrideReport] { engine.overrides(at: now()).map { report($0) } }

  /// Exempts a key for a while, from everything or from one rule, or gives it another limit.
  func allow(_ order: AllowOrder, by who: String) async throws -> OverrideReport {
    let key = try key(order.key)
    let span = try span(order.for)
    var effect = Override.Effect.exempt
    if let name = order.rule {
      let rules = engine.policy.rules
      guard let rule = rules.first(where: { $0.name == name }) else {
        throw ErrorReport(
          error: "there is no rule \"\(name)\"\(Suggestion.phrase(for: name, among: rules.map(\.name)))", .notFound)
      }
      effect = .off(rule: name)
      if let limit = order.limit, let quantity = rule.parts.first?.quantity {
        effect = .limits(rule: name, try limits(limit, quantity))
      }
    } else if order.limit != nil {
      throw ErrorReport(error: "a limit needs the rule that it is for")
    }
    let now = now()
    let note = order.reason.map { ": " + $0.prefix(200) } ?? ""
    let override = Override(Override.Target(key), effect, until: now + span, origin: "administrator\(note)")
    if let rule = engine.policy.rules.first(where: { $0.name == order.rule }), !override.target.canMean(rule.per) {
      throw ErrorReport(error: "rule \"\(rule.name)\" counts per \(rule.per); \(key) is no such key")
    }
    guard engine.allow(override, at: now) else {
      throw ErrorReport(error: "there are too many overrides given at run time; revoke some first", .unavailable)
    }
    let until = wall(now + span).rfc3339
    return report(
      override,
      note: await enter("allow", key.description, "\(effect.phrase) until \(until)\(note)", by: who))
  }

  func revoke(_ text: String, by who: String) async throws -> [OverrideReport] {
    let key = try key(text)
    let revoked = engine.revoke(Override.Target(key), at: now())
    let detail = revoked.map(\.effect.phrase).joined(separator: "; ")
    let note = await enter("revoke", key.description, detail, by: who)
    return revoked.map { report($0, note: note) }
  }

  /// Checks the policy file, then switches to it.
  func reload(by who: String) async -> ReloadReport {
    let report = reload()
    _ = await enter("reload", "", report.ok ? process.policyFile : report.problems.joined(separator: "; "), by: who)
    return report
  }

  // MARK: - The books

  func history(of text: String, _ parameters: [String: String]) throws -> any Encodable & Sendable {
    try books.read(.history(key: key(text), parameters: parameters))
  }

  func report(day: String?) throws -> any Encodable & Sendable { try books.read(.report(day: day)) }
  func suggestion() throws -> any Encodable & Sendable { try books.read(.suggestion) }

  func span(_ text: String) throws -> TimeSpan {
    guard let span = TimeSpan(text), span.microseconds > 0, span <= Self.longestBlock else {
      throw ErrorReport(error: "\"\(text)\" is not a time span up to \(Self.longestBlock); write 1h, 3d or 1h30m")
    }
    return span
  }

  private func key(_ text: String) throws -> Key {
    let realms = engine.realms
    do {
      return try Key(text, realms: realms)
    } catch {
      throw ErrorReport(error: error.description)
    }
  }

  // MARK: - Engine's values as reports

  private func report(_ penalty: Penalty) -> PenaltyReport {
    PenaltyReport(
      key: penalty.key.description, rule: penalty.reason.rule, reason: penalty.reason.sentence,
      since: wall(penalty.since).rfc3339, until: wall(penalty.until).rfc3339, attempts: penalty.attempts)
  }

  private func report(_ override: Override, note: String? = nil) -> OverrideReport {
    OverrideReport(
      target: override.target.description, rule: override.rule, effect: override.effect.phrase,
      until: override.until.map { wall($0).rfc3339 }, origin: override.origin, note: note)
  }

  private func report(_ episode: Episode) -> EpisodeReport {
    EpisodeReport(
      key: episode.id.key.description, rule: episode.id.rule, mode: episode.isObserved ? "observe" : "enforce",
      reason: episode.worst.sentence, opened: wall(episode.opened).rfc3339, last: wall(episode.last).rfc3339,
      quiet_at: wall(episode.quietAt).rfc3339, trips: episode.trips, refused: episode.refused, held: episode.held,
      told: episode.told.map { wall($0.at).rfc3339 })
  }

  private func report(_ passage: Passage) -> PassageReport {
    PassageReport(
      queue_id: passage.queueID, at: wall(passage.at).rfc3339, ip: passage.ip?.description, sender: passage.sender,
      recipients: passage.recipients, held: passage.isHeld)
  }

  private func sentences(_ sent: Trail.Sent) -> [String] {
    guard sent.messages > 0 else { return [] }
    let ids = sent.latest.prefix(20).map(\.queueID).joined(separator: " ")
    let more = sent.messages > 20 ? " …" : ""
    return ["Has sent \(sent.messages) messages in that time, the latest: \(ids)\(more)."]
  }

  private func report(_ standing: Standing) -> CounterReport {
    CounterReport(
      key: standing.key.description, rule: standing.rule, mode: standing.mode.rawValue,
      signal: standing.quantity.name, window: standing.limit.window.description,
      window_seconds: standing.limit.window.microseconds / 1_000_000, count: standing.count, limit: standing.allowed,
      limit_text: standing.limit.description, origin: standing.origin, left: standing.left,
      free_at: wall(standing.freeAt).rfc3339)
  }

  private func sentences(_ explanation: Explanation) -> [String] {
    var sentences: [String] = []
    if let exemption = explanation.exemption { sentences.append("Never refused: it is exempt (\(exemption)).") }
    for override in explanation.overrides {
      let until = override.until.map { " until \(wall($0).rfc3339)" } ?? ""
      sentences.append("Overridden: \(override.effect.phrase)\(until) (\(override.origin)).")
    }
    for penalty in explanation.penalties {
      sentences.append(
        "Blocked until \(wall(penalty.until).rfc3339) by \(penalty.reason.rule): \(penalty.reason.sentence);"
          + " refused \(penalty.attempts) times since.")
    }
    for standing in explanation.standings where standing.isOver {
      let used =
        "\(standing.count) \(standing.quantity.phrase) in \(standing.limit.window) (limit \(standing.allowed))"
      if standing.refuses || standing.holds {
        sentences.append(
          "\(standing.refuses ? "Refused" : "Held") by \(standing.rule): \(used); until \(wall(standing.freeAt).rfc3339)"
            + " if nothing more is counted.")
      } else {
        sentences.append("At the limit of \(standing.rule), which refuses nothing by itself: \(used).")
      }
    }
    if !explanation.isExempt, explanation.penalties.isEmpty, !explanation.standings.contains(where: \.isOver) {
      sentences.append(
        explanation.standings.isEmpty
          ? "Not limited: no rule counts this kind of key, and no penalty holds it."
          : "Not limited: it is below every limit, and no penalty holds it.")
    }
    return sentences
  }
}
