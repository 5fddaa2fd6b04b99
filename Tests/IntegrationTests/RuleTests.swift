import Foundation
import MilterClient
import Testing
import WardenTestKit

/// How often a rule would trip at other limits.
@Suite("A rule at other limits")
struct RuleTests {
  private func daemon(state: Bool = true) throws -> TestDaemon {
    let folder = try TemporaryFolder()
    return try TestDaemon(
      policy: """
        \(state ? "state: \(folder.file("state"))" : "")
        exempt: {users: [postmaster]}
        rules:
          - {name: cap, count: messages, per: user, limit: [4 per 1h, 9 per 1d], then: [alert, tempfail]}
          - {name: nets, count: distinct networks, per: user, limit: 3 per 1h, then: alert, mode: observe}
          - {name: mine, count: messages, per: user, limit: 4 per 1h, only: authenticated, then: block for 1d}
        """, folder: folder)
  }

  private func send(_ daemon: TestDaemon, _ count: Int, as user: String) throws {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.7", port: 40_000))
    for _ in 0..<count {
      try client.mail("<\(user)@b.test>", macros: [("{auth_authen}", user)])
      try client.endOfMessage(macros: [("i", "Q")])
    }
    try client.quit()
  }

  private func ladder(_ report: [String: Any], _ name: String, _ field: String) throws -> [Int: Int] {
    let rungs = try #require(report[name] as? [[String: Any]])
    return try Dictionary(
      uniqueKeysWithValues: rungs.map { (try #require($0["limit"] as? Int), try #require($0[field] as? Int)) })
  }

  @Test("tells who stands over each number now, and how often users went over it")
  func asked() throws {
    let daemon = try daemon()
    for (user, count) in [("alice", 4), ("bob", 2), ("postmaster", 4)] { try send(daemon, count, as: user) }
    // An order is answered once it is stored, and all else with it.
    _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
    let report = try #require(try daemon.curl("/v1/rule?name=cap&days=1") as? [String: Any])
    #expect(report["limits"] as? [String] == ["4 per 1h", "9 per 1d"])
    #expect(report["then"] as? [String] == ["alert", "tempfail"])
    #expect(report["keys_counted"] as? Int == 2, "the postmaster is exempt")
    let now = try ladder(report, "now", "keys")
    #expect(now[1] == 2 && now[2] == 1 && now[3] == 1 && now[4] == 0)
    let past = try #require(report["past"] as? [String: Any])
    #expect(past["by"] as? String == "hour" && past["days"] as? Int == 1 && past["is_cut"] as? Bool == false)
    let (trips, keys) = (try ladder(past, "ladder", "trips"), try ladder(past, "ladder", "keys"))
    // Within an hour of the clock, or in two that follow one another.
    #expect(trips[1] == 2 && keys[1] == 2 && trips[2] == 1 && trips[3] == 1 && trips[4] == 0)
    #expect((report["note"] as? String)?.contains("what the rule refused") == true)
    let shown = try daemon.command("rule", "cap", "--days", "1")
    #expect(shown.output.contains("* 4"), "\(shown)")
    #expect(try daemon.command("rule", "cap", "--json").output.contains(#""ladder""#))
  }

  @Test("says why the past is not told, or only as a bound")
  func notes() throws {
    let daemon = try daemon()
    try send(daemon, 2, as: "bob")
    _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
    let nets = try #require(try daemon.curl("/v1/rule?name=nets") as? [String: Any])
    #expect(nets["past"] == nil && (nets["note"] as? String)?.contains("different values") == true)
    #expect(try ladder(nets, "now", "keys") == [1: 0, 2: 0, 3: 0] && nets["keys_counted"] as? Int == 1)
    let mine = try #require(try daemon.curl("/v1/rule?name=mine") as? [String: Any])
    #expect(mine["past"] != nil && (mine["note"] as? String)?.contains("the most it can have been") == true)
  }

  @Test("Without a state folder it tells of now alone")
  func noState() throws {
    let daemon = try daemon(state: false)
    let report = try #require(try daemon.curl("/v1/rule?name=cap") as? [String: Any])
    #expect(report["past"] == nil && (report["note"] as? String)?.contains(#"the policy has no "state""#) == true)
  }

  @Test("An unknown rule has its nearest name told")
  func unknown() throws {
    let result = try daemon().command("rule", "cpa")
    #expect(result.status == 1 && result.errors.contains(#"did you mean "cap"?"#), "\(result)")
  }
}
