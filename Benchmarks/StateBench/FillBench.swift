import ArgumentParser
import Foundation
import WardenCore
import WardenStore

/// Makes the state of a large site: counted by the engine, written by the store as the daemon writes it.
struct FillBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fill", abstract: "Makes the state of a large site, in an empty folder.")

  @OptionGroup var site: Site
  @Option(help: "How many keys.") var keys = 1_000_000
  @Option(help: "How many blocked addresses; every one is a key.") var penalties = 100_000

  /// Changes of the counters in one write.
  private static let together = 50_000

  func run() throws {
    let (configuration, folder) = try site.read()
    let engine = Engine(
      policy: configuration.policy,
      roots: .init(seed: HashSeed(.random(in: 0 ... .max), .random(in: 0 ... .max))), keepsChanges: true)
    let store = try Store.open(folder: folder, wall: .now).store
    defer { store.close() }
    let crowd = Crowd(engine)
    let end = Timestamp.now
    var passages: [Passage] = []
    var times: [Double] = []

    func write(at now: Timestamp) throws {
      times.append(try seconds { _ = try store.write(all: engine, passages: passages, at: now) })
      passages = []
    }

    // Two weeks of people, then an hour of everybody else, since nobody is remembered for long who was seen once.
    let (users, messages) = (keys / 50, 5)
    for number in 0..<messages {
      for user in 0..<users {
        let before = TimeSpan(
          microseconds: TimeSpan.days(14).microseconds * (users * (messages - number) - user) / (users * messages))
        passages.append(try crowd.mail(user: user, number: number, at: end - before))
        if passages.count == Self.together { try write(at: end - before) }
      }
    }
    try write(at: end)
    for number in 0..<keys / 10 {
      try crowd.mail(sender: number, at: end)
      if number % Self.together == Self.together - 1 { try write(at: end) }
    }
    for number in 0..<penalties {
      crowd.block(number, at: end)
      if number % Self.together == Self.together - 1 { try write(at: end) }
    }
    // A robot is an address and a network.
    var robots = 0
    while engine.status(at: end).keys < keys {
      for _ in 0..<min(Self.together, keys - engine.status(at: end).keys + 1) / 2 {
        crowd.visit(robot: robots, at: end)
        robots += 1
      }
      try write(at: end)
    }
    let status = engine.status(at: end)
    say(
      """
      keys            \(status.keys), \(status.evictedKeys) evicted; \(users) users with \(messages) messages each, \
      \(keys / 10) senders, \(robots) robots
      penalties       \(status.penalties), episodes \(engine.openEpisodes.count)
      counters        \(megabytes(status.memory)) of \(megabytes(status.memoryBound))
      database        \(megabytes(store.size))
      writes          \(times.count), seconds each: \(summary(times))
      """)
    guard status.evictedKeys == 0, status.penalties == penalties else {
      throw StateBench.Broken(description: "the engine has no room for that many")
    }
  }
}

extension Store {
  /// One write of all that has changed, as the daemon does it.
  /// - Returns: how many counters were written.
  func write(all engine: Engine, passages: [Passage] = [], at now: Timestamp) throws -> Int {
    var batch = Batch(now: now)
    batch.roots = engine.roots
    batch.changes = engine.takeChanges(attempts: true)
    batch.passages = passages
    var count = 0
    try write(batch) { sink in
      for shard in 0..<engine.shardCount { _ = engine.takeChangedRecords(ofShard: shard, at: now) { sink.put($0) } }
      count = sink.count
      return nil
    }
    return count
  }
}
