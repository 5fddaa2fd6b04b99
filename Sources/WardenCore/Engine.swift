/// Events build state; a decision is read from state.
///
/// The engine has no clock, no I/O and no threads: every event brings its time, whoever holds the engine serialises the
/// calls. So one engine serves the live milter, replay of old logs and tests, with the same decisions.
///
/// Nothing is ever pending. What a message asks for is looked at when it begins (MAIL) and counted when it ends, in the
/// same call that lets it pass: of a hundred sessions that begin together at a limit of 25, 25 messages pass, and a
/// session that ends in any other way leaves nothing behind.
public struct Engine: Sendable {
  /// How much the engine will hold.
  public struct Bounds: Sendable {
    /// Keys of one shape (`user`, `ip`, …).
    public var keysPerShape: Int
    public var penalties: Int
    public var episodes: Int
    public init(keysPerShape: Int = 250_000, penalties: Int = 100_000, episodes: Int = 50_000) {
      self.keysPerShape = keysPerShape
      self.penalties = penalties
      self.episodes = episodes
    }
  }

  public private(set) var policy: Policy
  public private(set) var realms: LocalRealms
  /// What the MTA must show and wait for; changes with the policy and with the penalty box.
  public var needs: Needs { box.stopsAtConnect ? policyNeeds.union(.connectReply) : policyNeeds }

  private var policyNeeds: Needs = []
  private var shelves: [Shelf] = []
  private var box: PenaltyBox
  private var episodes: EpisodeLog
  public private(set) var totals: Totals
  private let bounds: Bounds
  /// The latest time seen. An event that comes late (threads race between the clock and the engine) counts as if it
  /// came now: no window can then hold more than it should.
  private var now = Timestamp(microseconds: 0)

  public init(policy: Policy, bounds: Bounds = Bounds()) {
    self.policy = policy
    self.bounds = bounds
    realms = LocalRealms(listed: policy.realms)
    box = PenaltyBox(capacity: bounds.penalties)
    episodes = EpisodeLog(capacity: bounds.episodes)
    totals = Totals()
    install(policy)
  }

  /// Switches to another policy. Counters of what both policies count, penalties and episodes stay.
  public mutating func replace(policy new: Policy) {
    if new.realms != policy.realms { realms = LocalRealms(listed: new.realms) }
    policy = new
    install(new)
  }

  private mutating func install(_ policy: Policy) {
    var shapes: [KeyShape] = []
    for rule in policy.rules where !shapes.contains(rule.per) { shapes.append(rule.per) }
    shelves = shapes.map { shape in
      var shelf = shelves.first { $0.shape == shape } ?? Shelf(shape: shape, capacity: bounds.keysPerShape)
      shelf.install(policy.rules.filter { $0.per == shape })
      return shelf
    }
    policyNeeds = Self.needs(of: policy)
  }

  /// The least that the MTA must show and wait for under this policy.
  static func needs(of policy: Policy) -> Needs {
    var needs: Needs = policy.exempt.networks.isEmpty ? [] : .connectReply
    for rule in policy.rules {
      needs.formUnion(rule.count.declaration.needs)
      if rule.blocks, rule.per.isKnownAtConnect { needs.insert(.connectReply) }
    }
    return needs
  }

  // MARK: - Deciding

  public mutating func decide(_ event: Event) -> Decision {
    now = max(now, event.at)
    if let host = event.host { realms.learn(host: host) }
    totals.note(event, at: now)

    let subject = event.subject
    if let address = subject.address, policy.exempt.covers(address) != nil {
      if event.step == .endOfMessage { totals.admit(event, at: now) }
      return Decision(verdict: event.step == .connect ? .exempt : .goOn)
    }
    if let user = subject.user, policy.exempt.covers(user: user, realms: realms) {
      if event.step == .endOfMessage { totals.admit(event, at: now) }
      return Decision()
    }

    var decision = Decision()
    if event.canRefuse { checkPenalties(event, &decision) }
    // Who is blocked and knocks has its attempts counted; counting its connections too would prolong the block for ever.
    if event.step != .connect || !decision.isRefused { countHappened(event, &decision) }
    if event.canRefuse, event.step != .connect, !decision.isRefused { checkLimits(event, &decision) }
    if event.step == .endOfMessage, !decision.isRefused { countAdmitted(event, &decision) }
    if case .refuse(let refusal) = decision.verdict {
      totals.refuse(rule: refusal.reason.rule, at: now)
      decision.notices.append(notice(.refused, refusal.reason, event))
    }
    return decision
  }

  /// What has happened counts, whatever becomes of it; rules that it takes over a limit trip.
  private mutating func countHappened(_ event: Event, _ decision: inout Decision) {
    for index in shelves.indices where shelves[index].counts(event.happened) {
      guard let key = event.subject.key(shelves[index].shape) else { continue }
      let place = shelves[index].add(event.happened, to: key, at: now)
      for metered in shelves[index].rules where event.happened.has(metered.signal) {
        guard let reason = shelves[index].over(metered, key: key, place: place, adding: 0, at: now) else { continue }
        trip(metered, reason, event, &decision)
      }
    }
  }

  private mutating func checkPenalties(_ event: Event, _ decision: inout Decision) {
    guard let penalty = box.attempt(by: event.subject, now: now) else { return }
    refuse(penalty.code, penalty.reply, penalty.reason, isPenalty: true, event, &decision)
  }

  /// Rules that may refuse: is what is asked for, or what has happened before, over a limit?
  private mutating func checkLimits(_ event: Event, _ decision: inout Decision) {
    for index in shelves.indices {
      guard event.step == .recipient ? shelves[index].canRefuseRecipients : shelves[index].canRefuse,
        let key = event.subject.key(shelves[index].shape)
      else { continue }
      let place = shelves[index].table.find(key)
      for metered in shelves[index].rules {
        guard
          metered.refusesWanted && event.wants.has(metered.signal)
            || metered.refusesAfter && !event.happened.has(metered.signal),
          let reason = shelves[index].over(
            metered, key: key, place: place, adding: event.wants[metered.signal], at: now)
        else { continue }
        trip(metered, reason, event, &decision)
      }
    }
  }

  /// The message passes: what it asked for counts, and rules that only tell look at the result.
  private mutating func countAdmitted(_ event: Event, _ decision: inout Decision) {
    totals.admit(event, at: now)
    for index in shelves.indices where shelves[index].counts(event.wants) {
      guard let key = event.subject.key(shelves[index].shape) else { continue }
      let place = shelves[index].add(event.wants, to: key, at: now)
      for metered in shelves[index].rules where event.wants.has(metered.signal) {
        guard let reason = shelves[index].over(metered, key: key, place: place, adding: 0, at: now) else { continue }
        trip(metered, reason, event, &decision)
      }
    }
  }

  /// The one place where a tripped rule has consequences.
  private mutating func trip(
    _ metered: Shelf.MeteredRule, _ reason: Reason, _ event: Event, _ decision: inout Decision
  ) {
    let rule = metered.rule
    let isNew = episodes.trip(rule: rule.name, key: reason.key, at: now, quiet: metered.quiet)
    if isNew { totals.trip(rule: rule.name) }
    guard rule.mode == .enforce else {
      if isNew { decision.notices.append(notice(.observed, reason, event)) }
      return
    }
    if rule.then.alert, isNew { decision.notices.append(notice(.alert, reason, event)) }
    if let block = rule.then.block {
      let penalty = Penalty(
        key: reason.key, reason: reason, code: rule.code, reply: rule.reply, since: now, until: now + block)
      if box.insert(penalty, now: now) == .new { decision.notices.append(notice(.blocked, reason, event)) }
    }
    if rule.refuses || rule.blocks, event.canRefuse, !decision.holds(atLeast: reason, rule.code) {
      refuse(rule.code, rule.reply, reason, isPenalty: false, event, &decision)
    }
  }

  private func refuse(
    _ code: ReplyCode, _ reply: ReplyTemplate?, _ reason: Reason, isPenalty: Bool, _ event: Event,
    _ decision: inout Decision
  ) {
    // At connect 421 closes the connection on both MTAs; any other 4xx leaves it open, for example to password
    // guessing. The text is lost there on both, so it costs nothing.
    let atConnect = event.step == .connect && code.isTemporary
    decision.verdict = .refuse(
      Refusal(
        code: atConnect ? .closing : code, lines: reason.lines(reply, now: now), reason: reason, isPenalty: isPenalty))
  }

  private func notice(_ kind: Notice.Kind, _ reason: Reason, _ event: Event) -> Notice {
    Notice(kind: kind, reason: reason, step: event.step, subject: event.subject, at: now)
  }

  // MARK: - Commands

  /// An administrator's block. A penalty that lasts longer stays as it is.
  /// - Returns: the penalty in force; nothing when the box is full.
  public mutating func block(_ key: Key, for span: TimeSpan, note: String, at: Timestamp) -> Penalty? {
    now = max(now, at)
    let reason = Reason(
      rule: Reason.administrator, key: key, cause: .administrator(note: note), until: now + span)
    let penalty = Penalty(
      key: key, reason: reason, code: .tempfail, reply: nil, since: now, until: now + span)
    return box.insert(penalty, now: now) == .noRoom ? nil : box.penalties[key]
  }

  /// Lets a key go: its penalty ends and its counts start anew, so that nothing refuses it at once.
  /// - Returns: the penalty, where there was one, and whether anything was counted.
  public mutating func release(_ key: Key, at: Timestamp) -> (penalty: Penalty?, hadCounts: Bool) {
    now = max(now, at)
    let hadCounts = standings(of: key).contains { $0.count > 0 }
    for index in shelves.indices where shelves[index].shape == key.shape { shelves[index].forget(key) }
    episodes.end(key: key)
    let penalty = box.remove(key)
    return (penalty.flatMap { $0.until > now ? $0 : nil }, hadCounts)
  }

  // MARK: - Questions

  /// All penalties in force, in no order: sorting is for the caller, who does not hold up mail.
  public mutating func penalties(at: Timestamp) -> [Penalty] {
    now = max(now, at)
    box.removeExpired(now: now)
    return Array(box.penalties.values)
  }

  /// Why the key is or is not limited.
  public mutating func explain(_ key: Key, at: Timestamp) -> Explanation {
    now = max(now, at)
    let penalties = box.penalties.values.filter { $0.until > now && Self.covers($0.key, key) }
    return Explanation(
      key: key, exemption: exemption(of: key), penalties: penalties, standings: standings(of: key))
  }

  /// Whether a penalty on one key can stop the other. A pair's penalty concerns each of its parts, but another pair only as
  /// a whole.
  private static func covers(_ outer: Key, _ inner: Key) -> Bool {
    if inner.second == nil { return outer.parts.contains { covers($0, inner.first) } }
    return outer.parts.allSatisfy { part in inner.parts.contains { covers(part, $0) } }
  }

  private static func covers(_ outer: KeyPart, _ inner: KeyPart) -> Bool {
    switch (outer, inner) {
    case (.server, _): true
    case (.network(let network), .ip(let address)): network.contains(address)
    case (.network(let network), .network(let part)):
      network.prefix <= part.prefix && network.contains(part.address)
    case (.senderDomain(let domain), .sender(let sender)): Mailbox.domain(of: sender) == domain
    default: outer == inner
    }
  }

  /// The policy's line that exempts the key, if any.
  public func exemption(of key: Key) -> String? {
    for part in key.parts {
      switch part {
      case .user(let user) where policy.exempt.covers(user: user, realms: realms): return "exempt.users: \(user)"
      case .ip(let address):
        if let network = policy.exempt.covers(address) { return "exempt.networks: \(network)" }
      case .network(let inner):
        if let outer = policy.exempt.networks.first(where: { $0.prefix <= inner.prefix && $0.contains(inner.address) })
        {
          return "exempt.networks: \(outer)"
        }
      default: break
      }
    }
    return nil
  }

  /// How the key stands to each limit that counts its kind.
  public mutating func standings(of key: Key, at: Timestamp) -> [Standing] {
    now = max(now, at)
    return standings(of: key)
  }

  private mutating func standings(of key: Key) -> [Standing] {
    guard let index = shelves.firstIndex(where: { $0.shape == key.shape }) else { return [] }
    return shelves[index].standings(of: key, at: now)
  }

  /// A part of all keys, each with the limit that it is nearest to. Walking in parts keeps each call short, so that
  /// nobody's mail waits for an administrator's question.
  /// - Returns: where to go on; nothing at the end.
  public mutating func keys(from cursor: KeyCursor, atMost count: Int, at: Timestamp) -> ([Standing], KeyCursor?) {
    now = max(now, at)
    guard cursor.shelf < shelves.count else { return ([], nil) }
    let end = cursor.place + count
    let found = shelves[cursor.shelf].busiest(in: cursor.place..<end, at: now)
    let isDone = end >= shelves[cursor.shelf].table.extent
    let next = isDone ? KeyCursor(shelf: cursor.shelf + 1) : KeyCursor(shelf: cursor.shelf, place: end)
    return (found, next.shelf < shelves.count ? next : nil)
  }

  public mutating func status(at: Timestamp) -> EngineStatus {
    now = max(now, at)
    box.removeExpired(now: now)
    return EngineStatus(
      totals: totals.figures(at: now),
      rules: policy.rules.map { rule in
        EngineStatus.RuleFigures(
          rule: rule, trips: totals.trips[rule.name] ?? 0, refused: totals.refusals[rule.name] ?? 0)
      },
      penalties: box.count,
      keys: shelves.reduce(0) { $0 + $1.table.count }, evictedKeys: shelves.reduce(0) { $0 + $1.table.evicted },
      droppedPenalties: box.dropped, droppedEpisodes: episodes.dropped)
  }
}

extension Decision {
  public var isRefused: Bool { if case .refuse = verdict { true } else { false } }

  /// Whether a refusal stands that another must not replace: a penalty, a 5xx before a 4xx, the longer before the shorter,
  /// so that nobody is told to come back earlier than it helps.
  func holds(atLeast reason: Reason, _ code: ReplyCode) -> Bool {
    guard case .refuse(let standing) = verdict else { return false }
    if standing.isPenalty { return true }
    if standing.code.isTemporary != code.isTemporary { return code.isTemporary }
    return standing.reason.until >= reason.until
  }
}

/// Where a walk over all keys stands.
public struct KeyCursor: Sendable {
  var shelf = 0
  var place = 0
  public init() {}
  init(shelf: Int, place: Int = 0) {
    self.shelf = shelf
    self.place = place
  }
}

/// Why a key is or is not limited.
public struct Explanation: Sendable {
  public let key: Key
  /// The policy's line that exempts it.
  public let exemption: String?
  /// In force on the key itself or on what it belongs to.
  public let penalties: [Penalty]
  public let standings: [Standing]
}
