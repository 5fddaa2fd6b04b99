import Foundation
import MilterClient
import Testing
import WardenTestKit

@Suite("Suggested limits")
struct SuggestTests {
  private static func isGood(_ policy: String, in folder: TemporaryFolder) throws -> Bool {
    try folder.write(policy, to: "suggested.yaml")
    let check = try Shell.run(builtProgram("mailwarden"), ["check", folder.file("suggested.yaml")])
    return check.status == 0
  }

  @Test("From a log they are a policy that check accepts, each number with its reason and with the backtest below")
  func fromLog() throws {
    let folder = try TemporaryFolder()
    let log = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../Examples/logs/s2-hacked-account.log.gz").path
    let suggested = try Shell.check(
      builtProgram("mailwarden"), ["suggest", log, "--config", folder.file("none.yaml"), "--quiet"])
    #expect(try Self.isGood(suggested, in: folder))
    #expect(suggested.contains("- name: messages-per-user"))
    #expect(suggested.contains("mode: observe"))
    // The hijacked account stands out, and does not raise the limit for the others.
    let lines = suggested.split(separator: "\n")
    #expect(lines.contains { $0.hasSuffix("- 30 per 1h") })
    #expect(lines.contains { $0.contains("to look at") && $0.contains("frank (380)") })
    #expect(lines.contains { $0.hasPrefix("# ") && $0.contains("the proposed policy") })
  }

  @Test("From the daemon's own history they are one, too, and status offers them after a week")
  func fromHistory() throws {
    let folder = try TemporaryFolder()
    let daemon = try TestDaemon(
      policy: """
        state: \(folder.file("state"))
        rules: [{name: cap, count: messages, per: user, limit: 1000 per 1d, then: alert, mode: observe}]
        """, folder: folder)
    for user in 0..<12 {
      let client = try MilterClient(.unix(daemon.milterSocket))
      try client.negotiate()
      _ = try client.connect(
        host: "x", address: .ipv4("192.0.2.\(user)", port: 40_000), macros: [("j", "mx.local.test")])
      for _ in 0...user {
        _ = try client.mail("<u@local.test>", macros: [("{auth_authen}", "user\(user)"), ("{auth_type}", "PLAIN")])
        _ = try client.endOfMessage(macros: [("i", "Q1")])
      }
      try client.quit()
    }
    #expect(try !daemon.command("status").output.contains("proposes limits"))
    #expect(try daemon.stop() == 0)

    // A week ago, as far as the database says.
    let week = 8 * 86_400
    try Shell.check(
      "sqlite3", [folder.file("state/mailwarden.sqlite"), "UPDATE counts SET at = at - \(week) WHERE period <> 60"])
    try daemon.start()
    let suggested = try daemon.command("suggest").output
    #expect(suggested.contains("- name: messages-per-user"))
    #expect(suggested.contains("user11 (12)"))
    #expect(try Self.isGood(suggested, in: folder))
    #expect(try daemon.command("learn").output.contains("- name: messages-per-user"))
    try eventually("status offers them") { try daemon.command("status").output.contains("8 days of history: ") }
  }
}
