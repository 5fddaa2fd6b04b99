import Testing
@testable import WardenCore

@testable import WardenStore

enum RandomEngine {
  private static func rule(
    _ name: String, _ quantity: Quantity, per: KeyKind..., limits: Limit..., then: Consequences
  ) -> Rule {
    Rule(
      name: name, per: KeyShape(per[0], per.count > 1 ? per[1] : nil), parts: [Part(quantity, limits)], then: then)
  }

  /// One rule of each kind.
  static let policy = Policy(
    rules: [
      rule(
        "messages", .measure(.signal(.messages)), per: .user, limits: Limit(count: 8, window: .minutes(10)),
        then: Consequences(alert: true, refusal: .tempfail)),
      rule(
        "networks", .measure(.distinct(.networks)), per: .user, limits: Limit(count: 3, window: .hours(1)),
        then: Consequences(block: Block([.minutes(10), .hours(1), .days(1)]))),
      rule(
        "new", .measure(.new(.networks)), per: .user, limits: Limit(count: 2, window: .hours(1)),
        then: Consequences(alert: true, run: ["page"])),
      rule(
        "broken", .measure(.signal(.brokenConnections)), per: .ip, limits: Limit(count: 4, window: .hours(2)),
        then: Consequences(block: Block([.minutes(30), .hours(3)]))),
      rule(
        "share", .share(.signal(.badRecipients), of: .signal(.recipients)), per: .network,
        limits: Limit(.share(.init(percent: 50, atLeast: 5)), window: .hours(1)),
        then: Consequences(refusal: .reject)),
      rule(
        "usual", .measure(.signal(.recipients)), per: .user,
        limits: Limit(.usual(.init(tenths: 20, atLeast: 6)), window: .hours(1)), then: Consequences(hold: true)),
      rule(
        "pair", .measure(.signal(.messages)), per: .user, .ip, limits: Limit(count: 5, window: .minutes(30)),
        then: Consequences(refusal: .tempfail)),
    ], realms: ["example.org"])

  static func make(roots: Engine.Roots = Engine.Roots(seed: HashSeed(3, 5))) -> Engine {
    Engine(policy: policy, roots: roots, keepsChanges: true)
  }
}

/// Sessions of a few users from a few addresses, in a time of their own.
struct RandomTraffic {
  private var generator: Generator
  private(set) var now = Timestamp.start

  init(seed: Int) { generator = Generator(seed: seed) }

  mutating func next() -> Event {
    now = now + (generator.number(0...199) == 0 ? .hours(generator.number(1...30)) : .seconds(generator.number(1...40)))
    var subject = Subject()
    let user = generator.number(0...4)
    // Mostly from the user's own network.
    let network = generator.number(0...29) == 0 ? generator.number(0...9) : user
    let address = IPAddress(v4: 0xc000_0200 + UInt32(network) << 8 + UInt32(generator.number(1...3)))
    (subject.ip, subject.address, subject.network) = (address, address, Network(of: address, prefix: 24))
    let step = generator.pick([Step.connect, .mail, .refusedRecipient, .endOfMessage, .endOfMessage, .close])
    if [.mail, .endOfMessage, .refusedRecipient].contains(step) { subject.user = "user\(user)" }
    switch step {
    case .connect: return Event(at: now, step: step, subject: subject, happened: [.connections: 1])
    case .close: return Event(at: now, step: step, subject: subject, happened: [.brokenConnections: 1])
    case .refusedRecipient: return Event(at: now, step: step, subject: subject, happened: [.badRecipients: 1])
    case .mail:
      subject.sender = "\(subject.user!)@example.org"
      return Event(at: now, step: step, subject: subject, happened: [.logins: 1], wants: [.messages: 1])
    default:
      subject.sender = "\(subject.user!)@example.org"
      return Event(
        at: now, step: step, subject: subject, wants: [.messages: 1, .recipients: generator.number(1...4), .bytes: 99])
    }
  }
}

@Suite("An engine that was stored and taken back")
struct EngineTests {
  private func save(_ engine: Engine, _ store: Store, at now: Timestamp) throws {
    var batch = Batch(now: now)
    batch.changes = engine.takeChanges(attempts: true)
    batch.roots = engine.roots
    try store.write(batch) { sink in
      for shard in 0..<engine.shardCount { _ = engine.takeChangedRecords(ofShard: shard, at: now) { sink.put($0) } }
      return nil
    }
  }

  private func restored(_ store: Store, at now: Timestamp) throws -> Engine {
    let state = try store.load(at: now)
    #expect(state.unreadable == 0)
    let engine = RandomEngine.make(roots: try #require(state.roots))
    engine.restore(penalties: state.penalties, orders: state.orders, episodes: state.episodes, at: now)
    try store.forEachRecord(at: now) { name, touched, cells in
      let isThere = engine.restore(name: name, touched: touched, cells: cells, at: now)
      #expect(isThere)
    }
    return engine
  }

  @Test("decides as one that never stopped", arguments: 0..<8)
  func sameDecisions(seed: Int) throws {
    let folder = try TestFolder()
    var store = try folder.open().store
    let steady = RandomEngine.make()
    var engine = RandomEngine.make()
    var traffic = RandomTraffic(seed: seed)
    var random = SplitMix64(seed: seed)
    var (refused, held, restarts) = (0, 0, 0)
    for step in 0..<3_000 {
      let event = traffic.next()
      let (expected, found) = (steady.decide(event), engine.decide(event))
      switch expected.verdict {
      case .refuse: refused += 1
      case .hold: held += 1
      default: break
      }
      guard "\(expected)" == "\(found)" else {
        Issue.record("step \(step), after \(restarts) restarts: \(found) instead of \(expected)")
        return
      }
      if Int.random(in: 0..<100, using: &random) == 0 { try save(engine, store, at: traffic.now) }
      if Int.random(in: 0..<200, using: &random) == 0 {
        try save(engine, store, at: traffic.now)
        try store.tidy(at: traffic.now, wall: traffic.now)
        if Bool.random(using: &random) { store.close() }
        store.die()
        store = try folder.open().store
        engine = try restored(store, at: traffic.now)
        restarts += 1
      }
    }
    #expect(refused > 100)
    #expect(held > 5)
    #expect(restarts > 5)
    #expect(Set(engine.openEpisodes.map { "\($0)" }).isSubset(of: steady.openEpisodes.map { "\($0)" }))
  }

  @Test("Counters that have lost their meaning go with one write")
  func voided() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let engine = RandomEngine.make()
    var traffic = RandomTraffic(seed: 1)
    for _ in 0..<200 { _ = engine.decide(traffic.next()) }
    try save(engine, store, at: traffic.now)
    #expect(try store.number("SELECT count(*) FROM records") > 5)
    try store.write { $0.voidsRecords = true }
    #expect(try store.number("SELECT count(*) FROM records") == 0)
  }

  @Test("Stored counters that no longer matter are neither taken back nor kept")
  func tooOld() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let engine = Engine(policy: Policy(rules: [RandomEngine.policy.rules[0]]), keepsChanges: true)
    var traffic = RandomTraffic(seed: 1)
    for _ in 0..<200 { _ = engine.decide(traffic.next()) }
    try save(engine, store, at: traffic.now)
    let later = traffic.now + .days(1)
    try store.forEachRecord(at: later) { _, _, _ in Issue.record("it no longer matters") }
    #expect(try store.tidy(at: later).records > 3)
    #expect(try store.number("SELECT count(*) FROM records") == 0)
  }

  @Test("Many more stored keys than there are in memory go, those in memory stay")
  func sprayed() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let cells = [UInt8](repeating: 0, count: 12)
    try store.write(Batch(now: .start)) { sink in
      for number in 0..<20_000 {
        Key(.user("user\(number)")).bytes.withUnsafeBytes { name in
          cells.withUnsafeBytes {
            sink.put(Engine.StoredRecord(name: name, touched: 0, last: .max, cells: $0))
          }
        }
      }
      return nil
    }
    let known = Set((0..<100).map { Key(.user("user\($0)")).bytes })
    func tidy(_ keys: Int) throws -> Int {
      try store.tidy(at: .start, wall: .start, settings: HistorySettings(), keys: keys) { known.contains(Array($0)) }
        .records
    }
    #expect(try tidy(15_000) == 0)
    #expect(try tidy(100) == 19_900)
    var left: Set<[UInt8]> = []
    try store.forEachRecord(at: .start) { name, _, _ in left.insert(Array(name)) }
    #expect(left == known)
  }
}
