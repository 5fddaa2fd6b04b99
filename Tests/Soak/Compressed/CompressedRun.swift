import Foundation
import WardenCore
import WardenStore
import WardenTestKit

/// What holds in simulated time.
enum CoreAssertion: String, CaseIterable {
  case neverTooMany = "a limit admits at most N in every window, to the microsecond"
  case notHeldTooLong = "nobody is refused who had fewer than N in the window and a sixtieth more"
  case blockedWhenDue =
    "an address is blocked when its limit is passed, and not before, each time for the span that is due"
  case blockedThroughout = "whoever is blocked is let in at no stage, until the moment it ends, and then is"
  case counters = "what the engine counts of a key lies within the exact window and a sixtieth more"
  case nothingUnread = "a restart takes back every record"
  case totals = "the totals of a process are those of the books"
  case trend = "the trend goes on over restarts with what the books have"
  case hours = "the history by hour is the books', over steps of the wall's clock, restarts and crashes"
  case days = "the day's report is the books', on the days of 23 and 25 hours too"
  case users = "the history of a user by local day is the books'"
  case memory = "keys and memory are flat once the longest window is full"
  case nothingDropped = "nothing is evicted or dropped"
}

/// Some days of mixed traffic in a few seconds: real sessions, engine, history and database, in simulated time, around a
/// change to or from summer time in Berlin.
struct CompressedRun {
  struct Change {
    let name: String
    /// When Berlin's clocks change, and how far they are ahead of UTC before and after, in seconds.
    let at: Timestamp
    let before: Int
    let after: Int

    /// 2026-03-29 and 2026-10-25, 01:00 UTC.
    static let spring = Change(
      name: "to summer time", at: Timestamp(microseconds: 1_774_746_000_000_000), before: 3_600, after: 7_200)
    static let autumn = Change(
      name: "to winter time", at: Timestamp(microseconds: 1_792_890_000_000_000), before: 7_200, after: 3_600)

    /// Local days since 1970.
    func day(_ wall: Timestamp) -> Int {
      (wall.microseconds / 1_000_000 + (wall < at ? before : after)) / 86_400
    }
  }

  struct Tally {
    var events = 0
    var sessions = 0
    var restarts = 0
    var crashes = 0
    var reloads = 0
    var orders = 0
    var blocks = 0
    var steps = 0
    var keys: [Int] = []
    var memory: [Int] = []
    var database = 0
  }

  /// No more than the history by day keeps each by name.
  private static let users = 900
  /// Longer than any pause or block.
  private static let wheelSeconds = 2 * 86_400

  private let change: Change
  private let days: Int
  private let findings: Findings<CoreAssertion>
  private var random: SeededGenerator
  private let server: StoredEngine
  private var books = Books(users: Self.users)
  /// The books as they were when the state was last stored.
  private var stored: Books
  private var tally = Tally()
  private var clients: [Client] = []
  private var wheel = [[Int]](repeating: [], count: Self.wheelSeconds)
  private var strangers: UInt32 = 0x5000_0000
  private var version = 0

  private let start: Timestamp
  /// The engine's time. Never goes back.
  private var now: Timestamp
  /// Simulated seconds since the start; the engine's time jumps where a process begins with a clock that was set forward.
  private var second = 0
  private var jumped = TimeSpan.seconds(0)
  /// How far the wall's clock is ahead of the engine's time.
  private var ahead = TimeSpan.seconds(0)

  static func run(_ change: Change, days: Int, seed: Int, _ findings: Findings<CoreAssertion>) throws -> Tally {
    var run = try CompressedRun(change, days: days, seed: seed, findings)
    try run.play()
    return run.tally
  }

  private init(_ change: Change, days: Int, seed: Int, _ findings: Findings<CoreAssertion>) throws {
    (self.change, self.days, self.findings) = (change, days, findings)
    random = SeededGenerator(seed: seed)
    // The change comes at three fifths of the way.
    start = change.at - .hours(days * 24 * 3 / 5)
    now = start
    stored = books
    server = try StoredEngine(policy: try Scenario.policy(0), at: start)
    for user in 0..<Self.users {
      clients.append(Client(kind: .person(user: user), address: 0x0a00_0000 + UInt32(user) << 8))
    }
    for number in 0..<10 { clients.append(Client(kind: .hijacker(user: number * 31 + 7), address: 0x2000_0000)) }
    let groups: [(Client.Kind, Int, UInt32)] = [
      (.robot, 150, 0x3000_0000), (.harvester, 60, 0x3100_0000), (.guesser, 60, 0x3200_0000), (.stranger, 10, 0),
    ]
    // Two share an address, and so do their sessions its counts.
    for (kind, count, base) in groups {
      for number in 0..<UInt32(count) { clients.append(Client(kind: kind, address: base + number / 2)) }
    }
    for number in clients.indices { schedule(number, in: Int.random(in: 1...600, using: &random)) }
  }

  private mutating func schedule(_ client: Int, in seconds: Int) {
    wheel[(second + max(1, seconds)) % Self.wheelSeconds].append(client)
  }

  // MARK: - Time

  private mutating func play() throws {
    var nextSave = 300
    var stepsLeft = [TimeSpan.hours(1), .hours(-1), .hours(-1), .hours(1)]
    let end = days * 86_400
    let stepEvery = end / (stepsLeft.count + 1)
    while second < end {
      try tick()
      if second % 7_200 == 0 { try order() }
      if second % 1_800 == 0 { compareCounters() }
      if second % 3_600 == 0 { noteMemory() }
      if second == nextSave {
        try save()
        // Ten minutes of history may wait.
        nextSave += Int.random(in: 300...540, using: &random)
        switch Int.random(in: 0..<30, using: &random) {
        case 0:
          compareTotals()
          try restart(inGoodOrder: true)
        case 1: try crash()
        case 2...4: try reload()
        default: break
        }
      }
      if second % stepEvery == 0, !stepsLeft.isEmpty {
        // What was counted before has the time of before.
        try save()
        ahead = TimeSpan(microseconds: ahead.microseconds + stepsLeft.removeFirst().microseconds)
        tally.steps += 1
      }
    }
    try save()
    try compareHistory()
    tally.database = server.store.size
  }

  private mutating func tick() throws {
    second += 1
    now = start + jumped + .seconds(second)
    let due = wheel[second % Self.wheelSeconds]
    wheel[second % Self.wheelSeconds] = []
    for client in due {
      now = now + TimeSpan(microseconds: Int.random(in: 1...20, using: &random))
      try wake(client)
    }
  }

  private var wall: Timestamp { now + ahead }
  private var hour: Int { wall.microseconds / TimeSpan.hours(1).microseconds }
  private var day: Int { change.day(wall) }

  private mutating func save() throws {
    try server.save(at: now, ahead: ahead)
    if Int.random(in: 0..<10, using: &random) == 0 { try server.tidy(at: now, wall: wall) }
    if Int.random(in: 0..<10, using: &random) == 0 { books.forget(before: now - .hours(25)) }
    stored = books
  }

  private mutating func reload() throws {
    version = 1 - version
    server.engine.replace(policy: try Scenario.policy(version))
    tally.reloads += 1
  }

  /// - Parameter inGoodOrder: right after the state was stored, with open sessions going on; else some time after.
  private mutating func restart(inGoodOrder: Bool) throws {
    // A process begins with the wall's time where that is ahead, and goes on from what was stored where it is behind.
    if ahead > .seconds(0) {
      jumped = TimeSpan(microseconds: jumped.microseconds + ahead.microseconds)
      now = now + ahead
      ahead = .seconds(0)
    }
    let lost = try server.restart(
      policy: try Scenario.policy(version), at: now, wall: wall, inGoodOrder: inGoodOrder)
    findings.check(.nothingUnread, "records that were not taken back", lost, is: 0)
    books.life = Books.Figures()
    stored.life = Books.Figures()
    if tally.steps == 0 { compareTrend() }
    tally.restarts += 1
  }

  /// Some time after the state was stored; what has happened since is lost, with the sessions that were open.
  private mutating func crash() throws {
    for _ in 0..<Int.random(in: 1...5, using: &random) { try tick() }
    compareTotals()
    books = stored
    for number in clients.indices where clients[number].visit != nil { clients[number].visit = nil }
    tally.crashes += 1
    try restart(inGoodOrder: false)
  }

  // MARK: - Sessions

  private mutating func wake(_ number: Int) throws {
    var client = clients[number]
    if client.visit == nil {
      if case .guesser = client.kind, Int.random(in: 0..<5, using: &random) > 0 {
        guess(client)
      } else {
        begin(&client)
      }
    } else {
      try goOn(&client)
    }
    clients[number] = client
    if case .witness = client.kind, client.visit == nil { return }
    schedule(
      number, in: client.visit == nil ? client.pause(using: &random) : Int.random(in: 0...8, using: &random))
  }

  private mutating func begin(_ client: inout Client) {
    let engine = server.engine
    var visit = Client.Visit(
      session: SMTPSession(
        .init(realms: engine.realms, networkPrefix: engine.policy.networkPrefix, needs: engine.needs)),
      messages: 1, recipients: Int.random(in: 1...3, using: &random))
    switch client.kind {
    case .person(let user):
      client.address = 0x0a00_0000 + UInt32(user) << 8 + UInt32.random(in: 1...2, using: &random)
      visit.messages = Int.random(in: 1...3, using: &random)
      if Int.random(in: 0..<20, using: &random) == 0 { visit.recipients = Int.random(in: 10...60, using: &random) }
      visit.isCutOff = Int.random(in: 0..<50, using: &random) == 0
    case .hijacker:
      client.address = 0x2000_0000 + UInt32.random(in: 0..<2_000, using: &random) << 8
      visit.messages = Int.random(in: 1...10, using: &random)
    case .robot: visit.messages = 0
    case .harvester:
      visit.unknown = Int.random(in: 3...12, using: &random)
    case .guesser, .witness: break
    case .stranger:
      strangers += 1
      client.address = strangers
    }
    tally.sessions += 1
    let isBlocked = isBlocked(client.address)
    let event = visit.session.connect(at: now, address: IPAddress(v4: client.address), port: 4_711, host: "mx.test")
    let decision = decide(event)
    visit.session.settle(decision, at: .connect)
    note(.connections)
    findings.check(.blockedThroughout, decision.isRefused == isBlocked, "at connect: \(evidence(client, decision))")
    guard !decision.isRefused else { return }
    visit.stage = visit.messages == 0 ? .leaving : .mail
    client.visit = visit
  }

  private mutating func goOn(_ client: inout Client) throws {
    var visit = client.visit!
    let isBlocked = isBlocked(client.address) || client.user.map { books.users[$0].blockedUntil > now } ?? false
    let isExempt = client.user.map { books.users[$0].exemptUntil > now } ?? false
    let login = client.user.map { "user\($0)" }
    switch visit.stage {
    case .greeting: break
    case .mail:
      visit.messages -= 1
      let event = try visit.session.mail(
        at: now, sender: login.map { "<\($0)@local.test>" } ?? "<someone@far.test>", login: login)
      let decision = decide(event)
      visit.session.settle(decision, at: .mail)
      visit.hadMail = true
      if login != nil, !visit.hasLoggedIn {
        visit.hasLoggedIn = true
        note(.logins)
      }
      judge(decision, client, isBlocked: isBlocked, isExempt: isExempt, recipients: 1)
      visit.accepted = 0
      visit.stage =
        decision.isRefused
        ? visit.messages > 0 ? .mail : .leaving : .recipients(left: visit.unknown + visit.recipients)
    case .recipients(let left) where left > visit.recipients:
      let event = try visit.session.recipient(
        at: now, .refused(enhancedCode: "5.1.1", text: "User unknown"), path: "<guess\(left)@local.test>", refusals: nil
      )
      let wasBlocked = self.isBlocked(client.address)
      if let event { expectBlock(.harvest, client.address, wasBlocked: wasBlocked, decide(event)) }
      note(.badRecipients)
      note(.unknownRecipients)
      visit.stage = .recipients(left: left - 1)
    case .recipients(let left) where left > 0:
      if let event = try visit.session.recipient(
        at: now, .accepted, path: "<friend\(left)@far.test>", refusals: nil)
      {
        let decision = decide(event)
        visit.session.settle(decision, at: .recipient)
        findings.check(
          .blockedThroughout, decision.isRefused == (isBlocked && !isExempt), "at RCPT: \(evidence(client, decision))")
        if !decision.isRefused { visit.accepted += 1 }
      } else {
        visit.accepted += 1
      }
      visit.stage = .recipients(left: left - 1)
    case .recipients:
      visit.stage = .message
      if visit.accepted == 0 {
        visit.session.abort()
        visit.stage = .leaving
      }
    case .message:
      visit.session.data()
      visit.session.content(bytes: 1_234)
      if visit.isCutOff, visit.messages == 0 {
        visit.wasCutOff = true
        visit.stage = .leaving
        break
      }
      let decision = decide(try visit.session.endOfMessage(at: now, refusals: nil))
      visit.session.settle(decision, at: .endOfMessage)
      judge(decision, client, isBlocked: isBlocked, isExempt: isExempt, recipients: visit.accepted)
      if !decision.isRefused { admit(client, visit.accepted, isExempt: isExempt) }
      visit.stage = visit.messages > 0 ? .mail : .leaving
    case .leaving:
      let wasBlocked = self.isBlocked(client.address)
      if let event = visit.session.close(at: now) {
        let decision = decide(event)
        if !visit.hadMail {
          note(.brokenConnections)
          expectBlock(.leavers, client.address, wasBlocked: wasBlocked, decision)
        }
        if visit.wasCutOff { note(.cutOffMessages) }
      }
      client.visit = nil
      return
    }
    client.visit = visit
  }

  /// A login fails, and a feed tells of it.
  private mutating func guess(_ client: Client) {
    var subject = Subject()
    subject.address = IPAddress(v4: client.address)
    subject.ip = subject.address
    subject.network = subject.ip.map { NetworkPrefix().network(of: $0) }
    subject.user = "user\(Int.random(in: 0..<Self.users, using: &random))"
    let wasBlocked = isBlocked(client.address)
    let decision = decide(
      Event(at: now, step: .heard, subject: subject, happened: [.authFailures: 1], source: .dovecot))
    note(.authFailures)
    expectBlock(.guessing, client.address, wasBlocked: wasBlocked, decision)
  }

  private mutating func decide(_ event: Event) -> Decision {
    tally.events += 1
    let decision = server.decide(event)
    if decision.isRefused { note(.refused) }
    for notice in decision.notices where notice.kind == .blocked { note(.blocked) }
    return decision
  }

  private mutating func note(_ figure: Books.Figure, _ count: Int = 1) {
    books.note(count, figure, hour: hour, day: day)
  }

  private func isBlocked(_ address: UInt32) -> Bool { books.addresses[address].map { $0.blockedUntil > now } ?? false }

  // MARK: - What is due

  /// Whether a message, or the wish to send one, was to be refused.
  private func judge(_ decision: Decision, _ client: Client, isBlocked: Bool, isExempt: Bool, recipients: Int) {
    if isExempt {
      findings.check(.notHeldTooLong, !decision.isRefused, "exempt: \(evidence(client, decision))")
      return
    }
    if isBlocked {
      findings.check(.blockedThroughout, decision.isRefused, "in a session: \(evidence(client, decision))")
      return
    }
    guard let user = client.user else {
      findings.check(.notHeldTooLong, !decision.isRefused, "a stranger: \(evidence(client, decision))")
      return
    }
    let page = books.users[user]
    let hourly = page.messages.bounds(.hours(1), at: now)
    let daily = page.messages.bounds(.days(1), at: now)
    let named = page.recipients.bounds(.days(1), at: now)
    let perHour = Scenario.messagesPerHour(version)
    func isOver(_ bound: KeyPath<ClosedRange<Int>, Int>) -> Bool {
      hourly[keyPath: bound] + 1 > perHour || daily[keyPath: bound] + 1 > Scenario.messagesPerDay
        || named[keyPath: bound] + recipients > Scenario.recipientsPerDay
    }
    func figures() -> String { "\(evidence(client, decision)); messages \(hourly), \(daily), recipients \(named)" }
    if decision.isRefused {
      findings.check(.notHeldTooLong, isOver(\.upperBound), figures())
    } else {
      findings.check(.neverTooMany, !isOver(\.lowerBound), figures())
    }
  }

  private mutating func admit(_ client: Client, _ recipients: Int, isExempt: Bool) {
    note(.messages)
    note(.recipients, recipients)
    note(.bytes, 1_234)
    guard let user = client.user else { return }
    note(.submissions)
    books.users[user].byDay[day, default: 0] += 1
    guard !isExempt else { return }
    books.users[user].messages.add(at: now)
    books.users[user].recipients.add(recipients, at: now)
  }

  /// Counts what speaks against an address, and says whether it was to be blocked.
  private mutating func expectBlock(
    _ rule: Scenario.Blocking, _ address: UInt32, wasBlocked: Bool, _ decision: Decision
  ) {
    var page = books.addresses[address, default: Books.Address()]
    defer { books.addresses[address] = page }
    page.lines[rule, default: Books.Line()].add(at: now)
    let notice = decision.notices.first { $0.kind == .blocked }
    let counts = page.lines[rule]!.bounds(rule.window, at: now)
    let evidence = "\(rule) of \(IPAddress(v4: address)) at \(now.microseconds): \(counts), blocked: \(notice != nil)"
    guard let notice else {
      findings.check(.blockedWhenDue, wasBlocked || counts.lowerBound <= rule.limit, evidence)
      return
    }
    let before = page.offences[rule, default: 0]
    let span = rule.spans[min(before, rule.spans.count - 1)]
    findings.check(
      .blockedWhenDue, !wasBlocked && counts.upperBound > rule.limit && notice.reason.until == now + span, evidence)
    page.offences[rule] = before + 1
    page.blockedUntil = notice.reason.until
    tally.blocks += 1
    let seconds = span.microseconds / 1_000_000
    for moment in [seconds - 1, seconds + 1] {
      clients.append(Client(kind: .witness, address: address))
      schedule(clients.count - 1, in: moment)
    }
  }

  private func evidence(_ client: Client, _ decision: Decision) -> String {
    "\(client.kind) at \(IPAddress(v4: client.address)), \(now.microseconds): \(decision.verdict)"
  }

  // MARK: - Administrators

  private mutating func order() throws {
    let user = Int.random(in: 0..<Self.users / 10, using: &random) * 10
    let key = Key(.user("user\(user)"))
    let span = TimeSpan.hours(Int.random(in: 1...5, using: &random))
    switch Int.random(in: 0..<3, using: &random) {
    case 0:
      let penalty = server.engine.block(key, for: span, note: "soak", at: now)
      books.users[user].blockedUntil = max(books.users[user].blockedUntil, now + span)
      findings.check(
        .blockedWhenDue, penalty?.until == books.users[user].blockedUntil, "\(key): \(String(describing: penalty))")
    case 1:
      let order = Override(.key(key), .exempt, until: now + span, origin: "soak")
      let isTaken = server.engine.allow(order, at: now)
      if isTaken { books.users[user].exemptUntil = now + span }
    default:
      // Mostly somebody whom a limit refuses.
      let user = clients.compactMap { if case .hijacker(let user) = $0.kind { user } else { nil } }
        .randomElement(using: &random)!
      _ = server.engine.release(Key(.user("user\(user)")), at: now)
      books.users[user].messages.removeAll()
      books.users[user].recipients.removeAll()
      books.users[user].blockedUntil = now
    }
    tally.orders += 1
  }

  // MARK: - Comparing

  private mutating func compareCounters() {
    for client in clients.shuffled(using: &random).prefix(100) {
      if let user = client.user {
        let page = books.users[user]
        for standing in server.engine.standings(of: Key(.user("user\(user)")), at: now) {
          let line = ["messages": page.messages, "recipients": page.recipients][standing.rule]
          if let line { compare(standing, line.bounds(standing.limit.window, at: now)) }
        }
      } else {
        let lines = books.addresses[client.address]?.lines ?? [:]
        for standing in server.engine.standings(of: Key(.ip(IPAddress(v4: client.address))), at: now) {
          guard let rule = Scenario.Blocking(rawValue: standing.rule) else { continue }
          compare(standing, lines[rule, default: Books.Line()].bounds(rule.window, at: now))
        }
      }
    }
  }

  private func compare(_ standing: Standing, _ bounds: ClosedRange<Int>) {
    findings.check(
      .counters, bounds.contains(standing.count),
      "\(standing.key) under \(standing.rule) \(standing.limit): \(standing.count) instead of \(bounds)")
  }

  private func compareTotals() {
    let status = server.engine.status(at: now)
    for figure in status.totals {
      guard let place = Books.Figure(rawValue: figure.name) else { continue }
      findings.check(.totals, figure.name, figure.total, is: books.life[place])
    }
    let refused = status.rules.reduce(0) { $0 + $1.refused }
    findings.check(.totals, refused <= books.life[.refused], "refused \(refused) of \(books.life[.refused])")
    findings.check(
      .nothingDropped,
      status.evictedKeys + status.droppedPenalties + status.droppedEpisodes + server.dropped == 0,
      "keys \(status.evictedKeys), penalties \(status.droppedPenalties), episodes \(status.droppedEpisodes), "
        + "history \(server.dropped)")
  }

  private func compareTrend() {
    let series = server.engine.trend { $0.series(.week, at: now) }
    for figure in Books.Figure.allCases {
      guard let place = Activity.Counts.names.firstIndex(of: figure.rawValue) else { continue }
      let found = series.values.reduce(0) { $0 + $1[place] }
      let due = books.hours.values.reduce(0) { $0 + $1[figure] }
      findings.check(.trend, figure.rawValue, found, is: due)
    }
  }

  private mutating func noteMemory() {
    let status = server.engine.status(at: now)
    let day = (second - 1) / 86_400
    if tally.keys.count <= day {
      tally.keys.append(0)
      tally.memory.append(0)
    }
    tally.keys[day] = max(tally.keys[day], status.keys)
    tally.memory[day] = max(tally.memory[day], status.memory)
  }

  private func compareHistory() throws {
    compareTotals()
    let (from, to) = (start - .days(1), now + .days(1))
    let rows = try server.store.history(key: Key(.server), from: from, to: to, period: .hour).rows
    var found: [Int: [String: Int]] = [:]
    for row in rows { found[Self.seconds(row.at) / 3_600] = row.counts }
    for hour in Set(found.keys).union(books.hours.keys) {
      for figure in Books.Figure.allCases {
        findings.check(
          .hours, "hour \(hour), \(figure.rawValue)", found[hour]?[figure.rawValue] ?? 0,
          is: books.hours[hour, default: .init()][figure])
      }
    }
    for (day, figures) in books.days {
      let name = Self.name(ofDay: day)
      let report = try server.store.report(day: name, at: wall)
      for figure in Books.Figure.allCases {
        findings.check(.days, "\(name), \(figure.rawValue)", report.totals[figure.rawValue] ?? 0, is: figures[figure])
      }
      let hours = (Self.seconds(report.to) - Self.seconds(report.from)) / 3_600
      let due = change.day(change.at) == day ? 24 - (change.after - change.before) / 3_600 : 24
      findings.check(.days, "\(name), its hours", hours, is: due)
    }
    for user in stride(from: 0, to: Self.users, by: 97) {
      let rows = try server.store.history(key: Key(.user("user\(user)")), from: from, to: to, period: .day).rows
      var found: [Int: Int] = [:]
      // A day begins on the day before, in UTC.
      for row in rows { found[Self.seconds(row.at) / 86_400 + 1] = row.counts["messages"] }
      for (day, messages) in books.users[user].byDay {
        findings.check(.users, "user\(user) on day \(day)", found[day] ?? 0, is: messages)
      }
    }
    if days >= 3 {
      for values in [tally.keys, tally.memory] {
        // A quarter for chance, and for records that wait for the hand.
        findings.check(.memory, values.last! * 4 <= values[1] * 5, "day by day: \(values)")
      }
    }
  }

  private static func seconds(_ text: String) -> Int {
    Int((try? Date(text, strategy: .iso8601))?.timeIntervalSince1970 ?? 0)
  }

  private static func name(ofDay day: Int) -> String {
    String(Date(timeIntervalSince1970: Double(day) * 86_400).ISO8601Format().prefix(10))
  }
}
