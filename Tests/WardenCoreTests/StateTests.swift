import Testing

@testable import WardenCore

/// What a store would hold: only what an engine gave out.
private struct Shelf {
  private(set) var records: [[UInt8]: (touched: UInt32, last: UInt32, cells: [UInt8])] = [:]
  private(set) var penalties: [Key: Penalty] = [:]
  private(set) var orders: [Override] = []
  private(set) var episodes: [Episode.ID: Episode] = [:]
  private(set) var roots: Engine.Roots?

  mutating func take(from engine: Engine, at now: Timestamp) {
    let changes = engine.takeChanges(attempts: true)
    for (key, penalty) in changes.penalties { penalties[key] = penalty }
    for (id, episode) in changes.episodes { episodes[id] = episode }
    orders = changes.orders ?? orders
    for shard in 0..<engine.shardCount {
      _ = engine.takeChangedRecords(ofShard: shard, at: now) { record in
        records[Array(record.name)] =
          record.cells.isEmpty ? nil : (record.touched, record.last, Array(record.cells))
      }
    }
    roots = engine.roots
  }

  /// An engine that goes on from here.
  func engine(_ policy: Policy, at now: Timestamp) -> Engine {
    let engine = Engine(policy: policy, roots: roots ?? Engine.Roots(seed: .test), keepsChanges: true)
    engine.restore(penalties: Array(penalties.values), orders: orders, episodes: Array(episodes.values), at: now)
    for (name, record) in records {
      let isThere = name.withUnsafeBytes { name in
        record.cells.withUnsafeBytes {
          engine.restore(name: name, touched: record.touched, cells: $0, at: now)
        }
      }
      #expect(isThere)
    }
    return engine
  }
}

extension HashSeed {
  fileprivate static let test = HashSeed(0x0123_4567_89ab_cdef, 42)
}

/// Engines that are stopped and go on from what was stored decide as one that never stopped.
@Suite("State")
struct StateTests {
  private static let policy: Policy = {
    var shares = Rule("dirty", .badRecipients, per: .user, .of(1, per: .hours(1)), then: .tempfail)
    shares.parts = [
      Part(
        .share(.signal(.badRecipients), of: .signal(.recipients)),
        [Limit(.share(.init(percent: 30, atLeast: 6)), window: .hours(1))])
    ]
    func rule(
      _ name: String, _ measure: Measure, _ limit: Limit, per: KeyShape = .user, then: Consequences = .tempfail
    ) -> Rule {
      Rule(name: name, per: per, parts: [Part(.measure(measure), [limit])], then: then)
    }
    return Policy(
      rules: [
        Rule("rate", .messages, per: .user, .of(4, per: .hours(2)), .of(12, per: .days(1))),
        rule("networks", .distinct(.networks), .of(4, per: .hours(6)), then: .alert),
        rule("strangers", .new(.recipients), .of(4, per: .days(1)), then: Consequences(hold: true)),
        rule(
          "unusual", .signal(.recipients),
          Limit(.usual(.init(tenths: 20, atLeast: 8, atFirst: 60)), window: .hours(1))),
        shares,
        Rule(
          "broken", .brokenConnections, per: .network, .of(1, per: .hours(2)),
          then: .block(.hours(1), .hours(12), .days(3))),
      ], realms: ["example.org"])
  }()

  @Test("Stopped at any moment and gone on, it decides as one that never stopped", arguments: 1...6)
  func goesOn(seed: Int) throws {
    var random = SplitMix64(seed: seed)
    let steady = Server(Engine(policy: Self.policy, roots: .init(seed: .test)))
    var shelf = Shelf()
    var other = Server(shelf.engine(Self.policy, at: .start))
    var refused = 0
    for step in 0..<1_500 {
      let span = TimeSpan.seconds(
        Int.random(in: 0...[2, 2, 60, 60, 1_800, 40_000].randomElement(using: &random)!, using: &random))
      let user = ["alice", "bob", "carol"].randomElement(using: &random)!
      let address = "192.0.\(Int.random(in: 0...5, using: &random)).7"
      let outside = "2001:db8:0:\(Int.random(in: 0...6, using: &random))::1"
      let friends = (0..<Int.random(in: 1...4, using: &random)).map { _ in
        "<friend\(Int.random(in: 0...(step < 700 ? 35 : 60), using: &random))@example.net>"
      }
      let bad = Int.random(in: 0...3, using: &random)
      let what = Int.random(in: 0...9, using: &random)
      var seen: [[String]] = []
      for server in [steady, other] {
        server.wait(span)
        let before = server.notices.count
        switch what {
        case 0...6:
          let client = server.connect(address)
          var refusal = try client.mail(user).refusal
          if refusal == nil {
            for _ in 0..<bad { try client.recipient(.refused(enhancedCode: "5.1.1", text: "User unknown")) }
            for friend in friends { refusal = try client.recipient(to: friend)?.refusal ?? refusal }
            client.data()
            _ = try client.end()
          }
          client.close()
        case 7, 8: server.probe(outside)
        default:
          if bad == 0 {
            _ = server.engine.release(.user(user), at: server.now)
            _ = server.engine.revoke(.user(user), at: server.now)
          }
          if bad == 1 { _ = server.block(.user(user), for: .hours(5), note: "a note") }
          if bad == 2 {
            let order = Override(.user(user), .off(rule: "rate"), until: server.now + .days(2), origin: "test")
            _ = server.engine.allow(order, at: server.now)
          }
        }
        seen.append(server.notices[before...].map { "\($0.kind) \($0.reason.sentence) \($0.reason.until)" })
      }
      #expect(seen[0] == seen[1], "step \(step)")
      refused += seen[0].count
      if Int.random(in: 0...3, using: &random) == 0 { shelf.take(from: other.engine, at: other.now) }
      if Int.random(in: 0...60, using: &random) == 0 {
        shelf.take(from: other.engine, at: other.now)
        let now = other.now
        other = Server(shelf.engine(Self.policy, at: now), at: now)
      }
    }
    // Every rule had its say, or nothing was tested.
    #expect(refused > 50)
    let trips = steady.engine.status(at: steady.now).rules
    #expect(trips.filter { $0.trips == 0 }.map(\.rule.name) == [])
    #expect(penalties(other) == penalties(steady))
  }

  private func penalties(_ server: Server) -> [String] {
    server.engine.penalties(at: server.now).map { "\($0)" }.sorted()
  }

  @Test("Nothing is given out twice, and what could not be stored is given out again")
  func givenOutOnce() throws {
    let server = Server(Engine(policy: Self.policy, keepsChanges: true))
    for _ in 0..<13 { try server.send() }
    _ = server.block(.ip("192.0.2.9"), for: .hours(1))
    func records() -> (names: Set<[UInt8]>, taken: [[UInt32]]) {
      var names: Set<[UInt8]> = []
      let taken = (0..<server.engine.shardCount).map { shard in
        server.engine.takeChangedRecords(ofShard: shard, at: server.now) { names.insert(Array($0.name)) }
      }
      return (names, taken)
    }
    let changes = server.engine.takeChanges(attempts: true)
    #expect(changes.penalties.keys.map(\.description) == ["ip:192.0.2.9"])
    #expect(changes.episodes.keys.map(\.rule) == ["rate"])
    let first = records()
    #expect(first.names == [Key.user("alice").bytes])
    #expect(server.engine.takeChanges(attempts: true).isEmpty)
    #expect(records().names.isEmpty)

    server.engine.giveBack(changes)
    for (shard, taken) in first.taken.enumerated() { server.engine.giveBack(records: taken, ofShard: shard) }
    #expect(server.engine.takeChanges(attempts: true).penalties.count == 1)
    #expect(records().names == first.names)
    try server.send("bob")
    #expect(records().names == [Key.user("bob").bytes])
  }

  @Test("A release is given out as a record without cells")
  func releaseIsStored() throws {
    let rule = Rule.userMessages
    let server = Server(Engine(policy: Policy(rules: [rule]), keepsChanges: true))
    for _ in 0..<26 { try server.send() }
    var shelf = Shelf()
    shelf.take(from: server.engine, at: server.now)
    #expect(shelf.records.count == 1)
    _ = server.engine.release(.user("alice"), at: server.now)
    shelf.take(from: server.engine, at: server.now)
    #expect(shelf.records.isEmpty && shelf.episodes.isEmpty)
    let other = Server(shelf.engine(Policy(rules: [rule]), at: server.now), at: server.now)
    #expect(try other.sent(30) == 25)
  }

  @Test("That nothing is left of a released key is not forgotten before it is stored")
  func releaseStaysUntilStored() throws {
    let layout = Shard.Layout(meters: [Meter(.count)])
    var shard = Shard(bound: 1_000_000, keepsChanges: true)
    func add(_ name: String) {
      Array(name.utf8).withUnsafeBytes {
        let record = shard.record(for: $0, UInt32(truncatingIfNeeded: name.hashValue), roomFor: 1, layout)!
        var cells = record.cells
        layout.meters[0]!.add(1, to: &cells, at: shard.now)
        record.cells = cells
      }
    }
    shard.advance(to: .start)
    add("alice")
    while shard.hasChanges { _ = shard.takeChanges(atMost: 100, layout) { _, _ in } }
    Array("alice".utf8).withUnsafeBytes {
      shard.forgetCounts($0, UInt32(truncatingIfNeeded: "alice".hashValue), layout)
    }
    // The hand goes round many times meanwhile.
    for number in 0..<30_000 {
      shard.advance(to: .start + .seconds(number))
      add("key \(number)")
    }
    var emptied: [String] = []
    while shard.hasChanges {
      _ = shard.takeChanges(atMost: 100, layout) { record, _ in
        if record.rawCells.isEmpty { emptied.append(String(decoding: record.name, as: UTF8.self)) }
      }
    }
    #expect(emptied == ["alice"])
  }

  @Test("A command is asked for once an episode, and again where it has not been carried out")
  func commands() throws {
    var rule = Rule("cap", .messages, per: .user, .of(1, per: .hours(1)), then: .alert)
    rule.then.run = ["lock", "tell"]
    let policy = Policy(rules: [rule])
    let server = Server(Engine(policy: policy, keepsChanges: true))
    let id = Episode.ID(rule: "cap", key: .user("alice"))
    func asked(_ server: Server) throws -> [String] {
      let before = server.notices.count
      try server.send()
      return server.notices[before...].compactMap { if case .run(let name) = $0.kind { name } else { nil } }
    }
    #expect(try asked(server) == [] && asked(server) == ["lock", "tell"])
    server.engine.commandEnded("lock", for: id, isDone: true)
    server.engine.commandEnded("tell", for: id, isDone: false)
    #expect(try asked(server) == ["tell"] && asked(server) == [])
    // What is under way when the process ends is asked for by the next.
    var shelf = Shelf()
    shelf.take(from: server.engine, at: server.now)
    let other = Server(shelf.engine(policy, at: server.now), at: server.now)
    #expect(try asked(other) == ["tell"])
    other.wait(.hours(2))
    #expect(try asked(other) == [] && asked(other) == ["lock", "tell"])
  }

  @Test("Where nothing can be stored, the list of what has changed stays bounded")
  func changesStayBounded() throws {
    let layout = Shard.Layout(meters: [Meter(.count)])
    var shard = Shard(bound: 1_000_000, keepsChanges: true)
    for number in 0..<100_000 {
      shard.advance(to: .start + .seconds(number))
      Array("key \(number)".utf8).withUnsafeBytes {
        let record = shard.record(for: $0, UInt32(truncatingIfNeeded: number &* 2_654_435_761), roomFor: 1, layout)
        var cells = record!.cells
        layout.meters[0]!.add(1, to: &cells, at: shard.now)
        record!.cells = cells
      }
    }
    #expect(shard.changesListed < 2 * shard.count + 2_000)
    var given = 0
    while shard.hasChanges { _ = shard.takeChanges(atMost: 100, layout) { _, _ in given += 1 } }
    #expect(given == shard.count)
  }

  @Test("A policy with other rules takes back what both count, and only that")
  func otherPolicy() throws {
    let server = Server(Engine(policy: Policy(rules: [.userMessages]), keepsChanges: true))
    for _ in 0..<20 { try server.send() }
    var shelf = Shelf()
    shelf.take(from: server.engine, at: server.now)
    let other = Rule("other", .recipients, per: .user, .of(3, per: .hours(1)))
    let second = Server(shelf.engine(Policy(rules: [other]), at: server.now), at: server.now)
    #expect(second.counts(.user("alice")) == ["other": [0]])
    shelf.take(from: second.engine, at: server.now)
    let third = Server(shelf.engine(Policy(rules: [other, .userMessages]), at: server.now), at: server.now)
    #expect(third.counts(.user("alice")) == ["other": [0], "user-messages": [20]])
  }

  @Test("Bytes that are no record are refused")
  func unsound() throws {
    let engine = Engine(policy: Policy(rules: [.userMessages]))
    let cell: [UInt8] = [0, 0] + [UInt8](repeating: 1, count: 10)
    func restores(_ name: [UInt8], _ cells: [UInt8]) -> Bool {
      name.withUnsafeBytes { name in
        cells.withUnsafeBytes { engine.restore(name: name, touched: 0, cells: $0, at: .start) }
      }
    }
    let name = Key.user("alice").bytes
    #expect(restores(name, cell))
    #expect(!restores(name, cell), "it is there already")
    let bad: [[UInt8]] = [
      [], [0], [99, 255, 0, 0], Array(name.dropLast()), name + [0], [0, 0] + Array(name.dropFirst(2)),
    ]
    for bad in bad {
      #expect(!restores(bad, cell), "\(bad)")
    }
    let bob = Key.user("bob").bytes
    #expect(!restores(bob, []) && !restores(bob, Array(cell.dropLast())))
    #expect(!restores(bob, [200, 0] + Array(cell.dropFirst(2))), "no such meter")
    #expect(!restores(bob, [1, 0] + Array(cell.dropFirst(2)) + cell), "not in order")
    for key in try ["user:a,ip:::1", "network:2001:db8::/64", "server", "sender:a@b"].map(key) {
      #expect(Key(bytes: UnsafeRawBufferPointer(start: nil, count: 0)) == nil)
      #expect(key.bytes.withUnsafeBytes { Key(bytes: $0) } == key)
    }
  }

  @Test("The text of a meter tells it from every other")
  func meterTexts() {
    let plain = Meter.Identity.count(.signal(.messages), Filter(), countsRefused: false, window: .hours(1))
    let others: [Meter.Identity] = [
      .count(.signal(.messages), Filter(), countsRefused: true, window: .hours(1)),
      .count(.signal(.messages), Filter(), countsRefused: false, window: .hours(2)),
      .count(.signal(.recipients), Filter(), countsRefused: false, window: .hours(1)),
      .count(.signal(.messages), Filter(only: [.user("a, user b")]), countsRefused: false, window: .hours(1)),
      .count(.signal(.messages), Filter(only: [.user("a"), .user("b")]), countsRefused: false, window: .hours(1)),
      .count(.signal(.messages), Filter(except: [.user("a"), .user("b")]), countsRefused: false, window: .hours(1)),
      .usual(.signal(.messages), Filter(), window: .hours(1)), .memory(.recipients),
      .distinct(.recipients, Filter(), window: .hours(1)), .offences(rule: "a", window: .days(1)),
      .neighbours(rule: "a", window: .days(1)), .birth(of: plain), .birth(of: .memory(.recipients)),
    ]
    #expect(Set((others + [plain]).map(\.text)).count == others.count + 1)
    #expect(plain.text == "count messages only [] except [] 1h")
  }

  @Test("SipHash-1-3 gives what it gives elsewhere")
  func sipHash() {
    let seed = HashSeed(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
    let empty: [UInt8] = []
    #expect(empty.withUnsafeBytes { seed.hash($0) } == 0xabac_0158_050f_c4dc)
  }
}
