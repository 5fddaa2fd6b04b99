import ArgumentParser
import WardenControl
import WardenCore

struct Counters: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Live counts against limits, of one key or of the busiest.")

  @Argument(help: "For example user:alice@example.org. Without it: the keys nearest to a limit.")
  var key: String?
  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    let key = key
    _ = try daemon.ask(
      { client in
        if let key { return try await client.ask("/v1/counters", query: ["key": key], as: [CounterReport].self) }
        return try await client.ask("/v1/keys", query: ["order": "limit", "limit": "20"], as: [CounterReport].self)
      },
      print: { (counters: [CounterReport]) in
        if counters.isEmpty { return key == nil ? "nothing is counted yet" : "no rule counts this kind of key" }
        return Self.table(counters)
      })
  }

  static func table(_ counters: [CounterReport]) -> String {
    Table.text(
      ["key", "rule", "mode", "counted", "count", "limit", "left", "window"],
      counters.map {
        [
          Quoted.control($0.key), $0.rule, $0.mode, $0.signal, "\($0.count)", "\($0.limit)", "\($0.left)", $0.window,
        ]
      }, rightAligned: [4, 5, 6])
  }
}
