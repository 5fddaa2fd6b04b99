import Testing

@testable import WardenCore

/// What an administrator is told.
struct ExplainTests {
  @Test("A key's standing says what is counted, what is left and when one more passes")
  func standing() throws {
    let server = Server(Rule("rate", .messages, per: .user, .of(3, per: .hours(1)), .of(100, per: .days(1))))
    for _ in 0..<2 { try server.send() }
    var standings = server.engine.explain(.user("alice"), at: server.now).standings
    #expect(standings.map(\.count) == [2, 2])
    #expect(standings.map(\.left) == [1, 98])
    #expect(standings.map(\.freeAt) == [server.now, server.now])
    try server.send()
    standings = server.engine.explain(.user("alice"), at: server.now).standings
    #expect(standings[0].left == 0)
    let free = standings[0].freeAt
    server.now = free - .microsecond
    #expect(try server.send() != nil)
    server.now = free
    #expect(try server.send() == nil)
  }

  @Test("What is said to be left is what passes, at any time", arguments: 0..<20)
  func leftIsTrue(seed: Int) throws {
    var random = SplitMix64(seed: seed)
    let limit = Limit(count: Int.random(in: 1...12, using: &random), window: .randomWindow(using: &random))
    let policy = Policy(rules: [Rule("rate", .messages, per: .user, limit)])
    let engine = Engine(policy: policy)
    var past: [Event] = []
    var times = HostileTimes(seed: seed, window: limit.window)
    var subject = Subject()
    subject.user = "alice"
    for _ in 0..<40 {
      let now = times.next()
      let event = Event(at: now, step: .endOfMessage, subject: subject, wants: [.messages: 1])
      let left = engine.explain(.user("alice"), at: now).standings[0].left
      let probe = Engine(policy: policy)
      for event in past { _ = probe.decide(event) }
      var passed = 0
      while passed <= limit.count, !probe.decide(event).isRefused { passed += 1 }
      #expect(passed == left, "seed \(seed)")
      _ = engine.decide(event)
      past.append(event)
    }
  }

  @Test("A key that was never seen stands at zero, and a kind that no rule counts has no standing")
  func unknownKeys() throws {
    let server = Server(.userMessages)
    #expect(server.counts(.user("nobody")) == ["user-messages": [0]])
    #expect(server.counts(.ip("192.0.2.7")) == [:])
    #expect(server.engine.status(at: server.now).keys == 0)
  }

  @Test("Asking changes nothing that is decided")
  func askingIsHarmless() throws {
    let server = Server(.userMessages)
    for _ in 0..<24 { try server.send() }
    for name in ["alice", "bob"] { _ = server.engine.explain(.user(name), at: server.now) }
    #expect(try server.send() == nil)
    #expect(try server.send() != nil)
  }

  @Test(
    "All penalties that hold a key are named, and no others",
    arguments: [
      (
        "ip:192.0.2.7",
        ["ip:192.0.2.7", "network:192.0.0.0/16", "network:192.0.2.0/24", "server", "user:alice,ip:192.0.2.7"]
      ),
      ("user:alice", ["server", "user:alice", "user:alice,ip:192.0.2.7"]),
      ("network:192.0.2.0/25", ["network:192.0.0.0/16", "network:192.0.2.0/24", "server"]),
      (
        "user:alice,ip:192.0.2.7",
        [
          "ip:192.0.2.7", "network:192.0.0.0/16", "network:192.0.2.0/24", "server", "user:alice",
          "user:alice,ip:192.0.2.7",
        ]
      ),
      ("user:alice,ip:192.0.2.9", ["network:192.0.0.0/16", "network:192.0.2.0/24", "server", "user:alice"]),
      ("user:bob,ip:192.0.2.7", ["ip:192.0.2.7", "network:192.0.0.0/16", "network:192.0.2.0/24", "server"]),
      ("sender:eve@spam.test", ["sender-domain:spam.test", "server"]),
      ("user:bob", ["server"]),
    ])
  func penalties(text: String, names: [String]) throws {
    let server = Server()
    for blocked in [
      "ip:192.0.2.7", "ip:192.0.2.8", "network:192.0.0.0/16", "network:192.0.2.0/24", "network:198.51.100.0/24",
      "server",
      "user:alice", "user:alice,ip:192.0.2.7", "user:eve", "sender-domain:spam.test",
    ] { _ = server.block(try key(blocked), for: .hours(1)) }
    let found = server.engine.explain(try key(text), at: server.now).penalties
    #expect(found.map(\.key.description).sorted() == names)
    server.wait(.hours(1))
    #expect(server.engine.explain(try key(text), at: server.now).penalties == [])
  }

  @Test(
    "An exemption is named by the policy's line",
    arguments: [
      ("user:news", "exempt.users: news"), ("ip:127.0.0.1", "exempt.networks: 127.0.0.0/8"),
      ("network:127.1.0.0/16", "exempt.networks: 127.0.0.0/8"), ("network:0.0.0.0/0", nil), ("user:alice", nil),
      ("network:192.0.2.0/24", "exempt.networks: 192.0.0.0/16"),
      ("user:alice,ip:127.0.0.1", "exempt.networks: 127.0.0.0/8"), ("sender:news", nil), ("ip:192.1.0.1", nil),
    ])
  func exemption(text: String, line: String?) throws {
    let networks = ["127.0.0.0/8", "192.0.2.0/28", "192.0.0.0/16"].map { Network($0)! }
    let server = Server(exempt: Exemptions(networks: networks, users: ["news@example.org"]))
    #expect(server.engine.explain(try key(text), at: server.now).exemption == line)
  }

  @Test("A pair is found in whichever order it is asked for")
  func pairInEitherOrder() throws {
    let server = Server(Rule("pair", .messages, per: KeyShape(.user, .ip), .of(1, per: .hours(1))))
    for _ in 0..<2 { try server.send() }
    #expect(server.counts(try key("user:alice,ip:192.0.2.7")) == ["pair": [1]])
    #expect(server.counts(try key("ip:192.0.2.7,user:alice")) == ["pair": [1]])
    #expect(server.engine.release(try key("ip:192.0.2.7,user:alice"), at: server.now).hadCounts)
    #expect(try server.send() == nil)
  }

  // MARK: - The walk over all keys

  @Test(
    "A walk in parts of any size shows every key that counts, once, nearest to its limit", arguments: [1, 3, 64, 1_000])
  func walk(atMost: Int) throws {
    let server = Server(
      Rule("low", .messages, per: .user, .of(4, per: .hours(1)), .of(10, per: .days(1))),
      Rule("ip", .messages, per: .ip, .of(100, per: .hours(1))))
    for user in 0..<50 { for _ in 0...(user % 3) { try server.send("user\(user)", from: "192.0.2.\(user)") } }
    _ = server.engine.release(.user("user7"), at: server.now)
    let found = server.keys(atMost: atMost)
    #expect(found.count == 99)
    #expect(Set(found.map(\.key)).count == 99)
    let one = try #require(found.first { $0.key == .user("user2") })
    #expect(one.limit == .of(4, per: .hours(1)))
    #expect(one.count == 3)
    #expect(one.share == 0.75)
  }

  @Test("A walk goes on over a reload between its parts, and over an empty engine")
  func walkOverReload() throws {
    let server = Server(Rule("low", .messages, per: .user, .of(4, per: .hours(1))), .brokenConnections)
    for user in 0..<50 { try server.send("user\(user)") }
    let (_, next) = server.engine.keys(from: KeyCursor(), atMost: 1, at: server.now)
    let cursor = try #require(next)
    server.reload(.brokenConnections)
    #expect(server.keys(from: cursor) == [])
    server.reload()
    #expect(server.keys(from: cursor) == [])
    #expect(server.keys() == [])
  }

  @Test("Keys whose counts have all left their windows are not shown")
  func idleKeysAreNotShown() throws {
    let server = Server(Rule("low", .messages, per: .user, .of(4, per: .hours(1))))
    try server.send()
    #expect(server.keys().count == 1)
    server.wait(.minutes(62))
    #expect(server.keys() == [])
  }

  // MARK: - Status

  @Test("The whole server's figures hold what happened in the last minute, the last hour and since the start")
  func figures() throws {
    let server = Server(Rule("cap", .messages, per: .user, .of(3, per: .days(1))))
    for _ in 0..<5 { try server.send() }
    server.probe("192.0.2.9")
    #expect(server.figure("messages") == Totals.Figure(name: "messages", total: 3, lastMinute: 3, lastHour: 3))
    #expect(server.figure("connections").total == 6)
    #expect(server.figure("broken-connections").lastMinute == 1)
    #expect(server.figure("logins").total == 5)
    #expect(server.figure("refusals").lastHour == 2)
    server.wait(.minutes(2))
    #expect(server.figure("messages") == Totals.Figure(name: "messages", total: 3, lastMinute: 0, lastHour: 3))
    server.wait(.hours(2))
    #expect(server.figure("refusals") == Totals.Figure(name: "refusals", total: 2, lastMinute: 0, lastHour: 0))
    let rule = try #require(server.engine.status(at: server.now).rules.first)
    #expect((rule.trips, rule.refused) == (1, 2))
  }

  @Test("Every signal has a figure, and the penalties that have ended are not counted")
  func statusIsWhole() {
    let server = Server(.brokenConnections)
    _ = server.block(.ip("192.0.2.7"), for: .hours(1))
    _ = server.block(.ip("192.0.2.8"), for: .hours(3))
    let status = server.engine.status(at: server.now)
    #expect(status.totals.map(\.name) == Signal.allCases.map(\.name) + ["refusals", "held"])
    #expect(status.penalties == 2)
    server.wait(.hours(2))
    #expect(server.engine.status(at: server.now).penalties == 1)
  }

  @Test("Every signal and kind of key has a name of its own, and is found by it")
  func names() {
    #expect(Set(Signal.allCases.map(\.name)).count == Signal.allCases.count)
    for signal in Signal.allCases { #expect(Signal(name: signal.name) == signal) }
    for kind in KeyKind.allCases { #expect(KeyKind(name: kind.name) == kind) }
    #expect(Signal(name: "Messages") == nil)
  }
}
