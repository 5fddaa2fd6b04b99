import ArgumentParser
import WardenCore
import WardenPolicy
import WardenStore

/// Where the time of a start goes.
struct ReadBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "read", abstract: "Reads the state as the daemon does, part by part.")

  @OptionGroup var site: Site
  @Option(help: "How many times.") var rounds = 5

  func run() throws {
    let (configuration, folder) = try site.read()
    var times: [String: [Double]] = [:]
    for _ in 0..<rounds {
      let stored = try StoredSite(configuration.policy, folder)
      for (part, time) in stored.times { times[part, default: []].append(time) }
      stored.store.close()
    }
    for part in StoredSite.parts { say("\(part): \(summary(times[part]!, 3)) s") }
  }
}

/// An engine with all that is stored.
struct StoredSite {
  static let parts = [
    "open", "read all but the counters", "take that back", "step through the counters", "with taking them back",
  ]

  let store: Store
  let engine: Engine
  private(set) var times: [String: Double] = [:]

  init(_ policy: Policy, _ folder: String) throws {
    let now = Timestamp.now
    engine = Engine(policy: policy, keepsChanges: true)
    var opened: Store?
    times["open"] = try seconds { opened = try Store.open(folder: folder, wall: now).store }
    store = opened!
    var stored = StoredState()
    times["read all but the counters"] = try seconds { stored = try store.load(at: now) }
    times["take that back"] = seconds {
      if let roots = stored.roots { engine.adopt(roots) }
      engine.restore(penalties: stored.penalties, orders: stored.orders, episodes: stored.episodes, at: now)
    }
    var bytes = 0
    times["step through the counters"] = try seconds {
      try store.forEachRecord(at: now) { name, _, cells in bytes += name.count + cells.count }
    }
    var lost = 0
    times["with taking them back"] = try seconds {
      try store.forEachRecord(at: now) { name, touched, cells in
        if !engine.restore(name: name, touched: touched, cells: cells, at: now) { lost += 1 }
      }
    }
    guard lost == 0, stored.unreadable == 0 else {
      throw StateBench.Broken(description: "\(lost) counters and \(stored.unreadable) others could not be read")
    }
  }
}
