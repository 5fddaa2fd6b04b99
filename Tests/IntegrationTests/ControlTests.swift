import Foundation
import MilterClient
import Testing
import WardenTestKit

/// The control socket and the commands that talk to it.
@Suite("Asking and ordering")
struct ControlTests {
  private func daemon() throws -> TestDaemon {
    try TestDaemon(
      policy: """
        exempt: {users: [postmaster@example.org], networks: [198.51.100.0/24]}
        rules:
          - {name: cap, count: messages, per: user, limit: [2 per 1h, 5 per 1d], then: tempfail}
          - {name: by-ip, count: messages, per: ip, limit: 9 per 1h, then: alert}
        """)
  }

  private func send(_ daemon: TestDaemon, as user: String, _ count: Int) throws {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.7", port: 1))
    for _ in 0..<count {
      if try client.mail("<a@b.test>", macros: [("{auth_authen}", user)]).isRefusal { continue }
      try client.endOfMessage(macros: [("i", "Q")])
    }
    try client.quit()
  }

  @Test(
    "Every command that prints can print JSON",
    arguments: [
      ["status"], ["counters"], ["counters", "user:bob"], ["explain", "user:bob"], ["penalties"],
      ["block", "user:eve", "--for", "1h"], ["release", "user:eve"], ["reload"], ["check"],
      ["check", "--signals"], ["allow", "user:eve", "--for", "1h"], ["revoke", "user:eve"], ["overrides"],
    ])
  func json(_ command: [String]) throws {
    let daemon = try daemon()
    try send(daemon, as: "bob", 3)
    let result = try daemon.command(command + ["--json"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(result.output.utf8)) }
  }

  @Test("Penalties have the fields that tools rely on")
  func penaltyFields() throws {
    let daemon = try daemon()
    let made = try daemon.curl(
      "/v1/penalties", method: "POST", body: #"{"key":"ip:192.0.2.9","for":"90m","reason":"x"}"#)
    #expect((made as? [String: Any])?["penalty"] != nil)
    let penalties = try #require(try daemon.curl("/v1/penalties") as? [[String: Any]])
    let penalty = try #require(penalties.first)
    #expect(penalty["key"] as? String == "ip:192.0.2.9")
    #expect(penalty["rule"] as? String == "administrator")
    #expect(penalty["attempts"] as? Int == 0)
    let dates = ISO8601DateFormatter()
    let since = try #require(dates.date(from: penalty["since"] as? String ?? ""))
    let until = try #require(dates.date(from: penalty["until"] as? String ?? ""))
    #expect(until.timeIntervalSince(since) == 90 * 60)
    #expect((penalty["reason"] as? String)?.contains("(x)") == true)
    _ = try daemon.curl("/v1/penalties?key=ip:192.0.2.9", method: "DELETE")
    #expect(try daemon.blockedKeys == [])
  }

  @Test("A block of what the MTA is not asked for says that it has no effect")
  func blockUnasked() throws {
    let daemon = try daemon()
    #expect(try daemon.command("block", "helo:robot.test", "--for", "1h").output.contains("no effect"))
    #expect(try daemon.command("block", "recipient:a@x.test", "--for", "1h").output.contains("no effect"))
    #expect(try !daemon.command("block", "sender:a@x.test", "--for", "1h").output.contains("no effect"))
  }

  @Test("explain says what refuses a key, what is left, and until when")
  func explain() throws {
    let daemon = try daemon()
    try send(daemon, as: "bob", 3)
    let limited = try daemon.command("explain", "user:bob")
    #expect(limited.output.contains("Refused by cap: 2 messages in 1h (limit 2); until 20"))
    #expect(limited.output.contains("user:bob  cap   enforce  messages      2      5     3  1d"))
    #expect(try daemon.command("explain", "user:nobody").output.contains("Not limited"))
    #expect(try daemon.command("explain", "ip:198.51.100.7").output.contains("exempt.networks: 198.51.100.0/24"))
    _ = try daemon.command("block", "network:192.0.2.0/24", "--for", "1h")
    #expect(try daemon.command("explain", "ip:192.0.2.7").output.contains("Blocked until"))
  }

  @Test("explain calls nobody limited whose limit is only just filled by what has happened")
  func justFilled() throws {
    let daemon = try TestDaemon(
      policy: "rules: [{name: seen, count: logins, per: user, limit: 2 per 1h, then: tempfail}]")
    for (logins, isLimited) in [(2, false), (1, true)] {
      for _ in 0..<logins { try send(daemon, as: "bob", 1) }
      let answer = try daemon.curl("/v1/explain?key=user:bob") as? [String: Any]
      #expect(answer?["limited"] as? Bool == isLimited)
    }
  }

  @Test("explain calls a key limited whose next message its rule would refuse, also where the rule says only block")
  func fullUnderABlock() throws {
    let daemon = try TestDaemon(
      policy: "rules: [{name: cap, count: messages, per: user, limit: 2 per 1h, then: block for 1h}]")
    for (messages, isLimited) in [(1, false), (1, true)] {
      try send(daemon, as: "bob", messages)
      let answer = try daemon.curl("/v1/explain?key=user:bob") as? [String: Any]
      #expect(answer?["limited"] as? Bool == isLimited)
      #expect(answer?["penalties"] as? [String] == [])
    }
  }

  @Test("status shows what the counters take, and what they may")
  func memory() throws {
    let daemon = try TestDaemon(
      policy: "memory: 20MB\nrules: [{name: cap, count: messages, per: sender, limit: 9 per 1h, then: tempfail}]")
    let before = try daemon.status("memory_bytes")
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect()
    for number in 0..<2_000 {
      try client.mail("<a\(number)@b.test>")
      try client.endOfMessage(macros: [("i", "Q")])
    }
    try client.quit()
    #expect(try daemon.status("keys") == 2_000)
    #expect(try daemon.status("memory_bound_bytes") == 20_000_000)
    #expect((before + 1..<20_000_000).contains(try daemon.status("memory_bytes")))
    #expect(try daemon.command("status").output.contains("keys counted: 2000, in "))
    #expect(try daemon.command("status").output.contains(" of 20 MB"))
  }

  @Test("A block of an exempt key is taken with a word that it has no effect")
  func exemptBlock() throws {
    let daemon = try daemon()
    #expect(try daemon.command("block", "user:postmaster@example.org", "--for", "1h").output.contains("has no effect"))
  }

  @Test(
    "Bad questions get an answer that helps",
    arguments: [
      (["explain", "usr:bob"], "unknown kind of key \"usr\" (did you mean \"user\"?)"),
      (["explain", "bob"], "write user:alice@example.org"),
      (["counters", "ip:300.1.2.3"], "is not a value for ip"),
      (["block", "user:bob", "--for", "soon"], "is not a time span"),
      (["block", "user:bob", "--for", "0s"], "is not a time span"),
      (["release", "network:10.0.0.1"], "is not a value for network"),
    ])
  func badQuestions(_ command: [String], _ answer: String) throws {
    let result = try daemon().command(command)
    #expect(result.status != 0)
    #expect(result.errors.contains(answer), "\(result.errors)")
  }

  @Test(
    "An unknown path and a broken body are told in JSON",
    arguments: [
      ("GET", "/v1/nothing", nil), ("DELETE", "/v1/status", nil), ("GET", "/v1/explain", nil),
      ("GET", "/v1/keys?limit=x", nil),
      ("POST", "/v1/penalties", "{"), ("POST", "/v1/penalties", #"{"key":5}"#), ("GET", "/v1/keys?order=x", nil),
    ] as [(String, String, String?)])
  func badRequests(_ method: String, _ path: String, _ body: String?) throws {
    let answer = try daemon().curl(path, method: method, body: body) as? [String: Any]
    #expect(answer?["error"] is String)
  }

  @Test("Without a daemon the commands say so and fail")
  func noDaemon() throws {
    let result = try Shell.run(builtProgram("mailwarden"), ["status", "--socket", "/tmp/mw-nobody.sock"])
    #expect(result.status == 1)
    #expect(result.errors.contains("there is no such socket; is mailwarden running"))
  }

  @Test("What a client says cannot break a line of the log, nor move an administrator's cursor")
  func hostile() throws {
    let daemon = try daemon()
    let name = "eve\u{1b}[2j\nrule=forged \"quoted\" \u{202e}x"
    try send(daemon, as: name, 3)
    try eventually("the refusal is logged") { try daemon.log.contains("refused") }
    #expect(try daemon.log.split(separator: "\n").allSatisfy { $0.hasPrefix("20") })
    for output in [try daemon.log, try daemon.command("counters").output] {
      #expect(output.contains("eve\\u{1b}[2j\\u{a}rule=forged"))
      #expect(output.utf8.allSatisfy { $0 == 10 || (32...126).contains($0) })
    }
  }

  @Test(
    "Each command explains itself",
    arguments: [
      "run", "check", "test", "status", "counters", "explain", "penalties", "block", "release", "allow", "revoke",
      "overrides", "reload",
    ])
  func help(_ command: String) throws {
    let result = try Shell.run(builtProgram("mailwarden"), [command, "--help"])
    #expect(result.status == 0)
    #expect(result.output.contains("OVERVIEW:") && result.output.contains("USAGE: mailwarden \(command)"))
    #expect(result.output.contains("--config <file>"))
  }
}
