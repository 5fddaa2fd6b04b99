import Foundation
import Testing
import WardenTestKit

private let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .appendingPathComponent("../..").standardizedFileURL

@Suite("The five situations of docs/situations.md")
struct SituationTests {
  /// A command of the page with what it is said to print.
  struct Example: CustomTestStringConvertible {
    let section: String
    let command: String
    let shown: [Substring]
    var testDescription: String { command }

    /// A line `…` stands for any number of lines.
    func allows(_ printed: [Substring]) -> Bool { Self.matches(shown[...], printed[...]) }

    private static func matches(_ shown: ArraySlice<Substring>, _ printed: ArraySlice<Substring>) -> Bool {
      guard let first = shown.first else { return printed.isEmpty }
      if first == "…" {
        return (printed.startIndex...printed.endIndex).contains { matches(shown.dropFirst(), printed[$0...]) }
      }
      return first == printed.first && matches(shown.dropFirst(), printed.dropFirst())
    }
  }

  private static let page = try! String(
    contentsOf: checkout.appendingPathComponent("docs/situations.md"), encoding: .utf8)
  static let examples = read(page)

  private static func read(_ page: String) -> [Example] {
    var examples: [Example] = []
    var section = ""
    var block: [Substring]?
    for line in page.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("## ") { section = String(line.dropFirst(3).prefix(2)) }
      guard line == "```" else {
        block?.append(line)
        continue
      }
      if let lines = block, lines.first?.hasPrefix("$ mailwarden ") == true {
        let end = lines.firstIndex { !$0.hasSuffix("\\") } ?? 0
        examples.append(
          Example(
            section: section, command: String(lines[...end].joined(separator: "\n").dropFirst(2)),
            shown: Array(lines[(end + 1)...])))
      }
      block = block == nil ? [] : nil
    }
    return examples
  }

  @Test("Each has commands to try")
  func sections() { #expect(Set(Self.examples.map(\.section)) == ["S1", "S2", "S3", "S4", "S5"]) }

  @Test("A command prints what the page shows", arguments: examples)
  func prints(_ example: Example) throws {
    let folder = try Self.copy()
    let programs = URL(fileURLWithPath: builtProgram("mailwarden")).deletingLastPathComponent().path
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    let result = try Shell.run(
      "sh", ["-c", "cd \(folder.path) && \(example.command)"],
      environment: ["PATH": "\(programs):\(path)", "TZ": "UTC"])
    #expect(result.status == 0 && result.errors == "", "\(result.errors)")
    var printed = result.output.split(separator: "\n", omittingEmptySubsequences: false)
    while printed.last?.isEmpty == true { printed.removeLast() }
    #expect(example.allows(printed), "it printed\n\(result.output)")
  }

  @Test("The logs are those that their script writes")
  func logs() throws {
    let folder = try Self.copy()
    let logs = try FileManager.default.contentsOfDirectory(atPath: folder.file("Examples/logs")).filter {
      $0.contains(".log")
    }
    #expect(logs.count == 6)
    let committed = try logs.map { try Self.lines(of: folder.file("Examples/logs/\($0)")) }
    for log in logs { try FileManager.default.removeItem(atPath: folder.file("Examples/logs/\(log)")) }
    try Shell.check("python3", [folder.file("Examples/logs/make.py")])
    for (log, lines) in zip(logs, committed) {
      #expect(try Self.lines(of: folder.file("Examples/logs/\(log)")) == lines, "\(log)")
    }
  }

  @Test("A live daemon that follows the web host's log answers as the page says")
  func live() throws {
    let folder = try Self.copy()
    let log = folder.file("mail.log")
    try folder.write("", to: "mail.log")
    let policy = try folder.read("Examples/policies/web-host.yaml").replacing("/var/log/mail.log", with: log)
    let daemon = try TestDaemon(policy: "state: \(folder.file("state"))\n\(policy)", folder: folder)
    // The same lines, as of now.
    let now = Date.now.formatted(.iso8601)
    let lines = try Self.lines(of: folder.file("Examples/logs/s4-web-host.log.gz")).split(separator: "\n").map {
      now + $0.drop { $0 != " " } + "\n"
    }
    try folder.write(lines.joined(), to: "mail.log")
    let page = Self.timeless(Self.page)
    func isShown(_ line: Substring) -> Bool { page.contains("\n    \(Self.timeless(String(line)))\n") }
    var report = [Substring]()
    try eventually("the report names who logs in after many failures, as on the page") {
      report = try daemon.command("report", "--day", "today").output.split(separator: "\n")
      return report.contains { $0.hasPrefix("user:oscar ") && isShown($0) }
    }
    for line in report.drop(while: { $0 != "Successes after failures" }).prefix(3) { #expect(isShown(line), "\(line)") }
    let history = try daemon.command("history", "ip:203.0.113.77").output
    for line in history.split(separator: "\n") { #expect(isShown(line), "\(line)") }
  }

  private static func timeless(_ text: String) -> String {
    text.replacing(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/, with: "TIME")
  }

  /// A log's text, whatever has packed it.
  private static func lines(of path: String) throws -> String {
    try Shell.check(path.hasSuffix(".gz") ? "gzip" : "cat", (path.hasSuffix(".gz") ? ["-dc"] : []) + [path])
  }

  /// What the commands need of a checkout. Lines without a year are of the year of their file.
  private static func copy() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    let examples = URL(fileURLWithPath: folder.file("Examples"))
    try FileManager.default.copyItem(at: checkout.appendingPathComponent("Examples"), to: examples)
    let date = try Date("2026-11-25T00:00:00Z", strategy: .iso8601)
    for log in try FileManager.default.contentsOfDirectory(atPath: folder.file("Examples/logs")) {
      try FileManager.default.setAttributes(
        [.modificationDate: date], ofItemAtPath: folder.file("Examples/logs/\(log)"))
    }
    return folder
  }
}
