import ArgumentParser
import WardenControl
import WardenCore

struct Penalties: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "The penalty box: who is blocked, why, until when.")

  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    _ = try daemon.ask({ try await $0.ask("/v1/penalties", as: [PenaltyReport].self) }) { penalties in
      if penalties.isEmpty { return "nobody is blocked" }
      return Table.text(
        ["key", "until", "attempts", "rule", "reason"],
        penalties.map { [Quoted.control($0.key), $0.until, "\($0.attempts)", $0.rule, Quoted.control($0.reason)] },
        rightAligned: [2])
    }
  }
}

struct Block: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Block a key for a while.",
    discussion: "Takes effect at once, also for mail that is under way. `release` lifts it.")

  @Argument(help: "For example user:alice@example.org or network:203.0.113.0/24.")
  var key: String
  @Option(name: .customLong("for"), help: ArgumentHelp("How long: 30m, 1h, 3d.", valueName: "time"))
  var span: String
  @Option(name: .long, help: ArgumentHelp("What to tell those who ask why.", valueName: "words"))
  var reason: String?
  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    let order = BlockOrder(key: key, for: span, reason: reason)
    _ = try daemon.ask(
      { try await $0.ask("/v1/penalties", method: "POST", body: order, as: BlockReport.self) }, print: Self.text)
  }

  static func text(_ report: BlockReport) -> String {
    let penalty = report.penalty
    let note = report.note.map { "\nnote: \(Quoted.control($0))" } ?? ""
    return "\(Quoted.control(penalty.key)) is blocked until \(penalty.until)\(note)"
  }
}

struct Release: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Let a key go: its penalty ends and its counts start anew.")

  @Argument(help: "For example user:alice@example.org or ip:192.0.2.7.")
  var key: String
  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    let key = key
    _ = try daemon.ask(
      { try await $0.ask("/v1/penalties", method: "DELETE", query: ["key": key], as: ReleaseReport.self) },
      print: Self.text)
  }

  static func text(_ report: ReleaseReport) -> String {
    let name = Quoted.control(report.key)
    var text = "\(name) "
    switch (report.was_blocked, report.had_counts) {
    case (true, _): text += "is released"
    case (false, true): text += "was not blocked; its counts start anew"
    case (false, false): text += "was neither blocked nor counted"
    }
    if let note = report.note { text += "\nnote: \(Quoted.control(note))" }
    for penalty in report.still_blocked_by {
      text += "\nnote: still blocked through \(Quoted.control(penalty.key)) until \(penalty.until)"
    }
    return text
  }
}
