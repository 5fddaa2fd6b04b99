import Foundation
import MilterClient
import Testing
import WardenTestKit

/// Somebody is told once an episode, through real receivers, and again after no restart.
@Suite("Alerts")
struct AlertTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let cap = "- {name: cap, count: messages, per: user, limit: 2 per 1h, then: [alert, block for 1h]}"

  private func policy(_ alerts: String, rules: String = cap) -> String {
    """
    state: \(folder.file("state"))
    alerts:
      wait: 1s
      interval: 1s
      at-most: 1000 per 1h
    \(alerts.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n"))
    rules:
      \(rules)
    """
  }

  private func send(_ daemon: TestDaemon, _ count: Int, as user: String, to recipient: String = "friend@far.test")
    throws
  {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.7", port: 40_000))
    for number in 0..<count {
      if try client.mail("<\(user)@b.test>", macros: [("{auth_authen}", user)]).isRefusal { continue }
      try client.recipient("<\(recipient)>", macros: [("{rcpt_mailer}", "smtp"), ("i", "Q\(number)")])
      try client.endOfMessage(macros: [("i", "\(user.prefix { $0.isLetter || $0.isNumber })Q\(number)")])
    }
    try client.quit()
  }

  /// The messages that the command of `alerts: run` has been given, each once: one that was sent just before a crash comes
  /// again, with the same id.
  private func messages(_ count: Int) throws -> [[String: Any]] {
    func messages() throws -> [[String: Any]] {
      let lines = ((try? folder.read("messages")) ?? "").split(separator: "\n")
      let all = try lines.map { try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]) }
      var ids: Set<String> = []
      return all.filter { ids.insert($0["id"] as? String ?? "").inserted }
    }
    try eventually("\(count) messages have come", within: 30) { try messages().count >= count }
    return try messages()
  }

  private var toFile: String {
    "run: note"
  }

  private func runningPolicy(rules: String = cap) -> String {
    "commands: {note: [/usr/bin/tee, -a, \(folder.file("messages"))]}\n" + policy(toFile, rules: rules)
  }

  private func episodes(_ message: [String: Any]) -> [[String: Any]] { message["episodes"] as? [[String: Any]] ?? [] }

  @Test("Opening and evidence, then the escalation; nothing twice, not after a crash either")
  func once() throws {
    let daemon = try TestDaemon(policy: runningPolicy(), folder: folder)
    try send(daemon, 5, as: "bob")
    let first = try #require(messages(1).first)
    let episode = try #require(episodes(first).first)
    #expect(episode["key"] as? String == "user:bob" && episode["rule"] as? String == "cap")
    #expect(episode["news"] as? String == "opened")
    #expect(episode["queue_ids"] as? [String] == ["bobQ1", "bobQ0"])
    #expect(episode["ips"] as? [String] == ["192.0.2.7"])
    #expect((episode["blocked"] as? [String: Any])?["key"] as? String == "user:bob")
    daemon.kill()
    try daemon.start()
    try send(daemon, 3, as: "bob")
    try send(daemon, 3, as: "carol")
    let second = try #require(messages(2).last)
    #expect(episodes(second).map { $0["key"] as? String } == ["user:carol"], "of bob everything has been told")
    #expect(try messages(2).count == 2)
  }

  @Test("An attack on 500 accounts is one readable message, and nobody is left out")
  func grouped() throws {
    let rules = "- {name: cap, count: messages, per: user, limit: 1 per 1h, then: alert}"
    let daemon = try TestDaemon(
      policy: runningPolicy(rules: rules).replacing("wait: 1s", with: "wait: 20s"), folder: folder)
    for number in 0..<500 { try send(daemon, 2, as: "user\(number)") }
    let all = try messages(1)
    #expect(all.count == 1)
    let told = episodes(all[0]).count
    let more = (all[0]["more"] as? [[String: Any]])?.compactMap { $0["episodes"] as? Int }.reduce(0, +) ?? 0
    #expect(told <= 20 && told + more == 500)
    #expect(try folder.read("messages").utf8.count < 70_000)
  }

  @Test("What a client says stays data in every field")
  func hostile() throws {
    let daemon = try TestDaemon(policy: runningPolicy(), folder: folder)
    try send(daemon, 4, as: "eve\"}\n\u{1b}[2J$(id)", to: "a\u{7}\"b@far.test")
    let text = try {
      _ = try messages(1); return try folder.read("messages")
    }()
    #expect(text.split(separator: "\n").count == 1)
    #expect(text.utf8.allSatisfy { $0 == 10 || (0x20...0x7e).contains($0) })
  }

  @Test(
    "A real MTA takes the mail, whatever the limits of the server say, and its administrators can read it",
    arguments: MTA.Kind.allCases.filter { MTA.missing($0) == nil }, ["program", "smtp"])
  func mail(_ kind: MTA.Kind, _ way: String) throws {
    let mta = try MTA.of(kind, for: "alerts \(way)")
    let submit = folder.file("submit")
    // The MTA's own submission program, as the daemon calls it: what it is given is kept, too.
    try folder.write(
      "#!/bin/sh\ntee \(folder.file("letter")) | \(mta.submission) \"$@\"\n", to: "submit")
    chmod(submit, 0o755)
    // Nobody may send anything.
    let rules = """
      - {name: cap, count: messages, per: user, limit: 2 per 1h, then: [alert, tempfail]}
        - {name: everything, count: messages, per: sender, limit: 1 per 1d, then: tempfail}
        - {name: all, count: messages, per: server, limit: 4 per 1d, then: tempfail}
      """
    let daemon = try TestDaemon(
      policy: policy(
        "mail: {to: [admin@later.test], from: mailwarden@local.test, "
          + (way == "smtp" ? "smtp: \"127.0.0.1:\(mta.port)\"}" : "program: [\(submit)]}"), rules: rules),
      folder: mta.milterFolder)
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.7", port: 40_000))
    for number in 0..<6 {
      if try client.mail("<m\(number)@b.test>", macros: [("{auth_authen}", "bob")]).isRefusal { continue }
      _ = try client.endOfMessage(macros: [("i", "Q\(number)")])
    }
    try client.quit()
    if way == "program" {
      try eventually("the letter is written", within: 30) {
        ((try? folder.read("letter")) ?? "").contains("mailwarden explain user:bob")
      }
      let letter = try folder.read("letter")
      #expect(letter.contains("To: admin@later.test") && letter.contains("Auto-Submitted: auto-generated"))
      #expect(letter.contains("user bob: 3 messages in 1h (limit 2)"))
    }
    try eventually("the MTA has taken it") { try daemon.log.contains("alert sent") }
    // A private Sendmail logs what its daemon does, not what its program is given.
    if kind == .postfix || way == "smtp" {
      try eventually("the MTA has logged it") { try mta.log.contains("from=<mailwarden-") }
    }
    #expect(try daemon.command("overrides").output.contains("Mailwarden's own alert mail"))
  }

  @Test("A mail program that fails is told, tried again, and holds up nothing")
  func failing() throws {
    let daemon = try TestDaemon(
      policy: policy("mail: {to: [admin@local.test], from: a@local.test, program: [/usr/bin/false]}"), folder: folder)
    try send(daemon, 3, as: "bob")
    #expect(try daemon.logLine("an alert could not be sent").contains("channel=mail"))
    let status = try #require(try daemon.curl("/v1/status") as? [String: Any])
    let channel = try #require((status["alerts"] as? [[String: Any]])?.first)
    #expect(channel["channel"] as? String == "mail" && channel["waiting"] as? Int == 1)
    #expect((channel["problem"] as? String)?.contains("/usr/bin/false") == true)
    #expect(try daemon.command("status").output.contains("alerts by mail: 1 waiting, the last attempt FAILED"))
    // What waits survives a crash, and goes out once it can.
    daemon.kill()
    try daemon.write(
      policy: policy(
        "mail: {to: [admin@local.test], from: a@local.test, program: [/bin/sh, -c, 'cat > \(folder.file("letter"))']}"))
    try daemon.start()
    try eventually("it is sent") { ((try? folder.read("letter")) ?? "").contains("user bob: 3 messages") }
  }

  @Test("A reload brings other receivers")
  func reload() throws {
    let daemon = try TestDaemon(policy: policy("", rules: Self.cap), folder: folder)
    try daemon.write(policy: runningPolicy())
    #expect(try daemon.command("reload").status == 0)
    try send(daemon, 3, as: "bob")
    #expect(try messages(1).count == 1)
  }

  @Test("Distress is told: the database cannot be written")
  func distress() throws {
    try folder.write("", to: "state")
    let daemon = try TestDaemon(policy: runningPolicy(), folder: folder)
    let message = try #require(messages(1).first)
    let distress = try #require((message["distress"] as? [[String: Any]])?.first)
    #expect(distress["kind"] as? String == "database" && distress["news"] as? String == "opened")
    #expect(try daemon.command("status").output.contains("DISTRESS: "))
    #expect(try daemon.logLine("distress new").contains(folder.file("state")))
  }
}
