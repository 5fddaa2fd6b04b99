import ArgumentParser
import WardenControl
import WardenCore

struct Reload: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check the policy file, then switch to it; counters stay.",
    discussion: "Exits 1 when the file has errors; the running policy then stays in force.")

  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    let report = try daemon.ask({
      try await $0.ask("/v1/reload", method: "POST", accepts: [422], as: ReloadReport.self)
    }) { report in
      let findings = report.problems + report.warnings
      let outcome = report.ok ? "reloaded" : "not reloaded: the running policy stays in force"
      return (findings.map { Quoted.control($0) } + [outcome]).joined(separator: "\n")
    }
    if !report.ok { throw ExitCode.failure }
  }
}
