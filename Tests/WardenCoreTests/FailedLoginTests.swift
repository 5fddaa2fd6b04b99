import Testing

@testable import WardenCore

@Suite("Failed logins")
struct FailedLoginTests {
  private static let guessing = Rule(
    "guessing", .authFailures, per: .ip, .of(3, per: .minutes(10)), then: .block(.hours(1)))

  private static func distinct(
    _ attribute: Attribute, per shape: KeyShape, _ limit: Limit = .of(3, per: .days(1)), only: [Match] = [],
    then: Consequences = .reject
  ) -> Rule {
    Rule(
      name: "distinct", per: shape, parts: [Part(.measure(.distinct(attribute)), [limit])], filter: Filter(only: only),
      then: then)
  }

  // MARK: - What is refused

  @Test("Who fails too often is blocked: at the next login, and at connect")
  func blocked() {
    let server = Server(Self.guessing)
    for _ in 0..<3 { server.hear(.authFailures, user: "alice") }
    #expect(!server.login().isRefused)
    server.hear(.authFailures, user: "bob")
    #expect(server.login().refusal?.reason.rule == "guessing")
    #expect(server.connect().greeting?.isRefused == true)
    #expect(!server.login(from: "192.0.2.8").isRefused)
    server.wait(.hours(1))
    #expect(!server.login().isRefused)
  }

  @Test("To ask whether a login may be tried counts nothing")
  func asking() {
    let server = Server(Self.guessing)
    for _ in 0..<100 { #expect(!server.login().isRefused) }
    #expect(server.counts(.ip("192.0.2.7"))["guessing"] == [0])
  }

  @Test("A rule without a block refuses logins for as long as there are too many failures")
  func refused() {
    let server = Server(Rule("guessing", .authFailures, per: .user, .of(3, per: .minutes(10)), then: .reject))
    for _ in 0..<4 { server.hear(.authFailures, user: "alice") }
    #expect(server.login().refusal?.code.code == 550)
    #expect(!server.login("bob").isRefused)
    server.wait(.minutes(11))
    #expect(!server.login().isRefused)
  }

  @Test("A rule can let logins wait; the longest wait and a refusal win")
  func delayed() {
    func rule(_ name: String, _ limit: Int, _ then: Consequences) -> Rule {
      Rule(name, .authFailures, per: .ip, .of(limit, per: .minutes(10)), then: then)
    }
    let server = Server(
      rule("long", 2, Consequences(delay: .seconds(5))), rule("short", 1, Consequences(delay: .seconds(2))),
      rule("end", 3, .reject))
    var delays: [Int?] = []
    for _ in 0..<4 {
      server.hear(.authFailures, user: "alice")
      let verdict = server.login().verdict
      if case .delay(let span, _) = verdict {
        delays.append(span.microseconds / 1_000_000)
      } else {
        delays.append(nil)
      }
    }
    #expect(delays == [nil, 2, 5, nil])
    #expect(server.login().refusal?.reason.rule == "end")
    #expect(server.told(.delayed).map(\.reason.rule) == ["short", "long"])
  }

  @Test("Rules that are not about logins leave logins alone: their users are told at MAIL, and go on reading mail")
  func otherRules() throws {
    let server = Server(
      Rule("volume", .messages, per: .user, .of(2, per: .hours(1)), then: .block(.hours(1))),
      Rule("harvest", .unknownRecipients, per: .ip, .of(0, per: .hours(1)), then: .tempfail))
    #expect(try server.sent(4) == 2)
    let client = server.connect("192.0.2.9")
    try client.mail("bob")
    try client.recipient(.refused(enhancedCode: "5.1.1", text: "User unknown"))
    #expect(!server.login().isRefused)
    #expect(!server.login("bob", from: "192.0.2.9").isRefused)
  }

  @Test("An administrator's block stops logins, too")
  func administrator() {
    let server = Server(Self.guessing)
    _ = server.block(.user("alice"), for: .hours(1))
    #expect(server.login().refusal?.reason.rule == Reason.administrator)
    #expect(!server.login("bob").isRefused)
  }

  @Test("An exempt network is never refused, and its failures do not count")
  func exemptNetwork() {
    let server = Server(Self.guessing, exempt: Exemptions(networks: [Network("192.0.2.0/24")!]))
    for _ in 0..<10 { server.hear(.authFailures, user: "alice") }
    #expect(!server.login().isRefused)
    #expect(server.counts(.ip("192.0.2.7"))["guessing"] == [0])
  }

  @Test("To type an exempt user's name hides nobody, and gets nobody past a block")
  func exemptName() {
    let policy = Policy(
      rules: [Self.guessing], exempt: Exemptions(users: ["carol"]), realms: [],
      overrides: [Override(.user("dave"), .exempt, origin: "policy")])
    for name in ["carol", "dave"] {
      let server = Server(policy)
      for _ in 0..<4 { server.hear(.authFailures, user: name) }
      #expect(server.login(name).refusal?.reason.rule == "guessing")
      // Whoever has logged in is another matter.
      #expect(!server.hear(.authSuccesses, from: "192.0.2.9", user: name).isRefused)
    }
  }

  // MARK: - What differs

  @Test("A phone that repeats one wrong password for a day is no guessing; whoever tries different ones is")
  func passwords() {
    let server = Server(Self.distinct(.passwords, per: KeyShape(.user, .ip)))
    for _ in 0..<24 * 60 {
      server.hear(.authFailures, user: "alice", password: "alice 0cb4")
      server.wait(.minutes(1))
      #expect(!server.login().isRefused)
    }
    for guess in 0..<3 { server.hear(.authFailures, user: "alice", password: "alice \(guess)") }
    #expect(
      server.login().refusal?.reason.sentence
        == "user alice, ip 192.0.2.7: 4 or more distinct passwords in 1d (limit 3)")
    #expect(!server.login(from: "192.0.2.8").isRefused)
  }

  @Test("A failure that was counted already still brings its password")
  func passwordAlone() {
    let server = Server(
      Self.distinct(.passwords, per: .ip),
      Rule("failures", .authFailures, per: .ip, .of(9, per: .days(1)), then: .alert))
    for guess in 0..<4 {
      server.hear(.authFailures, user: "alice", source: .log)
      server.hear(.authFailures, 0, user: "alice", password: "alice \(guess)")
    }
    #expect(server.counts(.ip("192.0.2.7"))["failures"] == [4])
    #expect(server.login().refusal?.reason.rule == "distinct")
  }

  @Test("What is not told of a password counts as no password")
  func noPassword() {
    let server = Server(Self.distinct(.passwords, per: .ip))
    for _ in 0..<10 { server.hear(.authFailures, user: "alice") }
    #expect(!server.login().isRefused)
  }

  @Test("An address that tries many users has that many users")
  func users() {
    let server = Server(Self.distinct(.users, per: .ip))
    for user in 0..<4 { server.hear(.authFailures, user: "user\(user)") }
    #expect(server.login("anybody").isRefused)
  }

  @Test("A user who is guessed from many addresses has those only for rules about failed logins")
  func addresses() throws {
    for (attribute, match) in [(Attribute.ips, true), (.networks, true), (.ips, false), (.networks, false)] {
      let server = Server(Self.distinct(attribute, per: .user, only: match ? [.failedLogins] : []))
      for number in 0..<30 { server.hear(.authFailures, from: "198.51.\(number).1", user: "alice") }
      #expect(server.login(from: "203.0.113.1").isRefused == match)
      #expect(server.told(.refused).isEmpty != match)
      // What the guessing has cost is logins; who is logged in goes on.
      #expect(try server.sent(5) == 5)
    }
  }

  @Test("A rule about failed logins hears nothing of those that succeed")
  func successes() throws {
    let server = Server(Self.distinct(.ips, per: .user, only: [.failedLogins]))
    for number in 0..<10 {
      try server.send(from: "198.51.\(number).1")
      server.hear(.authSuccesses, from: "198.51.\(number).1", user: "alice")
    }
    #expect(!server.login().isRefused)
    #expect(server.counts(.user("alice"))["distinct"] == [0])
  }

  @Test("A failed login does not make a name known, nor its network")
  func nobodyIsKnownByIt() throws {
    let rule = Rule(
      name: "hijack", per: .user, parts: [Part(.measure(.new(.networks)), [.of(0, per: .days(1))])], then: .tempfail)
    let server = Server(rule)
    for _ in 0..<20 {
      try server.send()
      server.wait(.days(1))
    }
    server.hear(.authFailures, from: "198.51.100.1", user: "alice")
    #expect(server.counts(.user("alice"))["hijack"] == [0])
    #expect(try server.send(from: "198.51.100.1") != nil)
  }

  @Test("A name that somebody tries is nobody who has logged in")
  func notAuthenticated() {
    func rule(_ match: Match) -> Rule {
      Rule(
        name: "failures", per: .ip, parts: [Part(.measure(.signal(.authFailures)), [.of(3, per: .days(1))])],
        filter: Filter(only: [match]), then: .alert)
    }
    for (match, count) in [(Match.authenticated, 0), (.anonymous, 1)] {
      let server = Server(rule(match))
      server.hear(.authFailures, user: "alice")
      #expect(server.counts(.ip("192.0.2.7"))["failures"] == [count])
    }
  }

  @Test("A success right after many failures trips a rule about both")
  func successAfterFailures() {
    let rule = Rule(
      name: "guessed", per: KeyShape(.user, .ip),
      parts: [
        Part(.measure(.distinct(.passwords)), [.of(3, per: .hours(1))]),
        Part(.measure(.signal(.authSuccesses)), [.of(0, per: .hours(1))]),
      ], then: .alert)
    let server = Server(rule)
    for guess in 0..<4 { server.hear(.authFailures, user: "alice", password: "alice \(guess)") }
    #expect(server.notices.isEmpty)
    server.hear(.authSuccesses, user: "alice")
    #expect(server.told(.alert).map(\.reason.rule) == ["guessed"])
  }
}

@Suite("What a log says")
struct LogTrustTests {
  private static func rule(per shape: KeyShape, then: Consequences = .block(.hours(1))) -> Rule {
    Rule("guessing", .authFailures, per: shape, .of(3, per: .minutes(10)), then: then)
  }

  private func fail(_ server: Server, _ source: Source = .log) {
    for _ in 0..<5 { server.hear(.authFailures, user: "alice", source: source) }
  }

  @Test("blocks an address that nobody is known from")
  func stranger() {
    let server = Server(Self.rule(per: .ip))
    fail(server)
    #expect(server.login().isRefused)
  }

  @Test("does not block an address that somebody has logged in from within a day; it is told all the same")
  func knownClient() throws {
    for shape in [KeyShape.ip, .network] {
      let server = Server(Self.rule(per: shape))
      try server.send("bob")
      fail(server)
      #expect(server.engine.penalties(at: server.now).isEmpty)
      #expect(server.told(.observed).map(\.reason.rule) == ["guessing"])
      server.wait(.days(1))
      fail(server)
      #expect(server.engine.penalties(at: server.now).count == 1)
    }
  }

  @Test("does not make an address known by a success of its own")
  func ownSuccess() {
    let server = Server(Self.rule(per: .ip))
    server.hear(.authSuccesses, user: "alice", source: .log)
    fail(server)
    #expect(server.engine.penalties(at: server.now).count == 1)
  }

  @Test("does not block a user, whose name anybody can try; Dovecot's word does, and the log's where it is trusted")
  func user() {
    for (source, isTrusted, isBlocked) in [(Source.log, false, false), (.dovecot, false, true), (.log, true, true)] {
      let server = Server(Policy(rules: [Self.rule(per: .user)], trustsLog: isTrusted))
      fail(server, source)
      #expect(server.engine.penalties(at: server.now).isEmpty != isBlocked)
      #expect(server.told(.observed).isEmpty == isBlocked)
    }
  }

  @Test("counts and refuses like any other word where nobody is known")
  func refusals() {
    let server = Server(Self.rule(per: .ip, then: .tempfail))
    fail(server)
    #expect(server.login().isRefused)
  }

  @Test("does not stop a user or a known address later either, when they come with mail, where it alone has told")
  func later() throws {
    for then in [Consequences.tempfail, Consequences(refusal: .reject, block: Block([.hours(3)]))] {
      for shape in [KeyShape.user, .ip] {
        let server = Server(Policy(rules: [Self.rule(per: shape, then: then)], realms: [], feeds: [.log]))
        try server.send("alice")
        fail(server)
        #expect(try server.sent(3) == 3)
        #expect(server.engine.penalties(at: server.now).isEmpty)
        #expect(server.figure("messages").total == 4)
        #expect(!server.told(.observed).isEmpty)
      }
    }
  }

  @Test("stops a user for what the log says of the user's own mail")
  func ownMail() throws {
    let rule = Rule("bounces", .bounced, per: .user, .of(3, per: .hours(1)), then: .block(.hours(1)))
    let server = Server(Policy(rules: [rule], realms: [], feeds: [.log]))
    server.hear(.bounced, 4, user: "alice", source: .log)
    #expect(try server.sent(1) == 0)
  }
}
