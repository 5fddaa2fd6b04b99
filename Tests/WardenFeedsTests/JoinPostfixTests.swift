import Testing
import WardenCore

@testable import WardenFeeds

/// Postfix's lines as what the milter would have shown.
@Suite("Joined sessions of Postfix")
struct JoinPostfixTests {
  private let log = Joining(.replay)

  /// A session with one message, `client=` to `removed`.
  private func message(_ id: String, _ client: String, user: String? = nil, from sender: String, pid: Int = 108) {
    log.smtpd("connect from unknown[\(client)]", pid: pid)
    let login = user.map { ", sasl_method=PLAIN, sasl_username=\($0)" } ?? ""
    log.smtpd("\(id): client=unknown[\(client)]\(login)", pid: pid)
    log.qmgr("\(id): from=<\(sender)>, size=253, nrcpt=2 (queue active)")
    log.smtpd("disconnect from unknown[\(client)] ehlo=1 auth=1 mail=1 rcpt=2 data=1 quit=1 commands=7", pid: pid)
    log.line(
      "postfix/local[124]", "\(id): to=<bob@mx.test>, relay=local, delay=0.01, dsn=2.0.0, status=sent (delivered)")
    log.smtp("\(id): to=<u@remote.test>, relay=none, delay=0.01, dsn=4.4.1, status=deferred (Connection refused)")
    log.smtp(
      "\(id): to=<u@remote.test>, relay=192.0.2.9[192.0.2.9]:25, delay=9, dsn=5.1.1, status=bounced (User unknown)")
    log.qmgr("\(id): removed")
  }

  @Test("A message by SMTP with a login is told from its connection to what became of it")
  func message() {
    message("C5F91F8C944", "192.0.2.5", user: "alice", from: "alice@example.org")
    #expect(
      log.told() == [
        "connect 192.0.2.5: connections 1",
        "heard 192.0.2.5 alice: auth-successes 1",
        "mail 192.0.2.5 alice <alice@example.org>: logins 1",
        "end-of-message 192.0.2.5 alice <alice@example.org>: messages 1, submissions 1, recipients 2, bytes 253",
        "heard 192.0.2.5 alice <alice@example.org>: delivered 1",
        "heard 192.0.2.5 alice <alice@example.org>: deferred 1",
        "heard 192.0.2.5 alice <alice@example.org>: bounced 1",
      ])
  }

  @Test("Without a login there is neither user nor success; the null sender makes a bounce")
  func bounce() {
    message("C5F91F8C944", "192.0.2.5", from: "")
    #expect(
      log.told().prefix(3) == [
        "connect 192.0.2.5: connections 1", "mail 192.0.2.5 <>",
        "end-of-message 192.0.2.5 <>: messages 1, recipients 2, bytes 253",
      ])
    #expect(log.events[1].event.kind == .bounce && log.events[2].event.kind == .bounce)
  }

  @Test("A sender that is not the user's own is a mismatch, asked for at MAIL and at the end")
  func mismatch() {
    message("C5F91F8C944", "192.0.2.5", user: "alice", from: "ceo@other.test")
    let asked = log.events.filter { $0.event.wants[.senderMismatch] == 1 }
    #expect(asked.map(\.event.step) == [.mail, .endOfMessage])
  }

  @Test("A login is written in its one form, whatever its realm and case")
  func realm() {
    message("C5F91F8C944", "192.0.2.5", user: "Alice@Example.org", from: "alice@example.org")
    #expect(log.events[2].event.subject.user == "alice")
  }

  @Test("A login counts once a session, and again in the next session of the same process")
  func loginOnce() {
    log.smtpd("connect from unknown[192.0.2.5]")
    for id in ["AAAAA1", "AAAAA2"] {
      log.smtpd("\(id): client=unknown[192.0.2.5], sasl_method=PLAIN, sasl_username=alice")
      log.qmgr("\(id): from=<a@example.org>, size=1, nrcpt=1 (queue active)")
    }
    log.smtpd("disconnect from unknown[192.0.2.5] ehlo=1 auth=1 mail=2 commands=4")
    message("AAAAA3", "192.0.2.5", user: "alice", from: "a@example.org")
    #expect(log.sums["logins"] == 2 && log.sums["auth-successes"] == 2 && log.sums["messages"] == 3)
  }

  @Test("A session that ends without MAIL is broken; one of no known address is nobody's")
  func broken() {
    log.smtpd("connect from unknown[192.0.2.5]")
    log.smtpd("lost connection after CONNECT from unknown[192.0.2.5]")
    log.smtpd("disconnect from unknown[192.0.2.5] commands=0/0")
    log.smtpd("connect from unknown[unknown]")
    log.smtpd("disconnect from unknown[unknown] commands=0/0")
    #expect(
      log.told() == [
        "connect 192.0.2.5: connections 1", "close 192.0.2.5: broken-connections 1", "connect: connections 1",
      ])
  }

  @Test("Whom Postfix's own limits turn away is told as refused, and not shown")
  func turnedAway() {
    log.smtpd("connect from unknown[192.0.2.11]")
    log.smtpd("warning: Connection rate limit exceeded: 6 from unknown[192.0.2.11] for service smtp")
    log.smtpd("disconnect from unknown[192.0.2.11] commands=0/0")
    #expect(log.told() == ["heard 192.0.2.11: refused-connections 1"])
  }

  @Test("A connection is told a second later, if nothing else comes; at the end of the log, too")
  func waits() {
    log.smtpd("connect from unknown[192.0.2.5]", pid: 1)
    #expect(log.told() == [])
    log.wait(.seconds(2))
    log.smtpd("connect from unknown[192.0.2.6]", pid: 2)
    #expect(log.told() == ["connect 192.0.2.5: connections 1"])
    log.finish()
    #expect(log.told() == ["connect 192.0.2.6: connections 1"])
  }

  @Test("Recipients are refused with their cause; those refused for now are not bad")
  func refusedRecipients() {
    log.smtpd("connect from unknown[192.0.2.6]")
    let end = "from=<x@spam.test> to=<v@mx.test> proto=ESMTP helo=<h>"
    for reply in [
      "554 5.7.1 <v@mx.test>: Relay access denied", "550 5.1.1 <v@mx.test>: Recipient address rejected: User unknown",
      "554 5.7.1 Service unavailable; Client host [192.0.2.6] blocked using rbl.test", "554 5.7.1 <v@mx.test>: go away",
      "450 4.2.0 <v@mx.test>: Recipient address rejected: Greylisted",
    ] {
      log.smtpd("NOQUEUE: reject: RCPT from unknown[192.0.2.6]: \(reply); \(end)")
    }
    log.smtpd("disconnect from unknown[192.0.2.6] ehlo=1 mail=1 rcpt=0/5 quit=1 commands=3/8")
    let refused = "refused-recipient 192.0.2.6 <x@spam.test>: bad-recipients 1"
    #expect(
      log.told() == [
        "connect 192.0.2.6: connections 1", "mail 192.0.2.6 <x@spam.test>", "\(refused), relay-attempts 1",
        "\(refused), unknown-recipients 1", "\(refused), dnsbl-rejections 1", refused,
      ])
  }

  @Test("A refusal whose envelope could be read in two ways counts, and VRFY does not")
  func ambiguous() {
    log.smtpd("connect from unknown[192.0.2.6]")
    log.smtpd(
      "NOQUEUE: reject: RCPT from unknown[192.0.2.6]: 554 5.7.1 <v@mx.test>: Relay access denied; from=<a> to=<b@c.test> "
        + "to=<v@mx.test> proto=ESMTP helo=<h>")
    log.smtpd(
      "NOQUEUE: reject: VRFY from unknown[192.0.2.6]: 550 5.1.1 <v@mx.test>: Recipient address rejected: User unknown; "
        + "to=<v@mx.test> proto=ESMTP helo=<h>")
    #expect(
      log.told() == [
        "connect 192.0.2.6: connections 1", "refused-recipient 192.0.2.6: bad-recipients 1, relay-attempts 1",
      ])
  }

  @Test("A MAIL whose first recipient is refused is told once, with the message that it brings in the end")
  func partlyRefused() {
    log.smtpd("connect from unknown[192.0.2.6]")
    let refusal = "reject: RCPT from unknown[192.0.2.6]: 554 5.7.1 <v@mx.test>: Relay access denied; from=<x@spam.test>"
    log.smtpd("NOQUEUE: \(refusal) to=<v@mx.test> proto=ESMTP helo=<h> sasl_username=<alice>")
    log.smtpd("AAAAA1: client=unknown[192.0.2.6], sasl_method=PLAIN, sasl_username=alice")
    log.smtpd("AAAAA1: \(refusal) to=<v@mx.test> proto=ESMTP helo=<h> sasl_username=<alice>")
    log.qmgr("AAAAA1: from=<x@spam.test>, size=9, nrcpt=1 (queue active)")
    #expect(
      log.told() == [
        "connect 192.0.2.6: connections 1", "mail 192.0.2.6 alice <x@spam.test>: logins 1",
        "refused-recipient 192.0.2.6 alice <x@spam.test>: bad-recipients 1, relay-attempts 1",
        "heard 192.0.2.6 alice: auth-successes 1",
        "refused-recipient 192.0.2.6 alice <x@spam.test>: bad-recipients 1, relay-attempts 1",
        "end-of-message 192.0.2.6 alice <x@spam.test>: messages 1, submissions 1, recipients 1, bytes 9, sender-mismatch 1",
      ])
  }

  @Test("Where a refusal does not name the user, the MAIL is told again with the message that does")
  func unnamedUser() {
    log.smtpd("connect from unknown[192.0.2.6]")
    let refusal = "reject: RCPT from unknown[192.0.2.6]: 554 5.7.1 <v@mx.test>: Relay access denied; from=<a@b.test>"
    log.smtpd("NOQUEUE: \(refusal) to=<v@mx.test> proto=ESMTP helo=<h>")
    log.smtpd("AAAAA1: client=unknown[192.0.2.6], sasl_method=PLAIN, sasl_username=alice")
    log.qmgr("AAAAA1: from=<a@b.test>, size=9, nrcpt=1 (queue active)")
    log.smtpd("NOQUEUE: \(refusal) to=<v@mx.test> proto=ESMTP helo=<h>")
    let mail = log.told().filter { $0.hasPrefix("mail") }
    #expect(
      mail == [
        "mail 192.0.2.6 <a@b.test>", "mail 192.0.2.6 alice <a@b.test>: logins 1", "mail 192.0.2.6 alice <a@b.test>",
      ])
  }

  @Test("A message cut off, or given up before DATA, shows its MAIL without the sender, and no end")
  func cutOff() {
    log.smtpd("connect from unknown[192.0.2.7]")
    log.smtpd("AAAAA1: client=unknown[192.0.2.7], sasl_method=PLAIN, sasl_username=alice")
    log.smtpd("lost connection after DATA (29 bytes) from unknown[192.0.2.7]")
    log.smtpd("disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=0/1 commands=3/4")
    log.finish()
    #expect(
      log.told() == [
        "connect 192.0.2.7: connections 1", "heard 192.0.2.7 alice: auth-successes 1",
        "close 192.0.2.7 alice: cut-off-messages 1", "mail 192.0.2.7 alice: logins 1",
      ])
  }

  @Test("The queue manager may speak after the client has gone, and again whenever it tries once more")
  func late() {
    log.smtpd("connect from unknown[192.0.2.7]")
    log.smtpd("AAAAA1: client=unknown[192.0.2.7], sasl_method=PLAIN, sasl_username=alice")
    log.smtpd("disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=1 commands=4")
    for _ in 0..<3 {
      log.wait(.seconds(50))
      log.qmgr("AAAAA1: from=<a@b.test>, size=9, nrcpt=1 (queue active)")
    }
    log.finish()
    #expect(log.sums["messages"] == 1 && log.told().count { $0.hasPrefix("mail") } == 1)
  }

  @Test("A queue manager that speaks so late that the message was given up still has it counted, and its login once")
  func veryLate() {
    log.smtpd("connect from unknown[192.0.2.7]")
    log.smtpd("AAAAA1: client=unknown[192.0.2.7], sasl_method=PLAIN, sasl_username=alice")
    log.smtpd("disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=1 commands=4")
    log.wait(.minutes(2))
    log.qmgr("AAAAA1: from=<a@b.test>, size=9, nrcpt=1 (queue active)")
    #expect(log.sums["messages"] == 1 && log.sums["logins"] == 1)
  }

  @Test("What another filter refuses at its end does not pass")
  func filtered() {
    log.smtpd("connect from unknown[192.0.2.7]")
    log.smtpd("AAAAA1: client=unknown[192.0.2.7], sasl_method=PLAIN, sasl_username=alice")
    log.line(
      "postfix/cleanup[9]",
      "AAAAA1: milter-reject: END-OF-MESSAGE from unknown[192.0.2.7]: 5.7.1 Blocked by SpamAssassin; from=<a@b.test> "
        + "to=<bob@mx.test> proto=ESMTP helo=<h>")
    log.smtpd("disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=0/1 commands=3/4")
    log.finish()
    #expect(
      log.told() == [
        "connect 192.0.2.7: connections 1", "heard 192.0.2.7 alice: auth-successes 1",
        "mail 192.0.2.7 alice <a@b.test>: logins 1", "heard 192.0.2.7 alice <a@b.test>: filter-rejections 1",
      ])
  }

  @Test("Sessions of several processes are kept apart, and so are two hosts")
  func interleaved() {
    for (pid, host) in [(1, "mx"), (2, "mx"), (1, "mx2")] {
      log.line("postfix/smtpd[\(pid)]", "connect from unknown[192.0.2.\(pid)]", host: host)
    }
    for (pid, host) in [(2, "mx"), (1, "mx2"), (1, "mx")] {
      let id = "AAAAA1"
      log.line("postfix/smtpd[\(pid)]", "\(id): client=unknown[192.0.2.\(pid)]", host: host)
      log.line("postfix/qmgr[9]", "\(id): from=<\(host)@\(pid).test>, size=1, nrcpt=1 (queue active)", host: host)
      log.line("postfix/qmgr[9]", "\(id): removed", host: host)
      log.line("postfix/smtpd[\(pid)]", "disconnect from unknown[192.0.2.\(pid)] mail=1 commands=1", host: host)
    }
    let ends = log.told().filter { $0.hasPrefix("end-of-message") }
    #expect(
      ends == [
        "end-of-message 192.0.2.2 <mx@2.test>: messages 1, recipients 1, bytes 1",
        "end-of-message 192.0.2.1 <mx2@1.test>: messages 1, recipients 1, bytes 1",
        "end-of-message 192.0.2.1 <mx@1.test>: messages 1, recipients 1, bytes 1",
      ])
    #expect(log.sums["connections"] == 3)
  }

  @Test("A queue id that is given again is another message, also where the end of the first was lost")
  func reusedID() {
    message("AAAAA1", "192.0.2.1", user: "alice", from: "a@example.org")
    log.smtpd("connect from unknown[192.0.2.2]")
    log.smtpd("AAAAA1: client=unknown[192.0.2.2], sasl_method=PLAIN, sasl_username=bob")
    log.qmgr("AAAAA1: from=<b@example.org>, size=1, nrcpt=1 (queue active)")
    log.smtpd("disconnect from unknown[192.0.2.2] mail=1 commands=1")
    message("AAAAA1", "192.0.2.3", user: "carol", from: "c@example.org")
    let users = log.events.filter { $0.event.step == .endOfMessage }.map(\.event.subject.user)
    #expect(users == ["alice", "bob", "carol"])
  }

  @Test("A log that begins in the middle tells what it can: no connection, but messages and broken sessions")
  func beginsInTheMiddle() {
    log.smtpd("AAAAA1: client=unknown[192.0.2.1], sasl_method=PLAIN, sasl_username=alice", pid: 1)
    log.qmgr("AAAAA1: from=<alice@example.org>, size=1, nrcpt=1 (queue active)")
    log.smtpd("disconnect from unknown[192.0.2.1] auth=1 mail=1 commands=2", pid: 1)
    log.smtpd("disconnect from unknown[192.0.2.2] ehlo=1 auth=0/2 commands=1/3", pid: 2)
    log.qmgr("AAAAA2: from=<b@example.org>, size=1, nrcpt=1 (queue active)")
    log.smtp("AAAAA2: to=<u@remote.test>, relay=none, delay=0.01, dsn=4.4.1, status=deferred (refused)")
    log.smtp("AAAAA3: to=<u@remote.test>, relay=none, delay=0.01, dsn=4.4.1, status=deferred (refused)")
    #expect(
      log.told() == [
        "heard 192.0.2.1 alice: auth-successes 1", "mail 192.0.2.1 alice <alice@example.org>: logins 1",
        "end-of-message 192.0.2.1 alice <alice@example.org>: messages 1, submissions 1, recipients 1, bytes 1",
        "close 192.0.2.2: broken-connections 1",
        "heard <b@example.org>: deferred 1", "heard: deferred 1",
      ])
  }

  @Test("Where a session's end was lost, the next client of the process is another")
  func lostEnd() {
    log.smtpd("connect from unknown[192.0.2.1]")
    log.smtpd("AAAAA1: client=unknown[192.0.2.1], sasl_method=PLAIN, sasl_username=alice")
    log.smtpd("warning: unknown[192.0.2.2]: SASL LOGIN authentication failed: no, sasl_username=bob")
    log.smtpd("disconnect from unknown[192.0.2.2] ehlo=1 auth=0/1 commands=1/2")
    #expect(
      log.told() == [
        "connect 192.0.2.1: connections 1", "heard 192.0.2.1 alice: auth-successes 1",
        "heard 192.0.2.2 bob: auth-failures 1", "close 192.0.2.2: broken-connections 1",
      ])
  }

  @Test("A message that a filter hands back under another id is sent once, and is its first user's to the end")
  func handedBack() {
    log.smtpd("connect from unknown[192.0.2.1]")
    log.smtpd("AAAAA1: client=unknown[192.0.2.1], sasl_method=PLAIN, sasl_username=alice")
    log.qmgr("AAAAA1: from=<a@example.org>, size=9, nrcpt=1 (queue active)")
    log.smtpd("connect from localhost[127.0.0.1]", pid: 2)
    log.smtpd(
      "BBBBB1: client=localhost[127.0.0.1], orig_queue_id=AAAAA1, orig_client=unknown[192.0.2.1]", pid: 2)
    log.qmgr("BBBBB1: from=<a@example.org>, size=19, nrcpt=1 (queue active)")
    log.smtp(
      "AAAAA1: to=<u@remote.test>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, dsn=2.0.0, status=sent (250 2.0.0 from "
        + "MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as BBBBB1)")
    log.qmgr("AAAAA1: removed")
    log.smtp("BBBBB1: to=<u@remote.test>, relay=mx[192.0.2.9]:25, delay=1, dsn=5.1.1, status=bounced (unknown)")
    #expect(log.sums["messages"] == 1 && log.sums["delivered"] == nil)
    #expect(log.told().last == "heard 192.0.2.1 alice <a@example.org>: bounced 1")
  }

  @Test("Without the filter's help only what becomes of the message is joined, by what the filter has answered")
  func handedBackUnnamed() {
    log.smtpd("connect from unknown[192.0.2.1]")
    log.smtpd("AAAAA1: client=unknown[192.0.2.1], sasl_method=PLAIN, sasl_username=alice")
    log.qmgr("AAAAA1: from=<a@example.org>, size=9, nrcpt=1 (queue active)")
    log.smtpd("connect from localhost[127.0.0.1]", pid: 2)
    log.smtpd("BBBBB1: client=localhost[127.0.0.1]", pid: 2)
    log.qmgr("BBBBB1: from=<a@example.org>, size=19, nrcpt=1 (queue active)")
    _ = log.told()
    let sent = "to=<u@remote.test>, relay=f, delay=1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as"
    log.smtp("AAAAA1: \(sent) BBBBB1)")
    log.smtp("BBBBB1: \(sent) CCCCC1)")
    #expect(log.told() == ["heard 192.0.2.1 alice <a@example.org>: delivered 1"])
    // The user's own once, and this machine's as the milter has seen it.
    #expect(log.events.filter { $0.event.step == .endOfMessage }.map(\.event.subject.user) == ["alice", nil])
  }

  @Test("Another server cannot claim a message of a user by its answer")
  func claimed() {
    message("AAAAA1", "192.0.2.1", user: "alice", from: "a@example.org", pid: 1)
    log.smtpd("connect from unknown[192.0.2.2]")
    log.smtpd("AAAAA2: client=unknown[192.0.2.2], sasl_method=PLAIN, sasl_username=bob")
    log.smtpd("AAAAA3: client=unknown[192.0.2.2], sasl_method=PLAIN, sasl_username=bob")
    _ = log.told()
    log.smtp("AAAAA2: to=<u@evil.test>, relay=e, delay=1, dsn=2.0.0, status=sent (250 queued as AAAAA3)")
    #expect(log.told() == ["heard 192.0.2.2 bob: delivered 1"])
  }

  @Test("Mail of this machine's programs has no client, and is not shown")
  func pickedUp() {
    log.line("postfix/pickup[7]", "AAAAA1: uid=0 from=<root>")
    log.qmgr("AAAAA1: from=<root@mx.test>, size=9, nrcpt=1 (queue active)")
    log.smtp("AAAAA1: to=<u@remote.test>, relay=e, delay=1, dsn=2.0.0, status=sent (250 ok)")
    #expect(log.told() == ["heard <root@mx.test>: delivered 1"])
  }

  @Test("What was refused at connect or at MAIL is not shown any further")
  func refusals() {
    log.refuses = [.connect]
    message("AAAAA1", "192.0.2.1", user: "alice", from: "a@example.org")
    #expect(log.told().filter { !$0.hasPrefix("heard") } == ["connect 192.0.2.1: connections 1"])
    log.refuses = [.mail]
    message("AAAAA2", "192.0.2.1", user: "alice", from: "a@example.org")
    #expect(
      log.told().filter { !$0.hasPrefix("heard") } == [
        "connect 192.0.2.1: connections 1", "mail 192.0.2.1 alice <a@example.org>: logins 1",
      ])
  }

  @Test("Live, only what the milter cannot see is told; also relaying and block lists, which it might not")
  func live() {
    let log = Joining(.live)
    log.smtpd("connect from unknown[192.0.2.6]")
    let end = "from=<x@spam.test> to=<v@mx.test> proto=ESMTP helo=<h>"
    log.smtpd(
      "NOQUEUE: reject: RCPT from unknown[192.0.2.6]: 554 5.7.1 <v@mx.test>: Relay access denied; \(end)")
    log.smtpd(
      "NOQUEUE: reject: RCPT from unknown[192.0.2.6]: 454 4.7.1 <v@mx.test>: Relay access denied; \(end)")
    log.smtpd(
      "NOQUEUE: reject: RCPT from unknown[192.0.2.6]: 550 5.1.1 <v@mx.test>: Recipient address rejected: User unknown; "
        + end)
    log.smtpd("too many errors after RCPT from unknown[192.0.2.6]")
    log.smtpd("AAAAA1: client=unknown[192.0.2.6]")
    log.qmgr("AAAAA1: from=<x@spam.test>, size=9, nrcpt=1 (queue active)")
    log.smtpd("disconnect from unknown[192.0.2.6] ehlo=1 mail=1 rcpt=1/4 commands=3/8")
    log.smtp("AAAAA1: to=<u@remote.test>, relay=e, delay=1, dsn=2.0.0, status=sent (250 ok)")
    log.line("postfix/master[1]", "warning: process /usr/lib/postfix/sbin/smtpd pid 7 killed by signal 11")
    log.finish()
    #expect(
      log.told() == [
        "heard 192.0.2.6 <x@spam.test>: relay-attempts 1", "heard 192.0.2.6: rcpt-floods 1",
        "heard 192.0.2.6 <x@spam.test>: delivered 1", "heard: mta-distress 1",
      ])
    #expect(log.events.allSatisfy { $0.event.source == .log && $0.event.step == .heard })
  }

  @Test("The recipient is told where the policy asks for it")
  func recipient() {
    let log = Joining(.replay, needs: .recipientNames)
    log.smtpd("connect from unknown[192.0.2.6]")
    log.smtpd(
      "NOQUEUE: reject: RCPT from unknown[192.0.2.6]: 554 5.7.1 <v@mx.test>: Relay access denied; "
        + "from=<x@spam.test> to=<V@mx.test> proto=ESMTP helo=<h>")
    log.smtp("AAAAA1: to=<U@remote.test>, relay=e, delay=1, dsn=2.0.0, status=sent (250 ok)")
    #expect(
      log.told().suffix(2) == [
        "refused-recipient 192.0.2.6 <x@spam.test> to <v@mx.test>: bad-recipients 1, relay-attempts 1",
        "heard to <u@remote.test>: delivered 1",
      ])
  }

  @Test("postscreen's clients are no sessions")
  func postscreen() {
    log.line("postfix/postscreen[5]", "CONNECT from [192.0.2.1]:4000 to [192.0.2.9]:25")
    log.line("postfix/postscreen[5]", "PREGREET 14 after 0.08 from [192.0.2.1]:4000: EHLO ylmf-pc\\r\\n")
    log.line(
      "postfix/postscreen[5]",
      "NOQUEUE: reject: RCPT from [192.0.2.2]:4000: 550 5.7.1 Service unavailable; client [192.0.2.2] blocked using "
        + "rbl.test; from=<a@b.test>, to=<c@mx.test>, proto=ESMTP, helo=<h>")
    log.line("postfix/postscreen[5]", "DISCONNECT [192.0.2.2]:4000")
    log.finish()
    #expect(log.told() == ["heard 192.0.2.2: dnsbl-rejections 1, refused-connections 1"])
  }
}
