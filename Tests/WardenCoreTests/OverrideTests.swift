import Testing

@testable import WardenCore

/// Other limits for some, written down or ordered at run time.
struct OverrideTests {
  private static let rate = Rule("rate", .messages, per: .user, .of(2, per: .hours(1)))

  private static func limits(_ target: Override.Target, _ limits: Limit..., until: Timestamp? = nil) -> Override {
    Override(target, .limits(rule: "rate", limits), until: until, origin: "test")
  }

  @Test(
    "A written override gives the users it names other limits, and nobody else",
    arguments: [
      (.user("alice"), "alice", "bob"), (.user("alice@example.org"), "Alice", "alice@other.test"),
      (.domain("other.test"), "x@other.test", "x@another.test"), (.domain("example.org"), "anybody", "x@other.test"),
      (.group("staff"), "alice@example.org", "bob"), (.group("hosted"), "z@hosted.test", "z@a.hosted.test"),
    ] as [(Override.Target, String, String)])
  func users(target: Override.Target, named: String, other: String) throws {
    let server = Server(
      Self.rate, groups: ["staff": ["alice"], "hosted": ["@hosted.test"]],
      overrides: [Self.limits(target, .of(5, per: .minutes(10)))])
    #expect(try server.sent(9, named) == 5)
    #expect(try server.sent(9, other) == 2)
    // The window is the override's, and had counted for all along.
    server.wait(.minutes(11))
    #expect(try server.sent(9, named) == 5)
    #expect(try server.sent(9, other) == 0)
  }

  @Test("Networks, domains of senders and pairs have overrides too")
  func otherKeys() throws {
    func server(_ shape: KeyShape, _ target: Override.Target) -> Server {
      Server(
        Rule("rate", .messages, per: shape, .of(1, per: .hours(1))),
        overrides: [Self.limits(target, .of(3, per: .hours(1)))])
    }
    let network = Override.Target.network(Network("192.0.2.0/24")!)
    #expect(try server(.ip, network).sent(5) == 3)
    #expect(try server(.network, network).sent(5) == 3)
    #expect(try server(.network, .network(Network("192.0.2.0/25")!)).sent(5) == 1)
    #expect(try server(.senderDomain, .domain("example.org")).sent(5) == 3)
    #expect(try server(.sender, .domain("example.org")).sent(5) == 3)
    #expect(try server(KeyShape(.user, .ip), .user("alice")).sent(5) == 3)
    #expect(try server(KeyShape(.user, .ip), .key(key("user:alice,ip:192.0.2.7"))).sent(5) == 3)
    #expect(try server(KeyShape(.user, .ip), .key(key("user:alice,ip:192.0.2.8"))).sent(5) == 1)
  }

  @Test("A rule that is off for somebody does not concern him, and still does others")
  func off() throws {
    let server = Server(Self.rate, overrides: [Override(.user("alice"), .off(rule: "rate"), origin: "test")])
    #expect(try server.sent(9) == 9)
    #expect(try server.sent(9, "bob") == 2)
    #expect(server.engine.explain(.user("alice"), at: server.now).standings == [])
  }

  @Test("An override ends at its time, and what was counted meanwhile holds then")
  func until() throws {
    let end = Timestamp.start + .minutes(30)
    let server = Server(Self.rate, overrides: [Self.limits(.user("alice"), .of(4, per: .hours(1)), until: end)])
    #expect(try server.sent(3) == 3)
    server.now = end - .microsecond
    #expect(try server.sent(3) == 1)
    server.now = end
    #expect(try server.send()?.reason.cause == .over(signal: .messages, count: 5, limit: 2, window: .hours(1)))
  }

  @Test("Whom an override exempts no penalty stops and no rule counts; who only writes that domain is not meant")
  func exempt() throws {
    let overrides = [
      Override(.domain("example.org"), .exempt, origin: "test"),
      Override(.network(Network("198.51.100.0/24")!), .exempt, until: .start + .hours(1), origin: "test"),
    ]
    let server = Server(Self.rate, Rule("ip", .messages, per: .ip, .of(2, per: .hours(1))), overrides: overrides)
    _ = server.block(.user("alice"), for: .days(1))
    #expect(try server.sent(9) == 9)
    #expect(try server.sent(9, nil) == 2)
    let client = server.connect("198.51.100.1")
    #expect(try (0..<5).count { _ in try client.send(nil) == nil } == 5)
    server.wait(.hours(1))
    // The session that was begun goes on, but not the exemption.
    #expect(try (0..<5).count { _ in try client.send(nil) == nil } == 2)
  }

  @Test("An order at run time holds at once, over what is written, and no longer when it is taken back")
  func order() throws {
    let server = Server(Self.rate, overrides: [Self.limits(.group("staff"), .of(1, per: .hours(1)))])
    let order = Self.limits(.user("alice"), .of(6, per: .minutes(5)))
    #expect(try server.sent(3) == 2)
    #expect(server.engine.allow(order, at: server.now))
    #expect(server.engine.overrides(at: server.now).contains(order))
    // Its window is new: it begins empty, for everybody.
    #expect(try server.sent(9) == 6)
    #expect(server.engine.revoke(.user("alice"), at: server.now) == [order])
    #expect(try server.sent(3) == 0)
    #expect(server.engine.revoke(.user("alice"), at: server.now) == [])
  }

  @Test("An order for somebody comes before what is written of a group")
  func orderBeforeFile() throws {
    let server = Server(
      Self.rate, groups: ["staff": ["alice"]], overrides: [Self.limits(.group("staff"), .of(1, per: .hours(1)))])
    #expect(server.engine.allow(Self.limits(.user("alice"), .of(4, per: .hours(1))), at: server.now))
    #expect(try server.sent(9) == 4)
  }

  @Test("A second order of the same takes the first's place, and there are no more than the bound")
  func bound() throws {
    let server = Server(Self.rate, bounds: .init(orders: 2))
    for count in 3...9 {
      #expect(server.engine.allow(Self.limits(.user("alice"), .of(count, per: .hours(1))), at: server.now))
    }
    #expect(try server.sent(12) == 9)
    let brief = Self.limits(.user("bob"), .of(3, per: .hours(1)), until: server.now + .minutes(1))
    #expect(server.engine.allow(brief, at: server.now))
    #expect(!server.engine.allow(Self.limits(.user("carol"), .of(3, per: .hours(1))), at: server.now))
    server.wait(.minutes(1))
    #expect(server.engine.allow(Self.limits(.user("carol"), .of(3, per: .hours(1))), at: server.now))
  }

  @Test("Orders stay over a reload, and one whose rule is gone harms nobody")
  func reload() throws {
    let server = Server(Self.rate)
    #expect(server.engine.allow(Self.limits(.user("alice"), .of(4, per: .hours(1))), at: server.now))
    server.reload(Rule("other", .messages, per: .user, .of(1, per: .hours(1))))
    #expect(try server.sent(3) == 1)
    server.reload(Self.rate)
    #expect(try server.sent(9) == 3)
  }

  @Test("An order whose rule now counts something else, to which it does not fit, is left out and stops nothing")
  func orderThatNoLongerFits() throws {
    let server = Server(Self.rate)
    #expect(server.engine.allow(Self.limits(.user("alice"), .of(4, per: .hours(1))), at: server.now))
    let usual = Limit(.usual(.init(tenths: 20, atLeast: 5)), window: .hours(1))
    #expect(server.engine.allow(Self.limits(.user("bob"), usual), at: server.now))
    let share = Limit(.share(.init(percent: 50, atLeast: 1)), window: .hours(1))
    let quantities: [(Quantity, Limit)] = [
      (.share(.signal(.badRecipients), of: .signal(.recipients)), share),
      (.measure(.distinct(.recipients)), .of(1, per: .hours(1))),
    ]
    for (quantity, limit) in quantities {
      server.reload(Rule(name: "rate", per: .user, parts: [Part(quantity, [limit])], then: .tempfail))
      #expect(try server.send("carol") == nil)
    }
    #expect(try server.send("bob", to: ["<a@x.test>", "<b@x.test>"]) != nil)
    server.reload(Self.rate)
    #expect(try server.sent(9) >= 3)
  }

  @Test("Of a rule of several parts an override changes the first")
  func parts() throws {
    let rule = Rule(
      name: "rate", per: .user,
      parts: [
        Part(.measure(.signal(.messages)), [.of(1, per: .hours(1))]),
        Part(.measure(.signal(.recipients)), [.of(3, per: .hours(1))]),
      ], then: .tempfail)
    let server = Server(rule, overrides: [Self.limits(.user("alice"), .of(5, per: .hours(1)))])
    #expect(try server.sent(9) == 5)
    #expect(try server.sent(9, "bob") == 3)
  }
}
