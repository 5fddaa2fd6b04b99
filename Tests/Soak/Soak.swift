import ArgumentParser
import Foundation
import WardenTestKit

/// Runs Mailwarden for long, under everything at once, and checks it against books of its own.
@main
struct Soak: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs the core for days of simulated time, and the daemon behind real MTAs for as long as wanted.")

  @Option(help: "How many days to simulate around each change of the clocks, to summer and to winter time; 0: none.")
  var days = 5

  @Option(help: "How long to run the real daemon; 0: not at all.")
  var seconds = 600

  @Option(help: "Where the simulation's chance begins.")
  var seed = Int.random(in: 1...999_999)

  func validate() throws {
    guard days == 0 || (3...6).contains(days) else {
      throw ValidationError("Memory is flat after the first day, and the trend goes back seven: simulate 3 to 6 days.")
    }
  }

  func run() throws {
    var isSound = true
    if days > 0 { isSound = try simulate() && isSound }
    if seconds > 0 { isSound = try runDaemon() && isSound }
    guard isSound else { throw ExitCode.failure }
  }

  private func simulate() throws -> Bool {
    let findings = Findings<CoreAssertion>()
    say("Simulated time: \(days) days around each change of the clocks, seed \(seed)")
    for change in [CompressedRun.Change.spring, .autumn] {
      let began = ContinuousClock.now
      let tally = try CompressedRun.run(
        change, days: days, seed: change.at < CompressedRun.Change.autumn.at ? seed : seed + 1, findings)
      let took = (ContinuousClock.now - began).components.seconds
      say(
        """
          \(change.name), in \(took) s: \(tally.sessions) sessions, \(tally.events) events, \(tally.blocks) blocks,
            \(tally.orders) orders, \(tally.reloads) reloads, \(tally.restarts) restarts of which \(tally.crashes) crashes, \
        \(tally.steps) steps of the wall's clock,
            keys by day \(tally.keys), bytes \(tally.memory), database \(tally.database / 1_000_000) MB
        """)
    }
    return findings.report()
  }

  private func runDaemon() throws -> Bool {
    let findings = Findings<DaemonAssertion>()
    say("Real time: \(seconds) s of \(builtProgram("mailwarden"))")
    try RealTimeRun(seconds: seconds, findings).run()
    return findings.report()
  }
}

/// Prints at once, also into a pipe.
func say(_ text: String) {
  print(text)
  fflush(nil)
}
