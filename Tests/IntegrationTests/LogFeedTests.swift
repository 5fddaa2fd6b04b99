import Foundation
import Testing
import WardenTestKit

/// What real MTAs write to their logs, followed live. The S3 and S4 rows that a milter cannot see are here, on both MTAs.
@Suite("The log feed", .serialized, .enabled(if: geteuid() == 0, "root is needed for private servers"))
struct LogFeedTests {
  private final class Servers {
    let mta: MTA
    let daemon: TestDaemon

    init(_ kind: MTA.Kind, with facilities: [MTA.Facility] = [], rules: String) throws {
      mta = try MTA(kind, with: facilities)
      daemon = try TestDaemon(
        policy: """
          realms: [test]
          feeds:
            mail-log: {from: [\(([mta.logPath, mta.authLogPath] as [String?]).compactMap { $0 }.joined(separator: ", "))]}
          \(rules)
          """, folder: mta.milterFolder)
    }

    deinit { mta.stop() }

    func client(from address: String, greeted: Bool = true) throws -> SMTPClient {
      let client = try SMTPClient(port: mta.port, from: address)
      if greeted { try client.command("EHLO x.test") }
      return client
    }

    /// - Returns: the answer's code to AUTH, or to the connection.
    func logIn(_ user: String, _ password: String? = nil, from address: String) throws -> Int {
      let client = try client(from: address, greeted: false)
      guard client.banner.code == 220 else { return client.banner.code }
      defer { _ = try? client.command("QUIT") }
      try client.command("EHLO x.test")
      return try client.logIn(user, password: password ?? "secret-\(user)").code
    }

    func count(_ key: String, _ rule: String) throws -> Int { try daemon.count(key, rule: rule) ?? 0 }

    func awaitCount(_ key: String, _ rule: String, _ count: Int) throws {
      try eventually("\(key) has \(count) under \(rule)") { try self.count(key, rule) == count }
    }
  }

  private static let mtas: [(kind: MTA.Kind, facilities: [MTA.Facility])] = [
    (.postfix, []), (.sendmail, [.saslauthd]),
  ]

  @Test("Who guesses passwords from one address is blocked, each guess counting once", arguments: [0, 1])
  func oneAddress(mta: Int) throws {
    let servers = try Servers(
      Self.mtas[mta].kind, with: Self.mtas[mta].facilities,
      rules: """
        rules:
          - {name: guessing, count: auth-failures, per: ip, limit: 4 per 10m, then: block for 1h}
          - {name: guessed, count: auth-failures, per: user, limit: 100 per 10m, then: alert}
        """)
    for guess in 0..<4 { #expect(try servers.logIn("alice", "guess\(guess)", from: "127.0.83.1") == 535) }
    try servers.awaitCount("ip:127.0.83.1", "guessing", 4)
    try servers.awaitCount("user:alice", "guessed", 4)
    #expect(try servers.daemon.blockedKeys == [])
    #expect(try servers.logIn("alice", "guess5", from: "127.0.83.1") == 535)
    try eventually("blocked") { try servers.daemon.blockedKeys == ["ip:127.0.83.1"] }
    // Let in by neither MTA; its other client is.
    #expect(try servers.logIn("alice", from: "127.0.83.1") == 421)
    #expect(try servers.logIn("alice", from: "127.0.83.2") == 235)
    #expect(try servers.count("user:alice", "guessed") == 5)
  }

  @Test("One user who is guessed from 30 addresses is told, and not blocked for it", arguments: [0, 1])
  func manyAddresses(mta: Int) throws {
    let servers = try Servers(
      Self.mtas[mta].kind, with: Self.mtas[mta].facilities,
      rules: """
        rules:
          - name: guessed-from-everywhere
            count: distinct ips
            per: user
            only: failed-logins
            limit: 20 per 1h
            then: [alert, block for 1h]
        """)
    for number in 1...30 { #expect(try servers.logIn("carol", "guess", from: "127.0.84.\(number)") == 535) }
    let line = try servers.daemon.logLine(" observed, not enforced ")
    #expect(line.contains("user carol: 21 or more distinct ips in 1h (limit 20)"))
    #expect(try servers.daemon.blockedKeys == [])
    #expect(try servers.logIn("carol", from: "127.0.84.99") == 235)
  }

  @Test("A success right after failures is told", arguments: [0, 1])
  func successAfterFailures(mta: Int) throws {
    let servers = try Servers(
      Self.mtas[mta].kind, with: Self.mtas[mta].facilities,
      rules: """
        rules:
          - name: guessed
            per: [user, ip]
            all of:
              - {count: auth-failures, limit: 5 per 1h}
              - {count: \(Self.mtas[mta].kind == .postfix ? "logins" : "auth-successes"), limit: 0 per 1h}
            then: alert
        """)
    for guess in 0..<6 { #expect(try servers.logIn("erin", "guess\(guess)", from: "127.0.85.1") == 535) }
    try eventually("six are counted for the pair") {
      let counters = try servers.daemon.curl("/v1/counters?key=user:erin,ip:127.0.85.1") as? [[String: Any]] ?? []
      return counters.contains { $0["signal"] as? String == "auth-failures" && $0["count"] as? Int == 6 }
    }
    #expect(try !servers.daemon.log.contains(" alert "))
    let client = try servers.client(from: "127.0.85.1")
    try client.authenticate("erin")
    try client.command("MAIL FROM:<erin@local.test>")
    try client.command("RCPT TO:<alice@local.test>")
    #expect(try client.message(bytes: 10).code == 250)
    try client.command("QUIT")
    #expect(try servers.daemon.logLine(" alert ").contains("user erin, ip 127.0.85.1: 6 AUTH failures in 1h (limit 5)"))
  }

  @Test("What another filter refuses counts for the client, what we refuse ourselves does not", arguments: [0, 1])
  func filterRejections(mta: Int) throws {
    let servers = try Servers(
      Self.mtas[mta].kind, with: [.spamFilter(try SpamFilter())],
      rules: """
        rules:
          - {name: spam, count: filter-rejections, per: ip, limit: 10 per 2h, then: block for 1d}
          - {name: cap, count: recipients, per: ip, only: network 127.0.86.2/32, limit: 1 per 2h, then: tempfail}
        """)
    func send(_ address: String, subject: String, recipients: Int = 1) throws -> Int {
      let client = try servers.client(from: address, greeted: false)
      guard client.banner.code == 220 else { return client.banner.code }
      try client.command("EHLO x.test")
      try client.command("MAIL FROM:<spammer@spam.test>")
      for user in ["alice", "bob", "carol"].prefix(recipients) { try client.command("RCPT TO:<\(user)@local.test>") }
      try client.command("DATA")
      return try client.command("Subject: \(subject)\r\n\r\nhello\r\n.").code
    }
    #expect(try send("127.0.86.2", subject: "hello", recipients: 2) == 450)
    for _ in 0..<10 { #expect(try send("127.0.86.1", subject: "SPAMTEST") == 550) }
    try servers.awaitCount("ip:127.0.86.1", "spam", 10)
    #expect(try servers.count("ip:127.0.86.2", "spam") == 0)
    #expect(try send("127.0.86.1", subject: "SPAMTEST") == 550)
    try eventually("blocked") { try servers.daemon.blockedKeys == ["ip:127.0.86.1"] }
  }

  @Test("DNS block lists and relaying count on both MTAs, once each", arguments: [0, 1])
  func rejections(mta: Int) throws {
    let servers = try Servers(
      Self.mtas[mta].kind, with: [.blockList],
      rules: """
        rules:
          - {name: dnsbl, count: dnsbl-rejections, per: ip, limit: 10 per 2h, then: block for 1d}
          - {name: relay, count: relay-attempts, per: ip, limit: 10 per 2h, then: block for 1d}
        """)
    for _ in 0..<3 {
      let listed = try servers.client(from: "127.0.66.7")
      try listed.command("MAIL FROM:<a@sender.test>")
      #expect(try listed.command("RCPT TO:<alice@local.test>").code >= 500)
      let relaying = try servers.client(from: "127.0.87.1")
      try relaying.command("MAIL FROM:<a@sender.test>")
      #expect(try relaying.command("RCPT TO:<victim@far.test>").code >= 500)
      for client in [listed, relaying] { try client.command("QUIT") }
    }
    try servers.awaitCount("ip:127.0.66.7", "dnsbl", 3)
    try servers.awaitCount("ip:127.0.87.1", "relay", 3)
    // Both the milter and the log have told of them by the time that a later line was read.
    #expect(try servers.logIn("alice", "wrong", from: "127.0.87.9") == 535)
    try eventually("the log was read") {
      let totals = try (servers.daemon.curl("/v1/status") as? [String: Any])?["totals"] as? [String: [String: Int]]
      return totals?["auth-failures"]?["total"] == 1
    }
    #expect(try servers.count("ip:127.0.66.7", "dnsbl") == 3)
    #expect(try servers.count("ip:127.0.87.1", "relay") == 3)
  }

  @Test("A flood of bad recipients is told by Sendmail's own words")
  func recipientFlood() throws {
    let servers = try Servers(
      .sendmail, rules: "rules: [{name: flood, count: rcpt-floods, per: ip, limit: 1 per 2h, then: block for 1d}]")
    for round in 1...2 {
      let client = try servers.client(from: "127.0.88.1")
      try client.command("MAIL FROM:<a@sender.test>")
      for number in 0..<21 { try client.command("RCPT TO:<nobody\(number)@local.test>") }
      client.drop()
      try eventually("round \(round) is counted") {
        round == 2
          ? try servers.daemon.blockedKeys == ["ip:127.0.88.1"] : try servers.count("ip:127.0.88.1", "flood") == 1
      }
    }
  }

  @Test("What becomes of a user's mail counts for the user", arguments: [0, 1])
  func deliveries(mta: Int) throws {
    let servers = try Servers(
      Self.mtas[mta].kind, with: Self.mtas[mta].facilities + [.delivery],
      rules: """
        rules:
          - {name: delivered, count: delivered, per: user, limit: 100 per 2h, then: alert}
          - {name: deferred, count: deferred, per: user, limit: 100 per 2h, then: alert}
          - {name: bounced, count: bounced, per: user, limit: 100 per 2h, then: alert}
        """)
    let client = try servers.client(from: "127.0.89.1")
    try client.authenticate("alice")
    try client.command("MAIL FROM:<alice@local.test>")
    for recipient in ["friend@far.test", "bob@far.test", "bob@later.test", "dora@bounce.test"] {
      try client.command("RCPT TO:<\(recipient)>")
    }
    #expect(try client.message(bytes: 10).code == 250)
    try client.command("QUIT")
    try servers.awaitCount("user:alice", "delivered", 2)
    try servers.awaitCount("user:alice", "bounced", 1)
    try eventually("it was put off") { try servers.count("user:alice", "deferred") >= 1 }
  }

  @Test("After a restart, and after a crash, each line counts once")
  func restarts() throws {
    let mta = try MTA(.postfix, with: [.noMilter])
    defer { mta.stop() }
    let daemon = try TestDaemon(
      policy: """
        state: \(mta.milterFolder.file("state"))
        feeds: {mail-log: \(mta.logPath)}
        rules: [{name: guessing, count: auth-failures, per: ip, limit: 100 per 1h, then: block for 1h}]
        """, folder: mta.milterFolder)
    func guess(_ times: Int) throws {
      for _ in 0..<times {
        let client = try SMTPClient(port: mta.port, from: "127.0.90.1")
        try client.command("EHLO x.test")
        #expect(try client.logIn("alice", password: "wrong").code == 535)
        try client.command("QUIT")
      }
    }
    func count() throws -> Int { try daemon.count("ip:127.0.90.1", rule: "guessing") ?? 0 }
    try guess(3)
    try eventually("three") { try count() == 3 }
    #expect(try daemon.stop() == 0)
    try guess(2)
    try daemon.start()
    try eventually("two more") { try count() == 5 }
    try guess(4)
    try eventually("nine") { try count() == 9 }
    daemon.kill()
    // The log is moved away meanwhile, as each night.
    try FileManager.default.moveItem(atPath: mta.logPath, toPath: mta.logPath + ".1")
    try mta.administer("postlog", "-t", "postfix/test", "a first line")
    try guess(1)
    try daemon.start()
    try eventually("ten") { try count() == 10 }
    try guess(1)
    try eventually("eleven") { try count() == 11 }
  }

  @Test("A log that is missing is told, in status and as distress, until it is there")
  func missing() throws {
    let folder = try TemporaryFolder()
    let log = folder.file("mail.log")
    let daemon = try TestDaemon(
      policy: """
        feeds: {mail-log: \(log)}
        rules: [{name: guessing, count: auth-failures, per: ip, limit: 2 per 1h, then: block for 1h}]
        """, folder: folder)
    func problem() throws -> String? {
      let status = try daemon.curl("/v1/status") as? [String: Any]
      return (status?["feeds"] as? [[String: Any]])?.first?["problem"] as? String
    }
    try eventually("it is missed") { try problem()?.contains(log) ?? false }
    let now = Date.now.formatted(.iso8601)
    let line =
      "mx postfix/smtpd[7]: warning: unknown[192.0.2.7]: SASL PLAIN authentication failed: x, sasl_username=alice"
    try folder.write(String(repeating: "\(now) \(line)\n", count: 3), to: "mail.log")
    try eventually("blocked") { try daemon.blockedKeys == ["ip:192.0.2.7"] }
    #expect(try problem() == nil)
  }
}
