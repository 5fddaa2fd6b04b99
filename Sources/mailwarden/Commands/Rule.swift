import ArgumentParser
import WardenControl
import WardenCore

struct RuleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rule",
    abstract: "A rule, and how often it would trip at other limits.",
    discussion: """
      Over it now: keys that stand over the number at this moment, by the live counts. Would have tripped: by the history, \
      which counts by the clock's minutes, hours or days and keeps the busiest keys only; so it is near the truth, not the same.
      """)

  @Argument(help: "The rule's name.")
  var name: String
  @Option(name: .long, help: ArgumentHelp("How far to look back, up to 60.", valueName: "days"))
  var days = 7
  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    let (name, days) = (name, days)
    _ = try daemon.ask(
      { try await $0.ask("/v1/rule", query: ["name": name, "days": "\(days)"], as: RuleReport.self) }, print: Self.text)
  }

  private static func text(_ report: RuleReport) -> String {
    var parts = [
      [
        report.description.isEmpty ? report.name : "\(report.name): \(Quoted.control(report.description))",
        "\(report.mode), counts \(report.count) per \(report.per): \(report.limits.joined(separator: ", or "))",
        "then \(report.then.joined(separator: ", "))",
        "tripped \(report.trips) times and refused \(report.refused) since the start; \(report.open_episodes) tripped now",
      ].joined(separator: "\n"),
      table(report),
    ]
    if let past = report.past {
      parts.append("by the \(past.by), \(past.from) to \(past.to)\(past.is_cut ? "; there is more before" : "")")
    }
    if let note = report.note { parts.append(note) }
    return parts.joined(separator: "\n\n")
  }

  private static func table(_ report: RuleReport) -> String {
    let past = report.past?.ladder ?? []
    return Table.text(
      ["limit", "over it now"] + (past.isEmpty ? [] : ["would have tripped", "keys"]),
      report.now.map { rung in
        let before = past.first { $0.limit == rung.limit }
        return ["\(rung.is_current ? "* " : "")\(rung.limit)", "\(rung.keys) of \(report.keys_counted)"]
          + (before.map { ["\($0.trips)", "\($0.keys)"] } ?? [])
      }, rightAligned: [0, 1, 2, 3])
  }
}
