import Foundation
import Testing
import WardenTestKit

/// Logins that a real Dovecot asks about and tells of, for a real Postfix and for IMAP.
@Suite("Dovecot's feed", .serialized, .enabled(if: geteuid() == 0, "root is needed for private servers"))
struct DovecotFeedTests {
  /// A Dovecot with a daemon that it asks, and a Postfix that has it check logins.
  private final class Servers {
    let daemon: TestDaemon
    let dovecot: Dovecot
    let postfix: MTA
    let port: Int

    init(rules: String, events: Bool = false, log: Bool = false) throws {
      port = try freePort()
      let url = "http://127.0.0.1:\(port)/"
      dovecot = try Dovecot(
        policyURL: events ? nil : url, token: "letmein",
        eventURL: events ? "http://user:letmein@127.0.0.1:\(port)/events" : nil)
      postfix = try MTA(.postfix, with: [.dovecot(dovecot)])
      let folder = postfix.milterFolder
      try folder.write("letmein\n", to: "token")
      daemon = try TestDaemon(
        policy: """
          feeds:
            dovecot-policy: {listen: "127.0.0.1:\(port)", token-file: \(folder.file("token"))}
            \(log ? "mail-log: [\(dovecot.logPath), \(postfix.logPath)]" : "")
          realms: [test]
          \(rules)
          """, folder: folder)
    }

    deinit {
      postfix.stop()
      dovecot.stop()
    }

    /// - Returns: the answer's code to AUTH.
    func logIn(_ user: String, _ password: String? = nil, from address: String) throws -> Int {
      let client = try SMTPClient(port: postfix.xclientPort, from: "127.0.0.1")
      let greeting = try client.command("XCLIENT ADDR=\(address) NAME=[UNAVAILABLE]")
      guard greeting.code == 220 else { return greeting.code }
      try client.command("EHLO x.test")
      defer { _ = try? client.command("QUIT") }
      return try client.logIn(user, password: password ?? "secret-\(user)").code
    }

    func count(_ key: String, _ rule: String) throws -> Int { try daemon.count(key, rule: rule) ?? 0 }
  }

  @Test("Who guesses from one address is blocked: the right password does not help any more, by SMTP or IMAP")
  func oneAddress() throws {
    let servers = try Servers(
      rules: "rules: [{name: guessing, count: auth-failures, per: ip, limit: 4 per 10m, then: block for 1h}]")
    for guess in 0..<4 { #expect(try servers.logIn("alice", "guess\(guess)", from: "192.0.2.7") == 535) }
    try eventually("four were told") { try servers.count("ip:192.0.2.7", "guessing") == 4 }
    #expect(try servers.logIn("alice", from: "192.0.2.7") == 235)
    #expect(try servers.logIn("alice", "guess5", from: "192.0.2.7") == 535)
    try eventually("blocked") { try servers.daemon.blockedKeys == ["ip:192.0.2.7"] }
    // Postfix does not even let it in.
    #expect(try servers.logIn("alice", from: "192.0.2.7") == 421)
    #expect(try servers.logIn("alice", from: "192.0.2.8") == 235)

    // By IMAP, from another address.
    for guess in 0..<5 {
      let client = try IMAPClient(port: servers.dovecot.imapPort, from: "127.0.82.1")
      #expect(try client.logIn("bob", password: "guess\(guess)").hasPrefix("NO "))
    }
    try eventually("blocked") { try servers.daemon.blockedKeys.contains("ip:127.0.82.1") }
    let answer = try IMAPClient(port: servers.dovecot.imapPort, from: "127.0.82.1").logIn("bob", password: "secret-bob")
    #expect(answer.hasPrefix("NO [ALERT] mailwarden: "))
    // Harmless: neither counts nor rules are for the client.
    #expect(!answer.contains("guessing") && !answer.contains("AUTH failures"))
    let other = try IMAPClient(port: servers.dovecot.imapPort, from: "127.0.82.2")
    #expect(try other.logIn("bob", password: "secret-bob").hasPrefix("OK "))
  }

  @Test("One user who is guessed from 30 addresses cannot be logged in as, for as long as that lasts; others can")
  func manyAddresses() throws {
    let servers = try Servers(
      rules: """
        rules:
          - name: guessed-from-everywhere
            count: distinct ips
            per: user
            only: failed-logins
            limit: 20 per 1h
            then: [alert, reject]
        """)
    for number in 1...30 {
      #expect(try servers.logIn("carol", "guess\(number)", from: "198.51.100.\(number)") == 535)
    }
    #expect(try servers.logIn("carol", from: "203.0.113.1") == 535)
    #expect(try servers.logIn("dave", from: "203.0.113.1") == 235)
    let alert = try servers.daemon.logLine(" alert ")
    #expect(alert.contains("user carol: 21 or more distinct ips in 1h (limit 20)"))
    // Twenty-one failed; the others were refused before their password was looked at, which is no failure of theirs.
    #expect(try servers.count("user:carol", "guessed-from-everywhere") == 21)
  }

  @Test("A phone that repeats one wrong password is not stopped; whoever tries different ones waits, then is refused")
  func stalePhone() throws {
    let servers = try Servers(
      rules: """
        rules:
          - {name: slow, count: distinct passwords, per: [user, ip], limit: 3 per 1d, then: delay for 1s}
          - {name: guessing, count: distinct passwords, per: [user, ip], limit: 5 per 1d, then: reject}
        """)
    for _ in 0..<40 { #expect(try servers.logIn("alice", "last year's", from: "192.0.2.7") == 535) }
    #expect(try servers.count("user:alice,ip:192.0.2.7", "guessing") == 1)
    #expect(try servers.logIn("alice", from: "192.0.2.7") == 235)

    for guess in 0..<8 { _ = try servers.logIn("alice", "guess\(guess)", from: "192.0.2.66") }
    #expect(try servers.logIn("alice", from: "192.0.2.66") == 535)
    #expect(try servers.logIn("alice", from: "192.0.2.7") == 235)
    #expect(try servers.count("user:alice,ip:192.0.2.66", "guessing") == 6)
  }

  @Test("A login that succeeds right after many wrong passwords is told, with the address it came from")
  func successAfterFailures() throws {
    let servers = try Servers(
      rules: """
        rules:
          - name: guessed
            per: [user, ip]
            all of:
              - {count: distinct passwords, limit: 5 per 1h}
              - {count: auth-successes, limit: 0 per 1h}
            then: [alert, block user for 1h]
        """)
    for guess in 0..<6 { #expect(try servers.logIn("erin", "guess\(guess)", from: "192.0.2.9") == 535) }
    #expect(try servers.daemon.blockedKeys == [])
    #expect(try servers.logIn("erin", from: "192.0.2.9") == 235)
    try eventually("erin is blocked") { try servers.daemon.blockedKeys == ["user:erin"] }
    let alert = try servers.daemon.logLine(" alert ")
    #expect(alert.contains("user erin, ip 192.0.2.9: 6 or more distinct passwords in 1h (limit 5), 1 AUTH successes"))
    #expect(try servers.logIn("erin", from: "192.0.2.10") == 535)
  }

  @Test("Dovecot's events tell of failures where it asks nobody; nothing is refused then but by the milter")
  func events() throws {
    let servers = try Servers(
      rules: "rules: [{name: guessing, count: auth-failures, per: ip, limit: 2 per 10m, then: block for 1h}]",
      events: true)
    for guess in 0..<3 { #expect(try servers.logIn("alice", "guess\(guess)", from: "192.0.2.7") == 535) }
    try eventually("blocked") { try servers.daemon.blockedKeys == ["ip:192.0.2.7"] }
    #expect(try servers.logIn("alice", from: "192.0.2.7") == 421)
    let status = try servers.daemon.command("status").output
    #expect(status.contains("feed dovecot-policy: 3 heard, 3 told of something"))
  }

  @Test("What Dovecot's and Postfix's logs tell as well counts once; what we refuse is no failure, whoever tells of it")
  func logsBeside() throws {
    let servers = try Servers(
      rules: "rules: [{name: guessing, count: auth-failures, per: ip, limit: 3 per 1h, then: tempfail}]", log: true)
    func logIn(_ password: String) throws -> String {
      try IMAPClient(port: servers.dovecot.imapPort, from: "127.0.82.9").logIn("alice", password: password)
    }
    for guess in 0..<4 { #expect(try logIn("guess\(guess)").hasPrefix("NO ")) }
    try eventually("four are counted") { try servers.count("ip:127.0.82.9", "guessing") == 4 }
    for _ in 0..<3 { #expect(try logIn("secret-alice").hasPrefix("NO [ALERT] ")) }
    for guess in 0..<2 { #expect(try servers.logIn("bob", "guess\(guess)", from: "192.0.2.7") == 535) }
    // By the time that a later line was read from each, they have told all.
    #expect(try servers.logIn("carol", "guess", from: "192.0.2.8") == 535)
    try eventually("Dovecot has logged everything") {
      let log = try servers.dovecot.log
      return log.split(separator: "\n").count { $0.contains("rip=127.0.82.9") } >= 7 && log.contains("(carol,192.0.2.8")
    }
    try eventually("the logs were read") {
      let feeds = try (servers.daemon.curl("/v1/status") as? [String: Any])?["feeds"] as? [[String: Any]] ?? []
      let lines = try [servers.dovecot.log, servers.postfix.log].map { $0.split(separator: "\n").count }
      return zip(feeds.dropFirst(), lines).allSatisfy { ($0["heard"] as? Int ?? 0) >= $1 - 20 }
        && feeds.dropFirst().allSatisfy { ($0["told"] as? Int ?? 0) > 0 }
    }
    #expect(try servers.count("ip:127.0.82.9", "guessing") == 4)
    #expect(try servers.count("ip:192.0.2.7", "guessing") == 2)
  }

  @Test("Without the token nobody is heard")
  func token() throws {
    let servers = try Servers(
      rules: "rules: [{name: guessing, count: auth-failures, per: ip, limit: 2 per 10m, then: block for 1h}]")
    let body = #"{"login":"alice","remote":"192.0.2.7","pwhash":"0abc","success":false}"#
    for (header, code) in [("X-Mailwarden-Token: wrong", "401"), ("X-Mailwarden-Token: letmein", "200")] {
      let answer = try Shell.check(
        "curl",
        [
          "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, "-d", body,
          "http://127.0.0.1:\(servers.port)/?command=report",
        ])
      #expect(answer == code)
    }
    #expect(try servers.count("ip:192.0.2.7", "guessing") == 1)
  }
}
