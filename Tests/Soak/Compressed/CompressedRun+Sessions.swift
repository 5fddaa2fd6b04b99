import WardenCore

/// What clients do, and what is due to them.
extension CompressedRun {
  mutating func wake(_ number: Int) throws {
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

  mutating func begin(_ client: inout Client) {
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

  mutating func goOn(_ client: inout Client) throws {
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
  mutating func guess(_ client: Client) {
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

  mutating func decide(_ event: Event) -> Decision {
    tally.events += 1
    let decision = server.decide(event)
    if decision.isRefused { note(.refused) }
    for notice in decision.notices where notice.kind == .blocked { note(.blocked) }
    return decision
  }

  mutating func note(_ figure: Books.Figure, _ count: Int = 1) {
    books.note(count, figure, hour: hour, day: day)
  }

  func isBlocked(_ address: UInt32) -> Bool { books.addresses[address].map { $0.blockedUntil > now } ?? false }

  // MARK: - What is due

  /// Whether a message, or the wish to send one, was to be refused.
  func judge(_ decision: Decision, _ client: Client, isBlocked: Bool, isExempt: Bool, recipients: Int) {
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

  mutating func admit(_ client: Client, _ recipients: Int, isExempt: Bool) {
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
  mutating func expectBlock(
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

  func evidence(_ client: Client, _ decision: Decision) -> String {
    "\(client.kind) at \(IPAddress(v4: client.address)), \(now.microseconds): \(decision.verdict)"
  }
}
