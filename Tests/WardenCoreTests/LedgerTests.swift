import Testing

@testable import WardenCore

/// Rules of every make through whole sessions.
struct LedgerTests {
  private static func measure(_ name: String) -> Quantity { .measure(Measure(name: name)!) }

  private static func rule(
    _ measure: String, name: String = "rule", per: KeyShape = .user, _ limit: Limit, filter: Filter = Filter(),
    countsRefused: Bool = false, then: Consequences = .tempfail
  ) -> Rule {
    Rule(
      name: name, per: per, parts: [Part(self.measure(measure), [limit])], filter: filter,
      countsRefused: countsRefused, then: then)
  }

  // MARK: - Different and new values

  @Test("Of different recipients as many pass as the limit says, and known ones always")
  func distinctRecipients() throws {
    let server = Server(Self.rule("distinct recipients", .of(3, per: .hours(1))))
    #expect(try server.send(to: ["<a@x.test>", "<b@x.test>", "<A@X.test>"]) == nil)
    #expect(try server.send(to: ["<c@x.test>"]) == nil)
    #expect(try server.send(to: ["<d@x.test>"]) != nil)
    #expect(try server.send(to: ["<a@x.test>", "<c@x.test>"]) == nil)
    #expect(server.counts(.user("alice")) == ["rule": [3]])
    server.wait(.hours(2))
    #expect(try server.send(to: ["<e@x.test>"]) == nil)
  }

  @Test("A message of 5,000 different recipients on a cold key is refused as a whole, and nothing of it stays")
  func hugeMessage() throws {
    let server = Server(Self.rule("distinct recipients", .of(200, per: .hours(1))))
    #expect(try server.send(to: (0..<5_000).map { "<r\($0)@x.test>" }) != nil)
    #expect(server.counts(.user("alice")) == ["rule": [0]])
    #expect(try server.send(to: (0..<200).map { "<r\($0)@x.test>" }) == nil)
    #expect(try server.send(to: ["<other@x.test>"]) != nil)
  }

  @Test("A user on the move from network to network is stopped where the limit says")
  func distinctNetworks() throws {
    let server = Server(Self.rule("distinct networks", .of(2, per: .hours(1)), then: .block(.hours(4))))
    for number in [0, 1, 0, 1] { #expect(try server.send(from: "192.0.\(number).7") == nil) }
    #expect(try server.send(from: "192.0.2.7") != nil)
    #expect(try server.send(from: "192.0.0.7")?.isPenalty == true)
  }

  @Test("What is new is what the user has never shown, once the user has been known for a week")
  func newRecipients() throws {
    let server = Server(Self.rule("new recipients", .of(2, per: .days(1))))
    #expect(try server.send(to: (0..<50).map { "<old\($0)@x.test>" }) == nil)
    server.wait(.days(8))
    #expect(try server.send(to: ["<old0@x.test>", "<a@x.test>", "<b@x.test>"]) == nil)
    #expect(try server.send(to: ["<c@x.test>"]) != nil)
    #expect(try server.send(to: ["<a@x.test>", "<old7@x.test>"]) == nil)
    server.wait(.days(2))
    #expect(try server.send(to: ["<c@x.test>"]) == nil)
  }

  @Test("Recipients that the MTA refused without showing them are nobody's: they block no recipient")
  func hiddenRefusals() throws {
    let rule = Rule(
      "harvest", .badRecipients, per: .recipientDomain, .of(5, per: .hours(1)), then: .block(.hours(1)))
    let engine = Engine(policy: Policy(rules: [rule]))
    var session = SMTPSession(SMTPSession.Setup(needs: engine.needs))
    _ = engine.decide(session.connect(at: .start, address: IPAddress("192.0.2.1"), port: 1, host: nil))
    _ = engine.decide(try session.mail(at: .start, sender: "<a@x.test>", login: nil))
    if let event = try session.recipient(at: .start, .accepted, path: "<postmaster@victim.test>", refusals: 30) {
      _ = engine.decide(event)
    }
    _ = engine.decide(try session.endOfMessage(at: .start, refusals: 40))
    #expect(engine.penalties(at: .start).isEmpty)
  }

  @Test("One address written thousands of times does not hide those that follow")
  func namesOnce() throws {
    let server = Server(Self.rule("distinct recipients", .of(50, per: .hours(1))))
    let repeated = Array(repeating: "<me@x.test>", count: 10_000)
    #expect(try server.send(to: repeated + (0..<100).map { "<victim\($0)@y.test>" }) != nil)
    #expect(try server.send(to: repeated + repeated.prefix(60)) == nil)
    // More names than are kept are taken for different ones.
    #expect(try server.send(to: (0..<12_000).map { "<other\($0)@z.test>" }) != nil)
  }

  @Test("A record that has no room for more values still counts")
  func fullRecord() throws {
    let windows = (1...7).map { TimeSpan.hours($0) }
    let values = Part(.measure(.distinct(.recipients)), windows.map { Limit(count: 5_000, window: $0) })
    let server = Server(
      Rule(name: "values", per: KeyShape(.user), parts: [values], then: .alert),
      Rule("rate", .messages, per: .user, .of(3, per: .hours(1))))
    let everybody = (0..<9_500).map { "<r\($0)@x.test>" }
    for _ in 0..<3 { #expect(try server.send(to: everybody) == nil) }
    #expect(try server.send(to: everybody) != nil)
  }

  @Test("An exempt recipient gets what it gets, whatever is counted for others")
  func exemptRecipient() throws {
    let server = Server(Rule("bombs", .messages, per: .recipient, .of(2, per: .hours(1))))
    let exempt = Override(.key(Key(.recipient("list@x.test"))), .exempt, origin: "test")
    #expect(server.engine.allow(exempt, at: server.now))
    for _ in 0..<5 { #expect(try server.send(to: ["<list@x.test>"]) == nil) }
    for _ in 0..<2 { #expect(try server.send(to: ["<\"al\\ice\"@x.test>"]) == nil) }
    #expect(try server.send(to: ["<alice@x.test>"]) != nil)
  }

  @Test("To somebody who has hardly written nobody is a stranger, however long it is known")
  func hermit() throws {
    let server = Server(Self.rule("new recipients", .of(2, per: .days(1))))
    #expect(try server.send(to: (0..<29).map { "<old\($0)@x.test>" }) == nil)
    server.wait(.days(8))
    #expect(try server.send(to: (0..<200).map { "<guest\($0)@x.test>" }) == nil)
    server.wait(.days(2))
    #expect(try server.send(to: ["<a@x.test>", "<b@x.test>", "<c@x.test>"]) != nil)
  }

  @Test("A rule on what is new or usual that comes with a reload learns a user who was known before it")
  func learningAfterReload() throws {
    let old = Rule("rate", .messages, per: .user, .of(100, per: .hours(2)), then: .alert)
    let server = Server(old)
    try server.send()
    server.reload(old, Self.rule("new recipients", .of(1, per: .days(1))))
    try server.send(to: ["<old@x.test>"] + (0..<40).map { "<friend\($0)@x.test>" })
    for _ in 0..<96 {
      server.wait(.minutes(110))
      #expect(try server.send(to: ["<old@x.test>"]) == nil)
    }
    #expect(try server.send(to: ["<a@x.test>", "<b@x.test>"]) != nil)
  }

  @Test("A rule on what is new that joins another by a reload does not take all for new at once")
  func secondHistoryAfterReload() throws {
    let first = Self.rule("new recipient-domains", name: "domains", .of(5, per: .days(1)))
    let server = Server(first)
    for _ in 0..<9 {
      try server.send(to: ["<old@x.test>", "<older@x.test>"])
      server.wait(.days(1))
    }
    server.reload(first, Self.rule("new recipients", .of(1, per: .days(1))))
    #expect(try server.send(to: ["<old@x.test>", "<older@x.test>"]) == nil)
  }

  @Test("A user may send so many times what is usual, a young one what is allowed at first")
  func usual() throws {
    let limit = Limit(.usual(Limit.Usual(tenths: 30, atLeast: 6, atFirst: 4)), window: .hours(1))
    let server = Server(Self.rule("messages", limit))
    #expect(try server.sent(10) == 4)
    // Ten a working hour from a week on, which the limit allows only as it is learned.
    for _ in 0..<30 {
      server.wait(.days(1))
      _ = try server.sent(10)
    }
    server.wait(.days(1))
    let passed = try server.sent(100)
    // Usual is ten at most, sunk a little since yesterday.
    #expect((24...30).contains(passed))
  }

  @Test("An override that speaks of what is usual learns it, where the rule itself does not")
  func usualByOverride() throws {
    let limit = Limit(.usual(Limit.Usual(tenths: 100, atLeast: 5)), window: .hours(1))
    let server = Server(
      Rule("rate", .messages, per: .user, .of(1, per: .hours(1))),
      overrides: [Override(.user("alice"), .limits(rule: "rate", [limit]), origin: "test")])
    for _ in 0..<10 {
      #expect(try server.sent(5) == 5)
      server.wait(.days(1))
    }
    #expect(try server.sent(20) == 20)
    #expect(try server.sent(2, "bob") == 1)
  }

  // MARK: - Shares and several parts

  @Test("A share is looked at once there is enough to share, and refuses then")
  func share() throws {
    let quantity = Quantity.share(.signal(.badRecipients), of: .signal(.recipients))
    let limit = Limit(.share(.init(percent: 50, atLeast: 10)), window: .hours(1))
    let server = Server(Rule(name: "share", per: .user, parts: [Part(quantity, [limit])], then: .tempfail))
    let client = server.connect()
    func bad(_ count: Int) throws {
      try client.mail()
      for _ in 0..<count { try client.recipient(.refused(enhancedCode: "5.1.1", text: "User unknown")) }
      client.abort()
    }
    try bad(9)
    #expect(try client.send(recipients: 6) == nil)
    try bad(1)
    // 10 of 6 is more than half of what passed.
    #expect(try client.mail().refusal != nil)
    server.wait(.hours(2))
    #expect(try client.send(recipients: 30) == nil)
    try bad(14)
    #expect(try client.send(recipients: 1) == nil)
    try bad(3)
    #expect(try client.mail().refusal != nil)
  }

  @Test("A rule of two parts acts only while both are over")
  func parts() throws {
    let rule = Rule(
      name: "both", per: .user,
      parts: [
        Part(Self.measure("messages"), [.of(3, per: .hours(1))]),
        Part(Self.measure("distinct networks"), [.of(1, per: .minutes(10))]),
      ], then: .tempfail)
    let server = Server(rule)
    #expect(try server.sent(5) == 5)
    let refusal = try #require(try server.send(from: "198.51.100.1"))
    guard case .over(let findings) = refusal.reason.cause else { throw Missing() }
    #expect(findings.map(\.count) == [5, 2])
    // It lets go with the part that lets go first.
    #expect(refusal.reason.until <= server.now + .minutes(11))
    server.now = refusal.reason.until
    #expect(try server.send(from: "198.51.100.1") == nil)
  }

  private struct Missing: Error {}

  // MARK: - Holding

  @Test("A rule that holds lets MAIL pass, holds at the end, and what is held counts")
  func hold() throws {
    let server = Server(Rule("hold", .messages, per: .user, .of(2, per: .hours(1)), then: Consequences(hold: true)))
    #expect(try server.sent(2) == 2)
    let client = server.connect()
    for count in 3...4 {
      #expect(try client.mail().refusal == nil)
      try client.recipient()
      #expect(try client.end().held?.cause == .over(signal: .messages, count: count, limit: 2, window: .hours(1)))
    }
    #expect(server.counts(.user("alice")) == ["hold": [4]])
    #expect(server.told(.held).count == 2)
    #expect(server.figure("messages").total == 4)
  }

  @Test("A refusal comes before a hold, in whatever order the rules stand", arguments: [true, false])
  func refusalBeforeHold(holdsFirst: Bool) throws {
    let hold = Rule("hold", .messages, per: .user, .of(1, per: .hours(1)), then: Consequences(hold: true))
    let refuse = Self.rule("bytes", name: "refuse", .of(10, per: .hours(1)))
    let server = Server(Policy(rules: holdsFirst ? [hold, refuse] : [refuse, hold]))
    let client = server.connect()
    try client.send()
    try client.mail()
    client.content(bytes: 11)
    #expect(try client.end().refusal?.reason.rule == "refuse")
    #expect(server.told(.held) == [])
  }

  // MARK: - What is refused

  @Test("Where refused messages count, whoever goes on trying is not let in again; else a trickle passes for ever")
  func countsRefused() throws {
    for countsRefused in [false, true] {
      let server = Server(Self.rule("messages", .of(10, per: .hours(1)), countsRefused: countsRefused))
      var passed = 0
      for _ in 0..<600 {
        passed += try server.sent(1)
        server.wait(.minutes(1))
      }
      #expect(countsRefused ? passed == 10 : passed > 80)
      server.wait(.hours(2))
      #expect(try server.send() == nil)
    }
  }

  @Test("A message refused by one rule counts for another that counts what is refused, at whichever stage it fell")
  func countsRefusedByOthers() throws {
    let server = Server(
      Self.rule("messages", name: "few", per: .user, .of(1, per: .hours(1))),
      Self.rule("messages", name: "tries", per: .ip, .of(5, per: .hours(1)), countsRefused: true, then: .alert))
    for _ in 0..<7 { try server.send() }
    #expect(server.counts(.ip("192.0.2.7")) == ["tries": [7]])
    #expect(server.told(.alert).count == 1)
  }

  @Test("Tries against a penalty count where refused messages do, once each")
  func countsRefusedUnderPenalty() throws {
    let server = Server(Self.rule("messages", .of(3, per: .hours(1)), countsRefused: true))
    _ = server.block(.user("alice"), for: .minutes(1))
    #expect(try server.sent(5) == 0)
    #expect(server.counts(.user("alice")) == ["rule": [5]])
    server.wait(.minutes(2))
    #expect(try server.send() != nil)
  }

  // MARK: - Keys

  @Test("A recipient's key counts its own part of each message, and refuses its own name")
  func perRecipient() throws {
    let server = Server(Self.rule("messages", per: .recipient, .of(2, per: .hours(1))))
    for _ in 0..<2 { #expect(try server.send(nil, to: ["<Bob@x.test>", "<carol@x.test>"]) == nil) }
    let client = server.connect()
    try client.mail(nil)
    #expect(try client.recipient(to: "<bob@X.test>")?.refusal != nil)
    #expect(try client.recipient(to: "<dave@x.test>")?.refusal == nil)
    #expect(try client.end().refusal == nil)
    #expect(server.counts(try key("recipient:bob@x.test")) == ["rule": [2]])
    #expect(server.counts(try key("recipient:dave@x.test")) == ["rule": [1]])
  }

  @Test("A recipient's domain counts all its recipients, and a message alone can be too large for it")
  func perRecipientDomain() throws {
    let server = Server(Self.rule("recipients", per: .recipientDomain, .of(3, per: .hours(1))))
    #expect(try server.send(to: ["<a@x.test>", "<b@x.test>", "<c@y.test>"]) == nil)
    #expect(server.counts(try key("recipient-domain:x.test")) == ["rule": [2]])
    #expect(server.counts(try key("recipient-domain:y.test")) == ["rule": [1]])
    #expect(try server.send(to: ["<a@y.test>", "<b@y.test>", "<c@y.test>"]) != nil)
    #expect(server.counts(try key("recipient-domain:y.test")) == ["rule": [1]])
    #expect(try server.send(to: ["<d@x.test>"]) == nil)
    #expect(try server.send(to: ["<d@x.test>"]) != nil)
  }

  @Test("A pair of sender and recipient counts each pair by itself")
  func pairWithRecipient() throws {
    let server = Server(Self.rule("messages", per: KeyShape(.sender, .recipient), .of(1, per: .hours(1))))
    #expect(try server.send(nil, sender: "<s@x.test>", to: ["<a@x.test>"]) == nil)
    #expect(try server.send(nil, sender: "<s@x.test>", to: ["<b@x.test>"]) == nil)
    #expect(try server.send(nil, sender: "<t@x.test>", to: ["<a@x.test>"]) == nil)
    #expect(try server.send(nil, sender: "<s@x.test>", to: ["<a@x.test>"]) != nil)
  }

  @Test("A name given with HELO is a key, in any case, and a client without one has none")
  func perHelo() throws {
    let server = Server(Self.rule("messages", per: .helo, .of(1, per: .hours(1))))
    func send(_ name: String?) throws -> Refusal? {
      let client = server.connect()
      if let name { client.helo(name) }
      return try client.send(nil)
    }
    for _ in 0..<3 { #expect(try send(nil) == nil) }
    #expect(try send("Bot.example") == nil)
    #expect(try send("bot.EXAMPLE") != nil)
    #expect(try send("other.example") == nil)
  }

  @Test(
    "User names that differ only late are different users",
    arguments: [8, 64, 255, 256, 257, 1_000])
  func longNames(length: Int) throws {
    let server = Server(Self.rule("messages", .of(1, per: .hours(1))))
    let name = String(repeating: "n", count: length - 1)
    #expect(try server.send(name + "a") == nil)
    #expect(try server.send(name + "b") == nil)
    #expect(try server.send(name + "a") != nil)
  }

  @Test("Two windows on one rule are both kept, and several rules on one key")
  func windowsTogether() throws {
    let server = Server(
      Rule("two", .messages, per: .user, .of(2, per: .seconds(10)), .of(4, per: .days(1))),
      Rule("third", .recipients, per: .user, .of(5, per: .hours(1))))
    #expect(try server.sent(3) == 2)
    server.wait(.seconds(11))
    #expect(try server.sent(3) == 2)
    #expect(server.counts(.user("alice")) == ["two": [2, 4], "third": [4]])
    server.wait(.hours(12))
    #expect(try server.send()?.reason.until == .some(server.now) || server.counts(.user("alice"))["two"] == [0, 4])
    server.wait(.hours(13))
    #expect(server.counts(.user("alice")) == ["two": [0, 0], "third": [0]])
    #expect(try server.send() == nil)
  }
}
