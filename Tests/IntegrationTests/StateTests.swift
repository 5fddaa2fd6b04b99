import Foundation
import MilterClient
import Testing
import WardenTestKit

/// What survives a restart and a crash, and who is told what was done.
@Suite("State")
struct StateTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func daemon(_ rules: String) throws -> TestDaemon {
    try TestDaemon(policy: "state: \(folder.file("state"))\nrules:\n\(rules)", folder: folder)
  }

  /// A session with some messages: how many passed.
  @discardableResult
  private func send(_ daemon: TestDaemon, _ count: Int, as user: String, from address: String = "192.0.2.7") throws
    -> Int
  {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4(address, port: 40_000))
    var passed = 0
    for number in 0..<count {
      if try client.mail("<\(user)@b.test>", macros: [("{auth_authen}", user)]).isRefusal { continue }
      try client.recipient("<friend@far.test>", macros: [("{rcpt_mailer}", "smtp"), ("i", "Q\(number)")])
      if try !client.endOfMessage(macros: [("i", "Q\(number)")]).isRefusal { passed += 1 }
    }
    try client.quit()
    return passed
  }

  private func restart(_ daemon: TestDaemon, killing: Bool) throws {
    if killing { daemon.kill() } else { #expect(try daemon.stop() == 0) }
    try daemon.start()
  }

  /// Waits until everything that has happened so far is stored.
  private func awaitStored(_ daemon: TestDaemon) throws {
    // An order is answered once it is stored, and all else with it.
    _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
  }

  private static let cap = """
      - {name: cap, count: messages, per: user, limit: 3 per 1h, then: [alert, tempfail]}
      - {name: friends, count: distinct recipients, per: user, limit: 5 per 1h, then: alert}
    """

  @Test("What is drawn goes on after a restart where it was")
  func trend() throws {
    func messages(_ daemon: TestDaemon, _ span: String) throws -> Int {
      let trend = try #require(try daemon.curl("/v1/trend?span=\(span)") as? [String: Any])
      let series = try #require(trend["series"] as? [String: [Int]])
      #expect(series["submissions"] == series["messages"])
      return (series["messages"] ?? []).reduce(0, +)
    }
    let daemon = try daemon(Self.cap)
    try send(daemon, 2, as: "alice")
    try awaitStored(daemon)
    try restart(daemon, killing: true)
    try send(daemon, 3, as: "carol")
    for span in ["1h", "6h", "1d", "7d"] { #expect(try messages(daemon, span) == 5, "\(span)") }
    let status = try #require(try daemon.curl("/v1/status") as? [String: Any])
    let figures = (status["totals"] as? [String: Any])?["messages"] as? [String: Int]
    #expect(figures?["last_hour"] == 5 && figures?["total"] == 3)
  }

  @Test("A restart forgets nothing, and neither does a crash after all is stored", arguments: [false, true])
  func restarted(killing: Bool) throws {
    let daemon = try daemon(Self.cap)
    #expect(try send(daemon, 2, as: "alice") == 2)
    #expect(try send(daemon, 5, as: "bob") == 3)
    _ = try daemon.command("block", "ip:192.0.2.66", "--for", "2h", "--reason", "seen it")
    _ = try daemon.command("allow", "user:carol", "--for", "2h", "--rule", "cap", "--limit", "4 per 1h")
    let before = try (
      daemon.curl("/v1/penalties") as? NSArray, daemon.curl("/v1/overrides") as? NSArray,
      daemon.curl("/v1/explain?key=user:bob") as? NSDictionary
    )
    try awaitStored(daemon)
    try restart(daemon, killing: killing)
    #expect(try daemon.curl("/v1/penalties") as? NSArray == before.0)
    #expect(try daemon.curl("/v1/overrides") as? NSArray == before.1)
    let explained = try daemon.curl("/v1/explain?key=user:bob") as? [String: Any]
    #expect((explained?["episodes"] as? NSArray)?.count == 1)
    #expect(explained?["episodes"] as? NSArray == before.2?["episodes"] as? NSArray)
    #expect(explained?["sent"] as? NSArray == before.2?["sent"] as? NSArray)
    #expect(try daemon.count("user:alice", rule: "cap") == 2)
    // The values are known again, not only how many there were.
    #expect(try send(daemon, 3, as: "alice") == 1)
    #expect(try daemon.count("user:alice", rule: "friends") == 1)
    #expect(try send(daemon, 9, as: "carol") == 4)
    #expect(try send(daemon, 1, as: "bob") == 0)
  }

  @Test("What the log says is blocked stays blocked over a crash, and nobody of it passes")
  func blocked() throws {
    let daemon = try daemon(
      "  - {name: leavers, count: broken-connections, per: ip, limit: 1 per 1h, then: block for 1d}")
    func connect(_ address: String) throws -> MilterClient.Response {
      let client = try MilterClient(.unix(daemon.milterSocket))
      try client.negotiate()
      defer { try? client.quit() }
      return try client.connect(address: .ipv4(address, port: 40_000))
    }
    for address in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] { #expect(try !connect(address).isRefusal) }
    #expect(try daemon.logLine(" blocked ").contains("key=ip:192.0.2.1"))
    daemon.kill()
    try daemon.start()
    #expect(try connect("192.0.2.1").isRefusal)
    #expect(try !connect("192.0.2.2").isRefusal)
  }

  @Test("A release that was answered is not undone by a crash, nor what it released counted again")
  func released() throws {
    let daemon = try daemon(Self.cap)
    #expect(try send(daemon, 5, as: "bob") == 3)
    try awaitStored(daemon)
    #expect(try daemon.command("release", "user:bob").output.contains("its counts start anew"))
    daemon.kill()
    try daemon.start()
    #expect(try daemon.count("user:bob", rule: "cap") == 0)
    #expect(try send(daemon, 9, as: "bob") == 3)
  }

  @Test("Another policy at the next start counts by itself, and what both count goes on")
  func otherPolicy() throws {
    let daemon = try daemon("  - {name: cap, count: messages, per: user, limit: 9 per 1h, then: tempfail}")
    let policy = { (rule: String) in
      """
      state: \(folder.file("state"))
      rules:
        - {name: cap, count: messages, per: user, limit: 9 per 1h, then: tempfail}
        - {name: other, count: \(rule), per: user, limit: 2 per 1d, then: alert}
      """
    }
    try send(daemon, 1, as: "alice")
    for rule in ["recipients", "bad-recipients", "logins"] {
      #expect(try daemon.stop() == 0)
      try daemon.write(policy: policy(rule))
      try daemon.start()
      // Nothing of what the rule before has counted.
      #expect(try daemon.count("user:alice", rule: "other") == 0, "\(rule)")
      try send(daemon, 2, as: "alice")
    }
    #expect(try daemon.count("user:alice", rule: "cap") == 7)
  }

  @Test(
    "State that is removed or moved away while the daemon runs is noticed, and all of it is written anew",
    arguments: ["folder removed", "folder moved", "file removed", "log removed"])
  func moved(_ how: String) throws {
    let daemon = try daemon(Self.cap)
    try send(daemon, 2, as: "alice")
    _ = try daemon.command("block", "user:first", "--for", "1d")
    let state = folder.file("state")
    switch how {
    case "folder removed": try FileManager.default.removeItem(atPath: state)
    case "folder moved": try FileManager.default.moveItem(atPath: state, toPath: state + "-elsewhere")
    case "file removed": try FileManager.default.removeItem(atPath: state + "/mailwarden.sqlite")
    default: try FileManager.default.removeItem(atPath: state + "/mailwarden.sqlite-wal")
    }
    // Not acknowledged as stored where the next process would not find it.
    let answer = try daemon.command("block", "user:second", "--for", "1d")
    #expect(answer.output.contains("not stored"), "\(answer.output)")
    try eventually("it is stored again") {
      try !daemon.command("block", "user:third", "--for", "1d").output.contains("not stored")
    }
    daemon.kill()
    try daemon.start()
    #expect(try Set(daemon.blockedKeys) == ["user:first", "user:second", "user:third"])
    #expect(try daemon.count("user:alice", rule: "cap") == 2)
  }

  @Test("A stop that cannot store what has changed says so")
  func lostAtStop() throws {
    try folder.write("", to: "state")
    let daemon = try daemon(Self.cap)
    try send(daemon, 2, as: "alice")
    #expect(try daemon.stop() == 0)
    #expect(try daemon.logLine("what has changed and could not be stored is lost").contains(" critical "))
  }

  @Test("Counts that nobody waited for are stored within seconds")
  func storedByItself() throws {
    let daemon = try daemon(Self.cap)
    func stored() throws -> String? {
      ((try daemon.curl("/v1/status") as? [String: Any])?["state"] as? [String: Any])?["stored"] as? String
    }
    try eventually("something is stored") { try stored() != nil }
    try send(daemon, 2, as: "alice")
    let before = try stored()
    try eventually("it is stored") { try stored() != before }
    daemon.kill()
    try daemon.start()
    #expect(try daemon.count("user:alice", rule: "cap") == 2)
  }

  @Test("Who did what and when is in the log, in the history and in the report")
  func actions() throws {
    let daemon = try daemon(Self.cap)
    try send(daemon, 5, as: "bob")
    #expect(try daemon.command("block", "user:bob", "--for", "1h", "--reason", "a\nnote").status == 0)
    #expect(try daemon.command("release", "user:bob").status == 0)
    #expect(try daemon.command("reload").status == 0)
    let line = try daemon.logLine("action=release")
    #expect(line.contains("key=user:bob") && line.contains("(uid \(geteuid()))") && line.contains("stored=yes"))
    let history = try #require(try daemon.curl("/v1/history?key=user:bob&by=minute") as? [String: Any])
    let actions = try #require(history["actions"] as? [[String: Any]])
    #expect(actions.map { $0["action"] as? String } == ["block", "release"])
    #expect(actions.allSatisfy { ($0["who"] as? String)?.contains("(uid \(geteuid()))") == true })
    let decisions = try #require(history["decisions"] as? [[String: Any]])
    #expect(decisions.contains { $0["kind"] as? String == "refused" && $0["count"] as? Int == 2 })
    #expect(decisions.contains { $0["kind"] as? String == "alert" })
    let rows = try #require(history["rows"] as? [[String: Any]])
    #expect(rows.compactMap { ($0["counts"] as? [String: Int])?["messages"] }.reduce(0, +) == 3)

    try restart(daemon, killing: true)
    let report = try #require(try daemon.curl("/v1/report?day=today") as? [String: Any])
    #expect((report["actions"] as? [[String: Any]])?.map { $0["action"] as? String } == ["block", "release", "reload"])
    #expect((report["totals"] as? [String: Int])?["messages"] == 3)
    let sender = try #require((report["top_senders"] as? [[String: Any]])?.first)
    #expect(sender["key"] as? String == "user:bob" && sender["messages"] as? Int == 3)
  }

  @Test("explain shows the queue ids of what a tripped key has sent, and of nobody else")
  func sent() throws {
    let daemon = try daemon(Self.cap)
    try send(daemon, 5, as: "bob")
    try send(daemon, 2, as: "alice")
    let bob = try daemon.command("explain", "user:bob")
    #expect(bob.output.contains("Has sent 3 messages in that time, the latest: Q2 Q1 Q0."), "\(bob.output)")
    let alice = try #require(try daemon.curl("/v1/explain?key=user:alice") as? [String: Any])
    #expect((alice["sent"] as? NSArray)?.count == 0)
  }

  @Test("Without a state folder nothing is written, and a question for the past says why")
  func none() throws {
    let daemon = try TestDaemon(policy: "rules:\n\(Self.cap)")
    #expect(try daemon.command("block", "user:eve", "--for", "1h").status == 0)
    #expect(try daemon.logLine("action=block").contains("stored=no"))
    let answer = try daemon.curl("/v1/history?key=user:eve") as? [String: Any]
    #expect((answer?["error"] as? String)?.contains(#"the policy has no "state""#) == true)
    let status = try daemon.curl("/v1/status") as? [String: Any]
    #expect(status?["state"] == nil)
  }
}
