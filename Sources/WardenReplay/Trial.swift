import WardenCore

/// One policy against what has happened: an engine of its own, and what it would have done.
struct Trial {
  /// An event with what every trial asks of it.
  struct Happening {
    let event: Event
    /// The keys that it is about, with what they have sent in it.
    let keys: [(key: Key, sent: Sent)]
    let isMessage: Bool
    /// Whether it was put together from the lines of a log whose server turned nobody away for us.
    let isOfLog: Bool
  }

  let name: String
  let policy: Policy
  private let engine: Engine
  private let peaks = Peaks(atLeast: BacktestResult.near)
  private var open: [Key: Incident] = [:]
  /// Who is blocked on account of which incident, where that is another key.
  private var blocked: [Key: Key] = [:]
  private var closed: [Incident] = []
  private var dropped = 0
  private var figures: [String: BacktestResult.RuleFigures]
  private var refused = Sent()
  private var refusedOthers = 0
  private var attempts = Attempts()
  private let bound: Int
  /// The next moment to look for incidents that are over.
  private var sweepAt = Timestamp(microseconds: 0)

  init(name: String, policy: Policy, incidents bound: Int) {
    self.name = name
    self.policy = policy
    self.bound = bound
    engine = Engine(policy: policy, peaks: peaks)
    figures = Dictionary(
      policy.rules.map { ($0.name, BacktestResult.RuleFigures(rule: $0.name, mode: $0.mode)) },
      uniquingKeysWith: { first, _ in first })
  }

  var hasOpen: Bool { !open.isEmpty }

  /// The shapes of keys that can have an incident.
  var shapes: [KeyShape] { policy.rules.flatMap { $0.then.block == nil ? [$0.per] : [$0.per, $0.blockedShape] } }

  mutating func take(_ happening: Happening, _ history: SendingHistory) {
    var event = happening.event
    // The event was made under one policy, which may cut networks otherwise.
    if let ip = event.subject.ip { event.subject.network = policy.networkPrefix.network(of: ip) }
    if happening.isOfLog, event.isOfClient,
      let penalty = engine.penaltyAtConnect(of: event.subject, at: event.at)
    {
      return turnAway(happening, penalty)
    }
    let decision = engine.decide(event)
    if !decision.isRefused {
      attempts.passed(event)
      if happening.isOfLog { _ = attempts.belongsToKnock(event.subject, at: event.at) }
    }
    let concerned = hasOpen ? goOn(happening, isRefused: decision.isRefused) : []
    if case .refuse(let refusal) = decision.verdict { refuse(happening, refusal.reason, refusal.isPenalty, concerned) }
    for notice in decision.notices { follow(notice, decision, happening, history) }
    if happening.isMessage { undo(attempts.takeMail(event.subject, at: event.at)) }
  }

  /// On a live server the client would not have come as far as this: nothing of it is decided or counted by the rules, so
  /// that what it does while it is blocked makes no block longer.
  private mutating func turnAway(_ happening: Happening, _ penalty: Penalty) {
    let concerned = hasOpen ? goOn(happening, isRefused: true) : []
    refuse(happening, penalty.reason, true, concerned)
    if happening.isMessage { undo(attempts.takeMail(happening.event.subject, at: happening.event.at)) }
  }

  /// Counts what comes after a first trip.
  /// - Returns: the incidents that the event belongs to.
  private mutating func goOn(_ happening: Happening, isRefused: Bool) -> [(key: Key, opened: Timestamp)] {
    let event = happening.event
    var concerned: [(key: Key, opened: Timestamp)] = []
    for (key, sent) in happening.keys + outerNetworks(of: happening) {
      guard let place = open.index(forKey: key) else { continue }
      if isOver(open.values[place], at: event.at) {
        close(key)
        continue
      }
      concerned.append((key, open.values[place].opened))
      let more = open.values[place].more(of: event)
      open.values[place].more += more
      if happening.isMessage {
        open.values[place].note(sent, at: event.at, isRefused: isRefused)
      } else if !isRefused, more == 0 {
        continue
      }
      open.values[place].last = max(open.values[place].last, event.at)
      if event.isAuthenticated, let user = event.subject.user { open.values[place].note(user: user) }
    }
    return concerned
  }

  /// Counts a refusal: messages in any case, of anything else what is not yet counted with its session.
  private mutating func refuse(
    _ happening: Happening, _ reason: Reason, _ isPenalty: Bool, _ concerned: [(key: Key, opened: Timestamp)]
  ) {
    let event = happening.event
    let key = isPenalty ? blocked[reason.key] ?? reason.key : reason.key
    let isBystander = isPenalty && !concerned.contains { $0.key == key }
    if happening.isMessage {
      refused += happening.sent
      figures[reason.rule]?.refused += happening.sent
      if isBystander { open[key]?.refusedBystanders += 1 }
      return
    }
    var count = Attempts.Count(rule: reason.rule)
    if event.step == .mail, let knock = attempts.takeKnock(event.subject, at: event.at) {
      return attempts.noteMail(event.subject, at: event.at, knock)
    }
    if happening.isOfLog, event.step != .connect, event.step != .mail,
      attempts.belongsToKnock(event.subject, at: event.at)
    {
      return
    }
    refusedOthers += 1
    figures[reason.rule]?.refusedOthers += 1
    for incident in concerned { open[incident.key]?.refusedOthers += 1 }
    count.incidents = concerned
    if isBystander, let incident = open[key] {
      open[key]!.refusedBystanders += 1
      count.bystanders.append((key, incident.opened))
    }
    if event.step == .connect { attempts.noteKnock(event.subject, at: event.at, count) }
    if event.step == .mail { attempts.noteMail(event.subject, at: event.at, count) }
  }

  /// A message counts itself, and makes the attempt that it began with needless.
  private mutating func undo(_ count: Attempts.Count?) {
    guard let count else { return }
    refusedOthers -= 1
    figures[count.rule]?.refusedOthers -= 1
    for (key, opened) in count.incidents where open[key]?.opened == opened { open[key]!.refusedOthers -= 1 }
    for (key, opened) in count.bystanders where open[key]?.opened == opened { open[key]!.refusedBystanders -= 1 }
  }

  /// Larger networks than the policy's own that are blocked because many in them are.
  private func outerNetworks(of happening: Happening) -> [(key: Key, sent: Sent)] {
    guard let ip = happening.event.subject.ip, !ip.isV4 else { return [] }
    return policy.networkPrefix.climb.map { (Key(.network(Network(of: ip, prefix: $0))), happening.sent) }
  }

  /// Of rules that only tell, the engine alone knows how long they go on.
  private mutating func isOver(_ incident: Incident, at now: Timestamp) -> Bool {
    guard incident.quietAt < now else { return false }
    return !incident.trips.contains { trip in
      engine.episode(Episode.ID(rule: trip.rule, key: incident.key)).map { $0.opened <= now && $0.quietAt >= now }
        ?? false
    }
  }

  // MARK: - Trips

  private mutating func follow(
    _ notice: Notice, _ decision: Decision, _ happening: Happening, _ history: SendingHistory
  ) {
    let reason = notice.reason
    var key = reason.key
    var isPenalty = false
    if case .refused = notice.kind, case .refuse(let refusal) = decision.verdict {
      isPenalty = refusal.isPenalty
    }
    if isPenalty {
      key = blocked[key] ?? key
      guard open[key] != nil else { return }
    } else if case .blocked = notice.kind {
      // The same trip may have been told of with the key that was counted.
      key =
        decision.notices.first { $0.isOfTrip && $0.reason.rule == reason.rule && $0.reason.cause == reason.cause }?
        .reason.key ?? decision.refusal(by: reason)?.key ?? key
    }
    let isNew = open[key] == nil
    if isNew {
      makeRoom(at: notice.at)
      open[key] = Incident(key, reason, at: notice.at, history: history)
      if happening.isMessage, decision.isRefused, let sent = happening.keys.first(where: { $0.key == key })?.sent {
        open[key]!.refuseFirst(sent)
      }
      if happening.event.isAuthenticated, let user = happening.event.subject.user { open[key]!.note(user: user) }
    }
    if case .blocked = notice.kind, reason.key != key { blocked[reason.key] = key }
    let rule = policy.rules.first { $0.name == reason.rule }
    open[key]!.note(notice, decision, rule, history)
  }

  // MARK: - Ends

  private mutating func makeRoom(at now: Timestamp) {
    guard open.count >= bound else { return }
    if sweepAt <= now {
      for incident in open.values where isOver(incident, at: now) { close(incident.key) }
      sweepAt = now + .minutes(1)
    }
    if open.count >= bound, let first = open.keys.first { close(first) }
  }

  private mutating func close(_ key: Key) {
    guard var incident = open.removeValue(forKey: key) else { return }
    if let other = incident.consequence.blockedKey { blocked[other] = nil }
    // What the notices did not tell: rules that tripped along with others, and how often.
    for rule in policy.rules where rule.per == key.shape {
      guard let episode = engine.episode(Episode.ID(rule: rule.name, key: key)), episode.last >= incident.opened,
        episode.opened <= incident.quietAt
      else { continue }
      incident.note(episode)
    }
    for trip in incident.trips { figures[trip.rule]?.incidents += 1 }
    closed.append(incident)
    guard closed.count >= 2 * bound else { return }
    closed.sort { $0.weight > $1.weight }
    dropped += closed.count - bound
    closed.removeLast(closed.count - bound)
  }

  /// Ends all that is open.
  mutating func finish() -> BacktestResult.Side {
    for key in Array(open.keys) { close(key) }
    closed.sort { ($0.weight, $1.opened, $1.key.description) > ($1.weight, $0.opened, $0.key.description) }
    let tripped = Set(closed.map(\.key))
    let near = NearKeys(in: peaks, of: policy, except: tripped)
    let status = engine.status(at: Timestamp(microseconds: 0))
    return BacktestResult.Side(
      name: name, incidents: closed, droppedIncidents: dropped, rules: policy.rules.compactMap { figures[$0.name] },
      refused: refused, refusedOthers: refusedOthers, near: near.nearest,
      nearCount: near.count, droppedKeys: status.evictedKeys + peaks.dropped, droppedEpisodes: status.droppedEpisodes)
  }
}

extension Trial.Happening {
  var sent: Sent {
    isMessage ? Sent(messages: event.wants[.messages], recipients: event.wants[.recipients]) : Sent()
  }
}

extension Notice {
  /// Whether it names the key that was counted.
  fileprivate var isOfTrip: Bool {
    switch kind {
    case .alert, .observed, .held, .delayed, .run: true
    case .blocked, .refused: false
    }
  }
}

extension Decision {
  /// The limit's refusal that goes with a block.
  fileprivate func refusal(by reason: Reason) -> Reason? {
    guard case .refuse(let refusal) = verdict, !refusal.isPenalty, refusal.reason.rule == reason.rule,
      refusal.reason.cause == reason.cause
    else { return nil }
    return refusal.reason
  }
}

extension Incident {
  /// What decides which are kept and shown first: what would have been spared.
  var weight: Int { after.messages + refused.messages + (refusedOthers + refusedBystanders) / 10 }

  fileprivate mutating func note(_ notice: Notice, _ decision: Decision, _ rule: Rule?, _ history: SendingHistory) {
    let reason = notice.reason
    if !trips.contains(where: { $0.rule == reason.rule }) {
      trips.append(Trip(rule: reason.rule, at: notice.at, reason: reason, times: 1))
    }
    quietAt = max(quietAt, notice.at + (reason.window ?? .hours(1)))
    note(act(notice, decision, rule), notice, rule, history)
    switch notice.kind {
    case .alert, .run: consequence.isAlerted = true
    case .observed: if rule?.mode == .enforce { consequence.isSpared = true } else { consequence.isObserved = true }
    case .held: consequence.isHeld = true
    case .delayed: consequence.isDelayed = true
    case .blocked:
      consequence.blockedUntil = max(consequence.blockedUntil ?? reason.until, reason.until)
      quietAt = max(quietAt, reason.until)
      if reason.key != key { consequence.blockedKey = reason.key }
    case .refused:
      if case .refuse(let refusal) = decision.verdict, consequence.refusal == nil {
        consequence.refusal = refusal.code.code
      }
    }
  }

  private func act(_ notice: Notice, _ decision: Decision, _ rule: Rule?) -> Act {
    switch notice.kind {
    case .observed: return rule?.mode == .enforce ? .spared : .observed
    case .alert, .run: return .alerted
    case .delayed: return .delayed
    case .held: return .held
    case .refused:
      if case .refuse(let refusal) = decision.verdict, refusal.code.isTemporary { return .tempfailed }
      return .rejected
    case .blocked: return .blocked
    }
  }

  private mutating func note(_ act: Act, _ notice: Notice, _ rule: Rule?, _ history: SendingHistory) {
    guard !deeds.contains(where: { $0.act == act }) else { return }
    let (window, day) = (notice.reason.window ?? SendingHistory.span, SendingHistory.span)
    deeds.append(
      Deed(
        act: act, at: notice.at, reason: notice.reason,
        before: history.sent(by: key, since: notice.at - min(window, day)),
        countsAll: rule?.filter.isEmpty == true && window <= day))
  }

  /// How much of what its first rule counts an event brings.
  fileprivate func more(of event: Event) -> Int {
    guard case .over(let findings) = trips[0].reason.cause,
      case .measure(.signal(let signal))? = findings.first?.quantity
    else { return 0 }
    return event.happened[signal]
  }

  fileprivate mutating func note(_ episode: Episode) {
    if let place = trips.firstIndex(where: { $0.rule == episode.id.rule }) {
      trips[place].times = max(trips[place].times, episode.trips)
    } else {
      trips.append(Trip(rule: episode.id.rule, at: episode.opened, reason: episode.worst, times: episode.trips))
      trips.sort { $0.at < $1.at }
    }
    if let until = episode.block?.until {
      consequence.blockedUntil = max(consequence.blockedUntil ?? until, until)
    }
  }
}

extension Event {
  /// Whether it is of a client's own doing, and not what became of its mail.
  fileprivate var isOfClient: Bool {
    step != .heard || Signal.allCases.contains { happened[$0] > 0 && !Self.sequels.contains($0) }
  }

  private static let sequels: Set<Signal> = [.delivered, .deferred, .bounced, .mtaDistress]
}
