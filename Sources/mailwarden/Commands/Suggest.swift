import ArgumentParser
import Foundation
import WardenControl
import WardenCore
import WardenPolicy
import WardenReplay

struct Suggest: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "suggest",
    abstract: "Limits proposed from what is normal here, with the backtest of them.",
    discussion: """
      With FILEs, from old logs (see `mailwarden help replay`): prints a policy that `check` accepts, each number with its reason, and \
      below it, as comments, what it would have done over the same logs. Without, from the running daemon's history.
      """,
    aliases: ["learn"])

  @OptionGroup var input: PastOptions
  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    if input.files.isEmpty {
      _ = try daemon.ask(
        { try await $0.ask("/v1/suggest", as: SuggestionReport.self) }, print: { $0.policy })
      return
    }
    let path = daemon.config.config
    let isGiven = FileManager.default.fileExists(atPath: path)
    let base = isGiven ? try PastOptions.policy(path) : Policy()
    var past = try input.events(under: base)
    var measurement = WardenReplay.Measurement(of: base)
    try past.forEach { event, _ in measurement.take(event) }
    try input.check(past)
    let proposals = measurement.finish(feeds: past.feeds)
    if daemon.output.json { return print(proposals.json, terminator: "") }
    print(proposals.policy, terminator: "")
    print("")
    // Comments, so that all of it is a policy.
    for line in try backtest(proposals.policy, base, &past).split(
      omittingEmptySubsequences: false, whereSeparator: \.isNewline
    ).dropLast() {
      print(line.isEmpty ? "#" : "# \(line)")
    }
  }

  /// What the proposed limits would have done over the same files.
  private func backtest(_ text: String, _ base: Policy, _ past: inout PastEvents) throws -> String {
    guard past.isRepeatable else { return "No backtest: what comes through a pipe can be read once only.\n" }
    var policy = try PastOptions.policy(PolicyReader.read(text, file: "the proposed policy"))
    (policy.exempt, policy.realms, policy.groups) = (base.exempt, base.realms, base.groups)
    var backtest = Backtest([Backtest.Contender(name: "the proposed policy", policy: policy)], enforcesAll: true)
    try past.forEach { backtest.take($0, isOfLog: $1) }
    return BacktestReport(
      backtest.finish(), source: past.names, blindness: past.blindness(under: [policy]), zone: input.zone
    ).text
  }
}
