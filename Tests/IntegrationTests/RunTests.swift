import Foundation
import MilterClient
import Testing
import WardenTestKit

/// `run NAME`: the administrator's own commands.
@Suite("Commands that rules run")
struct RunTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A daemon whose only rule runs these commands at a sender's second message.
  private func daemon(_ commands: KeyValuePairs<String, [String]>) throws -> TestDaemon {
    try TestDaemon(policy: policy(commands), folder: folder)
  }

  private func policy(_ commands: KeyValuePairs<String, [String]>) -> String {
    let lines = commands.map { name, words in "  \(name): [\(words.map { "'\($0)'" }.joined(separator: ", "))]" }
    return """
      commands:
      \(lines.joined(separator: "\n"))
      rules:
        - {name: cap, count: messages, per: sender, limit: 1 per 1h, then: [\(commands.map { "run \($0.key)" }.joined(separator: ", "))]}
      """
  }

  private func send(_ daemon: TestDaemon, _ count: Int = 2, from sender: String, as user: String? = nil) throws {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.7", port: 1))
    for _ in 0..<count {
      let macros = user.map { [("{auth_authen}", $0)] } ?? []
      #expect(try client.mail("<\(sender)>", macros: macros) == .continue)
      #expect(try client.endOfMessage(macros: [("i", "Q7")]) == .continue)
    }
    try client.quit()
  }

  /// What the commands have written to a file, line by line.
  private func episodes(_ file: String, _ count: Int = 1) throws -> [[String: Any]] {
    func lines() -> [Substring] { ((try? folder.read(file)) ?? "").split(separator: "\n") }
    try eventually("\(file) has \(count) lines") { lines().count >= count }
    return try lines().map { try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]) }
  }

  @Test("The command is told what happened as a line of JSON, once an episode")
  func json() throws {
    let daemon = try daemon(["note": ["/usr/bin/tee", "-a", folder.file("notes")]])
    try send(daemon, 4, from: "a@b.test", as: "alice")
    try send(daemon, from: "c@d.test")
    let notes = try episodes("notes", 2)
    #expect(notes.count == 2)
    let alice = try #require(notes.first { $0["user"] != nil })
    #expect(
      Set(alice.keys) == [
        "command", "rule", "key", "reason", "at", "until", "stage", "user", "ip", "network", "sender", "queue_id",
        "queue_ids",
      ])
    let expected = [
      "command": "note", "rule": "cap", "key": "sender:a@b.test", "user": "alice", "ip": "192.0.2.7",
      "network": "192.0.2.0/24", "sender": "a@b.test", "queue_id": "Q7", "stage": "end-of-message",
      "reason": "sender a@b.test: 2 messages in 1h (limit 1)",
    ]
    for (field, value) in expected { #expect(alice[field] as? String == value) }
    let dates = ISO8601DateFormatter()
    let at = try #require(dates.date(from: alice["at"] as? String ?? ""))
    let until = try #require(dates.date(from: alice["until"] as? String ?? ""))
    #expect(abs(at.timeIntervalSinceNow) < 60 && (3_500...3_700).contains(until.timeIntervalSince(at)))
    #expect(try daemon.log.components(separatedBy: " run ").count == 3)
    #expect(try daemon.logLine("command ended").contains("command=note"))
  }

  @Test(
    "No shell: what clients say stays data, and arguments stay as they are written",
    arguments: [
      "$(touch PWNED)@b.test", "`touch PWNED`;touch PWNED|touch PWNED@b.test",
      "a\"b\n\u{1b}[2J\\,\"user\":\"root\"@b.test",
    ])
  func hostile(_ sender: String) throws {
    let sender = sender.replacing("PWNED", with: folder.file("pwned"))
    let daemon = try daemon(["note": ["/usr/bin/tee", folder.file("a b$(id);*")]])
    try send(daemon, from: sender)
    let note = try #require(try episodes("a b$(id);*").first)
    // Quotes and backslashes of the local part are not part of the address (RFC 5321, 4.1.2).
    let bare = sender.filter { $0 != "\"" && $0 != "\\" }
    #expect(note["sender"] as? String == bare.lowercased())
    #expect(note["key"] as? String == "sender:\(bare.lowercased().replacing(",user:", with: "%2Cuser:"))")
    #expect(note["user"] == nil)
    #expect(!FileManager.default.fileExists(atPath: folder.file("pwned")))
  }

  @Test("A command that hangs holds up neither mail, nor other commands, nor the stop")
  func hanging() throws {
    // They end by themselves soon after the test.
    let hang = ["/usr/bin/sleep", "20"]
    let daemon = try daemon(["h1": hang, "h2": hang, "h3": hang, "note": ["/usr/bin/tee", "-a", folder.file("notes")]])
    try send(daemon, from: "a@b.test")
    #expect(try episodes("notes").count == 1)
    #expect(try daemon.status("uptime_seconds") < 15)
    #expect(try daemon.stop() == 0)
  }

  @Test(
    "A command that a crash or a full queue has kept from running runs at the next trip; alerts are told all the same")
  func runAgain() throws {
    let marks = folder.file("marks")
    func policy(_ command: String) -> String {
      """
      state: \(folder.file("state"))
      commands: {lock: [/bin/sh, -c, '\(command)'], note: [/usr/bin/tee, -a, \(folder.file("alerts"))]}
      alerts: {run: note, wait: 1s, interval: 1s, at-most: 1000 per 1h}
      rules: [{name: cap, count: messages, per: sender, limit: 1 per 1h, then: [alert, run lock]}]
      """
    }
    // More than can run at once and wait.
    let senders = (0..<300).map { "s\($0)@b.test" }
    let daemon = try TestDaemon(policy: policy("sleep 60"), folder: folder)
    for sender in senders { try send(daemon, from: sender) }
    try eventually("somebody was told of everything", within: 60) {
      let told = ((try? folder.read("alerts")) ?? "").split(separator: "\n").compactMap {
        try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
      }
      let episodes = told.map { ($0["episodes"] as? [Any])?.count ?? 0 }.reduce(0, +)
      let more = told.flatMap { $0["more"] as? [[String: Any]] ?? [] }.compactMap { $0["episodes"] as? Int }
      return episodes + more.reduce(0, +) >= senders.count
    }
    daemon.kill()
    try daemon.write(policy: policy("echo >>\(marks)"))
    try daemon.start()
    func marked() -> Int { ((try? folder.read("marks")) ?? "").utf8.count }
    for sender in senders { try send(daemon, 1, from: sender) }
    try eventually("all have run", within: 60) {
      // What had no room comes with the next trip.
      for sender in senders where marked() < senders.count { try send(daemon, 1, from: sender) }
      return marked() >= senders.count
    }
    let count = marked()
    for sender in senders.prefix(20) { try send(daemon, 1, from: sender) }
    #expect(count == senders.count && marked() == count, "none runs twice in its episode")
  }

  @Test("A command that is missing, or fails, is told in the log; mail goes on")
  func failing() throws {
    let daemon = try daemon(["gone": ["/nonexistent/lock"], "bad": ["/usr/bin/false"]])
    try send(daemon, from: "a@b.test")
    #expect(try daemon.logLine("a command could not be run").contains("command=gone"))
    let failed = try daemon.logLine("a command failed")
    #expect(failed.contains("command=bad") && failed.contains("exited(1)"))
    try send(daemon, from: "a@b.test")
    #expect(try daemon.log.components(separatedBy: "a command failed").count == 2)
  }

  @Test("A reload brings other commands")
  func reload() throws {
    let daemon = try daemon(["note": ["/usr/bin/tee", "-a", folder.file("old")]])
    try send(daemon, from: "a@b.test")
    #expect(try episodes("old").count == 1)
    try daemon.write(policy: policy(["note": ["/usr/bin/tee", "-a", folder.file("new")]]))
    #expect(try daemon.command("reload").status == 0)
    try send(daemon, from: "c@d.test")
    #expect(try episodes("new").count == 1)
    #expect(try episodes("old").count == 1)
  }
}
