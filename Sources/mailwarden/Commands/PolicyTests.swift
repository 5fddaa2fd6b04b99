import Foundation
import WardenCore
import WardenPolicy
import WardenScript

/// Where the tests of a policy lie, and which of its rules they test.
enum PolicyTests {
  /// The folder that the policy names, else `tests/NAME` beside `NAME.yaml`.
  static func folder(of policy: String, _ configuration: Configuration) -> String {
    let file = URL(fileURLWithPath: policy, relativeTo: nil).deletingPathExtension().lastPathComponent
    let named = configuration.tests ?? "tests/\(file)"
    guard !named.hasPrefix("/"), let slash = policy.lastIndex(of: "/") else { return named }
    return policy[...slash] + named
  }

  /// The scripts in a folder and in those within it, in the order of their names.
  /// - Returns: nothing where there is no such folder.
  static func files(in folder: String) -> [String]? {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else { return nil }
    let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    let base = folder.hasSuffix("/") ? folder : folder + "/"
    return names.filter { $0.hasSuffix(".session") }.sorted().map { base + $0 }
  }

  /// Enforcing rules that no script expects to act.
  static func untested(_ policy: Policy, by scripts: [SessionScript]) -> [String] {
    policy.rules.filter { rule in rule.mode == .enforce && !scripts.contains { $0.tests(rule) } }.map(\.name)
  }

  /// What `mailwarden check` says about the tests of a policy: scripts that cannot be read, and enforcing rules without a
  /// test. Nothing is played.
  static func warnings(for configuration: Configuration, file: String) -> [Diagnostic] {
    let folder = folder(of: file, configuration)
    let files = files(in: folder) ?? []
    var warnings: [Diagnostic] = []
    func warn(_ message: String, _ place: String = file, line: Int = 0) {
      warnings.append(
        Diagnostic(file: place, line: line, column: line == 0 ? 0 : 1, severity: .warning, message: message))
    }
    var scripts: [SessionScript] = []
    for file in files {
      switch Result(catching: { try SessionScript(file: file, text: PlainFile.read(file)) }) {
      case .success(let script): scripts.append(script)
      case .failure(let problems as SessionScript.Problems):
        for problem in problems.all { warn(problem.message, file, line: problem.line) }
      case .failure(let error): warn("cannot be read: \(error)", file)
      }
    }
    let untested = untested(configuration.policy, by: scripts)
    if files.isEmpty, !untested.isEmpty {
      warn("no tests found in \(folder); enforcing rules without a test: \(untested.joined(separator: ", "))")
    } else {
      for rule in untested { warn("no test in \(folder) expects the enforcing rule \"\(rule)\" to act") }
    }
    return warnings
  }
}
