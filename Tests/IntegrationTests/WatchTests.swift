import Foundation
import MilterClient
import Testing
import WardenTestKit

/// The event stream of the control socket.
@Suite("Watching")
struct WatchTests {
  private static let policy = """
    rules:
      - {name: cap, count: messages, per: user, limit: [2 per 1h], then: tempfail}
      - {name: many, count: messages, per: ip, limit: [3 per 1h], then: alert, mode: observe}
    """

  /// `curl` that writes a stream into a file.
  private final class Stream {
    private let process: ChildProcess
    private let file: String

    init(_ daemon: TestDaemon, _ query: String = "", name: String = "stream") throws {
      file = daemon.folder.file(name)
      process = try ChildProcess(
        ["/usr/bin/curl", "-sN", "--unix-socket", daemon.controlSocket, "http://x/v1/events\(query)"], output: file)
      try eventually("the stream is open") { try self.text.contains(": mailwarden") }
    }

    deinit { process.signal(SIGKILL) }

    var isRunning: Bool { process.isRunning }
    var text: String { get throws { try String(contentsOfFile: file, encoding: .utf8) } }

    /// The records of a kind.
    func records(_ kind: String = "event") throws -> [[String: Any]] {
      try text.components(separatedBy: "\n\n").compactMap { message in
        let lines = message.split(separator: "\n")
        guard lines.count == 2, lines[0] == "event: \(kind)" else { return nil }
        return try JSONSerialization.jsonObject(with: Data(lines[1].dropFirst("data: ".count).utf8)) as? [String: Any]
      }
    }
  }

  private func send(_ daemon: TestDaemon, _ user: String, from address: String = "192.0.2.7", _ count: Int = 1) throws {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4(address, port: 1))
    for _ in 0..<count {
      if try client.mail("<a@b.test>", macros: [("{auth_authen}", user)]).isRefusal { continue }
      try client.endOfMessage(macros: [("i", "QQ1")])
    }
    try client.quit()
  }

  @Test("Every event is told as it happens, with what was decided and why")
  func everything() throws {
    let daemon = try TestDaemon(policy: Self.policy)
    let stream = try Stream(daemon)
    try send(daemon, "bob", 3)
    try eventually("the refusal is told") { try stream.records().contains { $0["decision"] as? String == "refused" } }
    let records = try stream.records()
    let refused = try #require(records.first { $0["decision"] as? String == "refused" })
    #expect(refused["rule"] as? String == "cap" && refused["key"] as? String == "user:bob")
    #expect(refused["reason"] as? String == "user bob: 3 messages in 1h (limit 2)")
    #expect(refused["ip"] as? String == "192.0.2.7" && refused["stage"] as? String == "mail")
    let passed = try #require(records.first { $0["stage"] as? String == "end-of-message" })
    #expect(passed["queue_id"] as? String == "QQ1" && passed["decision"] as? String == "go-on")
    #expect((passed["counted"] as? [String: Int])?["submissions"] == 1)
  }

  @Test("A filter lets through what it names alone")
  func filters() throws {
    let daemon = try TestDaemon(policy: Self.policy)
    let byKey = try Stream(daemon, "?key=user:bob", name: "key")
    let byNetwork = try Stream(daemon, "?key=network:198.51.100.0/24", name: "network")
    let byRule = try Stream(daemon, "?rule=many", name: "rule")
    let byDecision = try Stream(daemon, "?decision=refused,observed", name: "decision")
    try send(daemon, "alice", from: "198.51.100.9", 4)
    try send(daemon, "bob", 3)
    try eventually("both refusals are told") { try byDecision.records().count >= 3 }
    #expect(try byKey.records().allSatisfy { $0["user"] as? String == "bob" } && !byKey.records().isEmpty)
    #expect(try Set(byNetwork.records().compactMap { $0["ip"] as? String }) == ["198.51.100.9"])
    #expect(try byDecision.records().compactMap { $0["decision"] as? String } == ["refused", "refused", "refused"])
    #expect(try byRule.records().isEmpty)
    try send(daemon, "carol", from: "203.0.113.5", 2)
    try send(daemon, "dave", from: "203.0.113.5", 2)
    try eventually("the rule's trip is told") { try byRule.records().count == 1 }
    let notices = try #require(try byRule.records().first?["notices"] as? [[String: Any]])
    #expect(notices.first?["kind"] as? String == "observed" && notices.first?["key"] as? String == "ip:203.0.113.5")
  }

  @Test(
    "A filter that names nothing is said to be wrong",
    arguments: [
      ("key=bob", 400, "bob"), ("rule=cup", 404, "did you mean \\\"cap\\\""),
      ("decision=refuse", 400, "did you mean \\\"refused\\\""), ("pulse=1", 400, "yes or no"),
    ])
  func badFilters(_ query: String, _ status: Int, _ words: String) throws {
    let daemon = try TestDaemon(policy: Self.policy)
    let answer = try Shell.check(
      "curl",
      ["-s", "-m", "9", "-w", "%{http_code}", "--unix-socket", daemon.controlSocket, "http://x/v1/events?\(query)"])
    #expect(answer.hasSuffix("\(status)") && answer.contains(words), "\(answer)")
  }

  @Test("What administrators do is told, and the server's pulse to whoever asks")
  func actionsAndPulse() throws {
    let daemon = try TestDaemon(policy: Self.policy)
    let stream = try Stream(daemon, "?key=user:eve&pulse=yes")
    let plain = try Stream(daemon, "?decision=refused", name: "plain")
    #expect(try daemon.command("block", "user:mallory", "--for", "1h").status == 0)
    #expect(try daemon.command("block", "user:eve", "--for", "1h").status == 0)
    try eventually("the block is told") { try stream.records("action").count == 1 }
    #expect(try stream.records("action").first?["key"] as? String == "user:eve")
    try eventually("the pulse tells of it") {
      try stream.records("pulse").contains { $0["penalties"] as? Int == 2 && $0["watchers"] as? Int == 2 }
    }
    #expect(try plain.records("pulse").isEmpty && plain.records("action").isEmpty)
  }

  @Test("A watcher that stops reading is dropped; another goes on, and so does mail")
  func unread() throws {
    let daemon = try TestDaemon(policy: Self.policy)
    let reader = try Stream(daemon, "?pulse=yes")
    // Stopped as a terminal stops what it shows.
    let sleeper = try ChildProcess(
      ["/usr/bin/curl", "-sN", "--unix-socket", daemon.controlSocket, "http://x/v1/events"],
      output: daemon.folder.file("sleeper"))
    try eventually("two watch") { try daemon.status("watchers") == 2 }
    sleeper.signal(SIGSTOP)
    let name = String(repeating: "x", count: 200)
    try eventually("the sleeper is dropped", within: 60) {
      try self.send(daemon, name + "\(Int.random(in: 0..<9_999))", 100)
      return try daemon.status("watchers") == 1
    }
    sleeper.signal(SIGKILL)
    let status = try #require(try daemon.curl("/v1/status") as? [String: Any])
    #expect((status["faults"] as? [String: Any])?["dropped_watchers"] as? Int == 1)
    #expect(reader.isRunning)
    // What came in the second of the flood may have been left out.
    try eventually("the other is told") {
      try self.send(daemon, "bob")
      return try reader.records().contains { $0["user"] as? String == "bob" }
    }
  }

  @Test("What is too much for a stream is left out, and told")
  func skipped() throws {
    let daemon = try TestDaemon(policy: Self.policy)
    let stream = try Stream(daemon)
    var sent = 0
    try eventually("something is left out", within: 60) {
      try self.send(daemon, "user\(sent)", from: "192.0.2.\(sent % 250)", 2_000)
      sent += 1
      return try !stream.records("skipped").isEmpty
    }
  }

  @Test("There are only so many streams, and none holds up the end of the daemon")
  func tooMany() throws {
    let daemon = try TestDaemon(policy: Self.policy)
    let streams = try (0..<64).map { try Stream(daemon, name: "stream\($0)") }
    let answer = try Shell.check(
      "curl", ["-s", "-m", "9", "-w", "%{http_code}", "--unix-socket", daemon.controlSocket, "http://x/v1/events"])
    #expect(answer.hasSuffix("503") && answer.contains("too many"))
    #expect(try daemon.stop() == 0)
    #expect(!(try daemon.log).contains("has not come to its end"))
    try eventually("the streams have ended") { streams.allSatisfy { !$0.isRunning } }
  }
}
