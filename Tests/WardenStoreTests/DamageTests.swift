import Foundation
import GRDB
import Testing
@testable import WardenCore

@testable import WardenStore

@Suite("A file that anything may have happened to")
struct DamageTests {
  static let alice = Key(.user("alice"))

  /// A database with something in every table, and its bytes.
  private static func sample() throws -> Data {
    let folder = try TestFolder()
    let store = try folder.open().store
    var generator = Generator(seed: 4)
    let engine = RandomEngine.make()
    var traffic = RandomTraffic(seed: 1)
    for _ in 0..<2_000 { _ = engine.decide(traffic.next()) }
    var batch = Batch(now: traffic.now)
    batch.roots = engine.roots
    batch.changes = engine.takeChanges(attempts: true)
    for penalty in generator.list(100...100, { $0.penalty() }) { batch.changes.penalties[penalty.key] = .some(penalty) }
    for episode in generator.list(50...50, { $0.episode() }) { batch.changes.episodes[episode.id] = .some(episode) }
    batch.changes.orders = generator.list(20...20) { $0.override() }
    batch.passages = generator.list(200...200) { $0.passage() }
    batch.documents = ["alerts/one": .some("{}")]
    batch.slices = (0..<5).map { minute in
      Activity.Slice(
        minute: .start + .minutes(minute),
        counts: Dictionary(generator.list(50...50) { ($0.key(), $0.counts()) }) { first, _ in first })
    }
    let log = DecisionLog()
    for _ in 0..<100 {
      log.note(.of(.refused, generator.key(), user: "alice", ip: generator.address()), queueID: "1", at: .start)
    }
    batch.decisions = log.take()
    batch.actions = [AdministratorAction(at: .start, who: "root", action: "block", key: "user:alice", detail: "")]
    try store.write(batch) { sink in
      for shard in 0..<engine.shardCount {
        _ = engine.takeChangedRecords(ofShard: shard, at: traffic.now) { sink.put($0) }
      }
      return nil
    }
    store.close()
    return try Data(contentsOf: URL(fileURLWithPath: folder.database))
  }

  private static let bytes = Result { try sample() }

  /// Everything that is ever asked of a store.
  private func use(_ folder: TestFolder, checkedUpTo largest: Int) throws -> Bool {
    let opened = try folder.open(checkedUpTo: largest)
    let store = opened.store
    do {
      let state = try store.load(at: .start)
      let engine = RandomEngine.make(roots: state.roots ?? Engine.Roots(seed: HashSeed(0, 0)))
      engine.restore(penalties: state.penalties, orders: state.orders, episodes: state.episodes, at: .start)
      try store.forEachRecord(at: .start) { name, touched, cells in
        _ = engine.restore(name: name, touched: touched, cells: cells, at: .start)
      }
      var traffic = RandomTraffic(seed: 2)
      for _ in 0..<50 { _ = engine.decide(traffic.next()) }
      _ = engine.news(at: traffic.now, again: .hours(1))
      var batch = Batch(now: .start)
      batch.changes = engine.takeChanges(attempts: true)
      batch.slices = [Activity.Slice(minute: .start, counts: [Self.alice: Activity.Counts([.messages: 1])])]
      try store.write(batch) { sink in
        for shard in 0..<engine.shardCount {
          _ = engine.takeChangedRecords(ofShard: shard, at: traffic.now) { sink.put($0) }
        }
        return nil
      }
      _ = try store.history(key: Self.alice, from: .start + .days(-1), to: .start + .days(1), period: .minute)
      _ = try store.report(day: "2026-11-24", at: .start)
      try store.tidy(at: .start, wall: .start + .days(3))
    } catch let problem as StoreProblem {
      #expect(problem.kind == .damaged, "\(problem)")
      _ = try store.beginAnew(because: problem, wall: .start)
      try store.write { $0.documents = ["a": .some("b")] }
      #expect(try store.load(at: .start).documents == ["a": "b"])
      return true
    } catch Store.DayProblem.store(let problem) {
      #expect(problem.kind == .damaged, "\(problem)")
      return true
    }
    return opened.setAside != nil
  }

  @Test("Flipped bits are noticed or borne, wherever they are", arguments: 0..<120)
  func flippedBits(seed: Int) throws {
    var random = SplitMix64(seed: seed)
    var bytes = try Self.bytes.get()
    // The first page says where everything is.
    let range = seed % 4 == 0 ? 0..<4_096 : 0..<bytes.count
    for _ in 0..<Int.random(in: 1...30, using: &random) {
      bytes[Int.random(in: range, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    }
    let folder = try TestFolder()
    try bytes.write(to: URL(fileURLWithPath: folder.database))
    // Half of them without the look at the whole file, as it is with a large one.
    _ = try use(folder, checkedUpTo: seed % 2 == 0 ? 0 : .max)
  }

  @Test("A log that was not moved into the database yet can be damaged as well", arguments: 0..<30)
  func flippedBitsInTheLog(seed: Int) throws {
    let source = try TestFolder()
    let store = try source.open().store
    for number in 0..<10 {
      try store.write {
        $0.documents["\(number)"] = .some(String(repeating: "x", count: 1_000))
        let key = Key(.user("user\(number)"))
        $0.changes.penalties[key] = .some(.of(key, until: .start + .hours(1)))
      }
    }
    // As a killed process leaves it.
    let folder = try TestFolder()
    var random = SplitMix64(seed: seed)
    for suffix in ["", "-wal"] {
      var bytes = try Data(contentsOf: URL(fileURLWithPath: source.database + suffix))
      if suffix == "-wal" {
        for _ in 0..<Int.random(in: 1...5, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        }
        if seed % 3 == 0 { bytes = bytes.prefix(Int.random(in: 0...bytes.count, using: &random)) }
      }
      try bytes.write(to: URL(fileURLWithPath: folder.database + suffix))
    }
    _ = try use(folder, checkedUpTo: .max)
  }

  @Test("Every value in every row can be wrong: what cannot be read is left out and counted", arguments: 0..<60)
  func wrongValues(seed: Int) throws {
    let folder = try TestFolder()
    try Self.bytes.get().write(to: URL(fileURLWithPath: folder.database))
    var random = SplitMix64(seed: seed)
    let database = try DatabaseQueue(path: folder.database)
    try database.write { database in
      let columns = [
        "penalties": ["terms", "found", "reason_key", "reason_until", "since", "until", "attempts"],
        "episodes": [
          "terms", "found", "reason_until", "opened", "last", "quiet_at", "trips", "refused", "block_key",
          "block_since", "block_until", "told_at", "told_level",
        ],
        "records": ["touched", "last", "cells"], "roots": ["saved_at", "seed", "meters"], "terms": ["text"],
        "orders": ["text"], "passages": ["at", "ip", "recipients"],
        "counts": ["messages", "refused"], "decisions": ["count", "first", "last", "until"], "keys": ["name"],
      ]
      for (table, names) in columns {
        for name in names where Bool.random(using: &random) {
          let value = [
            "9223372036854775807", "-9223372036854775808", "-1", "1e300", "x'ff00'", "'x'", "''",
            "'99999999999999999999 1'", "'{}'", "zeroblob(70000)", "random()",
          ].randomElement(using: &random)!
          let unique = name == "text" && table == "terms" || table == "keys"
          try database.execute(
            sql: "UPDATE OR IGNORE \(table) SET \(name) = \(value) \(unique ? "" : "WHERE abs(random() % 4) = 0")")
        }
      }
    }
    try database.close()
    _ = try use(folder, checkedUpTo: .max)
  }

  @Test("A file cut short is set aside with its reason, and an empty one begins", arguments: [100, 4_096, 50_000])
  func truncated(length: Int) throws {
    let folder = try TestFolder()
    try Self.bytes.get().prefix(length).write(to: URL(fileURLWithPath: folder.database))
    #expect(try use(folder, checkedUpTo: .max))
    #expect(folder.files.contains("mailwarden.sqlite.set-aside-20261124T101405Z"))
  }

  @Test("What is set aside never takes the place of what was before")
  func twice() throws {
    let folder = try TestFolder()
    for _ in 0..<3 {
      try Data("this is no database, however long one looks at it".utf8).write(
        to: URL(fileURLWithPath: folder.database))
      let setAside = try #require(try folder.open().setAside)
      #expect(setAside.description.contains("not a database"))
      #expect(try String(contentsOfFile: setAside.path, encoding: .utf8).hasPrefix("this is no"))
    }
    #expect(
      folder.files.filter { $0.contains("set-aside") && !$0.hasSuffix("-wal") && !$0.hasSuffix("-shm") }.count == 3)
  }

  @Test("A newer version's database and another program's are set aside as they were")
  func foreign() throws {
    let newer = try TestFolder()
    _ = try newer.open().store.close()
    let database = try DatabaseQueue(path: newer.database)
    try database.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('9-later')") }
    try database.close()
    #expect(try #require(try newer.open().setAside).why == "it was written by a newer version of Mailwarden")

    let other = try TestFolder()
    let foreign = try DatabaseQueue(path: other.database)
    try foreign.write { try $0.execute(sql: "CREATE TABLE t (a); INSERT INTO t VALUES (1)") }
    try foreign.close()
    let before = try Data(contentsOf: URL(fileURLWithPath: other.database))
    let setAside = try #require(try other.open().setAside)
    #expect(setAside.why == "it is a database of another program")
    #expect(try Data(contentsOf: URL(fileURLWithPath: setAside.path)) == before)
  }

  @Test("A table that somebody has changed is damage")
  func changedTables() throws {
    let folder = try TestFolder()
    _ = try folder.open().store.close()
    let database = try DatabaseQueue(path: folder.database)
    try database.write { try $0.execute(sql: "ALTER TABLE penalties DROP COLUMN attempts") }
    try database.close()
    #expect(try #require(try folder.open().setAside).why == "its tables are not those of Mailwarden")
  }

  @Test("Damage that shows while running can be set aside, and everything goes on")
  func whileRunning() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    try store.write { $0.documents = ["a": .some("1")] }
    try store.outsideTransaction("break") { try $0.execute(sql: "DROP TABLE documents") }
    let problem = try #require(throws: StoreProblem.self) { try store.write { $0.documents = ["a": .some("2")] } }
    #expect(problem.kind == .damaged)
    let setAside = try store.beginAnew(because: problem, wall: .start)
    #expect(FileManager.default.fileExists(atPath: setAside.path))
    try store.write { $0.documents = ["a": .some("3")] }
    #expect(try store.load(at: .start).documents == ["a": "3"])
  }

  @Test("A file that was removed under us is begun anew")
  func removed() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    try store.write { $0.documents = ["a": .some("1")] }
    try store.outsideTransaction("empty the log") { _ = try $0.checkpoint(.truncate) }
    for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: folder.database + suffix) }
    let problem = StoreProblem(.damaged, doing: "write to", path: folder.database, why: "it is gone")
    _ = try store.beginAnew(because: problem, wall: .start)
    try store.write { $0.documents = ["a": .some("2")] }
    store.die()
    #expect(try folder.open().store.load(at: .start).documents == ["a": "2"])
  }
}
