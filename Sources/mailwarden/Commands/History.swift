import ArgumentParser
import WardenControl
import WardenCore
import WardenStore

struct History: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What happened to a key: counts by minute, hour or day, decisions, administrators' actions.",
    discussion: """
      Times are 2026-11-20 or 2026-11-20T18:00:00Z. Minutes are kept for two days, hours for two months, days for two years, \
      unless the policy says otherwise.
      """)

  enum Period: String, ExpressibleByArgument, CaseIterable { case minute, hour, day }

  @Argument(help: "For example user:alice@example.org, ip:192.0.2.7 or server.")
  var key: String
  @Option(name: .long, help: "minute, hour or day.")
  var by = Period.hour
  @Option(name: .long, help: ArgumentHelp("From when on. (default: the last hour, day or month)", valueName: "time"))
  var from: String?
  @Option(name: .long, help: ArgumentHelp("Up to when. (default: now)", valueName: "time"))
  var to: String?
  @Flag(name: .long, help: "Print the counts as CSV.")
  var csv = false
  @OptionGroup var daemon: DaemonOptions

  func validate() throws {
    if csv, daemon.output.json { throw ValidationError("Either --json or --csv.") }
  }

  func run() throws {
    let (key, by, from, to, csv) = (key, by.rawValue, from, to, csv)
    _ = try daemon.ask(
      {
        try await $0.ask(
          "/v1/history", query: ["key": key, "by": by, "from": from, "to": to], as: HistoryReport.self)
      },
      print: { csv ? Self.csv($0) : Self.text($0) })
  }

  private static func text(_ report: HistoryReport) -> String {
    var parts = ["\(Quoted.control(report.key)) by \(report.by), \(report.from) to \(report.to)"]
    let names = names(report)
    if report.rows.isEmpty {
      parts.append("nothing was counted")
    } else {
      parts.append(
        Table.text(
          ["at"] + names, report.rows.map { row in [row.at] + names.map { "\(row.counts[$0] ?? 0)" } },
          rightAligned: Set(1...names.count)))
    }
    if !report.decisions.isEmpty {
      parts.append(
        Table.text(
          ["first", "times", "what", "rule", "reason"],
          report.decisions.map {
            [$0.first, "\($0.count)", $0.kind, Quoted.control($0.rule), Quoted.control($0.reason)]
          }, rightAligned: [1]))
    }
    if !report.actions.isEmpty { parts.append(Report.table(report.actions)) }
    if report.is_cut { parts.append("There is more; this is the latest. Ask for a shorter time.") }
    return parts.joined(separator: "\n\n")
  }

  private static func csv(_ report: HistoryReport) -> String {
    let names = names(report)
    return CSV.text([["at"] + names] + report.rows.map { row in [row.at] + names.map { "\(row.counts[$0] ?? 0)" } })
  }

  /// What was counted at all.
  private static func names(_ report: HistoryReport) -> [String] {
    Set(report.rows.flatMap(\.counts.keys)).sorted()
  }
}
