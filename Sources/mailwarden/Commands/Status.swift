import ArgumentParser
import WardenControl
import WardenCore

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "One screen: uptime, rates, sessions, tripped rules, penalties, faults.")

  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    _ = try daemon.ask({ try await $0.ask("/v1/status", as: StatusReport.self) }, print: Self.text)
  }

  private static func text(_ status: StatusReport) -> String {
    let uptime = TimeSpan.seconds(status.uptime_seconds)
    var lines = [
      "mailwarden \(status.version), process \(status.pid), up \(uptime), policy \(Quoted.control(status.policy_file))",
      "sessions open: \(status.sessions_open)   penalties: \(status.penalties)   keys counted: \(status.keys), in "
        + "\(status.memory_bytes / 1_000_000) of \(status.memory_bound_bytes / 1_000_000) MB",
    ]
    if let reload = status.last_reload, !reload.ok {
      lines.append("LAST RELOAD FAILED at \(reload.at); the policy before it is in force:")
      lines += reload.problems.map { "  \(Quoted.control($0))" }
    }
    let rates = status.totals.filter { $0.value.total > 0 }.sorted { $0.key < $1.key }.map { name, rate in
      [name, "\(rate.last_minute)", "\(rate.last_hour)", "\(rate.total)"]
    }
    lines += ["", Table.text(["counted", "last minute", "last hour", "since start"], rates, rightAligned: [1, 2, 3])]
    let rules = status.rules.map { [$0.name, $0.mode, "\($0.trips)", "\($0.refused)"] }
    lines += ["", Table.text(["rule", "mode", "episodes", "refused"], rules, rightAligned: [2, 3])]
    let faults = status.faults
    let wrong = [
      ("milter faults", faults.milter_faults), ("log entries dropped", faults.dropped_notices),
      ("commands dropped", faults.dropped_commands),
      ("keys evicted", faults.evicted_keys), ("penalties dropped", faults.dropped_penalties),
      ("episodes dropped", faults.dropped_episodes),
    ].filter { $0.1 > 0 }
    lines += ["", wrong.isEmpty ? "no faults" : "FAULTS: " + wrong.map { "\($0.0) \($0.1)" }.joined(separator: ", ")]
    return lines.joined(separator: "\n")
  }
}
