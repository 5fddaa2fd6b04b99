import Testing

@testable import WardenCore

/// A rule at other limits than its own.
@Suite("A rule's ladder")
struct LadderTests {
  private static let window = TimeSpan.hours(1)

  private static func rule(_ quantity: Quantity, _ bound: Limit.Bound) -> Rule {
    Rule(name: "seen", per: .user, parts: [Part(quantity, [Limit(bound, window: window)])], then: .alert)
  }

  private static func rule(_ rule: Rule, at number: Int) -> Rule {
    let bound: Limit.Bound =
      switch rule.parts[0].limits[0].bound {
      case .count: .count(number)
      case .usual(let usual):
        .usual(
          .init(
            tenths: usual.tenths, atLeast: number, atFirst: usual.atFirst == usual.atLeast ? number : usual.atFirst))
      case .share(let share): .share(.init(percent: number, atLeast: share.atLeast))
      }
    var rule = rule
    rule.parts[0].limits[0] = Limit(bound, window: window)
    return rule
  }

  private static let rules: [(name: String, rule: Rule)] = [
    ("logins", rule(.measure(.signal(.logins)), .count(6))),
    ("distinct networks", rule(.measure(.distinct(.networks)), .count(4))),
    ("new networks", rule(.measure(.new(.networks)), .count(2))),
    ("share", rule(.share(.signal(.senderMismatch), of: .signal(.messages)), .share(.init(percent: 40, atLeast: 3)))),
    ("usual", rule(.measure(.signal(.logins)), .usual(.init(tenths: 10, atLeast: 3)))),
    ("usual, at first", rule(.measure(.signal(.logins)), .usual(.init(tenths: 10, atLeast: 3, atFirst: 7)))),
  ]

  @Test("says of every number how many keys stand over a limit that is set to it", arguments: rules.map(\.name), 0..<4)
  func isWhatTheLimitSays(name: String, seed: Int) throws {
    let rule = Self.rules.first { $0.name == name }!.rule
    // As many servers as numbers: each hears the same.
    let numbers = rule.ladder
    let servers = [Server(rule)] + numbers.map { Server(Self.rule(rule, at: $0)) }
    var random = SplitMix64(seed: seed)
    let users = (0..<6).map { "user\($0)" }
    let loads = users + (0..<300).map { _ in users.randomElement(using: &random)! }
    for (place, user) in loads.enumerated() {
      // Ten days in short bursts, so that it is known what is usual; then a busy hour.
      let rests = place < 200 && Int.random(in: 0..<12, using: &random) == 0
      let wait = rests ? TimeSpan.hours(15) : place < 200 ? .minutes(2) : .seconds(30)
      let address = "192.0.\(Int.random(in: 1...30, using: &random)).7"
      let sender = Bool.random(using: &random) ? "<\(user)@example.org>" : "<other@example.net>"
      for server in servers {
        server.wait(wait)
        try server.send(user, from: address, sender: sender)
      }
    }
    let now = servers[0].now
    let reaches = reaches(servers[0].engine, at: now)
    var ever = 0
    for (number, server) in zip(numbers, servers.dropFirst()) {
      let over = users.count { server.engine.standings(of: .user($0), at: now)[0].isOver }
      #expect(reaches.count { $0 > number } == over, "over \(number), seed \(seed)")
      ever += over
    }
    #expect(reaches.count <= users.count)
    #expect(ever > 0, "nobody was ever over: the test shows nothing")
  }

  private func reaches(_ engine: Engine, of rule: String = "seen", at now: Timestamp) -> [Int] {
    var found: [Int] = []
    var cursor: KeyCursor? = KeyCursor()
    while let from = cursor {
      let part = engine.reaches(of: rule, from: from, atMost: 3, at: now)
      found += part.reaches
      cursor = part.next
    }
    return found
  }

  @Test("leaves out whom the rule's limits do not concern")
  func spared() throws {
    let rule = Self.rules[0].rule
    let server = Server(
      rule, exempt: Exemptions(users: ["boss"]),
      overrides: [
        Override(.user("newsletter"), .limits(rule: "seen", [.of(500, per: .hours(1))]), origin: "policy"),
        Override(.user("robot"), .off(rule: "seen"), origin: "policy"),
      ])
    for user in ["alice", "boss", "newsletter", "robot"] { try server.send(user) }
    #expect(reaches(server.engine, at: server.now) == [1])
    #expect(!server.engine.isSpared(.user("alice"), from: "seen", at: server.now))
    for user in ["boss", "newsletter", "robot"] {
      #expect(server.engine.isSpared(.user(user), from: "seen", at: server.now))
    }
    // Counted before it was exempted.
    #expect(server.engine.allow(Override(.user("alice"), .exempt, origin: "administrator"), at: server.now))
    #expect(reaches(server.engine, at: server.now) == [])
  }

  @Test("A key stands over nothing where the rule demands more than the first limit")
  func parts() throws {
    var rule = Self.rules[0].rule
    rule.parts.append(Part(.measure(.distinct(.networks)), [.of(1, per: .hours(1))]))
    let server = Server(rule)
    try server.send("alice", from: "192.0.2.7")
    try server.send("alice", from: "192.0.2.8")
    #expect(reaches(server.engine, at: server.now) == [0])
    try server.send("alice", from: "198.51.100.7")
    #expect(reaches(server.engine, at: server.now) == [3])
  }

  @Test(
    "Its numbers lie around the limit's own, which is among them", arguments: [1, 2, 5, 25, 1_000, Limit.largestCount])
  func numbers(limit: Int) {
    let ladder = Self.rule(.measure(.signal(.logins)), .count(limit)).ladder
    #expect(ladder == Set(ladder).sorted() && ladder.contains(limit) && ladder[0] > 0 && ladder.count <= 12)
    #expect(ladder.last! == limit * 16)
    let distinct = Self.rule(.measure(.distinct(.networks)), .count(limit)).ladder
    #expect(distinct.last! == limit, "more is not known")
  }
}
