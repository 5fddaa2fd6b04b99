import Testing
import WardenCore

@testable import WardenStore

@Suite("What is stored comes back as it was")
struct RoundTripTests {
  @Test("Penalties, orders, episodes, passages and documents of every kind", arguments: 0..<20)
  func everything(seed: Int) throws {
    var generator = Generator(seed: seed)
    let folder = try TestFolder()
    var batch = Batch(now: .start)
    batch.roots = Engine.Roots(seed: HashSeed(1, .max), meters: ["a b \"c\"": 0, "d/é": 1])
    for penalty in generator.list(1...40, { $0.penalty() }) { batch.changes.penalties[penalty.key] = .some(penalty) }
    for episode in generator.list(1...40, { $0.episode() }) { batch.changes.episodes[episode.id] = .some(episode) }
    batch.changes.orders = generator.list(0...20) { $0.override() }
    batch.passages = generator.list(0...40) { $0.passage() }
    for name in generator.list(0...5, { $0.text() }) { batch.documents[name] = .some(generator.text()) }
    let store = try folder.open().store
    try store.write(batch)
    store.close()

    let state = try folder.open().store.load(at: Timestamp(microseconds: 0))
    #expect(state.unreadable == 0)
    #expect(state.savedAt == .start)
    #expect(state.roots == batch.roots)
    #expect(Dictionary(uniqueKeysWithValues: state.penalties.map { ($0.key, $0) }) == batch.changes.penalties)
    #expect(Dictionary(uniqueKeysWithValues: state.episodes.map { ($0.id, $0) }) == batch.changes.episodes)
    #expect(state.orders == batch.changes.orders)
    #expect(state.passages == batch.passages)
    #expect(state.documents == batch.documents)
  }

  @Test("What is free, over and forgotten is gone; what has changed is as it was last")
  func changes() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let (alice, bob, carol) = (Key(.user("alice")), Key(.user("bob")), Key(.user("carol")))
    try store.write {
      for key in [alice, bob] { $0.changes.penalties[key] = .some(.of(key, until: .start + .hours(1))) }
      $0.changes.penalties[carol] = .some(.of(carol, until: .start))
      $0.documents = ["a": .some("1"), "b": .some("2")]
      $0.changes.orders = [Override(.user("alice"), .exempt, origin: "root")]
    }
    try store.write {
      $0.changes.penalties[alice] = .some(nil)
      $0.changes.penalties[bob] = .some(.of(bob, until: .start + .hours(2), attempts: 7))
      $0.documents["a"] = .some(nil)
      $0.documents["b"] = .some("3")
    }
    let state = try store.load(at: .start)
    #expect(state.penalties == [.of(bob, until: .start + .hours(2), attempts: 7)])
    #expect(state.documents == ["b": "3"])
    #expect(state.orders.count == 1)
    try store.write { $0.changes.orders = [] }
    #expect(try store.load(at: .start).orders.isEmpty)
  }

  @Test("Of passages the latest hundred thousand stay, in their order")
  func passages() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    func passages(_ range: Range<Int>) -> [Passage] {
      range.map {
        Passage(
          at: .start, queueID: "\($0)", user: nil, ip: nil, sender: nil, recipients: 1, recipient: nil, isHeld: false)
      }
    }
    try store.write { $0.passages = passages(0..<60_000) }
    try store.write { $0.passages = passages(60_000..<100_010) }
    let kept = try store.load(at: .start).passages
    #expect(kept.map(\.queueID) == (10..<100_010).map(String.init))
    #expect(try store.number("SELECT count(*) FROM passages") == 100_000)
  }

  @Test("Terms that many have in common stand there once, and go with the last that had them")
  func terms() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    try store.write {
      for number in 0..<100 {
        let key = Key(.user("user\(number)"))
        $0.changes.penalties[key] = .some(.of(key, until: .start + .hours(1), attempts: number))
      }
    }
    #expect(try store.number("SELECT count(*) FROM terms") == 1)
    try store.tidy(at: .start + .hours(1))
    #expect(try store.number("SELECT count(*) FROM penalties") == 0)
    #expect(try store.number("SELECT count(*) FROM terms") == 0)
  }

  @Test("A write that cannot be finished leaves nothing behind")
  func atomic() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    try store.outsideTransaction("forbid") {
      try $0.execute(sql: "CREATE TEMP TRIGGER no BEFORE INSERT ON actions BEGIN SELECT raise(ABORT, 'no'); END")
    }
    let alice = Key(.user("alice"))
    #expect(throws: StoreProblem.self) {
      try store.write {
        $0.changes.penalties[alice] = .some(.of(alice, until: .start + .hours(1)))
        $0.actions = [AdministratorAction(at: .start, who: "root", action: "block", key: "", detail: "")]
      }
    }
    let state = try store.load(at: .start)
    #expect(state.penalties.isEmpty)
    #expect(state.savedAt == nil)
  }
}
