import ArgumentParser
import WardenControl
import WardenPolicy

struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check a policy file: all problems at once, with their places.",
    discussion: "Exits 0 when the policy can be used (warnings do not count), 1 when it cannot.")

  @Argument(help: "The policy file. (default: --config)")
  var file: String?
  @Flag(name: .long, help: "List what rules can count, instead of checking a file.")
  var signals = false
  @Flag(name: .long, help: "Print the JSON Schema of policy files, for editors, instead of checking one.")
  var schema = false
  @OptionGroup var config: ConfigOption
  @OptionGroup var output: JSONFlag

  private struct Report: Encodable {
    struct Finding: Encodable {
      /// The policy, what it includes, or one of its tests.
      let file: String
      let line: Int
      let column: Int
      let severity: String
      let message: String
    }
    let file: String
    let ok: Bool
    let rules: Int
    let findings: [Finding]
  }

  func run() throws {
    if signals {
      let list = SignalList()
      return print(output.json ? JSONCoding.text(list, pretty: true) : list.text)
    }
    if schema { return print(PolicySchema.text) }
    let path = file ?? config.config
    let read = PolicyFile(path: path).read()
    let isSound = read.configuration != nil
    let rules = read.configuration?.policy.rules ?? []
    let findings =
      read.diagnostics + (read.configuration.map { PolicyTests.warnings(for: $0, file: path) } ?? [])
    if output.json {
      let report = Report(
        file: path, ok: isSound, rules: rules.count,
        findings: findings.map {
          .init(
            file: $0.file, line: $0.line, column: $0.column, severity: $0.severity.rawValue, message: $0.message)
        })
      print(JSONCoding.text(report, pretty: true))
    } else {
      for diagnostic in findings { printError(diagnostic.description) }
      if isSound {
        let enforced = rules.filter { $0.mode == .enforce }.count
        print("\(path): good: \(rules.count) rules, \(enforced) enforced, \(rules.count - enforced) observed")
      }
    }
    if !isSound { throw ExitCode.failure }
  }
}
