import ArgumentParser
import WardenCore
import WardenPolicy
import WardenStore

/// What a write takes of the daemon's thread that keeps the state.
struct WriteBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "write", abstract: "Writes counters of a large site that have changed; changes the state.")

  @OptionGroup var site: Site
  @Option(help: "Counters in one write.") var changes = 50_000
  @Option(help: "How many writes.") var rounds = 5

  func run() throws {
    let (configuration, folder) = try site.read()
    let stored = try StoredSite(configuration.policy, folder)
    defer { stored.store.close() }
    let crowd = Crowd(stored.engine)
    var times: [Double] = []
    for round in 0..<rounds {
      let now = Timestamp.now
      // An address and its network each, that are in the database already.
      for robot in 0..<changes / 2 { crowd.visit(robot: robot + round * changes / 2, at: now) }
      var count = 0
      times.append(try seconds { count = try stored.store.write(all: stored.engine, at: now) })
      guard count == changes else {
        throw StateBench.Broken(description: "\(count) counters have changed, not \(changes)")
      }
    }
    say("a write of \(changes) changed counters: \(summary(times)) s")
    say("database with its log: \(megabytes(stored.store.size))")
  }
}
