import Testing

@testable import WardenCore

/// Another policy takes over while mail flows.
struct ReloadTests {
  private static func rule(_ name: String, _ limits: Limit..., per: KeyShape = .user) -> Rule {
    Rule(name: name, count: .messages, per: per, limits: limits, then: .tempfail)
  }

  private func sent(_ count: Int, _ rules: Rule...) throws -> Server {
    let server = Server()
    var policy = server.engine.policy
    policy.rules = rules
    server.engine.replace(policy: policy)
    for _ in 0..<count { try server.send() }
    return server
  }

  @Test("Counts stay when a limit changes, up or down")
  func limitChanges() throws {
    let server = try sent(10, Self.rule("rate", .of(25, per: .hours(2))))
    server.reload(Self.rule("rate", .of(8, per: .hours(2))))
    #expect(server.counts(.user("alice")) == ["rate": [10]])
    #expect(try server.send() != nil)
    server.reload(Self.rule("rate", .of(11, per: .hours(2))))
    #expect(try server.send() == nil)
    #expect(try server.send() != nil)
  }

  @Test("Counts stay when rules are renamed, added, taken away and put in another order")
  func rulesMove() throws {
    let first = Self.rule("first", .of(25, per: .hours(2)), .of(100, per: .days(1)))
    let server = try sent(10, first, Self.rule("ip", .of(50, per: .hours(1)), per: .ip))
    server.reload(
      Self.rule("sender", .of(3, per: .hours(3)), per: .sender), Self.rule("ip", .of(50, per: .hours(1)), per: .ip),
      Self.rule("new", .of(7, per: .minutes(1))), Self.rule("renamed", .of(100, per: .days(1)), .of(25, per: .hours(2)))
    )
    #expect(server.counts(.user("alice")) == ["new": [0], "renamed": [10, 10]])
    #expect(server.counts(.ip("192.0.2.7")) == ["ip": [10]])
    #expect(server.counts(try key("sender:alice@example.org")) == ["sender": [0]])
  }

  @Test("A window that no rule has any more refuses nobody, and a new one begins empty")
  func windowsComeAndGo() throws {
    let server = try sent(10, Self.rule("rate", .of(25, per: .hours(2)), .of(20, per: .minutes(5))))
    server.reload(Self.rule("rate", .of(25, per: .hours(2)), .of(5, per: .hours(1))))
    #expect(server.counts(.user("alice")) == ["rate": [10, 0]])
    for _ in 0..<5 { #expect(try server.send() == nil) }
    #expect(try server.send() != nil)
  }

  @Test("Keys that no rule counts any more make room as others come, and evict nobody")
  func shapeGoes() throws {
    let server = Server(Policy(rules: [Self.rule("rate", .of(25, per: .hours(2)))], memory: 500_000))
    for number in 0..<3_000 { try server.send("user\(number)") }
    server.reload(Self.rule("ip", .of(25, per: .hours(2)), per: .ip))
    for number in 0..<3_000 { try server.send("bob", from: "10.0.\(number / 250).\(number % 250)") }
    let status = server.engine.status(at: server.now)
    // What is left of them lies in the segments that are being written.
    #expect(status.keys < 4_500)
    #expect(status.evictedKeys == 0)
  }

  @Test("A rule with a short window does not purge what another keeps longer")
  func windowsDoNotPurgeEachOther() throws {
    let short = Self.rule("short", .of(2, per: .seconds(10)))
    let long = Self.rule("long", .of(5, per: .days(1)))
    let server = try sent(0, long, short)
    for _ in 0..<5 {
      #expect(try server.send() == nil)
      server.wait(.hours(1))
    }
    #expect(try server.send()?.reason.rule == "long")
    // Another key's sweep does not take it either.
    for number in 0..<200 { try server.send("user\(number)") }
    #expect(server.counts(.user("alice")) == ["long": [5], "short": [0]])
  }

  @Test("A key is kept for the longest window of all rules, also after a longer one came")
  func keepFollowsTheRules() throws {
    let server = try sent(1, Self.rule("rate", .of(1, per: .minutes(1))))
    server.reload(Self.rule("rate", .of(1, per: .minutes(1))), Self.rule("day", .of(2, per: .days(1))))
    try server.send("bob")
    server.wait(.hours(23))
    for number in 0..<100 { try server.send("user\(number)") }
    #expect(server.counts(.user("bob")) == ["day": [1], "rate": [0]])
  }

  @Test("Penalties and episodes stay, whatever becomes of their rule")
  func penaltiesStay() throws {
    let server = Server(.brokenConnections, Rule("rate", .messages, per: .user, .of(1, per: .days(1)), then: .alert))
    for _ in 0..<5 { server.probe("192.0.2.9") }
    for _ in 0..<2 { try server.send() }
    server.reload(Rule("rate", .messages, per: .user, .of(1, per: .days(1)), then: .alert))
    #expect(server.probe("192.0.2.9")?.reason.rule == "broken")
    #expect(server.engine.needs.contains(.connectReply))
    try server.send()
    #expect(server.told(.alert).count == 1)
    server.reload()
    #expect(server.probe("192.0.2.9") != nil)
  }

  @Test("A rule set to observe stops refusing at once, and goes on where it was when it is set back")
  func modeChanges() throws {
    let server = Server(.userMessages)
    for _ in 0..<26 { try server.send() }
    var observing = Rule.userMessages
    observing.mode = .observe
    server.reload(observing)
    for _ in 0..<3 { #expect(try server.send() == nil) }
    server.reload(.userMessages)
    #expect(try server.send()?.reason.cause == .over(signal: .messages, count: 29, limit: 25, window: .hours(2)))
  }

  @Test("Other realms hold for the sessions after the reload")
  func realmsChange() throws {
    let server = Server(.userMessages, realms: ["example.org"])
    try server.send("alice@other.test")
    try server.send("alice@example.org")
    #expect(server.counts(.user("alice")) == ["user-messages": [1]])
    var policy = server.engine.policy
    policy.realms = ["other.test"]
    server.engine.replace(policy: policy)
    try server.send("alice@other.test")
    try server.send("alice@example.org")
    #expect(server.counts(.user("alice")) == ["user-messages": [2]])
    #expect(server.counts(.user("alice@example.org")) == ["user-messages": [1]])
  }

  @Test("Learned realms survive a reload that does not speak of realms")
  func learnedRealmsStay() throws {
    let server = Server(.userMessages, realms: nil)
    server.connect(host: "mail.example.org").close()
    server.reload(.userMessages)
    #expect(server.engine.realms.user(login: "alice@example.org") == "alice")
  }

  @Test("A session keeps the network size that it began with, and the next one has the new")
  func networkPrefixChanges() throws {
    let server = Server(Self.rule("net", .of(9, per: .hours(1)), per: .network))
    let open = server.connect("192.0.2.7")
    var policy = server.engine.policy
    policy.networkPrefix = NetworkPrefix(v4: 16, v6: 48)
    server.engine.replace(policy: policy)
    try open.send()
    try server.send()
    #expect(server.counts(.network("192.0.2.0/24")) == ["net": [1]])
    #expect(server.counts(.network("192.0.0.0/16")) == ["net": [1]])
  }

  @Test("Whatever policies follow each other, a count that both have is never lost", arguments: 0..<20)
  func countsSurviveAnyReload(seed: Int) throws {
    var random = SplitMix64(seed: seed)
    let windows = [TimeSpan.minutes(10), .hours(1), .hours(2), .days(1)]
    func policy() -> Policy {
      var kept = windows.shuffled(using: &random).prefix(Int.random(in: 1...3, using: &random))
      // One meter stays all the time, at a changing place.
      if !kept.contains(.hours(2)) { kept.append(.hours(2)) }
      let rules = kept.shuffled(using: &random).enumerated().map { index, window in
        Rule(
          "rule\(index)", .messages, per: .user, .of(Int.random(in: 1...9, using: &random), per: window), then: .alert)
      }
      let other = Rule("other", .logins, per: Bool.random(using: &random) ? .user : .ip, .of(5, per: .hours(1)))
      return Policy(rules: (rules + [other]).shuffled(using: &random), realms: [])
    }
    let server = Server()
    var sent = 0
    for _ in 0..<30 {
      server.engine.replace(policy: policy())
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        sent += 1
        var subject = Subject()
        subject.user = "alice"
        _ = server.decide(Event(at: server.now, step: .endOfMessage, subject: subject, wants: [.messages: 1]))
      }
      let standings = server.engine.explain(.user("alice"), at: server.now).standings
      let count = standings.first { $0.quantity == .measure(.signal(.messages)) && $0.limit.window == .hours(2) }?.count
      #expect(count == sent, "seed \(seed)")
    }
  }
}
