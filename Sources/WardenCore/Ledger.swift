/// One event at the counters: what it brings, what it asks for, and for each of its keys what the rules say.
///
/// Lives for one call of the engine, while the shards of all its keys are held.
struct Ledger {
  /// A key that the event concerns.
  struct Target {
    let shelf: Int
    let name: KeyNames.Name
    /// How many of the message's recipients are this key's.
    let recipients: Int
  }

  /// A rule over its limits.
  struct Trip {
    let rule: MeteredRule
    let reason: Reason
    /// Whether the event itself may be refused or held for it: not for what has passed already.
    let mayAct: Bool
    /// Whether the rule only tells, since what a log says is not enough.
    let isSpared: Bool

    var refusesNow: Bool { rule.refusesNow && !isSpared }
  }

  private let event: Event
  private let book: Rulebook
  private let realms: LocalRealms
  private let clients: Locked<KnownClients>
  private let peaks: Peaks?
  private(set) var names = KeyNames()
  private(set) var targets: [Target] = []
  private(set) var trips: [Trip] = []
  /// Bit n: whether filter n is known to hold, or not to.
  private var known: UInt64 = 0
  private var held: UInt64 = 0
  private var values: [[ValueHash]?] = []
  private var gateValues: FilterGate.Values?

  init(
    _ event: Event, _ book: Rulebook, _ realms: LocalRealms, _ clients: Locked<KnownClients>, _ peaks: Peaks? = nil
  ) {
    self.event = event
    self.book = book
    self.realms = realms
    self.clients = clients
    self.peaks = peaks
  }

  // MARK: - Whose counts

  /// Gathers the keys; the shards of their names are then to be held for `count`.
  mutating func gather(isRefused: Bool) {
    for (place, shelf) in book.shelves.enumerated() where concerns(shelf, isRefused) {
      guard shelf.shape.isPerRecipient, event.step == .endOfMessage else {
        if shelf.shape.isPerRecipient, isExempt(event.subject) { continue }
        if let name = names.append(shelf.shape, of: event.subject) {
          targets.append(Target(shelf: place, name: name, recipients: 1))
        }
        continue
      }
      var subject = event.subject
      // In the order of the message, so that the same message always meets the same rule first.
      var places: [KeyPart: Int] = [:]
      var counts: [(Recipient, Int)] = []
      let kind = shelf.shape.kinds.first { $0 == .recipient || $0 == .recipientDomain }!
      for recipient in event.recipients {
        subject.recipient = recipient
        guard let part = subject.part(kind) else { continue }
        let place = places[part] ?? counts.count
        places[part] = place
        if place == counts.count { counts.append((recipient, 0)) }
        counts[place].1 += 1
      }
      for (recipient, count) in counts {
        subject.recipient = recipient
        if isExempt(subject) { continue }
        if let name = names.append(shelf.shape, of: subject) {
          targets.append(Target(shelf: place, name: name, recipients: count))
        }
      }
    }
  }

  /// Of an exempt recipient nothing is counted, nor is it refused; who else gets the message is another matter.
  private func isExempt(_ subject: borrowing Subject) -> Bool {
    book.overrides.exempts && book.overrides.exemption(of: subject, realms: realms, at: event.at) != nil
  }

  private func concerns(_ shelf: Shelf, _ isRefused: Bool) -> Bool {
    if shelf.hears(event) { return true }
    if isRefused { return book.countsRefused && (shelf.admitted & event.wants.mask != 0 || shelf.feedsAtEnd) }
    if event.canRefuse, event.step != .connect {
      // Another shelf's rule may refuse it, and that counts here.
      if shelf.countsRefused, event.step == .mail, shelf.admitted & event.wants.mask != 0 { return true }
      if shelf.looksAfter || shelf.looksAtWants && asks(shelf) { return true }
    }
    return event.step == .endOfMessage && (shelf.admitted & event.wants.mask != 0 || shelf.feedsAtEnd)
  }

  /// Whether what is asked for is looked at here: recipients one by one as they come, all else when the message begins;
  /// and everything at its end.
  private func asks(_ shelf: Shelf) -> Bool {
    event.step == .endOfMessage || event.step == (shelf.shape.isPerRecipient ? .recipient : .mail)
  }

  // MARK: - Counting and judging

  /// - Parameter isRefused: whether a penalty has refused it already.
  mutating func count(_ isRefused: Bool, _ held: KeyTable.Held) {
    for target in targets where book.shelves[target.shelf].hears(event) {
      feed(target, .happened, held)
      judge(target, held, adding: false, mayAct: true) { $0.hears($1) }
    }
    var isRefused = isRefused || event.canRefuse && trips.contains(where: \.refusesNow)
    if event.canRefuse, event.step != .connect, !isRefused {
      for target in targets {
        let shelf = book.shelves[target.shelf]
        let isAsked = shelf.looksAtWants && asks(shelf)
        guard shelf.looksAfter || isAsked else { continue }
        judge(target, held, adding: true, mayAct: true) { rule, event in
          guard !rule.waitsForEnd || event.step == .endOfMessage else { return false }
          guard event.step != .login || rule.isAboutLogins else { return false }
          return rule.looksAtWants
            ? isAsked && rule.isAsked(event) : rule.looksAfter && !rule.hears(event)
        }
      }
      isRefused = trips.contains(where: \.refusesNow)
    }
    if isRefused {
      // A recipient alone is no message.
      if book.countsRefused, event.step == .mail || event.step == .endOfMessage { countWanted(.refused, held) }
    } else if event.step == .endOfMessage {
      countWanted(.admitted, held)
    }
  }

  private enum Fate { case happened, admitted, refused }

  /// What was asked for counts, and rules that only tell look at the result.
  private mutating func countWanted(_ fate: Fate, _ held: KeyTable.Held) {
    for target in targets {
      let shelf = book.shelves[target.shelf]
      guard shelf.admitted & event.wants.mask != 0 || shelf.feedsAtEnd && event.step == .endOfMessage else { continue }
      feed(target, fate, held)
      judge(target, held, adding: false, mayAct: false) { rule, event in
        !rule.looksAtWants && rule.isAsked(event) && (fate == .admitted || rule.countsRefused)
      }
    }
  }

  private mutating func feed(_ target: Target, _ fate: Fate, _ held: KeyTable.Held) {
    let shelf = book.shelves[target.shelf]
    let old = held.find(target.name, in: names)
    findNetwork(shelf, old?.cells, held.now)
    let counting: Signal.Counting = fate == .happened ? .occurred : .admitted
    // What a failed login shows counts, but nobody is known any better by it.
    let brings = event.step == (fate == .happened ? .mail : .endOfMessage)
    // Whom a refused message was for is not known any better by it.
    let remembers = brings && fate != .refused
    // Room for everything, and for the plain counts alone.
    var (room, plainRoom) = (0, 0)
    var news: [(Attribute, Int)] = []
    if brings {
      for memory in shelf.memories where memory.attribute.declaration.counting == counting {
        let values = values(of: memory.attribute)
        if remembers {
          let missing = old.map { memory.meter.absent(values, $0.cells) } ?? values.count
          room += min(missing, memory.meter.capacity)
        }
        guard let old else { continue }
        news.append((memory.attribute, memory.unknown(values, old.cells, at: held.now)))
      }
    }
    for place in shelf.feedGates.indices where takes(shelf.feedGates[place], counting, fate) {
      for meter in shelf.feeds[place].meters {
        switch meter.kind {
        case .distinct(let attribute):
          let values = values(of: attribute)
          room += min(old.map { meter.unseen(values, $0.cells, at: held.now) } ?? values.count, meter.capacity)
        case .usual: plainRoom += 3
        default: plainRoom += 1
        }
      }
    }
    guard room + plainRoom > 0 || brings && !shelf.memories.isEmpty else { return }
    plainRoom += shelf.births.count { birth in old.map { birth.born($0.cells) == nil } ?? true }
    let full = held.record(for: target.name, in: names, roomFor: room + plainRoom, book.layout)
    // A record has its bound; what has no room among the values must not keep the counts from counting.
    guard let record = full ?? held.record(for: target.name, in: names, roomFor: plainRoom, book.layout) else { return }
    let hasRoom = full != nil
    var cells = record.cells
    for birth in shelf.births { birth.bear(&cells, at: held.now) }
    for place in shelf.feedGates.indices where takes(shelf.feedGates[place], counting, fate) {
      let amount = amount(shelf.feedGates[place].source, target, counting, news)
      guard amount > 0 else { continue }
      for meter in shelf.feeds[place].meters {
        switch meter.kind {
        case .distinct(let attribute): if hasRoom { meter.add(values(of: attribute), to: &cells, at: held.now) }
        case .usual: meter.learn(amount, in: &cells, at: held.now)
        default: meter.add(amount, to: &cells, at: held.now)
        }
      }
    }
    if remembers, hasRoom {
      for memory in shelf.memories where memory.attribute.declaration.counting == counting {
        memory.meter.remember(values(of: memory.attribute), in: &cells, at: held.now)
      }
    }
    record.cells = cells
  }

  private mutating func takes(_ feed: FeedGate, _ counting: Signal.Counting, _ fate: Fate) -> Bool {
    guard feed.counting == counting, fate != .refused || feed.countsRefused else { return false }
    let isThere =
      switch feed.source {
      case .signal(let signal): (fate == .happened ? event.happened : event.wants).has(signal)
      case .attribute(let attribute):
        event.step == (counting == .occurred ? .mail : .endOfMessage)
          || fate == .happened && event.shows(attribute, under: book.filters[feed.filter])
      case .new: event.step == (counting == .occurred ? .mail : .endOfMessage)
      }
    return isThere && holds(feed.filter)
  }

  private mutating func amount(
    _ source: Feed.Source, _ target: Target, _ counting: Signal.Counting, _ news: [(Attribute, Int)]
  ) -> Int {
    switch source {
    case .signal(.badRecipients) where book.shelves[target.shelf].shape.isPerRecipient:
      // Those that the MTA did not show are nobody's.
      event.happened[.badRecipients] - event.hidden
    case .signal(let signal): counting == .occurred ? event.happened[signal] : wanted(signal, target)
    case .attribute: 1
    case .new(let attribute): news.first { $0.0 == attribute }?.1 ?? 0
    }
  }

  /// What the message asks for of a signal: a recipient's key is asked for its own part.
  private func wanted(_ signal: Signal, _ target: Target) -> Int {
    signal == .recipients && book.shelves[target.shelf].shape.isPerRecipient
      ? target.recipients : event.wants[signal]
  }

  private mutating func judge(
    _ target: Target, _ held: KeyTable.Held, adding: Bool, mayAct: Bool,
    where isMeant: (RuleGate, borrowing Event) -> Bool
  ) {
    let shelf = book.shelves[target.shelf]
    // The key's record is looked for once a rule wants it.
    var found: Cells??
    for place in shelf.ruleGates.indices {
      let gate = shelf.ruleGates[place]
      guard isMeant(gate, event) else { continue }
      if found == nil {
        found = .some(held.find(target.name, in: names)?.cells)
        findNetwork(shelf, found!, held.now)
      }
      guard holds(gate.filter) else { continue }
      if let reason = over(place, shelf, target, found!, adding: adding, at: held.now) {
        let rule = shelf.rules[place]
        trips.append(
          Trip(rule: rule, reason: reason, mayAct: mayAct, isSpared: isSpared(by: rule, reason.key)))
      }
    }
  }

  /// Whether what a log says is not enough to act on: anybody can try a user's name, and an address that somebody has
  /// lately logged in from is not stopped for what a client said.
  private func isSpared(by metered: MeteredRule, _ key: Key) -> Bool {
    let rule = metered.rule
    guard event.source == .log || metered.isHearsay, !book.policy.trustsLog, !rule.then.stopsNobody else {
      return false
    }
    let stopped = rule.then.block.flatMap { $0.key(from: key, book.policy.networkPrefix) } ?? key
    return clients.withLock { clients in
      stopped.parts.allSatisfy { part in
        switch part {
        case .user: rule.countsFailedLogins
        case .ip(let address): clients.contains(address, at: event.at)
        case .network(let network): clients.contains(oneOf: network, at: event.at)
        default: false
        }
      }
    }
  }

  /// Whether the rule is over the limits of all its parts; of several limits of a part the one that holds longest counts,
  /// of several parts the one that lets go first.
  private mutating func over(
    _ rule: Int, _ shelf: Shelf, _ target: Target, _ cells: Cells?, adding: Bool, at now: Timestamp
  ) -> Reason? {
    let metered = shelf.rules[rule]
    var key: Key?
    var others: [MeteredLimit]?
    if book.overrides.concern(metered.name) {
      key = self.key(of: target)
      others = book.overrides.limits(of: metered.name, for: key!, realms: realms, at: now)?.limits
      if others?.isEmpty ?? false { return nil }
    }
    var findings: [Reason.Finding] = []
    var until: Timestamp?
    var isOver = true
    for (place, part) in metered.parts.enumerated() {
      var worst: (finding: Reason.Finding, until: Timestamp)?
      for (number, limit) in (place == 0 ? others ?? part.limits : part.limits).enumerated() {
        let more = adding ? self.more(part.quantity, limit, shelf, target, cells, now) : (0, 0)
        let reading = limit.read(part.quantity, cells, adding: more, at: now)
        peaks?.note(
          reading, of: limit.limit, Peaks.Place(shelf: target.shelf, rule: rule, part: place, limit: number),
          target.name, in: names, at: now)
        guard reading.isOver else { continue }
        let until = limit.release(of: reading, part.quantity, cells, adding: more.0, at: now)
        if worst == nil || until > worst!.until { worst = (reading.finding(part.quantity, limit.limit), until) }
      }
      guard let worst else {
        // Who looks back wants to know how near all parts came.
        if peaks == nil { return nil }
        isOver = false
        continue
      }
      findings.append(worst.finding)
      until = min(until ?? worst.until, worst.until)
    }
    guard isOver, let until else { return nil }
    peaks?.trip(Peaks.Place(shelf: target.shelf, rule: rule), target.name)
    return Reason(rule: metered.name, key: key ?? self.key(of: target), cause: .over(findings), until: until)
  }

  /// What the message would add: to a share's part and whole, or to all else in the first.
  private mutating func more(
    _ quantity: Quantity, _ limit: MeteredLimit, _ shelf: Shelf, _ target: Target, _ cells: Cells?, _ now: Timestamp
  ) -> (Int, Int) {
    switch quantity {
    case .measure(let measure) where measure.counting == .occurred: (0, 0)
    case .measure(.signal(let signal)): (wanted(signal, target), 0)
    case .measure(.distinct(let attribute)):
      if let cells {
        (limit.meter.unseen(values(of: attribute), cells, at: now) + unnamed(attribute), 0)
      } else {
        (values(of: attribute).count + unnamed(attribute), 0)
      }
    case .measure(.new(let attribute)):
      if let cells, let memory = shelf.memories.first(where: { $0.attribute == attribute }) {
        (memory.unknown(values(of: attribute), cells, at: now) + unnamed(attribute), 0)
      } else {
        (0, 0)
      }
    case .share(let part, let whole):
      (
        more(.measure(part), limit, shelf, target, cells, now).0,
        more(.measure(whole), limit, shelf, target, cells, now).0
      )
    }
  }

  /// Recipients whose names had no room: taken for different ones.
  private func unnamed(_ attribute: Attribute) -> Int {
    attribute == .recipients || attribute == .recipientDomains ? event.unnamed : 0
  }

  // MARK: -

  private func key(of target: Target) -> Key {
    names.bytes.withUnsafeBytes { KeyNames.key(of: UnsafeRawBufferPointer(rebasing: $0[target.name.range])) }
  }

  /// The event's values of an attribute, each once.
  private mutating func values(of attribute: Attribute) -> [ValueHash] {
    if values.isEmpty { values = Array(repeating: nil, count: Attribute.allCases.count) }
    let place = Int(attribute.rawValue)
    if let known = values[place] { return known }
    let seed = book.seed
    let found: [ValueHash] =
      switch attribute {
      case .networks: event.subject.network.map { [ValueHash($0, seed)] } ?? []
      case .ips: event.subject.ip.map { [ValueHash($0, seed)] } ?? []
      case .users: event.subject.user.map { [ValueHash($0, seed)] } ?? []
      case .helos: event.subject.helo.map { [ValueHash($0, seed)] } ?? []
      case .senders: event.subject.sender.map { [ValueHash($0, seed)] } ?? []
      case .senderDomains: event.subject.senderDomain.map { [ValueHash($0, seed)] } ?? []
      case .recipients: Array(Set(event.recipients.map { ValueHash($0.address, seed) }))
      case .recipientDomains: Array(Set(event.recipients.compactMap { $0.domain.map { ValueHash($0, seed) } }))
      case .passwords: event.password.map { [ValueHash($0, seed)] } ?? []
      }
    values[place] = found
    return found
  }

  // MARK: - Filters

  private var isNewNetwork = false

  /// Whether the client's network is new to the user whose counts are in question.
  private mutating func findNetwork(_ shelf: Shelf, _ cells: Cells?, _ now: Timestamp) {
    guard shelf.shape == KeyShape(.user), let memory = shelf.memories.first(where: { $0.attribute == .networks })
    else { return }
    known &= ~book.newNetworkFilters
    isNewNetwork = false
    guard let cells, let network = values(of: .networks).first else { return }
    isNewNetwork = memory.meter.isNew(network, cells, born: memory.birth.born(cells), at: now)
  }

  private mutating func holds(_ filter: Int) -> Bool {
    if filter == 0 { return true }
    if gateValues == nil { gateValues = FilterGate.Values(event) }
    if book.filterGates[filter].isShut(to: gateValues!) { return false }
    let bit: UInt64 = filter < 64 ? 1 << UInt64(filter) : 0
    if known & bit != 0 { return held & bit != 0 }
    let holds = book.filters[filter].covers(
      event, realms: realms, groups: book.policy.groups, isNewNetwork: isNewNetwork)
    known |= bit
    held = holds ? held | bit : held & ~bit
    return holds
  }
}

extension Shelf {
  fileprivate func hears(_ event: borrowing Event) -> Bool {
    // What happens to a recipient is its refusal; all else that comes with one is not about it.
    if shape.isPerRecipient, event.step != .refusedRecipient { return feedsAtMail && event.step == .mail }
    return happening & event.happened.mask != 0 || feedsAtMail && (event.step == .mail || event.isFailedLogin)
  }
}

extension Event {
  fileprivate func shows(_ attribute: Attribute, under filter: Filter) -> Bool {
    isFailedLogin && attribute.isShown(byFailedLoginUnder: filter)
  }
}

extension Memory {
  func unknown(_ values: [ValueHash], _ cells: Cells, at now: Timestamp) -> Int {
    // To somebody who hardly writes everybody is new, and an invitation no hijack.
    if attribute == .recipients, !meter.hasCircle(cells, at: now) { return 0 }
    return meter.unknown(values, cells, born: birth.born(cells), at: now)
  }
}

extension MeteredLimit {
  /// How a key stands to the limit.
  struct Reading {
    let count: Int
    let allowed: Int
    let isOver: Bool
    let isLeast: Bool
    let share: Reason.Finding.Share?

    func finding(_ quantity: Quantity, _ limit: Limit) -> Reason.Finding {
      Reason.Finding(
        quantity: quantity, count: count, isLeast: isLeast, limit: allowed, bound: limit, share: share)
    }
  }

  /// - Parameters:
  ///   - cells: nothing for a key that was never counted.
  ///   - more: what is asked for; of a share to the part and to the whole.
  func read(
    _ quantity: Quantity, _ cells: Cells?, adding more: (Int, Int), at now: Timestamp
  ) -> Reading {
    switch limit.bound {
    case .count(let most):
      let isDistinct = if case .measure(.distinct) = quantity { true } else { false }
      let have = cells.map { isDistinct ? meter.distinct($0, at: now) : meter.count($0, at: now) } ?? 0
      let count = have + more.0
      return Reading(
        count: count, allowed: most, isOver: count > most, isLeast: isDistinct && have >= meter.capacity, share: nil)
    case .usual(let bound):
      let count = (cells.map { meter.count($0, at: now) } ?? 0) + more.0
      let allowed = allowed(bound, cells, now)
      return Reading(count: count, allowed: allowed, isOver: count > allowed, isLeast: false, share: nil)
    case .share(let bound):
      let part = (cells.map { meter.count($0, at: now) } ?? 0) + more.0
      let all = (cells.map { whole!.count($0, at: now) } ?? 0) + more.1
      let percent = all == 0 ? (part == 0 ? 0 : 100) : part * 100 / all
      return Reading(
        count: percent, allowed: bound.percent,
        isOver: max(part, all) >= bound.atLeast && part * 100 > bound.percent * all, isLeast: false,
        share: Reason.Finding.Share(part: part, whole: all))
    }
  }

  private func allowed(_ bound: Limit.Usual, _ cells: Cells?, _ now: Timestamp) -> Int {
    guard let cells, let usual = known(cells, now) else { return bound.atFirst }
    return max(bound.atLeast, bound.allowed(usual))
  }

  /// What is usual for the key; nothing while that is being learned.
  func known(_ cells: Cells, _ now: Timestamp) -> Double? {
    guard let usual, let born = usual.birth.born(cells), now >= born + Meter.learning else { return nil }
    return usual.meter.usual(cells, at: now)
  }

  /// When the limit lets go, if nothing more is counted.
  func release(
    of reading: Reading, _ quantity: Quantity, _ cells: Cells?, adding more: Int, at now: Timestamp
  ) -> Timestamp {
    guard reading.share == nil, more <= reading.allowed, let cells else { return now + limit.window }
    return meter.time(untilAtMost: reading.allowed - more, cells, at: now)
  }
}

extension Limit.Usual {
  /// So many times what is usual.
  func allowed(_ usual: Double) -> Int { Int(usual * Double(tenths) / 10) }
}
