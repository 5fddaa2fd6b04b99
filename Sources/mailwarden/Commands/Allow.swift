import ArgumentParser
import WardenControl
import WardenCore

struct Allow: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Exempt a key for a while, or give it another limit.",
    discussion: """
      Without --rule no rule and no penalty concerns the key, and nothing of it is counted. Lasts until its time is over, \
      `revoke` ends it, or, without `state` in the policy, the daemon is started anew. What is to last longer belongs into \
      the policy's overrides.
      """)

  @Argument(help: "For example user:newsletter@example.org or network:203.0.113.0/24.")
  var key: String
  @Option(name: .customLong("for"), help: ArgumentHelp("How long: 30m, 1h, 3d.", valueName: "time"))
  var span: String
  @Option(name: .long, help: ArgumentHelp("Spare it this rule only.", valueName: "name"))
  var rule: String?
  @Option(
    name: .long, help: ArgumentHelp("Another limit of that rule, such as \"5000 per 1d\".", valueName: "limit"))
  var limit: String?
  @Option(name: .long, help: ArgumentHelp("What to tell those who ask why.", valueName: "words"))
  var reason: String?
  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    let order = AllowOrder(key: key, for: span, rule: rule, limit: limit, reason: reason)
    _ = try daemon.ask({ try await $0.ask("/v1/overrides", method: "POST", body: order, as: OverrideReport.self) }) {
      "\(Quoted.control($0.target)): \(Quoted.control($0.effect)) until \($0.until ?? "further notice")"
        + ($0.note.map { "\nnote: \(Quoted.control($0))" } ?? "")
    }
  }
}

struct Revoke: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "End what `allow` has given to a key.")

  @Argument(help: "For example user:newsletter@example.org.")
  var key: String
  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    let key = key
    _ = try daemon.ask(
      { try await $0.ask("/v1/overrides", method: "DELETE", query: ["key": key], as: [OverrideReport].self) }
    ) { revoked in
      revoked.isEmpty
        ? "nothing was allowed to \(Quoted.control(key)) at run time"
        : revoked.map { "\(Quoted.control($0.target)): no longer \(Quoted.control($0.effect))" }.joined(separator: "\n")
    }
  }
}

struct Overrides: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Who has other limits than the rules', or none, and where that was said.")

  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    _ = try daemon.ask({ try await $0.ask("/v1/overrides", as: [OverrideReport].self) }) { overrides in
      if overrides.isEmpty { return "there are no overrides" }
      return Table.text(
        ["who", "what", "until", "said by"],
        overrides.map {
          [Quoted.control($0.target), Quoted.control($0.effect), $0.until ?? "-", Quoted.control($0.origin)]
        })
    }
  }
}
