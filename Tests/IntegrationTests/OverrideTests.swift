import Foundation
import MilterClient
import Testing
import WardenTestKit

/// Other limits for some, or none: `allow`, `revoke`, `overrides`, and what the policy says.
@Suite("Overrides")
struct OverrideTests {
  private static let rules = """
    rules:
      - {name: cap, count: messages, per: user, limit: 1 per 1h, then: tempfail}
      - {name: by-ip, count: messages, per: ip, limit: 99 per 1h, then: reject}
    """
  private static let policy = """
    groups: {staff: [carol]}
    overrides:
      bob: cap 2 per 1h until 2099-01-01
      group staff: cap off
      192.0.2.0/24: exempt
      old@example.org: cap off until 2001-01-01
    \(rules)
    """

  /// How many of so many messages pass.
  private func send(_ daemon: TestDaemon, _ count: Int, as user: String, from address: String = "203.0.113.1") throws
    -> Int
  {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    if try client.connect(address: .ipv4(address, port: 1)) == .accept { return count }
    var passed = 0
    for _ in 0..<count {
      if try client.mail("<a@b.test>", macros: [("{auth_authen}", user)]).isRefusal { continue }
      if try !client.endOfMessage(macros: [("i", "Q")]).isRefusal { passed += 1 }
    }
    try client.quit()
    return passed
  }

  private func said(_ daemon: TestDaemon, _ command: String...) throws -> String {
    let result = try daemon.command(command)
    #expect(result.status == 0, "\(result.errors)")
    return result.output
  }

  @Test("allow spares a key everything until revoke, and is listed and explained")
  func allow() throws {
    let daemon = try TestDaemon(policy: Self.rules)
    #expect(try send(daemon, 3, as: "alice") == 1)
    #expect(
      try said(daemon, "allow", "user:alice", "--for", "2h", "--reason", "a newsletter").hasPrefix(
        "user:alice: exempt until 20"))
    #expect(try send(daemon, 3, as: "alice") == 3)
    #expect(try daemon.count("user:alice", rule: "cap") == 1)
    let list = try said(daemon, "overrides")
    #expect(list.contains("user:alice  exempt  20") && list.contains("administrator: a newsletter"))
    let why = try said(daemon, "explain", "user:alice")
    #expect(why.contains("exempt until 20") && why.contains("(administrator: a newsletter)"), "\(why)")
    #expect(try (daemon.curl("/v1/explain?key=user:alice") as? [String: Any])?["limited"] as? Bool == false)

    #expect(try said(daemon, "revoke", "user:alice") == "user:alice: no longer exempt\n")
    #expect(try said(daemon, "revoke", "user:alice") == "nothing was allowed to user:alice at run time\n")
    #expect(try said(daemon, "overrides") == "there are no overrides\n")
    #expect(try send(daemon, 3, as: "alice") == 0)
  }

  @Test("--rule spares one rule, --limit gives it another limit; the later order takes the earlier one's place")
  func oneRule() throws {
    let daemon = try TestDaemon(policy: Self.rules)
    #expect(
      try said(daemon, "allow", "user:alice", "--for", "1h", "--rule", "cap").hasPrefix("user:alice: cap off until"))
    #expect(try send(daemon, 4, as: "alice") == 4)
    #expect(try daemon.count("ip:203.0.113.1", rule: "by-ip") == 4)
    #expect(
      try said(daemon, "allow", "user:alice", "--for", "1h", "--rule", "cap", "--limit", "6 per 1h").hasPrefix(
        "user:alice: cap 6 per 1h until"))
    #expect(try said(daemon, "overrides").split(separator: "\n").count == 2)
    #expect(try send(daemon, 4, as: "alice") == 2)
    let why = try said(daemon, "explain", "user:alice")
    #expect(why.contains("cap 6 per 1h until 20") && why.contains("(limit 6)"), "\(why)")
    let counter = try #require((daemon.curl("/v1/counters?key=user:alice") as? [[String: Any]])?.first)
    #expect(counter["limit"] as? Int == 6 && counter["origin"] as? String == "administrator")
  }

  @Test("An address, a network and a pair can be allowed as well")
  func otherKeys() throws {
    let daemon = try TestDaemon(
      policy: """
        rules:
          - {name: by-ip, count: messages, per: ip, limit: 1 per 1h, then: reject}
          - {name: pairs, count: messages, per: [user, ip], limit: 3 per 1h, then: reject}
        """)
    for (key, rule) in [("ip:203.0.113.1", "by-ip"), ("network:203.0.113.8/29", "by-ip")] {
      _ = try said(daemon, "allow", key, "--for", "1h", "--rule", rule)
    }
    #expect(try send(daemon, 5, as: "alice", from: "203.0.113.1") == 3)
    #expect(try send(daemon, 2, as: "alice", from: "203.0.113.9") == 2)
    #expect(try send(daemon, 2, as: "alice", from: "203.0.113.16") == 1)
    _ = try said(daemon, "allow", "user:alice,ip:203.0.113.1", "--for", "1h", "--rule", "pairs")
    #expect(try send(daemon, 2, as: "alice", from: "203.0.113.1") == 2)
    #expect(try send(daemon, 5, as: "bob", from: "203.0.113.1") == 3)
  }

  @Test("The policy's overrides hold, and each is shown with its line")
  func ofThePolicy() throws {
    let daemon = try TestDaemon(policy: Self.policy)
    #expect(try send(daemon, 3, as: "bob") == 2)
    #expect(try send(daemon, 3, as: "carol") == 3)
    #expect(try send(daemon, 3, as: "dave") == 1)
    #expect(try send(daemon, 3, as: "dave", from: "192.0.2.9") == 3)
    // TestDaemon puts three lines before.
    let file = daemon.policyFile
    #expect(try said(daemon, "explain", "user:bob").contains("cap 2 per 1h until 2099-01-01T00:00:00Z (\(file):6)."))
    #expect(try said(daemon, "explain", "user:carol").contains("cap off (\(file):7)."))
    #expect(try said(daemon, "explain", "ip:192.0.2.9").contains("exempt (\(file):8)."))
    let list = try said(daemon, "overrides")
    #expect(!list.contains("old@example.org"))
    #expect(list.split(separator: "\n").count == 4)
    #expect(list.contains("group:staff") && list.contains("\(file):7"))
    // What the policy says an order does not end.
    #expect(try said(daemon, "revoke", "user:bob").contains("nothing was allowed"))
  }

  @Test("Orders outlive a reload, and end with the daemon")
  func reload() throws {
    let daemon = try TestDaemon(policy: Self.rules)
    _ = try said(daemon, "allow", "user:alice", "--for", "1h")
    try daemon.write(policy: Self.policy)
    _ = try said(daemon, "reload")
    #expect(try send(daemon, 3, as: "alice") == 3)
    #expect(try daemon.stop() == 0)
    try daemon.start()
    #expect(try send(daemon, 3, as: "alice") == 1)
  }

  @Test("JSON has the fields that tools rely on, over the command and over the socket")
  func fields() throws {
    let daemon = try TestDaemon(policy: Self.policy)
    let made = try #require(
      try daemon.curl(
        "/v1/overrides", method: "POST",
        body: #"{"key":"user:alice","for":"90m","rule":"cap","limit":"5 per 1h","reason":"x"}"#) as? [String: Any])
    #expect(made["target"] as? String == "user:alice")
    #expect(made["rule"] as? String == "cap")
    #expect(made["effect"] as? String == "cap 5 per 1h")
    #expect(made["origin"] as? String == "administrator: x")
    let until = try #require(ISO8601DateFormatter().date(from: made["until"] as? String ?? ""))
    #expect((5_300...5_401).contains(until.timeIntervalSinceNow))
    #expect(try (daemon.curl("/v1/overrides") as? [[String: Any]])?.count == 4)
    let shown = try daemon.command("overrides", "--json")
    let list = try #require(try JSONSerialization.jsonObject(with: Data(shown.output.utf8)) as? [[String: Any]])
    #expect(list.map { $0["target"] as? String } == ["user:bob", "group:staff", "network:192.0.2.0/24", "user:alice"])
    #expect(Set(list[2].keys) == ["target", "effect", "origin"])
    let explained = try daemon.curl("/v1/explain?key=user:alice") as? [String: Any]
    #expect((explained?["overrides"] as? [[String: Any]])?.first?["effect"] as? String == "cap 5 per 1h")
    let revoked = try daemon.curl("/v1/overrides?key=user:alice", method: "DELETE") as? [[String: Any]]
    #expect(revoked?.map { $0["effect"] as? String } == ["cap 5 per 1h"])
    #expect(try (daemon.curl("/v1/overrides") as? [[String: Any]])?.count == 3)
  }

  @Test(
    "Bad orders get an answer that helps",
    arguments: [
      (["user:bob", "--for", "soon"], "is not a time span"),
      (["user:bob", "--for", "0s"], "is not a time span"),
      (["bob", "--for", "1h"], "write user:alice@example.org"),
      (["usr:bob", "--for", "1h"], "unknown kind of key \"usr\" (did you mean \"user\"?)"),
      (["user:bob", "--for", "1h", "--rule", "cpa"], "there is no rule \"cpa\" (did you mean \"cap\"?)"),
      (["user:bob", "--for", "1h", "--limit", "5 per 1h"], "a limit needs the rule that it is for"),
      (["user:bob", "--for", "1h", "--rule", "cap", "--limit", "many"], "\"many\" is not a limit"),
      (["user:bob", "--for", "1h", "--rule", "cap", "--limit", "5 per 40d"], "longer than 31d"),
      (
        ["user:bob", "--for", "1h", "--rule", "cap", "--limit", "5% per 1h, at least 3"], "a percentage limits a share"
      ),
    ])
  func badOrders(_ arguments: [String], _ answer: String) throws {
    let daemon = try TestDaemon(policy: Self.rules)
    let result = try daemon.command(["allow"] + arguments)
    #expect(result.status == 1)
    #expect(result.errors.contains(answer), "\(result.errors)")
    #expect(try said(daemon, "overrides") == "there are no overrides\n")
  }

  @Test("An order without a time is wrong usage, and a broken body is told in JSON")
  func badUsage() throws {
    let daemon = try TestDaemon(policy: Self.rules)
    #expect(try daemon.command("allow", "user:bob").status == 64)
    for body in ["{", #"{"key":"user:bob"}"#, #"{"key":"user:bob","for":3600}"#] {
      let answer = try daemon.curl("/v1/overrides", method: "POST", body: body) as? [String: Any]
      #expect((answer?["error"] as? String)?.contains(#"{"key":"user:alice","for":"1h""#) == true)
    }
    let unnamed = try daemon.curl("/v1/overrides", method: "DELETE") as? [String: Any]
    #expect((unnamed?["error"] as? String)?.contains("\"key\" is missing") == true)
  }

  @Test("include reads a folder in the order of its names; a bad file in it leaves the running policy in force")
  func include() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(atPath: folder.file("overrides.d"), withIntermediateDirectories: true)
    try folder.write("overrides:\n  bob: cap 2 per 1h\n", to: "overrides.d/10-first.yaml")
    try folder.write(
      "groups: {all: [bob]}\noverrides:\n  group all: cap 9 per 1h\n  carol: cap off\n",
      to: "overrides.d/20-second.yaml")
    try folder.write("no YAML: [", to: "overrides.d/README")
    let daemon = try TestDaemon(policy: "include: overrides.d\n\(Self.rules)", folder: folder)
    #expect(try send(daemon, 3, as: "bob") == 2)
    #expect(try send(daemon, 3, as: "carol") == 3)
    let first = folder.file("overrides.d/10-first.yaml")
    #expect(try said(daemon, "explain", "user:bob").contains("cap 2 per 1h (\(first):2)."))

    try folder.write("overrides:\n  bob: cpa 3 per 1h\n", to: "overrides.d/10-first.yaml")
    let reload = try daemon.command("reload")
    #expect(reload.status == 1)
    #expect(reload.output.contains("\(first):2:"), "\(reload.output)")
    #expect(reload.output.contains("(did you mean \"cap\"?)") && reload.output.contains("not reloaded"))
    #expect(try said(daemon, "status").contains("LAST RELOAD FAILED"))
    #expect(try send(daemon, 1, as: "carol") == 1)
    #expect(try said(daemon, "overrides").contains("cap 2 per 1h"))

    try folder.write("rules: []\n", to: "overrides.d/10-first.yaml")
    #expect(try daemon.command("reload").output.contains("\(first):1:"))
    try FileManager.default.removeItem(atPath: folder.file("overrides.d"))
    #expect(try daemon.command("reload").output.contains("overrides.d"))
    #expect(try said(daemon, "overrides").contains("cap 2 per 1h"))

    try daemon.write(policy: Self.rules)
    _ = try said(daemon, "reload")
    #expect(try said(daemon, "overrides") == "there are no overrides\n")
    #expect(try send(daemon, 1, as: "bob") == 0)
  }
}
