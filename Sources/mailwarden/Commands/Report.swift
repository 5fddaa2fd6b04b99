import ArgumentParser
import WardenControl
import WardenCore
import WardenStore

struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "The report of a day: who sent most, who was stopped and why, what deserves a look.")

  @Option(name: .long, help: ArgumentHelp("2026-11-20, today or yesterday.", valueName: "day"))
  var day = "yesterday"
  @Flag(name: .long, help: "Print one line for each entry, as CSV.")
  var csv = false
  @OptionGroup var daemon: DaemonOptions

  func validate() throws {
    if csv, daemon.output.json { throw ValidationError("Either --json or --csv.") }
  }

  func run() throws {
    let (day, csv) = (day, csv)
    _ = try daemon.ask(
      { try await $0.ask("/v1/report", query: ["day": day], as: DayReport.self) },
      print: { report in
        let sections = Self.sections(report)
        return csv ? Self.csv(sections) : Self.text(report, sections)
      })
  }

  /// A part of the report, as people and as programs get it.
  private struct Section {
    let title: String
    /// What it is called in CSV.
    let name: String
    let header: [String]
    let rows: [[String]]
    let rightAligned: Set<Int>
  }

  private static func sections(_ report: DayReport) -> [Section] {
    [
      Section(
        title: "Counted", name: "totals", header: ["what", "count"],
        rows: report.totals.sorted { $0.key < $1.key }.map { [$0.key, "\($0.value)"] }, rightAligned: [1]),
      Section(
        title: "Who sent most", name: "top-senders", header: ["sender", "messages", "recipients"],
        rows: report.top_senders.map { [$0.key, "\($0.messages)", "\($0.recipients)"] }, rightAligned: [1, 2]),
      Section(
        title: "New among those who send much", name: "new-high-volume", header: ["sender", "messages", "most before"],
        rows: report.new_high_volume.map { [$0.key, "\($0.messages)", "\($0.most_before)"] }, rightAligned: [1, 2]),
      Section(
        title: "Who was stopped", name: "stopped",
        header: ["key", "by", "how", "first", "sent before", "stopped since", "reason"],
        rows: report.stopped.map {
          [$0.key, $0.rule, $0.kind, $0.first, "\($0.messages_before)", "\($0.stopped_since)", $0.reason]
        }, rightAligned: [4, 5]),
      Section(
        title: "What was refused for", name: "refused-by-cause", header: ["cause", "by", "count"],
        rows: report.refused_by_cause.map { [$0.cause, $0.by, "\($0.count)"] }, rightAligned: [2]),
      Section(
        title: "Successes after failures", name: "successes-after-failures",
        header: ["key", "hour", "failures", "logins", "messages"],
        rows: report.successes_after_failures.map {
          [$0.key, $0.at, "\($0.failures)", "\($0.logins)", "\($0.messages)"]
        }, rightAligned: [2, 3, 4]),
      Section(
        title: "Refused, and perhaps honest", name: "to-review",
        header: ["key", "by", "times", "first", "known since", "reason"],
        rows: report.to_review.map { [$0.key, $0.rule, "\($0.count)", $0.first, $0.known_since, $0.reason] },
        rightAligned: [2]),
      Section(
        title: "What administrators did", name: "actions", header: actionHeader, rows: report.actions.map(Self.cells),
        rightAligned: []),
    ]
  }

  private static func text(_ report: DayReport, _ sections: [Section]) -> String {
    let parts = sections.map { section in
      if section.rows.isEmpty { return "\(section.title): nothing" }
      return "\(section.title)\n"
        + Table.text(
          section.header, section.rows.map { $0.map { Quoted.control($0) } }, rightAligned: section.rightAligned)
    }
    return (["\(report.day), \(report.from) to \(report.to)"] + parts).joined(separator: "\n\n")
  }

  private static func csv(_ sections: [Section]) -> String {
    let header = ["section", "key", "value", "value", "value", "value", "value", "value"]
    return CSV.text([header] + sections.flatMap { section in section.rows.map { [section.name] + $0 } })
  }

  private static let actionHeader = ["at", "who", "action", "key", "detail"]
  private static func cells(_ action: ActionReport) -> [String] {
    [action.at, action.who, action.action, action.key, action.detail]
  }

  static func table(_ actions: [ActionReport]) -> String {
    Table.text(actionHeader, actions.map { cells($0).map { Quoted.control($0) } })
  }
}
