import Foundation
import Testing
import WardenTestKit

/// What feeds follow: that the private servers tell of it at all, and in which words. No daemon runs here.
@Suite("Private servers", .enabled(if: geteuid() == 0, "root is needed for private servers"))
struct ServerTests {
  @Test("Dovecot asks the policy server about a login through Postfix before it looks at the password, and tells after")
  func policy() throws {
    let recorder = try RequestRecorder()
    let dovecot = try Dovecot(policyURL: recorder.url, token: "abc")
    defer { dovecot.stop() }
    let postfix = try MTA(.postfix, with: [.dovecot(dovecot), .noMilter])
    defer { postfix.stop() }

    let client = try SMTPClient(port: postfix.port, from: "127.0.80.1")
    try client.command("EHLO x.test")
    #expect(try client.logIn("alice", password: "wrong").code == 535)
    #expect(try client.logIn("alice", password: "secret-alice").code == 235)
    try eventually("two questions, two outcomes") { try recorder.requests.count == 4 }

    let requests = try recorder.requests
    #expect(requests.map(\.path) == ["allow", "report", "allow", "report"].map { "/?command=\($0)" })
    #expect(requests.allSatisfy { $0.token == "abc" })
    for request in requests {
      #expect(request.body["login"] as? String == "alice")
      #expect(request.body["remote"] as? String == "127.0.80.1")
      #expect(request.body["protocol"] as? String == "smtp")
    }
    #expect(requests.map { $0.body["success"] as? Bool } == [nil, false, nil, true])
    #expect(requests[0].body["pwhash"] as? String != requests[2].body["pwhash"] as? String)

    let refusal = "unknown[127.0.80.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=alice\n"
    try expect(postfix.log, [refusal])
    try expect(dovecot.log, ["passwd-file(alice,127.0.80.1): Password mismatch\n"])
  }

  @Test("Dovecot is told the addresses that Postfix was told by XCLIENT: one can guess from many")
  func manyAddresses() throws {
    let recorder = try RequestRecorder()
    let dovecot = try Dovecot(policyURL: recorder.url)
    defer { dovecot.stop() }
    let postfix = try MTA(.postfix, with: [.dovecot(dovecot), .noMilter])
    defer { postfix.stop() }
    let addresses = ["192.0.2.1", "192.0.2.2", "198.51.100.3", "2001:db8::7"]
    for address in addresses {
      let client = try SMTPClient(port: postfix.xclientPort, from: "127.0.80.2")
      try client.pretendToBe(at: address)
      try client.command("EHLO x.test")
      #expect(try client.logIn("bob", password: "guess from \(address)").code == 535)
      try client.command("QUIT")
    }
    try eventually("all were told") { try recorder.requests.count == 2 * addresses.count }
    let reports = try recorder.requests.filter { $0.path == "/?command=report" }
    #expect(reports.compactMap { $0.body["remote"] as? String } == addresses)
  }

  @Test("A policy server's refusal reaches the client, who had the right password")
  func refused() throws {
    let recorder = try RequestRecorder(answer: #"{"status":-1,"msg":"too many failures"}"#)
    let dovecot = try Dovecot(policyURL: recorder.url)
    defer { dovecot.stop() }
    let answer = try IMAPClient(port: dovecot.imapPort, from: "127.0.80.3").logIn("alice", password: "secret-alice")
    #expect(answer == "NO [ALERT] too many failures")
    try eventually("it was told") { try recorder.requests.count == 2 }
    #expect(try recorder.requests.map { $0.body["policy_reject"] as? Bool } == [nil, true])
  }

  @Test("IMAP logins are asked about and told of, and exported as events")
  func imap() throws {
    let recorder = try RequestRecorder()
    let dovecot = try Dovecot(policyURL: recorder.url, token: "abc", eventURL: recorder.url + "events")
    defer { dovecot.stop() }
    let client = try IMAPClient(port: dovecot.imapPort, from: "127.0.80.4")
    #expect(try client.logIn("carol", password: #"a "wrong" one\"#).hasPrefix("NO "))
    #expect(try client.logIn("carol", password: "secret-carol").hasPrefix("OK "))
    try eventually("all has come") { try recorder.requests.count == 6 }
    let requests = try recorder.requests.filter { $0.path != "/events" }
    #expect(requests.map { $0.body["remote"] as? String } == Array(repeating: "127.0.80.4", count: 4))
    #expect(requests.map { $0.body["success"] as? Bool } == [nil, false, nil, true])
    #expect(requests.allSatisfy { $0.body["protocol"] as? String == "imap" })
    let events = try recorder.requests.filter { $0.path == "/events" }.map {
      $0.body["fields"] as? [String: Any] ?? [:]
    }
    #expect(events.map { $0["success"] as? String } == [nil, "yes"])
    #expect(
      events.allSatisfy { $0["remote_ip"] as? String == "127.0.80.4" && $0["original_user"] as? String == "carol" })
    try expect(dovecot.log, [" imap-login: Info: Login: user=<carol>, method=PLAIN, rip=127.0.80.4, "])
  }

  @Test("Two Dovecots side by side are two, and leave nothing behind")
  func sideBySide() throws {
    let (first, second) = (try Dovecot(), try Dovecot())
    #expect(try IMAPClient(port: first.imapPort, from: "127.0.80.5").logIn("dave", password: "?").hasPrefix("NO "))
    try expect(first.log, [" auth: Info: passwd-file(dave,127.0.80.5,"])
    #expect(try !second.log.contains("dave"))
    first.stop()
    #expect(throws: (any Error).self) { try IMAPClient(port: first.imapPort, from: "127.0.80.5") }
    #expect(
      try IMAPClient(port: second.imapPort, from: "127.0.80.5").logIn("dave@test", password: "secret-dave")
        .hasPrefix("OK "))
    second.stop()
    let commands = try Shell.check("sh", ["-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' || true"])
    for dovecot in [first, second] { #expect(!commands.contains("-c \(dovecot.path)")) }
  }

  @Test("Postfix tells what becomes of a message, of a block list's clients, and of another filter's refusals")
  func postfix() throws {
    let mta = try MTA(.postfix, with: [.blockList, .spamFilter(try SpamFilter()), .noMilter])
    defer { mta.stop() }
    #expect(try send(mta, to: ["friend@far.test", "bob@later.test", "dora@bounce.test"]) == 250)
    #expect(try send(mta, subject: "SPAMTEST", to: ["friend@far.test"]) == 550)
    let listed = try SMTPClient(port: mta.port, from: "127.0.66.9")
    try listed.command("EHLO x.test")
    try listed.command("MAIL FROM:<a@sender.test>")
    #expect(try listed.command("RCPT TO:<alice@local.test>").code == 554)
    try expect(
      mta.log,
      [
        ": client=unknown[127.0.81.1], sasl_method=PLAIN, sasl_username=alice@test\n",
        ": from=<alice@local.test>, size=", ", nrcpt=3 (queue active)\n",
        ": to=<friend@far.test>, relay=none, delay=", "dsn=2.0.0, status=sent (far.test)\n",
        ": to=<bob@later.test>, relay=none, delay=", "dsn=4.3.2, status=deferred (deferred transport)\n",
        ": to=<dora@bounce.test>, relay=bounced, delay=", "dsn=5.1.1, status=bounced (user unknown)\n",
        """
        : milter-reject: END-OF-MESSAGE from unknown[127.0.81.1]: 5.7.1 Blocked by SpamAssassin; \
        from=<alice@local.test> to=<friend@far.test> proto=ESMTP helo=<x.test>\n
        """,
        """
        NOQUEUE: reject: RCPT from unknown[127.0.66.9]: 554 5.7.1 Service unavailable; \
        Client host [127.0.66.9] blocked using dnsbl.test; from=
        """,
      ])
  }

  @Test("Sendmail tells what becomes of a message, of a block list's clients, and of another filter's refusals")
  func sendmail() throws {
    let mta = try MTA(.sendmail, with: [.delivery, .blockList, .spamFilter(try SpamFilter()), .noMilter])
    defer { mta.stop() }
    #expect(try send(mta, to: ["friend@far.test", "bob@later.test", "dora@bounce.test"]) == 250)
    #expect(try send(mta, subject: "SPAMTEST", to: ["friend@far.test"]) == 550)
    let listed = try SMTPClient(port: mta.port, from: "127.0.66.9")
    #expect(try listed.command("EHLO x.test").code == 250)
    #expect(try listed.command("MAIL FROM:<a@sender.test>").code == 550)
    let alice = ", ctladdr=<alice@local.test> (1000/1000), delay="
    try expect(
      mta.log,
      [
        ": AUTH=server, relay=[127.0.81.1], authid=alice, mech=PLAIN, bits=0\n",
        ": from=<alice@local.test>, size=", ", nrcpts=3, ", "proto=ESMTPA, daemon=MTA, relay=[127.0.81.1]\n",
        ": to=<friend@far.test>\(alice)", "relay=far.test, dsn=2.0.0, stat=Sent\n",
        ": to=<bob@later.test>\(alice)", "dsn=4.4.1, stat=Deferred: Connection refused by [127.0.0.1]\n",
        ": to=<dora@bounce.test>\(alice)", "dsn=5.1.1, stat=User unknown\n",
        ": Milter: data, reject=550 5.7.1 Blocked by SpamAssassin\n",
        """
        : ruleset=check_relay, arg1=[127.0.66.9], arg2=127.0.0.2, relay=[127.0.66.9], \
        reject=550 5.7.1 Rejected: 127.0.66.9 listed at dnsbl.test\n
        """,
      ])
  }

  @Test("Sendmail tells of the logins that saslauthd refuses, and of floods of bad recipients")
  func saslauthd() throws {
    let mta = try MTA(.sendmail, with: [.saslauthd, .noMilter])
    defer { mta.stop() }
    let client = try SMTPClient(port: mta.port, from: "127.0.81.2")
    try client.command("EHLO x.test")
    #expect(try client.logIn("alice", password: "wrong").code == 535)
    try client.authenticate("alice")
    try client.command("MAIL FROM:<alice@local.test>")
    for count in 1...21 { #expect(try client.command("RCPT TO:<guess\(count)@local.test>").code == 550) }
    try expect(
      mta.log,
      [
        ": AUTH failure (PLAIN): authentication failure (-13) SASL(-13): authentication failure: ",
        "Password verification failed, user=alice, relay=[127.0.81.2]\n",
        ": AUTH=server, relay=[127.0.81.2], authid=alice, mech=PLAIN, bits=0\n",
        ": [127.0.81.2]: Possible SMTP RCPT flood, throttling.\n",
      ])
    try expect(mta.authLog, [": auth failure: [user=alice] [service=smtp] [realm=] [mech=sasldb] [reason=Unknown]\n"])
  }

  @Test("The logs' lines begin as those of a system's own", arguments: MTA.Kind.allCases)
  func header(_ kind: MTA.Kind) throws {
    let mta = try MTA(kind, with: [.noMilter])
    defer { mta.stop() }
    let header = /[A-Z][a-z]{2} [ 1-3][0-9] \d\d:\d\d:\d\d [A-Za-z0-9._-]+ [A-Za-z0-9\/-]+\[\d+\]: .+/
    for line in try mta.log.split(separator: "\n") { #expect(try header.wholeMatch(in: line) != nil, "\(line)") }
  }

  /// As alice, who logs in; the answer at the end of the message.
  private func send(_ mta: MTA, subject: String = "test", to recipients: [String]) throws -> Int {
    let client = try SMTPClient(port: mta.port, from: "127.0.81.1")
    try client.command("EHLO x.test")
    try client.authenticate("alice")
    try client.command("MAIL FROM:<alice@local.test>")
    for recipient in recipients { #expect(try client.command("RCPT TO:<\(recipient)>").code == 250) }
    try client.command("DATA")
    let reply = try client.command("Subject: \(subject)\r\n\r\nhello\r\n.")
    try client.command("QUIT")
    return reply.code
  }

  /// Servers log in their own time.
  private func expect(_ log: @autoclosure () throws -> String, _ words: [String]) throws {
    for words in words {
      do {
        try eventually("the log says \(words)") { try log().contains(words) }
      } catch {
        Issue.record(error, "\(try log())")
      }
    }
  }
}
