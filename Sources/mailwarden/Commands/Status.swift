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
    if let state = status.state {
      lines.append(
        "state: \(Quoted.control(state.folder)), \(state.size_bytes / 1_000_000) of \(state.size_bound_bytes / 1_000_000) MB, "
          + (state.problem.map { "NOT STORED since \(state.stored ?? "the start"): \(Quoted.control($0))" }
            ?? "stored \(state.stored ?? "not yet")"))
      if let path = state.set_aside {
        lines.append("A DATABASE THAT COULD NOT BE USED was set aside: \(Quoted.control(path))")
      }
    }
    if let days = status.state?.history_days, days >= 7 {
      lines.append("\(days) days of history: `mailwarden suggest` proposes limits from what is normal here")
    }
    for channel in status.alerts ?? [] where channel.problem != nil || channel.waiting > 0 {
      lines.append(
        "alerts by \(channel.channel): \(channel.waiting) waiting, "
          + (channel.problem.map { "the last attempt FAILED: \(Quoted.control($0))" } ?? "on their way"))
    }
    for feed in status.feeds {
      let parts = [
        "feed \(Quoted.control(feed.name)): \(feed.heard) heard, \(feed.told) told of something",
        feed.not_understood > 0 ? "\(feed.not_understood) not understood" : "", "last \(feed.last_heard ?? "not yet")",
        feed.problem.map { "PROBLEM: \(Quoted.control($0))" } ?? "",
      ]
      lines.append(parts.filter { !$0.isEmpty }.joined(separator: ", "))
    }
    for trouble in status.distress { lines.append("DISTRESS: \(Quoted.control(trouble))") }
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
      ("episodes dropped", faults.dropped_episodes), ("history dropped", faults.dropped_history),
      ("connections dropped", faults.dropped_connections),
    ].filter { $0.1 > 0 }
    lines += ["", wrong.isEmpty ? "no faults" : "FAULTS: " + wrong.map { "\($0.0) \($0.1)" }.joined(separator: ", ")]
    return lines.joined(separator: "\n")
  }
}
