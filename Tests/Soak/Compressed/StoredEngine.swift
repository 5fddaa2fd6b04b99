import Foundation
import WardenCore
import WardenStore
import WardenTestKit

/// An engine with its history and its database, as the daemon has them, and what the daemon does to them: storing, ending in
/// good order, dying, starting anew.
final class StoredEngine {
  private let folder: TemporaryFolder
  private(set) var engine: Engine
  private var activity = Activity()
  /// Nothing only while one process ends and the next begins.
  private(set) var store: Store!
  private var writtenRoots: Engine.Roots?
  static let zone = TimeZone(identifier: "Europe/Berlin")!

  init(policy: Policy, at now: Timestamp) throws {
    // In memory: what a disk takes is not what is looked at.
    folder = try TemporaryFolder(in: "/dev/shm")
    store = try Store.open(folder: folder.path, wall: now, zone: Self.zone).store
    engine = Engine(policy: policy, roots: .init(seed: HashSeed(17, 4)), keepsChanges: true)
  }

  func decide(_ event: Event) -> Decision {
    let decision = engine.decide(event)
    activity.note(event, decision)
    return decision
  }

  var dropped: Int { activity.dropped }

  /// - Parameter ahead: how far the wall's clock is ahead of the engine's time.
  func save(at now: Timestamp, ahead: TimeSpan) throws {
    var batch = Batch(now: now)
    batch.changes = engine.takeChanges(attempts: true)
    batch.slices = activity.take().map { Activity.Slice(minute: $0.minute + ahead, counts: $0.counts) }
    if writtenRoots != engine.roots { batch.roots = engine.roots }
    try store.write(batch) { sink in
      for shard in 0..<engine.shardCount {
        _ = engine.takeChangedRecords(ofShard: shard, at: now) { sink.put($0) }
      }
      return nil
    }
    writtenRoots = engine.roots
  }

  func tidy(at now: Timestamp, wall: Timestamp) throws {
    let engine = engine
    _ = try store.tidy(at: now, wall: wall, settings: HistorySettings(), keys: engine.status(at: now).keys) {
      engine.counts($0)
    }
  }

  /// The next process takes over what is stored. What was not stored is lost, unless it was just saved.
  /// - Returns: how many records could not be taken back.
  func restart(policy: Policy, at now: Timestamp, wall: Timestamp, inGoodOrder: Bool) throws -> Int {
    if inGoodOrder { store.close() }
    // Without `close` it is let go as a process that dies lets go of it.
    store = nil
    store = try Store.open(folder: folder.path, wall: wall, zone: Self.zone).store
    let stored = try store.load(at: now)
    guard let roots = stored.roots else { throw Scenario.Broken("the database has no roots") }
    engine = Engine(policy: policy, roots: roots, keepsChanges: true)
    activity = Activity()
    writtenRoots = roots
    engine.restore(penalties: stored.penalties, orders: stored.orders, episodes: stored.episodes, at: now)
    var lost = stored.unreadable
    try store.forEachRecord(at: now) { [engine] name, touched, cells in
      if !engine.restore(name: name, touched: touched, cells: cells, at: now) { lost += 1 }
    }
    engine.restore(
      minutes: try store.serverMinutes(from: wall - .days(1), to: wall),
      hours: try store.serverHours(from: wall - .days(8), to: wall))
    return lost
  }
}
