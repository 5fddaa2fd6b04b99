import Synchronization

/// Events build state; a decision is read from state.
///
/// The engine has no clock, no I/O and no threads: every event brings its time. Any thread may ask; each call holds only
/// the counters of the keys that it concerns. So one engine serves the live milter, replay of old logs and tests, with
/// the same decisions.
///
/// Nothing is ever pending. What a message asks for is looked at when it begins (MAIL) and counted when it ends, in the
/// same call that lets it pass: of a hundred sessions that begin together at a limit of 25, 25 messages pass, and a
/// session that ends in any other way leaves nothing behind.
public final class Engine: Sendable {
  /// How much the engine will hold beside the counters, whose bound is the policy's `memory`.
  public struct Bounds: Sendable {
    public var penalties: Int
    public var episodes: Int
    /// Overrides at run time.
    public var orders: Int
    public init(penalties: Int = 100_000, episodes: Int = 50_000, orders: Int = 1_000) {
      self.penalties = penalties
      self.episodes = episodes
      self.orders = orders
    }
  }

  /// What a reload changes, taken as one.
  struct Rules {
    var book: Rulebook
    var realms: LocalRealms
    /// Overrides at run time.
    var orders: [Override] = []
    var table: KeyTable
    /// Whether those have changed since they were stored.
    var ordersChanged = false
    /// How often counting has begun anew.
    var tableNumber = 0
  }

  // Held in this order, where more than one is: shards, box, the rest.
  let rules: Locked<Rules>
  /// Held by whoever changes the rules.
  private let changing = Locked(0)
  let box: Locked<PenaltyBox>
  let episodes: Locked<EpisodeLog>
  private let totals: Locked<Totals>
  private let known = Locked(KnownClients())
  /// Whether a look into the box could find anything.
  let hasPenalties = Atomic(false)
  private let bounds: Bounds
  private let keepsChanges: Bool
  private let peaks: Peaks?

  /// More meters than any policy has; ids are 16 bits.
  private static let mostMeters = 50_000

  /// What ties an engine to the state that an earlier one has left.
  public struct Roots: Sendable, Equatable {
    /// What values are hashed with.
    public var seed: HashSeed
    /// The numbers of what is counted, by the names that they are stored under.
    public var meters: [String: UInt16]
    public init(seed: HashSeed, meters: [String: UInt16] = [:]) {
      self.seed = seed
      self.meters = meters
    }
  }

  /// - Parameters:
  ///   - policy: what holds until ``replace(policy:)``.
  ///   - bounds: of all but the counters.
  ///   - roots: a seed that nobody outside can know, wherever the events come from outside.
  ///   - keepsChanges: whether somebody will ask for what has changed, to store it.
  ///   - peaks: what notes how near each key comes to its limits.
  public init(
    policy: Policy, bounds: Bounds = Bounds(), roots: Roots = Roots(seed: HashSeed(0, 0)), keepsChanges: Bool = false,
    peaks: Peaks? = nil
  ) {
    self.bounds = bounds
    self.keepsChanges = keepsChanges
    self.peaks = peaks
    let book = Rulebook(policy, ids: roots.meters, seed: roots.seed)
    peaks?.begin(book)
    rules = Locked(
      Rules(
        book: book, realms: LocalRealms(listed: policy.realms),
        table: KeyTable(bound: policy.memory, keepsChanges: keepsChanges)))
    box = Locked(PenaltyBox(capacity: bounds.penalties, keepsChanges: keepsChanges))
    episodes = Locked(EpisodeLog(capacity: bounds.episodes, keepsChanges: keepsChanges))
    totals = Locked(Totals())
  }

  public var policy: Policy { rules.withLock { $0.book.policy } }
  public var realms: LocalRealms { rules.withLock { $0.realms } }

  /// What the MTA must show and wait for; changes with the policy and with the penalty box.
  public var needs: Needs {
    let needs = rules.withLock { $0.book.needs }
    return box.withLock { $0.stopsAtConnect } ? needs.union(.connectReply) : needs
  }

  /// Switches to another policy. Counters of what both policies count, penalties, episodes and overrides given at run time
  /// stay; another bound of memory holds from the next start.
  public func replace(policy: Policy) {
    change { rules in
      if policy.realms != rules.book.policy.realms { rules.realms = LocalRealms(listed: policy.realms) }
      return policy
    }
  }

  /// Changes the rules. The rulebook is worked out while mail goes on under the one before.
  /// - Parameter orders: makes its changes and says which policy is to hold.
  func change(_ orders: (inout Rules) -> Policy) {
    changing.withLock { _ in
      let (policy, before) = rules.withLock { (orders(&$0), $0) }
      // So many meters that ids would run out come of thousands of reloads: then counting begins anew.
      let isFull = before.book.ids.count > Self.mostMeters
      let book = Rulebook(
        policy, orders: before.orders, ids: isFull ? [:] : before.book.ids, seed: before.book.seed)
      let table = isFull ? KeyTable(bound: policy.memory, keepsChanges: keepsChanges) : before.table
      rules.withLock {
        ($0.book, $0.table) = (book, table)
        if isFull { $0.tableNumber += 1 }
      }
      peaks?.begin(book)
    }
  }

  // MARK: - Deciding

  /// Counts the event and decides on what it asks for; see the library's first page.
  public func decide(_ event: Event) -> Decision {
    let (book, realms, table) = rules.withLock { rules in
      if let host = event.host { rules.realms.learn(host: host) }
      return (rules.book, rules.realms, rules.table)
    }
    if !event.happened.isEmpty {
      totals.withLock { $0.note(event) }
      if event.bringsLogin, let address = event.subject.ip { noteLogin(from: address, at: event.at) }
    }
    if let exempt = exempt(event, book, realms) {
      if event.step == .endOfMessage { totals.withLock { $0.admit(event) } }
      return exempt
    }

    var decision = Decision()
    var ledger = Ledger(event, book, realms, known, peaks)
    if event.canRefuse { checkPenalties(event, book, realms, &decision) }
    // Who is blocked and knocks has its attempts counted; counting its connections too would prolong the block for ever.
    if event.step != .connect || !decision.isRefused {
      let isRefused = decision.isRefused
      ledger.gather(isRefused: isRefused)
      let shards = ledger.targets.reduce(UInt64(0)) { $0 | 1 << UInt64(table.shard(of: $1.name.hash)) }
      if shards != 0 { table.withShards(shards, at: event.at) { ledger.count(isRefused, $0) } }
    }
    for trip in ledger.trips { follow(trip, event, book, table, &decision) }
    settle(event, &decision)
    if !decision.notices.isEmpty { totals.withLock { $0.note(decision.notices, at: event.at) } }
    return decision
  }

  /// What to say where nothing of us applies.
  private func exempt(_ event: Event, _ book: Rulebook, _ realms: LocalRealms) -> Decision? {
    var subject = event.subject
    let verdict = Decision.Verdict.exempt
    if let address = subject.address, book.policy.exempt.covers(address) != nil {
      return Decision(verdict: event.step == .connect ? verdict : .goOn)
    }
    // A name that somebody only tries must not hide who tries it.
    if !event.isAuthenticated { subject.user = nil }
    if let user = subject.user, book.policy.exempt.covers(user: user, realms: realms) { return Decision() }
    guard book.overrides.exempts, let override = book.overrides.exemption(of: subject, realms: realms, at: event.at)
    else { return nil }
    // An exemption that ends must not outlive its end in a session that goes on and on.
    return Decision(verdict: event.step == .connect && override.until == nil ? verdict : .goOn)
  }

  private func checkPenalties(_ event: Event, _ book: Rulebook, _ realms: LocalRealms, _ decision: inout Decision) {
    guard hasPenalties.load(ordering: .relaxed) else { return }
    let penalty = box.withLock {
      $0.attempt(by: event.subject, now: event.at) { concerns($0, event, book, realms) }
    }
    guard let penalty else { return }
    refuse(penalty.code, penalty.reply, penalty.reason, isPenalty: true, event, &decision)
  }

  private func concerns(_ penalty: Penalty, _ event: Event, _ book: Rulebook, _ realms: LocalRealms) -> Bool {
    if event.step == .login, !penalty.isAdministrators, !book.loginRules.contains(penalty.reason.rule) {
      return false
    }
    if penalty.filter.isEmpty { return true }
    if event.step == .connect, penalty.filter.isAboutLogin { return false }
    return penalty.filter.covers(event, realms: realms, groups: book.policy.groups, isNewNetwork: false)
  }

  /// The one place where a tripped rule has consequences.
  private func follow(
    _ trip: Ledger.Trip, _ event: Event, _ book: Rulebook, _ table: KeyTable, _ decision: inout Decision
  ) {
    let rule = trip.rule.rule
    var reason = trip.reason
    let isNew = episodes.withLock {
      $0.trip(
        reason, at: event.at, quiet: trip.rule.quiet, isObserved: rule.mode == .observe,
        isAlert: rule.mode == .enforce && rule.then.alert)
    }
    if isNew { totals.withLock { $0.trip(rule: rule.name) } }
    guard rule.mode == .enforce, !trip.isSpared else {
      if isNew { decision.notices.append(notice(.observed, reason, event)) }
      return
    }
    if rule.then.alert, isNew { decision.notices.append(notice(.alert, reason, event)) }
    if !rule.then.run.isEmpty {
      let commands = episodes.withLock { $0.commands(rule.then.run, for: reason.episode) }
      decision.notices += commands.map { notice(.run($0), reason, event) }
    }
    if let block = rule.then.block, let key = block.key(from: reason.key, book.policy.networkPrefix) {
      let until = self.block(key, trip.rule, reason, event, book, table, &decision)
      episodes.withLock {
        $0.change(Episode.ID(rule: rule.name, key: reason.key)) { $0.blocked(key, until: until, at: event.at) }
      }
      // What has happened and only blocks lets go when the block ends, whatever is still counted.
      let onlyBlocks = rule.then.refusal == nil && !trip.rule.gate.looksAtWants
      reason = reason.with(until: onlyBlocks ? until : max(reason.until, until))
    }
    guard trip.mayAct else { return }
    // A rule that holds and blocks keeps the message in hand, and refuses those that follow.
    if trip.rule.refusesNow, event.canRefuse, !decision.holds(atLeast: reason, rule.code) {
      refuse(rule.code, rule.reply, reason, isPenalty: false, event, &decision)
    } else if let delay = rule.delay, event.step == .login, !decision.delays(atLeast: delay) {
      decision.verdict = .delay(delay, reason)
    } else if rule.holds, event.step == .endOfMessage, event.canRefuse, case .goOn = decision.verdict {
      decision.verdict = .hold(reason)
    }
  }

  private func settle(_ event: Event, _ decision: inout Decision) {
    switch decision.verdict {
    case .refuse(let refusal):
      totals.withLock { $0.refuse(rule: refusal.reason.rule, at: event.at) }
      if !refusal.isPenalty { episodes.withLock { $0.change(refusal.reason.episode) { $0.refused += 1 } } }
      decision.notices.append(notice(.refused, refusal.reason, event))
    case .delay(_, let reason): decision.notices.append(notice(.delayed, reason, event))
    case .hold(let reason):
      totals.withLock { $0.hold(at: event.at) }
      episodes.withLock { $0.change(reason.episode) { $0.held += 1 } }
      decision.notices.append(notice(.held, reason, event))
      fallthrough
    case .goOn, .exempt:
      if event.step == .endOfMessage { totals.withLock { $0.admit(event) } }
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
        code: atConnect ? .closing : code, lines: reason.lines(reply, now: event.at), reason: reason,
        isPenalty: isPenalty))
  }

  private func notice(_ kind: Notice.Kind, _ reason: Reason, _ event: Event) -> Notice {
    Notice(kind: kind, reason: reason, step: event.step, subject: event.subject, at: event.at)
  }

  // MARK: - Blocking

  /// Somebody has logged in from there, as an earlier process has seen.
  public func noteLogin(from address: IPAddress, at time: Timestamp) { known.withLock { $0.note(address, at: time) } }

  /// Puts the key into the box, for longer each time that it comes back.
  /// - Returns: until when it is blocked.
  private func block(
    _ key: Key, _ metered: MeteredRule, _ reason: Reason, _ event: Event, _ book: Rulebook, _ table: KeyTable,
    _ decision: inout Decision
  ) -> Timestamp {
    let penalty = penalty(key, metered, reason, at: event.at, book, table)
    if penalty.insertion == .new {
      decision.notices.append(notice(.blocked, penalty.reason, event))
      climb(from: key, metered, event, book, table, &decision)
    }
    return penalty.reason.until
  }

  private func penalty(
    _ key: Key, _ metered: MeteredRule, _ reason: Reason, at time: Timestamp, _ book: Rulebook, _ table: KeyTable
  ) -> (insertion: PenaltyBox.Insertion, reason: Reason) {
    let rule = metered.rule
    let (block, offences) = (rule.then.block!, metered.offences!)
    return table.with(key, at: time) { held, name, names in
      // With the key's shard held, nobody else can count the same offence.
      let before = held.find(name, in: names).map { offences.count($0.cells, at: held.now) } ?? 0
      let span = block.spans[min(before, block.spans.count - 1)]
      let found = box.withLock { box -> (PenaltyBox.Insertion, Reason) in
        if let old = box.penalties[key], old.until > held.now, old.reason.rule == rule.name, block.spans.count > 1 {
          return (.unchanged, old.reason)
        }
        // Whoever else is blocked by it is told of the key, not of whom it was counted for.
        let reason = Reason(rule: reason.rule, key: key, cause: reason.cause, until: held.now + span)
        let penalty = Penalty(
          key: key, reason: reason, code: rule.code, reply: rule.reply, filter: rule.filter.ofSession,
          since: held.now, until: held.now + span)
        return (box.insert(penalty, now: held.now), reason)
      }
      hasPenalties.store(true, ordering: .relaxed)
      if found.0 == .new, let record = held.record(for: name, in: names, roomFor: 1, book.layout) {
        var cells = record.cells
        offences.add(1, to: &cells, at: held.now)
        record.cells = cells
      }
      return found
    }
  }

  /// Blocks the larger network when many in it have been blocked: whoever rents a server can change its /64 at will.
  private func climb(
    from key: Key, _ metered: MeteredRule, _ event: Event, _ book: Rulebook, _ table: KeyTable,
    _ decision: inout Decision
  ) {
    guard let neighbours = metered.neighbours, case .network(var network) = key.first, key.second == nil,
      !network.address.isV4
    else { return }
    let prefix = book.policy.networkPrefix
    for length in prefix.climb where length < network.prefix {
      let outer = Network(of: network.address, prefix: length)
      let inner = network
      let count = table.with(Key(.network(outer)), at: event.at) { held, name, names in
        guard let record = held.record(for: name, in: names, roomFor: 1, book.layout) else { return 0 }
        var cells = record.cells
        neighbours.add(ValueHash(inner, book.seed), to: &cells, at: held.now)
        record.cells = cells
        return neighbours.distinct(cells, at: held.now)
      }
      guard count >= prefix.climbAfter else { return }
      let reason = Reason(
        rule: metered.rule.name, key: Key(.network(outer)),
        cause: .neighbours(count: count, limit: prefix.climbAfter), until: event.at)
      let penalty = penalty(Key(.network(outer)), metered, reason, at: event.at, book, table)
      if penalty.insertion == .new { decision.notices.append(notice(.blocked, penalty.reason, event)) }
      network = outer
    }
  }

  // MARK: - Orders

  /// An administrator's block. A penalty that lasts longer stays as it is.
  /// - Returns: the penalty in force; nothing when the box is full.
  public func block(_ key: Key, for span: TimeSpan, note: String, at now: Timestamp) -> Penalty? {
    let reason = Reason(
      rule: Reason.administrator, key: key, cause: .administrator(note: note), until: now + span)
    let penalty = Penalty(key: key, reason: reason, code: .tempfail, reply: nil, since: now, until: now + span)
    return box.withLock { box in
      let insertion = box.insert(penalty, now: now)
      hasPenalties.store(true, ordering: .relaxed)
      return insertion == .noRoom ? nil : box.penalties[key]
    }
  }

  /// Lets a key go: its penalty ends and its counts start anew, those of pairs with it too, so that nothing refuses it at
  /// once. What was learned of it stays.
  /// - Returns: the penalty, where there was one, and whether anything was counted.
  public func release(_ key: Key, at now: Timestamp) -> (penalty: Penalty?, hadCounts: Bool) {
    let all = [key] + pairs(with: key, at: now)
    let (book, table) = rules.withLock { ($0.book, $0.table) }
    var hadCounts = false
    for key in all {
      hadCounts = standings(ofExactly: key, at: now).contains { $0.count > 0 } || hadCounts
      table.with(key, at: now) { held, name, names in held.forgetCounts(of: name, in: names, book.layout) }
      episodes.withLock { $0.end(key: key) }
    }
    let penalty = box.withLock { $0.remove(key) }
    return (penalty.flatMap { $0.until > now ? $0 : nil }, hadCounts)
  }

  /// A command that a notice asked for has been carried out; or has not, and the rule's next trip on the key asks again.
  public func commandEnded(_ name: String, for id: Episode.ID, isDone: Bool) {
    episodes.withLock { $0.commandEnded(name, for: id, isDone: isDone) }
  }

  /// An administrator's override, for a while. One for the same target and rule takes the place of the one before.
  /// - Returns: false when there are too many.
  public func allow(_ order: Override, at now: Timestamp) -> Bool {
    var hasRoom = false
    change { rules in
      rules.orders.removeAll { !$0.holds(at: now) || $0.isAbout(order) }
      hasRoom = rules.orders.count < bounds.orders && rules.book.ids.count < Self.mostMeters
      if hasRoom { rules.orders.append(order) }
      rules.ordersChanged = true
      return rules.book.policy
    }
    return hasRoom
  }

  /// Ends the overrides that were given at run time for the target.
  public func revoke(_ target: Override.Target, at now: Timestamp) -> [Override] {
    var revoked: [Override] = []
    change { rules in
      revoked = rules.orders.filter { $0.target == target && $0.holds(at: now) }
      rules.orders.removeAll { $0.target == target || !$0.holds(at: now) }
      rules.ordersChanged = true
      return rules.book.policy
    }
    return revoked
  }

  /// All overrides in force, the policy's first.
  public func overrides(at now: Timestamp) -> [Override] {
    rules.withLock { ($0.book.policy.overrides + $0.orders).filter { $0.holds(at: now) } }
  }

  // MARK: - Questions

  /// All penalties in force, in no order: sorting is for the caller, who does not hold up mail.
  public func penalties(at now: Timestamp) -> [Penalty] {
    box.withLock {
      $0.removeExpired(now: now)
      return Array($0.penalties.values)
    }
  }

  /// The rule's latest episode on the key, where it is still known.
  public func episode(_ id: Episode.ID) -> Episode? { episodes.withLock { $0.episodes[id] } }

  /// The penalty that would turn the subject's client away as it connects. To ask is no attempt.
  package func penaltyAtConnect(of subject: Subject, at now: Timestamp) -> Penalty? {
    guard hasPenalties.load(ordering: .relaxed) else { return nil }
    var client = Subject()
    (client.address, client.ip, client.network) = (subject.address, subject.ip, subject.network)
    client.daemon = subject.daemon
    let event = Event(at: now, step: .connect, subject: client)
    let (book, realms) = rules.withLock { ($0.book, $0.realms) }
    if exempt(event, book, realms) != nil { return nil }
    return box.withLock { $0.longest(on: client, now: now) { concerns($0, event, book, realms) } }
  }

  /// The penalty on exactly this key.
  public func penalty(on key: Key) -> Penalty? { box.withLock { $0.penalties[key] } }

  /// Why the key is or is not limited.
  public func explain(_ key: Key, at now: Timestamp) -> Explanation {
    let penalties = penalties(at: now).filter { Self.covers($0.key, key) }
    let (book, realms) = rules.withLock { ($0.book, $0.realms) }
    return Explanation(
      key: key, exemption: exemption(of: key, book.policy, realms),
      overrides: book.overrides.about(key, realms: realms, at: now), penalties: penalties,
      standings: standings(of: key, at: now))
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
    case (.recipientDomain(let domain), .recipient(let recipient)): Mailbox.domain(of: recipient) == domain
    default: outer == inner
    }
  }

  /// The policy's line that exempts the key, if any.
  public func exemption(of key: Key) -> String? {
    let (book, realms) = rules.withLock { ($0.book, $0.realms) }
    return exemption(of: key, book.policy, realms)
  }

  func exemption(of key: Key, _ policy: Policy, _ realms: LocalRealms) -> String? {
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

  /// How the key, and pairs with it, stand to each limit that counts them.
  public func standings(of key: Key, at now: Timestamp) -> [Standing] {
    standings(ofExactly: key, at: now) + pairs(with: key, at: now).flatMap { standings(ofExactly: $0, at: now) }
  }

  private func standings(ofExactly key: Key, at now: Timestamp) -> [Standing] {
    let (book, realms, table) = rules.withLock { ($0.book, $0.realms, $0.table) }
    guard let shelf = book.shelf(of: key.shape) else { return [] }
    return table.with(key, at: now) { held, name, names in
      shelf.standings(of: key, held.find(name, in: names)?.cells, book, realms, at: held.now)
    }
  }

  /// A part of all keys, each with the limit that it is nearest to. Walking in parts keeps each call short, so that
  /// nobody's mail waits for an administrator's question.
  /// - Returns: where to go on; nothing at the end.
  public func keys(from cursor: KeyCursor, atMost count: Int, at time: Timestamp) -> ([Standing], KeyCursor?) {
    let (book, realms, table) = rules.withLock { ($0.book, $0.realms, $0.table) }
    var found: [Standing] = []
    let next = table.walk(from: cursor, atMost: count, at: time) { record, now in
      let key = KeyNames.key(of: record.name)
      let standings = book.shelf(of: key.shape)?.standings(of: key, record.cells, book, realms, at: now) ?? []
      if let nearest = standings.filter({ $0.count > 0 }).max(by: { $0.share < $1.share }) { found.append(nearest) }
    }
    return (found, next)
  }

  /// The pairs that the key is part of, where the policy counts such.
  private func pairs(with key: Key, at now: Timestamp) -> [Key] {
    let (book, table) = rules.withLock { ($0.book, $0.table) }
    guard key.second == nil,
      book.shelves.contains(where: { $0.shape.second != nil && $0.shape.kinds.contains(key.first.kind) })
    else { return [] }
    var found: [Key] = []
    var cursor: KeyCursor? = KeyCursor()
    while let here = cursor {
      cursor = table.walk(from: here, atMost: 2_000, at: now) { record, _ in
        let shape = KeyNames.shape(of: record.name)
        guard shape.second != nil, shape.kinds.contains(key.first.kind), found.count < Self.mostPairs else { return }
        let pair = KeyNames.key(of: record.name)
        if pair.parts.contains(key.first) { found.append(pair) }
      }
    }
    return found
  }

  /// More than anybody reads.
  private static let mostPairs = 1_000

  /// What is looked at all the time: less than `status`, and quickly.
  public struct Pulse: Sendable {
    /// All that was ever counted for the server.
    public let events: Int
    public let evictedKeys: Int
    public let memoryBound: Int
  }

  public var pulse: Pulse {
    let table = rules.withLock { $0.table }
    return Pulse(
      events: totals.withLock { $0.events }, evictedKeys: table.figures().evicted, memoryBound: table.bound)
  }

  /// What happened to the whole server.
  /// - Parameter read: with mail waiting, so no more than it takes. A copy would cost the next event the whole of it.
  public func trend<Answer>(_ read: (borrowing Trend) -> Answer) -> Answer { totals.withLock { read($0.trend) } }

  /// Goes on from what earlier processes have counted for the whole server.
  public func restore(minutes: [Trend.Stretch], hours: [Trend.Stretch]) {
    totals.withLock { $0.restore(minutes: minutes, hours: hours) }
  }

  /// What there is to say of the engine at that time.
  public func status(at now: Timestamp) -> EngineStatus {
    let (book, table) = rules.withLock { ($0.book, $0.table) }
    let figures = table.figures()
    let (penalties, droppedPenalties) = box.withLock { box in
      box.removeExpired(now: now)
      return (box.count, box.dropped)
    }
    let droppedEpisodes = episodes.withLock { $0.dropped }
    return totals.withLock { totals in
      EngineStatus(
        totals: totals.figures(at: now),
        rules: book.policy.rules.map { rule in
          EngineStatus.RuleFigures(
            rule: rule, trips: totals.trips[rule.name] ?? 0, refused: totals.refusals[rule.name] ?? 0)
        },
        penalties: penalties, keys: figures.keys, memory: figures.bytes, memoryBound: table.bound,
        evictedKeys: figures.evicted, droppedPenalties: droppedPenalties, droppedEpisodes: droppedEpisodes)
    }
  }
}

extension Decision {
  public var isRefused: Bool { if case .refuse = verdict { true } else { false } }

  /// Whether what stands makes somebody wait so long, or for ever.
  func delays(atLeast span: TimeSpan) -> Bool {
    switch verdict {
    case .refuse: true
    case .delay(let standing, _): standing >= span
    case .goOn, .exempt, .hold: false
    }
  }

  /// Whether a refusal stands that another must not replace: a penalty, a 5xx before a 4xx, the longer before the shorter,
  /// so that nobody is told to come back earlier than it helps.
  func holds(atLeast reason: Reason, _ code: ReplyCode) -> Bool {
    guard case .refuse(let standing) = verdict else { return false }
    if standing.isPenalty { return true }
    if standing.code.isTemporary != code.isTemporary { return code.isTemporary }
    return standing.reason.until >= reason.until
  }
}

extension Override {
  /// Whether it says something of the same: the same target, and the same rule or all of them.
  func isAbout(_ other: Override) -> Bool { target == other.target && rule == other.rule }

  /// The rule that it is about; nothing for all.
  public var rule: String? {
    switch effect {
    case .exempt: nil
    case .off(let rule), .limits(let rule, _): rule
    }
  }
}

/// Why a key is or is not limited.
public struct Explanation: Sendable {
  public let key: Key
  /// The policy's line that exempts it.
  public let exemption: String?
  public let overrides: [Override]
  /// In force on the key itself or on what it belongs to.
  public let penalties: [Penalty]
  public let standings: [Standing]

  public var isExempt: Bool { exemption != nil || overrides.contains { $0.effect == .exempt } }
}
