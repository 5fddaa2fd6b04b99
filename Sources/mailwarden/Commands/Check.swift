import ArgumentParser
import WardenControl
import WardenPolicy

struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check a policy file: all problems at once, with their places.",
    discussion: "Exits 0 when the policy can be used (warnings do not count), 1 when it cannot.")

  @Argument(help: "The policy file. (default: --config)")
  var file: String?
  @OptionGroup var config: ConfigOption
  @OptionGroup var output: JSONFlag

  private struct Report: Encodable {
    struct Finding: Encodable {
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
    let path = file ?? config.config
    let read = PolicyFile(path: path).read()
    let isSound = read.configuration != nil
    let rules = read.configuration?.policy.rules ?? []
    if output.json {
      let report = Report(
        file: path, ok: isSound, rules: rules.count,
        findings: read.diagnostics.map {
          .init(line: $0.line, column: $0.column, severity: $0.severity.rawValue, message: $0.message)
        })
      print(JSONCoding.text(report, pretty: true))
    } else {
      for diagnostic in read.diagnostics { printError(diagnostic.description) }
      if isSound {
        let enforced = rules.filter { $0.mode == .enforce }.count
        print("\(path): good: \(rules.count) rules, \(enforced) enforced, \(rules.count - enforced) observed")
      }
    }
    if !isSound { throw ExitCode.failure }
  }
}
