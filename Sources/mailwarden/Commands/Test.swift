import ArgumentParser
import Foundation
import WardenControl
import WardenCore
import WardenPolicy
import WardenScript

struct Test: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Play tests of a policy: sessions as scripts, and the decisions that they expect.",
    discussion: """
      Exits 1 when a decision is another than expected, 2 when a script or its policy cannot be used.
      Nothing is sent anywhere, and no daemon is asked; the time is the scripts' own.
      """)

  @Argument(
    help: ArgumentHelp("Scripts, or folders of *.session. (default: the tests of the policy)", valueName: "file"))
  var files: [String] = []
  @Option(
    name: .long, help: ArgumentHelp("A policy file to test, whatever the scripts name.", valueName: "file"))
  var config: String?
  @OptionGroup var output: JSONFlag

  func run() throws {
    var bench = TestBench(policy: config)
    if files.isEmpty { bench.playTests(of: config ?? Configuration.defaultFile) }
    for file in files { bench.play(file) }
    let report = bench.report
    if output.json {
      print(JSONCoding.text(report, pretty: true))
    } else {
      // A bad policy is every script's problem.
      var told: Set<String> = []
      for problem in report.files.flatMap(\.problems) where told.insert(problem).inserted { printError(problem) }
      for line in report.lines { print(Quoted.control(line)) }
    }
    if report.files.contains(where: \.isUnusable) { throw ExitCode(2) }
    if !report.ok { throw ExitCode.failure }
  }
}

/// What `mailwarden test --json` prints.
struct TestReport: Encodable {
  struct File: Encodable {
    struct Failure: Encodable {
      let line: Int
      let action: String
      let message: String
      let reasons: [String]
    }

    let file: String
    var policy: String?
    var ok = false
    var actions = 0
    var failures: [Failure] = []
    /// Why it could not be played, each with its place.
    var problems: [String] = []

    var isUnusable: Bool { !problems.isEmpty }
  }

  /// Which enforcing rules scripts without a failure saw act.
  struct Coverage: Encodable {
    let policy: String
    let tested: [String]
    let untested: [String]
  }

  var ok: Bool
  var files: [File]
  var policies: [Coverage]

  /// For people: a line a file, with its failures, and a line a policy.
  var lines: [String] {
    files.filter { !$0.isUnusable }.flatMap { file in
      ["\(file.file): \(file.ok ? "good (\(file.actions) actions)" : "FAILED")"]
        + file.failures.flatMap { failure in
          let action = failure.action.isEmpty ? "" : "\(failure.action): "
          return ["  \(file.file):\(failure.line): \(action)\(failure.message)"] + failure.reasons.map { "      \($0)" }
        }
    }
      + policies.map { policy in
        let count = policy.tested.count + policy.untested.count
        let untested =
          policy.untested.isEmpty ? "" : "; without a test: \(policy.untested.joined(separator: ", "))"
        return "\(policy.policy): \(policy.tested.count) of \(count) enforcing rules were seen to act\(untested)"
      }
  }
}

/// Plays scripts, each against the policy that it names.
private struct TestBench {
  /// The policy to test instead of the scripts' own.
  private var policy: String?
  private var files: [TestReport.File] = []
  /// Policy files as read, by their plain path.
  private var read: [String: ReadResult] = [:]
  /// The order in which policies were met.
  private var policies: [String] = []
  /// Scripts without a failure, by the policy file that they were played against.
  private var passed: [String: [SessionScript]] = [:]

  init(policy: String?) { self.policy = policy }

  var report: TestReport {
    let coverage = policies.compactMap { path -> TestReport.Coverage? in
      guard let policy = read[path]?.configuration?.policy else { return nil }
      let untested = PolicyTests.untested(policy, by: passed[path] ?? [])
      let tested = policy.rules.filter { $0.mode == .enforce && !untested.contains($0.name) }.map(\.name)
      return TestReport.Coverage(policy: path, tested: tested, untested: untested)
    }
    return TestReport(ok: files.allSatisfy(\.ok), files: files, policies: coverage)
  }

  /// Plays the scripts that belong to a policy, against that policy.
  mutating func playTests(of policy: String) {
    self.policy = policy
    let result = result(of: policy)
    guard let configuration = result.configuration else {
      return files.append(TestReport.File(file: policy, problems: result.errors.map(\.description)))
    }
    playFolder(PolicyTests.folder(of: policy, configuration))
  }

  /// Plays a script, or those in a folder.
  mutating func play(_ path: String) {
    if PolicyTests.files(in: path) == nil { playFile(path) } else { playFolder(path) }
  }

  private mutating func playFolder(_ path: String) {
    let scripts = PolicyTests.files(in: path) ?? []
    if scripts.isEmpty { files.append(TestReport.File(file: path, problems: ["\(path): no tests (*.session) here"])) }
    for script in scripts { playFile(script) }
  }

  private mutating func playFile(_ path: String) {
    var file = TestReport.File(file: path)
    do {
      let script = try SessionScript(file: path, text: PlainFile.read(path))
      try play(script, &file)
    } catch let problems as SessionScript.Problems {
      file.problems = problems.all.map(\.description)
    } catch let unreadable as PlainFile.Unreadable {
      file.problems = ["\(path): cannot be read: \(unreadable)"]
    } catch {
      file.problems = ["\(error)"]
    }
    files.append(file)
  }

  private mutating func play(_ script: SessionScript, _ file: inout TestReport.File) throws {
    let source = policy.map(SessionScript.PolicySource.file) ?? script.policySource
    guard let source else { throw SessionFault("\(script.file): the script names no policy; write use FILE") }
    var path: String?
    let result: ReadResult
    switch source {
    case .file(let policy):
      path = Self.plain(policy)
      file.policy = path
      result = self.result(of: policy)
    case .text(let text): result = PolicyReader.read(text, file: script.file)
    }
    guard let policy = result.configuration?.policy else {
      file.problems = result.errors.map(\.description)
      return
    }
    file.actions = script.lines.count
    // What the policy does not have cannot act: no need to play.
    file.failures = script.problems(under: policy).map {
      .init(line: $0.line, action: "", message: $0.message, reasons: [])
    }
    if file.failures.isEmpty {
      file.failures = script.run(on: EngineDriver(policy: policy)).map {
        .init(line: $0.line, action: $0.action, message: $0.message, reasons: $0.reasons)
      }
    }
    file.ok = file.failures.isEmpty
    if file.ok, let path { passed[path, default: []].append(script) }
  }

  private mutating func result(of path: String) -> ReadResult {
    let plain = Self.plain(path)
    if let known = read[plain] { return known }
    let result = PolicyFile(path: path).read()
    read[plain] = result
    policies.append(plain)
    return result
  }

  /// `a/../b` as `b`.
  private static func plain(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == "..", let last = parts.last, last != ".." { parts.removeLast() } else { parts.append(part) }
    }
    return (path.hasPrefix("/") ? "/" : "") + parts.joined(separator: "/")
  }
}
