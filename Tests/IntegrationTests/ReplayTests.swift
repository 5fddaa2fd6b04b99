import Foundation
import MilterClient
import Testing
import WardenCore
import WardenPolicy
import WardenReplay
import WardenTestKit

@testable import mailwarden

@Suite("Replay of what was recorded")
struct RecordingTests {
  private static let policy = """
    realms: [local.test]
    rules:
      - {name: cap, count: messages, per: user, limit: [5 per 1h, 8 per 1d], then: [alert, tempfail]}
      - {name: recipients, count: recipients, per: ip, limit: 30 per 1h, then: block for 1m}
      - {name: broken, count: broken-connections, per: network, limit: 6 per 1h, then: block for 1h}
      - {name: dirty, per: user, all of: [{count: bad-recipients, limit: 3 per 1h}, {count: logins, limit: 1 per 1h}], then: hold}
      - {name: strangers, count: distinct recipient-domains, per: user, limit: 4 per 1h, then: alert, mode: observe}
    """

  @Test("The same policy decides every recorded event as it did live, to the letter; another decides otherwise")
  func sameDecisions() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("events")
    let daemon = try TestDaemon(policy: Self.policy, folder: folder, arguments: ["--record", path])
    var random = SeededGenerator(seed: 7)
    for _ in 0..<150 { try session(daemon, &random) }
    try daemon.awaitNoSessions()
    #expect(try daemon.stop() == 0)

    let read = PolicyReader.read(Self.policy, file: "policy")
    let policy = try #require(read.configuration?.policy)
    let engine = Engine(policy: policy)
    var (events, refused, others) = (0, 0, 0)
    var reader = EventRecording.Reader()
    try reader.read(Data(contentsOf: URL(fileURLWithPath: path))) { recorded in
      events += 1
      let outcome = RecordedEvent.Outcome(engine.decide(recorded.event))
      if outcome != recorded.outcome { others += 1 }
      if recorded.event.step == .endOfMessage || recorded.event.step == .mail, outcome.verdict == "refuse" {
        refused += 1
      }
    }
    try reader.finish()
    #expect(!reader.isCut && reader.notUnderstood == 0)
    #expect(events > 400)
    #expect(refused > 20)
    #expect(others == 0)

    // As the command tells it, and against a policy that refuses nobody.
    try folder.write(Self.policy, to: "same.yaml")
    try folder.write(
      "rules: [{name: none, count: messages, per: user, limit: 9999 per 1d, then: reject}]\n", to: "none.yaml")
    let replay = try Shell.run(
      builtProgram("mailwarden"),
      ["replay", path, "--policy", folder.file("same.yaml"), "--against", folder.file("none.yaml"), "--json"])
    let report = try JSONSerialization.jsonObject(with: Data(replay.output.utf8)) as? [String: Any]
    let policies = try #require(report?["policies"] as? [[String: Any]])
    let incidents = policies.map { ($0["incidents"] as? [Any])?.count ?? -1 }
    #expect(incidents.first ?? 0 > 3)
    #expect(incidents.last == 0)
  }

  @Test("A file that is there is never written over")
  func noOverwriting() throws {
    let folder = try TemporaryFolder()
    try folder.write("dear diary\n", to: "events")
    #expect(throws: (any Error).self) {
      try TestDaemon(policy: Self.policy, folder: folder, arguments: ["--record", folder.file("events")])
    }
    #expect(try folder.read("events") == "dear diary\n")
  }

  /// Any client, user and outcome.
  private func session(_ daemon: TestDaemon, _ random: inout SeededGenerator) throws {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    let address = "192.0.\(Int.random(in: 1...2, using: &random)).\(Int.random(in: 1...4, using: &random))"
    let answer = try client.connect(host: "x", address: .ipv4(address, port: 40_000), macros: [("j", "mx.local.test")])
    defer { try? client.quit() }
    guard case .continue = answer, Int.random(in: 0..<5, using: &random) > 0 else { return }
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      let user = ["alice", "bob@local.test", "carol", nil].randomElement(using: &random)!
      let macros = user.map { [("{auth_authen}", $0), ("{auth_type}", "PLAIN")] } ?? []
      guard case .continue = try client.mail("<\(user ?? "x")@local.test>", macros: macros) else { return }
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let path = "<friend@far\(Int.random(in: 0..<8, using: &random)).test>"
        let isBad = Int.random(in: 0..<4, using: &random) == 0
        _ = try client.recipient(
          path,
          macros: isBad
            ? [("{rcpt_mailer}", "error"), ("{rcpt_host}", "5.1.1"), ("{rcpt_addr}", "User unknown")]
            : [("{rcpt_mailer}", "smtp")])
      }
      if Int.random(in: 0..<8, using: &random) == 0 {
        try client.abort()
        continue
      }
      _ = try client.data()
      _ = try client.endOfHeaders()
      _ = try client.endOfMessage(macros: [("i", "Q1")])
    }
  }
}

@Suite("Replay of logs", .serialized, .enabled(if: geteuid() == 0, "root is needed for private servers"))
struct LogReplayTests {
  /// Rules that both MTAs' logs can show, and one that no log can.
  private static let rules = """
    realms: [test]
    rules:
      - {name: cap, count: messages, per: user, limit: 3 per 1d, then: tempfail, mode: observe}
      - {name: recipients, count: recipients, per: user, limit: 8 per 1d, then: tempfail, mode: observe}
      - {name: forged, count: sender-mismatch, per: user, limit: 1 per 1d, then: alert, mode: observe}
      - {name: broken, count: broken-connections, per: ip, limit: 2 per 1d, then: block for 1h, mode: observe}
      - {name: guessing, count: auth-failures, per: ip, limit: 2 per 1d, then: block for 1h, mode: observe}
      - {name: relay, count: relay-attempts, per: ip, limit: 2 per 1d, then: block for 1h, mode: observe}
      - {name: harvest, count: unknown-recipients, per: ip, limit: 3 per 1d, then: block for 1h, mode: observe}
      - {name: helos, count: distinct helos, per: ip, limit: 2 per 1d, then: alert, mode: observe}
    """

  @Test(
    "The log of a run trips what the run itself has tripped, but for what no log shows, which is said",
    arguments: MTA.Kind.allCases)
  func sameIncidents(kind: MTA.Kind) throws {
    let mta = try MTA(kind)
    defer { mta.stop() }
    let daemon = try TestDaemon(policy: "feeds: {mail-log: \(mta.logPath)}\n" + Self.rules, folder: mta.milterFolder)
    func client(_ number: Int, helo: String = "x.test") throws -> SMTPClient {
      let client = try SMTPClient(port: mta.port, from: "127.0.91.\(number)")
      try client.command("EHLO \(helo)")
      return client
    }
    func send(
      _ number: Int, _ user: String, times: Int, recipients: Int, sender: String? = nil, helo: String = "x.test"
    ) throws {
      for _ in 0..<times {
        let client = try client(number, helo: helo)
        try client.authenticate(user)
        try client.command("MAIL FROM:<\(sender ?? user)@local.test>")
        for recipient in 0..<recipients { try client.command("RCPT TO:<friend\(recipient)@far.test>") }
        #expect(try client.message(bytes: 100).code == 250)
        try client.command("QUIT")
      }
    }
    // At the limits, and over them.
    try send(1, "alice", times: 3, recipients: 2)
    try send(2, "bob", times: 4, recipients: 2)
    try send(3, "carol", times: 2, recipients: 5)
    try send(4, "dave", times: 1, recipients: 1, sender: "ceo")
    try send(5, "erin", times: 2, recipients: 1, sender: "ceo")
    for helo in ["a.test", "b.test", "c.test"] { try send(6, "frank", times: 1, recipients: 1, helo: helo) }
    for (number, times) in [(10, 2), (11, 3)] {
      for _ in 0..<times { try client(number).command("QUIT") }
      for _ in 0..<times {
        let client = try client(number + 10)
        #expect(try client.logIn("alice", password: "wrong").code == 535)
        // A session that goes on to MAIL is not broken.
        try client.command("MAIL FROM:<a@sender.test>")
        try client.command("RCPT TO:<alice@local.test>")
        #expect(try client.message(bytes: 10).code == 250)
        try client.command("QUIT")
      }
      let client = try client(number + 20)
      for _ in 0..<times {
        try client.command("MAIL FROM:<a@sender.test>")
        #expect(try client.command("RCPT TO:<victim@far.test>").code >= 500)
        for guess in 0..<(times - 1) { try client.command("RCPT TO:<nobody\(guess)@local.test>") }
        try client.command("RSET")
      }
      try client.command("QUIT")
    }
    try daemon.awaitNoSessions()
    try eventually("the daemon has heard of everything") {
      try Self.observed(daemon).contains("guessing ip:127.0.91.21")
    }
    try eventually("also of the last") { try Self.observed(daemon).contains("relay ip:127.0.91.31") }
    let live = try Self.observed(daemon)
    #expect(
      live == [
        "cap user:bob", "recipients user:carol", "forged user:erin", "broken ip:127.0.91.11", "guessing ip:127.0.91.21",
        "relay ip:127.0.91.31", "harvest ip:127.0.91.31", "helos ip:127.0.91.6",
      ])

    let log = try Self.replayed(mta.logPath, daemon)
    #expect(live.subtracting(log.incidents) == ["helos ip:127.0.91.6"])
    // Those of the tests' own waiting for the server are not in the daemon's view.
    #expect(log.incidents.subtracting(live) == [])
    #expect(log.notShown.contains { $0.contains("helos") })
  }

  private static func observed(_ daemon: TestDaemon) throws -> Set<String> {
    let lines = try daemon.log.split(separator: "\n").filter { $0.contains(" observed, not enforced ") }
    return Set(
      lines.map { line in
        func field(_ name: String) -> Substring {
          line.firstRange(of: " \(name)=").map { line[$0.upperBound...].prefix { $0 != " " } } ?? ""
        }
        return "\(field("rule")) \(field("key"))"
      })
  }

  private static func replayed(_ log: String, _ daemon: TestDaemon) throws -> (
    incidents: Set<String>, notShown: [String]
  ) {
    let output = try Shell.check(
      builtProgram("mailwarden"), ["replay", log, "--policy", daemon.policyFile, "--json", "--quiet"])
    let report = try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
    let policy = try #require((report?["policies"] as? [[String: Any]])?.first)
    let incidents = try #require(policy["incidents"] as? [[String: Any]])
    let trips = incidents.flatMap { incident in
      (incident["trips"] as? [[String: Any]] ?? []).map { "\($0["rule"] ?? "") \(incident["key"] ?? "")" }
    }
    return (Set(trips), report?["not_shown"] as? [String] ?? [])
  }
}
