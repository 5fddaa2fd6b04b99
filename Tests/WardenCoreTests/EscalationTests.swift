import Testing

@testable import WardenCore

/// Blocks that grow, blocks of another key, and blocks that climb to larger networks.
struct EscalationTests {
  private static func commands(_ block: Block, per: KeyShape = .ip, mode: Rule.Mode = .enforce) -> Rule {
    Rule(
      "rule", .badCommands, per: per, .of(2, per: .minutes(10)), then: Consequences(block: block), mode: mode)
  }

  /// Three commands that no MTA knows.
  private func offend(_ server: Server, _ address: String = "192.0.2.7", _ login: String? = nil) throws {
    let client = server.connect(address)
    guard client.greeting?.refusal == nil else { return }
    if let login { try client.mail(login) }
    for _ in 0..<3 { client.command() }
    client.close()
  }

  @Test("Each block is longer than the one before, the last as long as all that follow")
  func longer() throws {
    let server = Server(Self.commands(Block([.hours(1), .days(1), .days(7)])))
    for span in [TimeSpan.hours(1), .days(1), .days(7), .days(7)] {
      try offend(server)
      let until = try #require(server.penalty(.ip("192.0.2.7"))).until
      #expect(until == server.now + span)
      // Knocking does not prolong it.
      server.now = until - .microsecond
      #expect(server.probe("192.0.2.7") != nil)
      server.now = until
      #expect(server.probe("192.0.2.7") == nil)
      server.wait(.minutes(1))
    }
  }

  @Test("Going on while the block holds is no second offence")
  func oneOffence() throws {
    let server = Server(Self.commands(Block([.hours(1), .days(1)])))
    let client = server.connect()
    for _ in 0..<50 {
      client.command()
      server.wait(.minutes(1))
    }
    server.wait(.hours(2))
    try offend(server)
    #expect(server.penalty(.ip("192.0.2.7"))?.until == server.now + .days(1))
  }

  @Test("An offence is forgotten after its time, to a sixtieth")
  func forgotten() throws {
    for (wait, span) in [(TimeSpan.days(9), TimeSpan.days(1)), (.days(11), .hours(1))] {
      let server = Server(Self.commands(Block([.hours(1), .days(1)], forget: .days(10))))
      try offend(server)
      server.wait(wait)
      try offend(server)
      #expect(server.penalty(.ip("192.0.2.7"))?.until == server.now + span)
    }
  }

  @Test("A release forgets offences, a reload does not")
  func releaseForgets() throws {
    let rule = Self.commands(Block([.hours(1), .days(1)]))
    let server = Server(rule)
    try offend(server)
    server.wait(.hours(2))
    server.reload(rule, .userMessages)
    try offend(server)
    #expect(server.penalty(.ip("192.0.2.7"))?.until == server.now + .days(1))
    _ = server.engine.release(.ip("192.0.2.7"), at: server.now)
    try offend(server)
    #expect(server.penalty(.ip("192.0.2.7"))?.until == server.now + .hours(1))
  }

  @Test("A rule that only observes blocks nobody and notes no offence")
  func observed() throws {
    let block = Block([.hours(1), .days(1)])
    let server = Server(Self.commands(block, mode: .observe))
    try offend(server)
    #expect(server.penalty(.ip("192.0.2.7")) == nil)
    server.wait(.hours(1))
    server.reload(Self.commands(block))
    try offend(server)
    #expect(server.penalty(.ip("192.0.2.7"))?.until == server.now + .hours(1))
  }

  @Test("A rule that counts a user's addresses apart can block the user, once and from everywhere")
  func anotherKey() throws {
    let rule = Self.commands(Block([.hours(1), .days(1)], kind: .user), per: KeyShape(.user, .ip))
    let server = Server(rule)
    try offend(server, "192.0.2.7", "alice")
    #expect(server.penalty(.user("alice"))?.until == server.now + .hours(1))
    #expect(try server.send("alice", from: "198.51.100.1")?.isPenalty == true)
    #expect(try server.send("bob") == nil)
    server.wait(.hours(1))
    // The second offence is the user's, though from elsewhere.
    try offend(server, "198.51.100.1", "alice")
    #expect(server.penalty(.user("alice"))?.until == server.now + .days(1))
  }

  @Test("A rule per address can block the address's network")
  func networkOfAddress() throws {
    let server = Server(Self.commands(Block([.hours(1)], kind: .network)))
    try offend(server)
    #expect(server.penalty(.network("192.0.2.0/24")) != nil)
    #expect(server.probe("192.0.2.99")?.isPenalty == true)
    #expect(server.probe("192.0.3.7") == nil)
  }

  @Test("Whoever changes his /64 meets a blocked /56, then a blocked /48; neighbours beyond stay free")
  func climbs() throws {
    let server = Server(Self.commands(Block([.hours(1), .days(1)]), per: .network))
    /// /64 number `low` in /56 number `high`.
    func address(_ high: Int, _ low: Int) -> String { "2001:db8:1:\(String(high << 8 | low, radix: 16))::7" }
    for low in 0..<3 { try offend(server, address(0, low)) }
    #expect(server.probe(address(0, 99)) == nil)
    try offend(server, address(0, 3))
    #expect(server.probe(address(0, 99))?.reason.key == .network("2001:db8:1::/56"))
    #expect(server.probe(address(1, 0)) == nil)
    for high in 1..<4 { for low in 0..<4 { try offend(server, address(high, low)) } }
    #expect(server.probe(address(77, 0))?.reason.key == .network("2001:db8:1::/48"))
    #expect(server.probe("2001:db8:2::7") == nil)
    #expect(server.told(.blocked).filter { if case .neighbours = $0.reason.cause { true } else { false } }.count == 5)
  }

  @Test("IPv4 networks do not climb, nor do /64s of different /56s")
  func doesNotClimb() throws {
    let server = Server(Self.commands(Block([.hours(1)]), per: .network))
    for number in 0..<20 {
      try offend(server, "192.0.\(number).7")
      try offend(server, "2001:db8:\(number)::7")
    }
    #expect(server.engine.penalties(at: server.now).count == 40)
  }

  @Test("Blocks long past do not add up to a larger network's")
  func climbForgets() throws {
    let server = Server(Self.commands(Block([.hours(1)]), per: .network))
    for low in 0..<8 {
      try offend(server, "2001:db8:1:\(low)::7")
      server.wait(.hours(20))
    }
    #expect(server.told(.blocked).count == 8)
  }

  @Test("A release of a user forgets the counts of pairs with him, and only those")
  func releaseOfPairs() throws {
    let server = Server(Rule("pair", .messages, per: KeyShape(.user, .ip), .of(1, per: .hours(1))))
    for user in ["alice", "bob"] { for host in 1...9 { try server.send(user, from: "192.0.2.\(host)") } }
    #expect(server.engine.release(.user("alice"), at: server.now).hadCounts)
    for host in 1...9 { #expect(try server.send("alice", from: "192.0.2.\(host)") == nil) }
    for host in 1...9 { #expect(try server.send("bob", from: "192.0.2.\(host)") != nil) }
    #expect(server.engine.release(.ip("192.0.2.3"), at: server.now).hadCounts)
    #expect(try server.send("bob", from: "192.0.2.3") == nil)
  }
}
