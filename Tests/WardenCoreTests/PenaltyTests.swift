import Testing

@testable import WardenCore

/// Who is blocked, why, until when.
struct PenaltyTests {
  @Test("Four broken connections are borne, the fifth blocks, the sixth is closed as it opens")
  func brokenConnections() throws {
    let server = Server(.brokenConnections)
    for _ in 0..<4 {
      #expect(server.probe("192.0.2.7") == nil)
      server.wait(.minutes(20))
    }
    #expect(server.penalty(.ip("192.0.2.7")) == nil)
    #expect(server.probe("192.0.2.7") == nil)
    let blockedAt = server.now
    let refusal = try #require(server.probe("192.0.2.7"))
    #expect(refusal.isPenalty)
    #expect(refusal.code == ReplyCode(code: 421, enhanced: "4.7.1"))
    #expect(refusal.reason.cause == .over(signal: .brokenConnections, count: 5, limit: 4, window: .hours(2)))
    #expect(refusal.reason.until == blockedAt + .days(3))
    #expect(server.probe("192.0.2.8") == nil)
  }

  @Test("Broken connections that are spread wide enough block nobody")
  func spreadWide() {
    let server = Server(.brokenConnections)
    for _ in 0..<100 {
      #expect(server.probe("192.0.2.7") == nil)
      server.wait(.minutes(31))
    }
  }

  @Test("Who asks what would turn a client away is told the block that does, and that is no attempt")
  func penaltyAtConnect() {
    func asked(_ ip: String, _ change: (inout Policy) -> Void = { _ in }, after span: TimeSpan = .seconds(0))
      -> Penalty?
    {
      var policy = Policy(rules: [.brokenConnections])
      change(&policy)
      let engine = Engine(policy: policy)
      var subject = Subject()
      subject.ip = IPAddress("192.0.2.7")!
      subject.address = subject.ip
      let now = Timestamp(microseconds: 1_000_000)
      for _ in 0..<5 {
        _ = engine.decide(Event(at: now, step: .close, subject: subject, happened: [.brokenConnections: 1]))
      }
      var client = Subject()
      client.ip = IPAddress(ip)!
      client.address = client.ip
      client.user = "bob"
      let penalty = engine.penaltyAtConnect(of: client, at: now + span)
      #expect((engine.penalty(on: .ip("192.0.2.7"))?.attempts ?? 0) == 0)
      return penalty
    }
    #expect(asked("192.0.2.7")?.key == .ip("192.0.2.7"))
    #expect(asked("192.0.2.8") == nil)
    #expect(asked("192.0.2.7", after: .days(3)) == nil)
    #expect(asked("192.0.2.7", { $0.exempt.networks = [Network("192.0.2.0/24")!] }) == nil)
    // Nobody has logged in as it connects.
    #expect(asked("192.0.2.7", { $0.exempt.users = ["bob"] }) != nil)
  }

  @Test("A block ends at its time, not a microsecond sooner or later, however often the client tried")
  func endsExactly() {
    let server = Server(.brokenConnections)
    for _ in 0..<5 { server.probe("192.0.2.7") }
    let end = server.now + .days(3)
    for _ in 0..<10 {
      #expect(server.probe("192.0.2.7") != nil)
      server.wait(.hours(1))
    }
    server.now = end - .microsecond
    #expect(server.probe("192.0.2.7") != nil)
    #expect(server.penalty(.ip("192.0.2.7"))?.attempts == 11)
    server.now = end
    #expect(server.probe("192.0.2.7") == nil)
    #expect(server.penalty(.ip("192.0.2.7")) == nil)
  }

  @Test("A rule's own 5xx reply is given at connect as it is, a 4xx one becomes 421")
  func codesAtConnect() throws {
    func refusal(code: Int, enhanced: String, text: String) throws -> Refusal? {
      var rule = Rule.brokenConnections
      rule.reply = ReplyTemplate(code: ReplyCode(code: code, enhanced: enhanced), pieces: [.text(text)])
      let server = Server(rule)
      for _ in 0..<5 { server.probe("192.0.2.7") }
      return server.probe("192.0.2.7")
    }
    let rejected = try #require(try refusal(code: 554, enhanced: "5.7.1", text: "Go away"))
    #expect(rejected.code == ReplyCode(code: 554, enhanced: "5.7.1"))
    #expect(rejected.lines == ["Go away"])
    #expect(try refusal(code: 451, enhanced: "4.7.5", text: "Later")?.code == ReplyCode(code: 421, enhanced: "4.7.1"))
  }

  @Test(
    "A rule that refuses connections closes them too, rather than leave them open for passwords",
    arguments: [
      Consequences.tempfail, .block(.hours(1)),
    ])
  func refusedConnectionsAreClosed(then: Consequences) throws {
    let server = Server(Rule("connections", .connections, per: .ip, .of(3, per: .minutes(1)), then: then))
    for _ in 0..<3 { #expect(server.probe("192.0.2.7") == nil) }
    for _ in 0..<3 { #expect(try #require(server.probe("192.0.2.7")).code.code == 421) }
  }

  @Test("A blocked client's attempts are counted, also where the rule that blocked it goes on tripping")
  func attemptsUnderTheSameRule() {
    let server = Server(
      Rule("connections", .connections, per: .ip, .of(3, per: .minutes(1)), then: .block(.hours(1))))
    for _ in 0..<4 { server.probe("192.0.2.7") }
    for _ in 0..<7 { #expect(server.probe("192.0.2.7")?.isPenalty == true) }
    #expect(server.penalty(.ip("192.0.2.7"))?.attempts == 7)
  }

  @Test("A key goes into the box once, and is told of once")
  func toldOnce() {
    let server = Server(
      Rule("connections", .connections, per: .ip, .of(3, per: .minutes(1)), then: .block(.hours(1))))
    for _ in 0..<20 { server.probe("192.0.2.7") }
    #expect(server.told(.blocked).count == 1)
    #expect(server.told(.refused).count == 17)
  }

  @Test("A user's block holds at MAIL from everywhere, with the code that the rule says")
  func userBlock() throws {
    let server = Server(
      Rule(
        "hijack", .messages, per: .user, .of(2, per: .hours(1)),
        then: Consequences(refusal: .reject, block: Block([.hours(4)])))
    )
    for _ in 0..<2 { try server.send() }
    #expect(try server.send()?.code == ReplyCode(code: 550, enhanced: "5.7.1"))
    server.wait(.hours(2))
    let client = server.connect("2001:db8::1")
    #expect(client.greeting?.refusal == nil)
    let refusal = try #require(try client.mail("Alice@example.org").refusal)
    #expect(refusal.isPenalty)
    #expect(refusal.code == ReplyCode(code: 550, enhanced: "5.7.1"))
    #expect(try client.send("bob") == nil)
    server.wait(.hours(2))
    #expect(try server.send() == nil)
  }

  // MARK: - Networks and other keys

  @Test(
    "A blocked network of any size holds exactly its addresses",
    arguments: [
      ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"), ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
      ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"), ("192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
      ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"), ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
      ("2001:db8::/64", "2001:db8::1:0:0:1", "2001:db8:0:1::1"), ("2001:db8::4/126", "2001:db8::7", "2001:db8::8"),
      ("::/0", "2001:db8::1", "192.0.2.7"), ("2001:db8::7/128", "2001:db8::7", "2001:db8::6"),
    ])
  func networks(network: String, inside: String, outside: String) {
    let server = Server()
    _ = server.block(.network(network), for: .hours(1))
    _ = server.block(.network("198.51.100.0/24"), for: .hours(1))
    #expect(server.probe(inside)?.reason.key == .network(network))
    #expect(server.probe(outside) == nil)
    _ = server.engine.release(.network(network), at: server.now)
    #expect(server.probe(inside) == nil)
  }

  @Test("A rule's network block takes in the neighbours")
  func networkRule() {
    let server = Server(
      Rule("nets", .brokenConnections, per: .network, .of(4, per: .hours(2)), then: .block(.days(1))))
    for host in 0..<5 { server.probe("192.0.2.\(host)") }
    #expect(server.probe("192.0.2.200") != nil)
    #expect(server.probe("192.0.3.1") == nil)
    for host in 0..<5 { server.probe("2001:db8::\(host)") }
    #expect(server.probe("2001:db8::ffff:0:0:1") != nil)
    #expect(server.probe("2001:db8:0:1::1") == nil)
  }

  @Test(
    "A block on a pair holds only where both are met",
    arguments: [
      "user:alice,ip:192.0.2.7", "ip:192.0.2.7,user:alice", "user:alice,network:192.0.2.0/24",
    ])
  func pairs(text: String) throws {
    let server = Server()
    _ = server.block(try key(text), for: .hours(1))
    #expect(try server.send("alice", from: "192.0.2.7")?.isPenalty == true)
    #expect(try server.send("bob", from: "192.0.2.7") == nil)
    #expect(try server.send("alice", from: "192.0.3.7") == nil)
  }

  @Test("A pair's network may have any size too")
  func pairWithWideNetwork() throws {
    let server = Server()
    _ = server.block(try key("user:alice,network:192.0.0.0/16"), for: .hours(1))
    #expect(try server.send("alice", from: "192.0.99.7")?.isPenalty == true)
    #expect(try server.send("alice", from: "192.1.0.7") == nil)
  }

  @Test("Senders and their domains are blocked however they are typed")
  func senders() throws {
    let server = Server()
    _ = server.block(try key("sender-domain:Spam.test"), for: .hours(1))
    _ = server.block(try key("sender:<Eve@Example.org>"), for: .hours(1))
    #expect(try server.send(nil, sender: "<x@SPAM.test>")?.isPenalty == true)
    #expect(try server.send(nil, sender: "<x@sub.spam.test>") == nil)
    #expect(try server.send(nil, sender: "<@relay.test:eve@example.org>")?.isPenalty == true)
    #expect(try server.send(nil, sender: "<bob@example.org>") == nil)
    #expect(try server.send(nil, sender: "<>") == nil)
  }

  @Test("A rule for the server as a whole refuses everybody, and a block of it closes the door")
  func server() throws {
    let server = Server(Rule("all", .messages, per: .server, .of(5, per: .minutes(1))))
    for number in 0..<5 { #expect(try server.send("user\(number)", from: "192.0.2.\(number)") == nil) }
    #expect(try server.send("bob", from: "198.51.100.1")?.reason.key == Key(.server))
    _ = server.block(Key(.server), for: .hours(1))
    #expect(server.probe("203.0.113.1")?.isPenalty == true)
  }

  // MARK: - An administrator's words

  @Test("An administrator's block holds at once and says what was noted")
  func administratorsBlock() throws {
    let server = Server(.userMessages)
    let penalty = try #require(server.block(.user("alice"), for: .hours(3), note: "password leaked"))
    #expect(penalty.until == server.now + .hours(3))
    let refusal = try #require(try server.send())
    #expect(refusal.reason.rule == Reason.administrator)
    #expect(refusal.code.isTemporary)
    #expect(refusal.lines == ["user alice: blocked by the administrator; try again in 3h"])
  }

  @Test("A longer block prolongs a shorter one, a shorter one does not shorten it")
  func longerWins() throws {
    let server = Server(.brokenConnections)
    for _ in 0..<5 { server.probe("192.0.2.7") }
    let automatic = server.now + .days(3)
    #expect(server.block(.ip("192.0.2.7"), for: .hours(1))?.until == automatic)
    #expect(server.penalty(.ip("192.0.2.7"))?.reason.rule == "broken")
    let longer = try #require(server.block(.ip("192.0.2.7"), for: .days(30)))
    #expect(longer.until == server.now + .days(30))
    #expect(server.probe("192.0.2.7")?.reason.rule == Reason.administrator)
    server.now = automatic
    #expect(server.probe("192.0.2.7") != nil)
  }

  @Test("Of several penalties that hold a client, the one that lasts longest is named and counts the attempt")
  func longestIsNamed() {
    let server = Server()
    _ = server.block(.ip("192.0.2.7"), for: .hours(1))
    _ = server.block(.network("192.0.0.0/16"), for: .hours(3))
    _ = server.block(.network("192.0.2.0/24"), for: .hours(2))
    #expect(server.probe("192.0.2.7")?.reason.key == .network("192.0.0.0/16"))
    #expect(server.penalty(.network("192.0.0.0/16"))?.attempts == 1)
    #expect(server.penalty(.ip("192.0.2.7"))?.attempts == 0)
  }

  @Test("A penalty is the reason given, also where a limit trips on the same connection")
  func penaltyBeforeLimit() throws {
    let server = Server(Rule("connections", .connections, per: .ip, .of(1, per: .hours(2)), then: .reject))
    server.probe("192.0.2.7")
    _ = server.block(.ip("192.0.2.7"), for: .hours(1))
    let refusal = try #require(server.probe("192.0.2.7"))
    #expect(refusal.isPenalty)
    #expect(refusal.reason.rule == Reason.administrator)
    server.wait(.hours(1))
    #expect(server.probe("192.0.2.7")?.code == ReplyCode(code: 550, enhanced: "5.7.1"))
  }

  @Test("A new penalty counts its own attempts, not those of one that has ended")
  func attemptsBeginAnew() {
    let server = Server()
    _ = server.block(.ip("192.0.2.7"), for: .hours(1))
    for _ in 0..<3 { server.probe("192.0.2.7") }
    server.wait(.hours(2))
    _ = server.block(.ip("192.0.2.7"), for: .hours(1))
    server.probe("192.0.2.7")
    #expect(server.penalty(.ip("192.0.2.7"))?.attempts == 1)
  }

  @Test("A prolonged penalty keeps its beginning and its attempts")
  func prolongedKeepsItsBeginning() {
    let server = Server()
    let since = server.now
    _ = server.block(.ip("192.0.2.7"), for: .hours(1))
    for _ in 0..<3 { server.probe("192.0.2.7") }
    server.wait(.minutes(30))
    _ = server.block(.ip("192.0.2.7"), for: .hours(1))
    #expect(server.penalty(.ip("192.0.2.7"))?.attempts == 3)
    #expect(server.penalty(.ip("192.0.2.7"))?.since == since)
  }

  @Test("A release lifts the block at once and the counts with it")
  func release() throws {
    let server = Server(.brokenConnections)
    for _ in 0..<6 { server.probe("192.0.2.7") }
    let released = server.engine.release(.ip("192.0.2.7"), at: server.now)
    #expect(released.penalty?.attempts == 1)
    #expect(released.hadCounts)
    for _ in 0..<5 { #expect(server.probe("192.0.2.7") == nil) }
    #expect(server.probe("192.0.2.7") != nil)
  }

  @Test("A release frees a user who is over a limit without being blocked")
  func releaseOfALimit() throws {
    let server = Server(.userMessages)
    for _ in 0..<26 { try server.send() }
    let released = server.engine.release(.user("alice"), at: server.now)
    #expect(released.penalty == nil)
    #expect(released.hadCounts)
    #expect(try server.send() == nil)
    #expect(server.engine.release(.user("nobody"), at: server.now).hadCounts == false)
  }

  @Test("A block for less than the rule's window says when the block ends, and the client is free then")
  func blockShorterThanWindow() throws {
    let server = Server(
      Rule("broken", .brokenConnections, per: .ip, .of(4, per: .hours(2)), then: .block(.minutes(10))))
    for _ in 0..<5 { server.probe("192.0.2.7") }
    let refusal = try #require(server.probe("192.0.2.7"))
    #expect(refusal.reason.until == server.now + .minutes(10))
    server.now = refusal.reason.until
    #expect(try server.send(from: "192.0.2.7") == nil)
  }

  @Test("A block shorter than the window of messages that still count promises no sooner than both allow")
  func blockShorterThanWindowOfMessages() throws {
    let server = Server(Rule("rate", .messages, per: .user, .of(2, per: .hours(2)), then: .block(.minutes(10))))
    for _ in 0..<2 { try server.send() }
    let refusal = try #require(try server.send())
    #expect(server.penalty(.user("alice"))?.until == server.now + .minutes(10))
    server.now = refusal.reason.until
    #expect(try server.send() == nil)
  }

  @Test("A connection that was let in is not refused at MAIL because later ones were too many")
  func admittedConnectionsStay() throws {
    let server = Server(Rule("connections", .connections, per: .ip, .of(3, per: .minutes(1))))
    let clients = (0..<3).map { _ in server.connect() }
    #expect(server.probe("192.0.2.7") != nil)
    for client in clients { #expect(try client.send() == nil) }
  }

  // MARK: - Bounds

  @Test("A full box says what it could not hold, and has room again when penalties end")
  func capacity() {
    let server = Server(.brokenConnections, bounds: .init(penalties: 3))
    for host in 1...5 { for _ in 0..<5 { server.probe("192.0.2.\(host)") } }
    #expect(server.engine.status(at: server.now).penalties == 3)
    #expect(server.engine.status(at: server.now).droppedPenalties == 2)
    #expect(server.told(.blocked).count == 3)
    server.wait(.days(3))
    for _ in 0..<5 { server.probe("192.0.2.9") }
    #expect(server.penalty(.ip("192.0.2.9")) != nil)
    #expect(server.engine.status(at: server.now).penalties == 1)
  }

  @Test("Short penalties that have ended make room, also between long ones")
  func shortPenaltiesMakeRoom() {
    let commands = Rule("commands", .badCommands, per: .ip, .of(1, per: .hours(1)), then: .block(.minutes(1)))
    let server = Server(.brokenConnections, commands, bounds: .init(penalties: 2))
    for host in 1...3 { for _ in 0..<5 { server.probe("192.0.2.\(host)") } }
    _ = server.engine.release(.ip("192.0.2.1"), at: server.now)
    let client = server.connect("192.0.2.4")
    for _ in 0..<2 { client.command() }
    client.close()
    #expect(server.probe("192.0.2.4") != nil)
    server.wait(.minutes(2))
    for _ in 0..<5 { server.probe("192.0.2.5") }
    #expect(server.probe("192.0.2.5") != nil)
  }

  @Test("An administrator's block finds room in a box that an attacker has filled")
  func administratorFindsRoom() throws {
    let server = Server(.brokenConnections, bounds: .init(penalties: 3))
    for host in 1...3 { for _ in 0..<5 { server.probe("192.0.2.\(host)") } }
    #expect(server.block(.user("alice"), for: .hours(1)) != nil)
    #expect(try server.send()?.isPenalty == true)
  }
}
