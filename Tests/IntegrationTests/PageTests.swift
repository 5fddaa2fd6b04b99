import Foundation
import Testing
import WardenTestKit

/// The web page in Debian's Chromium, on a daemon under live traffic. What is done and looked at stands in
/// Tests/Browser/page.py, a function for each scenario.
@Suite("The page in a browser", .serialized)
struct PageTests {
  enum Scenario: String, CaseIterable {
    case actions, live, hostile, tables, keyboard, narrow, rule, again, hidden, mistyped, faults
  }

  private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Browser/page.py").path

  private func play(_ scenario: String, readsWithoutLogin: Bool, hasState: Bool = true) throws {
    let port = try freePort()
    let folder = try TemporaryFolder()
    let daemon = try TestDaemon(
      policy: """
          web: {at: "127.0.0.1:\(port)", read-without-login: \(readsWithoutLogin)}
        \(hasState ? "state: \(folder.file("state"))" : "")
        rules:
          - name: cap
            description: At most two an hour.
            count: messages
            per: user
            limit: [2 per 1h, 5 per 1d]
            then: [alert, tempfail]
          - {name: by-ip, count: messages, per: ip, limit: 900 per 1h, then: alert, mode: observe}
        """, folder: folder)
    let result = try Shell.run(
      "/usr/bin/python3",
      [Self.script, scenario, "http://127.0.0.1:\(port)", daemon.milterSocket, daemon.controlSocket],
      environment: ["PYTHONDONTWRITEBYTECODE": "1"])
    #expect(result.status == 0, "\(result.errors)\(result.output)")
    #expect(result.output == "ok \(scenario)\n")
    #expect(try daemon.stop() == 0)
    let log = try daemon.log
    #expect(!log.contains(" fault "), "\(log)")
  }

  @Test("Who may read sees and does what an administrator needs", arguments: Scenario.allCases)
  func reading(_ scenario: Scenario) throws { try play(scenario.rawValue, readsWithoutLogin: true) }

  @Test("Without a state a key's page says that there is no history, where it would stand")
  func stateless() throws { try play("stateless", readsWithoutLogin: true, hasState: false) }

  @Test("Without a login there is nothing to read where the policy does not allow it")
  func locked() throws { try play("locked", readsWithoutLogin: false) }
}
