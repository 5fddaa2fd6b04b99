import ArgumentParser
import Foundation
import WardenCore
import WardenPolicy
import WardenReplay

struct Replay: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "A backtest: what a policy would have done over old logs.",
    discussion: """
      FILE is a mail log of Postfix, Sendmail or Dovecot, plain or packed (gz, xz, zst), a quoted glob, - for standard input, or \
      what `mailwarden run --record` wrote. Files are read in the order of their dates. No daemon is asked.
      """)

  @OptionGroup var input: PastOptions
  @Option(name: .long, help: ArgumentHelp("The policy. (default: --config)", valueName: "file"))
  var policy: String?
  @Option(name: .long, help: ArgumentHelp("Another policy, to be compared with it.", valueName: "file"))
  var against: String?
  @Flag(name: .long, help: "Take rules that only observe as if they enforced.")
  var enforce = false
  @Flag(name: .long, help: "Print one line for each incident, as CSV.")
  var csv = false
  @Option(name: .long, help: ArgumentHelp("Write a page with drawn timelines, too.", valueName: "file"))
  var html: String?
  @OptionGroup var config: ConfigOption
  @OptionGroup var output: JSONFlag

  func validate() throws {
    if csv, output.json { throw ValidationError("Either --json or --csv.") }
  }

  func run() throws {
    let first = policy ?? config.config
    var trials = [Backtest.Contender(name: first, policy: try PastOptions.policy(first))]
    if let against { trials.append(Backtest.Contender(name: against, policy: try PastOptions.policy(against))) }
    var past = try input.events(under: trials[0].policy)
    var backtest = Backtest(trials, enforcesAll: enforce)
    try past.forEach { backtest.take($0, isOfLog: $1) }
    try input.check(past)
    let report = BacktestReport(
      backtest.finish(), source: past.names, blindness: past.blindness(under: trials.map(\.policy)), zone: input.zone)
    if let html { try report.html.write(toFile: html, atomically: true, encoding: .utf8) }
    print(output.json ? report.json : csv ? report.csv : report.text, terminator: "")
  }
}

/// What `replay` and `suggest` read.
struct PastOptions: ParsableArguments {
  @Argument(help: "Logs, or recorded events.")
  var files: [String] = []
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Of lines that name no time zone, such as Europe/Berlin. (default: the machine's)", valueName: "zone"))
  var timeZone: String?
  @Flag(name: .long, help: "Show no progress.")
  var quiet = false

  func validate() throws {
    if let timeZone, TimeZone(identifier: timeZone) == nil {
      let nearest = Suggestion.phrase(for: timeZone, among: TimeZone.knownTimeZoneIdentifiers)
      throw ValidationError("Unknown time zone \"\(timeZone)\"\(nearest).")
    }
  }

  var zone: TimeZone { timeZone.flatMap(TimeZone.init(identifier:)) ?? .current }

  func events(under policy: Policy) throws -> PastEvents {
    if files.isEmpty { throw ValidationError("Name a log, such as /var/log/mail.log, or - for standard input.") }
    return try PastEvents(files, zone: zone, isQuiet: quiet, policy: policy)
  }

  /// Ends the command where nothing was understood, so that a wrong file is not taken for a quiet one.
  func check(_ past: PastEvents) throws {
    guard past.isNoLog else { return }
    printError(
      "\(past.names): no mail log: of \(past.figures.lines) lines none was understood, so there is nothing to report")
    throw ExitCode(65)  // EX_DATAERR of sysexits(3)
  }

  /// - Returns: the file's policy; its problems are printed.
  static func policy(_ path: String) throws -> Policy { try policy(PolicyFile(path: path).read()) }

  static func policy(_ read: ReadResult) throws -> Policy {
    guard let configuration = read.configuration else {
      for diagnostic in read.errors { printError(diagnostic.description) }
      throw ExitCode(78)  // EX_CONFIG of sysexits(3)
    }
    return configuration.policy
  }
}
