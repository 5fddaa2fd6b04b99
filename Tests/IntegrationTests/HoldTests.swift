import Foundation
import MilterClient
import Testing
import WardenTestKit

/// `hold`, with the commands of docs/operating.md: each MTA's own quarantine is all there is.
@Suite("Held messages", .serialized)
struct HoldTests {
  private static let policy =
    "rules: [{name: first-look, count: messages, per: user, limit: 1 per 1h, then: [alert, hold]}]"

  /// Sends two messages, of which the second is to be held: their queue ids.
  private func send(_ mta: MTA, as user: String) throws -> (passed: String, held: String) {
    let client = try SMTPClient(port: mta.port, from: "127.0.85.1")
    try client.command("EHLO client.test")
    try client.authenticate(user)
    let ids = try (0..<2).map { _ in
      try client.command("MAIL FROM:<\(user)@local.test>")
      try client.command("RCPT TO:<friend@far.test>")
      let reply = try client.message(bytes: 10)
      #expect(reply.code == 250, "\(reply)")
      return try #require(mta.queueID(in: reply.text))
    }
    try client.command("QUIT")
    return (ids[0], ids[1])
  }

  @Test(
    "Postfix: found in the hold queue, and delivered once it is let go",
    .enabled(if: MTA.missing(.postfix) == nil, "root is needed for a private Postfix"))
  func postfix() throws {
    let mta = try MTA.of(.postfix, for: "hold")
    let daemon = try TestDaemon(policy: Self.policy, folder: mta.milterFolder)
    let (passed, held) = try send(mta, as: "alice")

    let queue = try mta.administer("postqueue", "-j").split(separator: "\n").map {
      try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
    }
    #expect(queue.filter { $0?["queue_id"] as? String == held }.map { $0?["queue_name"] as? String } == ["hold"])
    #expect(try mta.administer("postqueue", "-p").contains("\(held)!"))
    #expect(!mta.isHeld(passed))
    try eventually("what passed is delivered") { try mta.log.contains("\(passed): to=<friend@far.test>") }
    // Postfix does not keep the reason; the log does, with the queue id.
    let line = try daemon.logLine("\(held): held")
    #expect(line.contains(#"reason="user alice: 2 messages in 1h (limit 1)""#) && line.contains("rule=first-look"))
    #expect(try !mta.log.contains("\(held): to="))

    try mta.administer("postsuper", "-H", held)
    try mta.administer("postqueue", "-i", held)
    try eventually("what was let go is delivered") { try mta.log.contains("\(held): to=<friend@far.test>") }
    #expect(!mta.isHeld(held))
  }

  @Test(
    "Sendmail: found in the quarantine with the reason, and queued once it is let go",
    .enabled(if: MTA.missing(.sendmail) == nil, "root is needed for a private Sendmail"))
  func sendmail() throws {
    let mta = try MTA.of(.sendmail, for: "hold")
    let daemon = try TestDaemon(policy: Self.policy, folder: mta.milterFolder)
    let (passed, held) = try send(mta, as: "alice")

    // mailq is sendmail -bp.
    let quarantine = try mta.administer("-bp", "-qQ")
    #expect(quarantine.contains(held) && !quarantine.contains(passed))
    #expect(quarantine.contains("QUARANTINE: first-look: user alice: 2 messages in 1h (limit 1)"), "\(quarantine)")
    let queue = try mta.administer("-bp")
    #expect(queue.contains(passed) && !queue.contains(held))
    #expect(try daemon.logLine("\(held): held").contains("rule=first-look"))

    try mta.administer("-qQ", "-Q", "-qI\(held)")
    #expect(try !mta.administer("-bp", "-qQ").contains(held))
    #expect(try mta.administer("-bp").contains(held))
  }

  @Test("What is held counts, and is told: in the log, in the figures, and not to the client")
  func told() throws {
    let daemon = try TestDaemon(policy: Self.policy)
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect()
    for _ in 0..<3 {
      #expect(try client.mail("<a@b.test>", macros: [("{auth_authen}", "eve\"\n%s")]) == .continue)
      #expect(try client.endOfMessage(macros: [("i", "Q7")]) == .continue)
    }
    // A client's words cannot end the reason, nor begin another line of the queue's list.
    #expect(
      client.changes == [.quarantine(reason: #"first-look: user eve"\u{a}%s: 3 messages in 1h (limit 1)"#)])
    try client.quit()
    #expect(try daemon.count("user:eve\"\n%s", rule: "first-look") == 3)
    try eventually("both are logged") { try daemon.log.components(separatedBy: " Q7: held ").count == 3 }
    #expect(try daemon.log.components(separatedBy: " Q7: alert ").count == 2)
  }

  @Test(
    "Where the MTA has no quarantine that is a fault, and on-fault answers",
    arguments: [
      ("accept", MilterClient.Response.continue),
      ("tempfail", .reply(["451 4.3.0 A mail filter failed; try again later"])),
    ])
  func noQuarantine(_ onFault: String, _ answer: MilterClient.Response) throws {
    let daemon = try TestDaemon(policy: "on-fault: \(onFault)\n\(Self.policy)")
    let client = try MilterClient(.unix(daemon.milterSocket))
    // SMFIF_QUARANTINE is 0x20.
    try client.negotiate(actions: 0x1ff & ~0x20)
    try client.connect()
    for expected in [MilterClient.Response.continue, answer] {
      try client.mail("<a@b.test>", macros: [("{auth_authen}", "alice")])
      #expect(try client.endOfMessage(macros: [("i", "Q7")]) == expected)
    }
    #expect(client.changes == [])
    #expect(try daemon.logLine(" fault ").contains("cannot quarantine the message"))
  }
}
