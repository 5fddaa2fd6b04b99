import Testing
import WardenCore

@testable import WardenFeeds

/// Sendmail's lines as what the milter would have shown.
@Suite("Joined sessions of Sendmail")
struct JoinSendmailTests {
  private let log = Joining(.replay)
  private let client = "c5.example.net [192.0.2.5]"

  private func from(_ id: String, _ sender: String, size: Int = 62, recipients: Int = 2, proto: String = "ESMTPA") {
    log.sendmail(
      "\(id): from=<\(sender)>, size=\(size), class=0, nrcpts=\(recipients), msgid=<m1@client>, proto=\(proto), "
        + "daemon=MTA-v4, relay=\(client)")
  }

  private func to(_ id: String, _ recipients: String = "<bob@mx.test>", stat: String = "dsn=2.0.0, stat=Sent") {
    log.sendmail(
      "\(id): to=\(recipients), delay=00:00:00, xdelay=00:00:00, mailer=local, pri=60309, \(stat)", pid: 900)
  }

  private func login(_ user: String) {
    log.sendmail("AUTH=server, relay=\(client), authid=\(user), mech=PLAIN, bits=0")
  }

  @Test("A login's process, the sender's line and the deliveries are one message")
  func message() {
    login("Alice@example.org")
    from("6AL2kvhh000075", "alice@example.org")
    #expect(
      log.told() == [
        "connect 192.0.2.5: connections 1", "heard 192.0.2.5 alice: auth-successes 1",
        "mail 192.0.2.5 alice <alice@example.org>: logins 1",
      ])
    to("6AL2kvhh000075", "<bob@mx.test>,<carol@mx.test>")
    to("6AL2kvhh000075", stat: "dsn=4.0.0, stat=Deferred: Connection refused")
    to("6AL2kvhh000075", stat: "dsn=5.1.2, stat=Host unknown (Name server: remote.test.: host not found)")
    #expect(
      log.told() == [
        "end-of-message 192.0.2.5 alice <alice@example.org>: messages 1, submissions 1, recipients 2, bytes 62",
        "heard 192.0.2.5 alice <alice@example.org>: delivered 2",
        "heard 192.0.2.5 alice <alice@example.org>: deferred 1",
        "heard 192.0.2.5 alice <alice@example.org>: bounced 1",
      ])
  }

  @Test("A message of the session without AUTH is nobody's; a second message brings no second login")
  func protocols() {
    login("alice")
    from("A00000001", "a@example.org")
    from("A00000002", "a@example.org")
    from("A00000003", "a@example.org", proto: "ESMTP")
    log.finish()
    let ends = log.events.map(\.event).filter { $0.step == .endOfMessage }
    #expect(ends.map(\.subject.user) == ["alice", "alice", nil])
    #expect(log.sums["logins"] == 1 && log.sums["connections"] == 1)
  }

  @Test("Nothing is known to have passed before it is certain that no filter has refused it")
  func filtered() {
    login("alice")
    from("A00000001", "alice@example.org")
    _ = log.told()
    log.wait(.seconds(10))
    log.sendmail("A00000001: Milter: data, reject=550 5.7.1 Blocked by SpamAssassin")
    to("A00000001", stat: "stat=Blocked by SpamAssassin")
    to("A00000001", stat: "dsn=5.7.1, stat=Blocked by SpamAssassin")
    log.wait(.minutes(2))
    log.finish()
    #expect(log.told() == ["heard 192.0.2.5 alice <alice@example.org>: filter-rejections 1"])
  }

  @Test("A message of which nothing more is heard has passed after a minute")
  func unheard() {
    from("A00000001", "a@b.test", proto: "ESMTP")
    _ = log.told()
    log.wait(.minutes(1))
    from("A00000002", "a@b.test", proto: "ESMTP")
    #expect(log.told().first == "end-of-message 192.0.2.5 <a@b.test>: messages 1, recipients 2, bytes 62")
  }

  @Test("An envelope without recipients or without a message is no message, but its MAIL was")
  func empty() {
    from("A00000001", "x@spam.test", size: 0, recipients: 0, proto: "ESMTP")
    from("A00000002", "x@spam.test", size: 0, recipients: 50, proto: "ESMTP")
    log.finish()
    #expect(
      log.told() == [
        "connect 192.0.2.5: connections 1", "mail 192.0.2.5 <x@spam.test>", "mail 192.0.2.5 <x@spam.test>",
      ])
  }

  @Test("Recipients are refused before the client and the sender are known; the cause of the hidden is heard")
  func refused() {
    for name in ["a", "b"] { log.sendmail("A00000001: <\(name)@mx.test>... User unknown") }
    #expect(log.told() == [])
    log.sendmail(
      "A00000001: ruleset=check_rcpt, arg1=<v@elsewhere.test>, relay=\(client), reject=550 5.7.1 "
        + "<v@elsewhere.test>... Relaying denied")
    log.sendmail(
      "A00000001: ruleset=check_rcpt, arg1=<v@elsewhere.test>, relay=\(client), reject=450 4.4.0 "
        + "<v@elsewhere.test>... Relaying temporarily denied. Cannot resolve PTR record")
    log.sendmail("A00000001: \(client): Possible SMTP RCPT flood, throttling.")
    from("A00000001", "x@spam.test", size: 0, recipients: 0, proto: "ESMTP")
    #expect(
      log.told() == [
        "connect 192.0.2.5: connections 1", "heard 192.0.2.5: relay-attempts 1", "heard 192.0.2.5: rcpt-floods 1",
        "mail 192.0.2.5 <x@spam.test>",
        "refused-recipient 192.0.2.5 <x@spam.test>: bad-recipients 3, unknown-recipients 2",
      ])
  }

  @Test("What was refused of an envelope whose end was lost is not another's")
  func lostEnvelope() {
    log.sendmail("A00000001: <a@mx.test>... User unknown")
    log.sendmail("A00000002: <a@mx.test>... User unknown")
    from("A00000002", "x@spam.test", size: 0, recipients: 0, proto: "ESMTP")
    #expect(log.sums["bad-recipients"] == 1)
  }

  @Test("A session without MAIL is broken, and where no address is known, nobody's")
  func broken() {
    log.sendmail("A00000001: \(client) did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA-v4")
    log.sendmail("A00000002: c2.example.net did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA-v4", pid: 55)
    #expect(
      log.told() == [
        "connect 192.0.2.5: connections 1", "close 192.0.2.5: broken-connections 1", "connect: connections 1",
      ])
  }

  @Test("The same process is another session when it has ended, for another client, and after an hour")
  func processes() {
    for _ in 0..<2 {
      log.sendmail("A00000001: \(client) did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA-v4")
    }
    login("alice")
    log.sendmail("AUTH=server, relay=c6.example.net [192.0.2.6], authid=bob, mech=PLAIN, bits=0")
    log.wait(.hours(1))
    log.sendmail("AUTH=server, relay=c6.example.net [192.0.2.6], authid=bob, mech=PLAIN, bits=0")
    #expect(log.sums["connections"] == 5)
  }

  @Test("A ruleset's refusal at connect is heard and not shown, also where the connection has a line")
  func turnedAway() {
    log.sendmail("NOQUEUE: connect from \(client)")
    log.sendmail(
      "ruleset=check_relay, arg1=c5.example.net, arg2=127.0.0.2, relay=\(client), reject=550 5.7.1 Rejected: 192.0.2.5 "
        + "listed at rbl.test")
    log.finish()
    #expect(log.told() == ["heard 192.0.2.5: dnsbl-rejections 1, refused-connections 1"])
  }

  @Test("A message cut off ends its session, and did not pass")
  func cutOff() {
    log.sendmail("A00000001: collect: relay=[192.0.2.5], from=<x@spam.test>, info=unexpected close")
    from("A00000001", "x@spam.test", size: 30, recipients: 1, proto: "ESMTP")
    log.finish()
    #expect(
      log.told() == [
        "connect 192.0.2.5: connections 1", "mail 192.0.2.5 <x@spam.test>",
        "close 192.0.2.5 <x@spam.test>: cut-off-messages 1",
      ])
  }

  @Test("Failures count each, and the warning of an attack is none more")
  func failures() {
    let failure = "AUTH failure (PLAIN): authentication failure (-13) SASL(-13): authentication failure: no"
    for _ in 0..<4 { log.sendmail("A00000001: \(failure), user=alice, relay=\(client)") }
    log.sendmail("A00000001: \(client): possible SMTP attack: command=AUTH, count=4")
    log.sendmail("A00000001: AUTH failure (PLAIN): generic failure (-1), user=alice, relay=\(client)")
    #expect(log.sums["auth-failures"] == 4)
  }

  @Test("Mail of this machine's programs is not shown, and its user is not the process's last")
  func local() {
    log.sendmail(
      "A00000001: from=root, size=62, class=0, nrcpts=1, msgid=<m1@client>, relay=root@localhost", pid: 900)
    to("A00000001")
    #expect(log.told() == ["heard <root>: delivered 1"])
  }

  @Test("Live, deliveries are the user's of the session")
  func live() {
    let log = Joining(.live)
    log.sendmail("AUTH=server, relay=\(client), authid=alice, mech=PLAIN, bits=0")
    log.sendmail(
      "A1b2c3d4e5: from=<a@b.test>, size=62, class=0, nrcpts=1, msgid=<m1@client>, proto=ESMTPSA, daemon=MTA-v4, "
        + "relay=\(client)")
    log.sendmail("A1b2c3d4e5: to=<bob@mx.test>, delay=00:00:00, mailer=local, dsn=2.0.0, stat=Sent", pid: 9)
    log.finish()
    #expect(
      log.told() == ["heard 192.0.2.5 alice: auth-successes 1", "heard 192.0.2.5 alice <a@b.test>: delivered 1"])
  }
}
