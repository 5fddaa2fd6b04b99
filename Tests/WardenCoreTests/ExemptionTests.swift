import Testing

@testable import WardenCore

/// Exemptions always win.
struct ExemptionTests {
  private static let strict = [
    Rule("connections", .connections, per: .ip, .of(1, per: .hours(1)), then: .block(.days(1))),
    Rule("broken", .brokenConnections, per: .network, .of(1, per: .hours(1)), then: .block(.days(1))),
    Rule("messages", .messages, per: .user, .of(1, per: .hours(1)), then: .reject),
  ]

  private func server(networks: [String] = [], users: Set<String> = [], realms: [String]? = ["example.org"]) -> Server {
    let server = Server(exempt: Exemptions(networks: networks.map { Network($0)! }, users: users), realms: realms)
    var policy = server.engine.policy
    policy.rules = Self.strict
    server.engine.replace(policy: policy)
    return server
  }

  @Test(
    "An exempt network is let through at connect, over any penalty",
    arguments: [
      ("127.0.0.0/8", "127.0.0.1"), ("192.0.2.7", "192.0.2.7"), ("::1", "::1"), ("2001:db8::/32", "2001:db8:9::1"),
      ("192.0.2.0/24", "::ffff:192.0.2.7"),
    ])
  func network(network: String, address: String) {
    let server = server(networks: ["198.51.100.0/24", network])
    _ = server.block(.ip(address), for: .days(1))
    _ = server.block(.network(network.contains("/") ? network : network + "/32"), for: .days(1))
    _ = server.block(Key(.server), for: .days(1))
    for _ in 0..<5 {
      let client = server.connect(address)
      #expect(client.greeting?.isExempt == true)
      #expect(client.close() == nil)
    }
    #expect(server.counts(.ip(address)) == ["connections": [0]])
    #expect(server.penalty(Key(.server))?.attempts == 0)
  }

  @Test("An exempt network's mail is counted by no rule even where the MTA cannot wait for us at connect")
  func networkAfterReload() throws {
    let server = server()
    let before = server.connect("192.0.2.7")
    var policy = server.engine.policy
    policy.exempt = Exemptions(networks: [Network("192.0.2.0/24")!])
    server.engine.replace(policy: policy)
    _ = server.block(.user("alice"), for: .hours(1))
    for _ in 0..<5 { #expect(try before.send() == nil) }
    before.close()
    #expect(server.counts(.user("alice")) == ["messages": [0]])
    #expect(server.figure("messages").total == 5)
  }

  @Test("Neighbours of an exempt network are not exempt", arguments: ["192.0.3.7", "::1", "2001:db8::c000:207"])
  func neighbours(address: String) {
    let server = server(networks: ["192.0.2.0/24", "127.0.0.0/8"])
    _ = server.block(Key(.server), for: .days(1))
    #expect(server.probe(address) != nil)
  }

  @Test(
    "An exempt user passes at MAIL and at the end, over penalties on user, address and pair",
    arguments: [
      ("postmaster", "postmaster"), ("postmaster@example.org", "Postmaster"),
      ("postmaster@example.org", "postmaster@EXAMPLE.org"), ("news@other.test", "news@other.test"),
    ])
  func user(written: String, login: String) throws {
    let server = server(users: [written])
    // Before the blocks: a penalty on the address holds at connect, where nobody has a name yet.
    let client = server.connect("192.0.2.7")
    let user = server.engine.realms.user(login: login)
    _ = server.block(.user(user), for: .days(1))
    _ = server.block(.ip("192.0.2.7"), for: .days(1))
    _ = server.block(Key(.user(user), .ip(ip("192.0.2.7"))), for: .days(1))
    for _ in 0..<5 { #expect(try client.send(login) == nil) }
    #expect(server.counts(.user(user)) == ["messages": [0]])
    #expect(server.figure("messages").total == 5)
    // The same connection without that name is anybody's.
    #expect(try client.send("alice") != nil)
  }

  @Test(
    "A name of another realm, or one that only begins alike, is not exempt",
    arguments: [
      "postmaster@other.test", "postmaster1", "xpostmaster", "postmaster@example.org@other.test",
    ])
  func otherUsers(login: String) throws {
    let server = server(users: ["postmaster@example.org"])
    _ = server.block(.user(login), for: .days(1))
    #expect(try server.send(login) != nil)
  }

  @Test("A user exempt under a realm that the MTA's name brings is exempt from then on")
  func learnedRealm() throws {
    let server = server(users: ["news@example.org"], realms: nil)
    let client = server.connect(host: "mail.example.org")
    for _ in 0..<5 { #expect(try client.send("news") == nil) }
  }

  @Test("A client cannot claim an exemption with its sender's address")
  func senderIsNoUser() throws {
    let server = server(users: ["postmaster"])
    _ = server.block(.ip("192.0.2.7"), for: .days(1))
    let client = server.connect("192.0.2.8")
    _ = server.block(.ip("192.0.2.8"), for: .days(1))
    #expect(try client.send(nil, sender: "<postmaster@example.org>") != nil)
  }
}
