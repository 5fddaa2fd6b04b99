import Foundation
import Testing
import WardenTestKit

@testable import WardenAlerts

@Suite("Programs") struct ProgramRunnerTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func run(
    _ script: String, _ arguments: String..., input: String = "", limit: Duration = .seconds(60)
  ) async throws -> ProgramRunner.Outcome {
    try await ProgramRunner(limit: limit).run([program(script, in: folder)] + arguments, input: input)
  }

  @Test(
    "A program gets its input whole, far more than a pipe's usual 64 KB", arguments: [0, 10, 65_536, 65_537, 1 << 20])
  func input(size: Int) async throws {
    let text = String(repeating: "x", count: size)
    #expect(try await run("cat > \"$1\"", folder.file("got"), input: text) == .succeeded)
    #expect(try folder.read("got") == text)
  }

  @Test("A program that reads nothing of it is no failure, and does us no harm")
  func unread() async throws {
    #expect(try await run("exit 0", input: String(repeating: "x", count: 500_000)) == .succeeded)
    #expect(try await run("exec 0<&-; exit 0", input: String(repeating: "x", count: 500_000)) == .succeeded)
  }

  @Test("More than can be given is told, and nothing is run")
  func tooMuch() async throws {
    let outcome = try await run("touch \"$1\"", folder.file("ran"), input: String(repeating: "x", count: 1 << 21))
    guard case .notRun = outcome else { return #expect(outcome == .notRun("")) }
    #expect(!FileManager.default.fileExists(atPath: folder.file("ran")))
  }

  @Test("A program that fails is told with the beginning of what it said")
  func fails() async throws {
    let outcome = try await run("printf 'no \\033[2Jroom\\nat all\\n' >&2; exit 75")
    #expect(outcome == .failed(status: "exited(75)", complaint: "no \u{1b}[2Jroom; at all"))
    guard case .failed(_, let long) = try await run("head -c 60000 /dev/zero | tr '\\0' y >&2; exit 1") else {
      Issue.record("it did not fail")
      return
    }
    #expect(long == String(repeating: "y", count: 1_000))
  }

  @Test("A program that hangs is stopped, with what it has started, even where it will not go")
  func hangs() async throws {
    let outcome = try await run(
      "trap '' TERM; echo waiting >&2; sleep 1000 & echo $! > \"$1\"; echo $$ > \"$1.own\"; wait; wait; sleep 1000",
      folder.file("pid"), limit: .milliseconds(500))
    #expect(outcome == .tookTooLong(limit: .milliseconds(500), complaint: "waiting"))
    for name in ["pid", "pid.own"] {
      let pid = try #require(Int32(folder.read(name).trimmingCharacters(in: .newlines)))
      try eventually("\(name) is gone") { !Self.isAlive(pid) }
    }
  }

  /// A zombie that nobody has taken yet is not alive.
  private static func isAlive(_ pid: Int32) -> Bool {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return !status.contains(") Z ")
  }

  @Test("Endless output neither fills memory nor outlasts the limit", arguments: ["yes", "yes >&2"])
  func endless(script: String) async throws {
    guard case .tookTooLong = try await run(script, limit: .milliseconds(500)) else {
      Issue.record("it should have been stopped")
      return
    }
  }

  @Test("A program that leaves another behind, with our ends of its pipes, is done when it is done")
  func leavesAnother() async throws {
    #expect(try await run("sleep 1000 & echo $! > \"$1\"; exit 0", folder.file("pid")) == .succeeded)
    kill(try #require(Int32(folder.read("pid").trimmingCharacters(in: .newlines))), SIGKILL)
  }

  @Test("What is no program is told")
  func missing() async throws {
    guard case .notRun = try await ProgramRunner().run(["/nowhere/program"], input: "") else {
      Issue.record("it ran")
      return
    }
    #expect(try await ProgramRunner().run([], input: "") == .notRun("there is no program"))
  }

  @Test("A program that complains at length comes to its end, and the beginning is kept")
  func longComplaint() async throws {
    let script = "echo first >&2; head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 3"
    let outcome = try await ProgramRunner().run(["/bin/sh", "-c", script], input: "")
    guard case .failed("exited(3)", let complaint) = outcome else {
      Issue.record("\(outcome)")
      return
    }
    #expect(complaint.hasPrefix("first; xxx") && complaint.utf8.count <= ProgramRunner.longestComplaint + 2)
  }
}
