import Testing
import WardenCore

@testable import WardenFeeds

/// What Sendmail says.
@Suite("Sendmail's lines")
struct LogSendmailTests {
  private let id = "6AL2jPjD000054"

  private func expect(_ lines: [(String, Told?)]) {
    for (line, told) in lines {
      for program in ["sendmail", "sm-mta", "sm-msp-queue", "sm-acceptingconnections"] {
        #expect(Lines.told(line, by: program) == told, "\(line)")
      }
    }
  }

  @Test("Logins, with the name since 8.16.1 and without before")
  func logins() {
    func failed(_ failure: LogFact.Failure, _ user: String? = nil, _ client: String = "192.0.2.3") -> Told {
      Told(.loginFailed(attempts: 1, failure), client, user: user, id: id)
    }
    let refused = "\(id): AUTH failure (PLAIN): authentication failure (-13) SASL(-13): authentication failure: x"
    expect([
      ("\(refused), user=alice, relay=c3.example.net [192.0.2.3]", failed(.refused, "alice")),
      ("\(refused), user=alice, relay=[192.0.2.3] (may be forged)", failed(.refused, "alice")),
      ("\(refused), user=alice, relay=x [IPv6:2001:db8::1]", failed(.refused, "alice", "2001:db8::1")),
      ("\(refused), user=alice, relay=[IPv6:::ffff:192.0.2.3]", failed(.refused, "alice")),
      ("\(refused), relay=[192.0.2.3]", failed(.refused)),
      ("\(refused), user=, relay=[192.0.2.3]", failed(.refused)),
      (
        "\(id): AUTH failure (PLAIN): generic failure (-1) SASL(-1): x, user=a, relay=[192.0.2.3]", failed(.server, "a")
      ),
      ("\(id): AUTH failure (PLAIN): bad protocol / cancel (-5), relay=[192.0.2.3]", failed(.aborted)),
      ("\(id): AUTH decode64 error [-5 for \"!!!\"], relay=c3.example.net [192.0.2.3]", failed(.aborted)),
      (
        "AUTH=server, relay=c5.example.net [192.0.2.5], authid=alice, mech=PLAIN, bits=0",
        Told(.loggedIn, "192.0.2.5", user: "alice")
      ),
      (
        "AUTH=server, relay=[192.0.2.5] (may be forged), authid=alice@x, mech=PLAIN, bits=0",
        Told(.loggedIn, "192.0.2.5", user: "alice@x")
      ),
      ("STARTTLS=server, relay=[192.0.2.5], version=TLSv1.3, verify=NO, cipher=x, bits=256/256", Told(.other)),
      ("AUTH=client, relay=[192.0.2.5], mech=PLAIN, bits=0", Told(.other)),
      ("Password verification failed", Told(.other)),
    ])
  }

  @Test("Sessions without mail, floods and attacks begin with the client")
  func sessions() {
    let tail = "did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA-v4"
    expect([
      ("\(id): c2.example.net [192.0.2.2] \(tail)", Told(.brokenConnection, "192.0.2.2", id: id)),
      ("\(id): [192.0.2.2] (may be forged) \(tail)", Told(.brokenConnection, "192.0.2.2", id: id)),
      ("\(id): x [IPv6:2001:db8::1] \(tail)", Told(.brokenConnection, "2001:db8::1", id: id)),
      ("\(id): c2.example.net \(tail)", Told(.brokenConnection, id: id)),
      ("\(id): c6 [192.0.2.6]: Possible SMTP RCPT flood, throttling.", Told(.recipientFlood, "192.0.2.6", id: id)),
      (
        "\(id): [192.0.2.6]: Possible SMTP RCPT flood, shutting down connection.",
        Told(.recipientFlood, "192.0.2.6", id: id)
      ),
      ("\(id): [192.0.2.4]: possible SMTP attack: command=AUTH, count=4", Told(.other, "192.0.2.4", id: id)),
      ("\(id): [192.0.2.4]: possible SMTP attack: command=HELO/EHLO, count=4", Told(.badCommand, "192.0.2.4", id: id)),
      ("\(id): [192.0.2.8]: probable open proxy: command=GET / HTTP/1.1\\r\\n", Told(.badCommand, "192.0.2.8", id: id)),
      ("\(id): x [192.0.2.8]: VRFY root", Told(.other, "192.0.2.8", id: id)),
      ("NOQUEUE: connect from c3.example.net [192.0.2.3]", Told(.connected, "192.0.2.3")),
      (
        "\(id): rejecting commands from c8 [192.0.2.8] due to pre-greeting traffic after 0 seconds",
        Told(.badCommand, "192.0.2.8", id: id)
      ),
      (
        "\(id): rejecting server HELO from [192.0.2.8] [192.0.2.8] due to traffic before response",
        Told(.badCommand, "192.0.2.8", id: id)
      ),
      ("\(id): lost input channel from [192.0.2.7] to MTA-v4 after rcpt", Told(.other, "192.0.2.7", id: id)),
      ("\(id): lost input channel from c7 [192.0.2.7] to MTA-v4 after data", Told(.cutOff, "192.0.2.7", id: id)),
      ("\(id): timeout waiting for input from c15.example.net during server cmd read", Told(.other, id: id)),
      ("\(id): timeout waiting for input from [192.0.2.7] during message collect", Told(.cutOff, "192.0.2.7", id: id)),
      (
        "\(id): collect: relay=[192.0.2.7], from=<x@spam.test>, info=unexpected close",
        Told(.cutOff, "192.0.2.7", id: id)
      ),
      (
        "\(id): collect: unexpected close on connection from x [192.0.2.7], sender=<a>",
        Told(.cutOff, "192.0.2.7", id: id)
      ),
    ])
  }

  @Test("Refusals; at connect the second argument is the block list's answer, not the client")
  func refusals() {
    func ruleset(
      _ name: String, _ argument: String, _ reply: String, _ kind: LogFact.Kind, to recipient: String? = nil
    ) -> (String, Told?) {
      (
        "\(id): ruleset=\(name), arg1=\(argument), relay=c6.example.net [192.0.2.6], reject=\(reply)",
        Told(kind, "192.0.2.6", id: id, to: recipient, permanent: reply.hasPrefix("5"))
      )
    }
    let refused = LogFact.Kind.recipientRefused
    expect([
      ruleset(
        "check_rcpt", "<v@x.test>", "550 5.7.1 <v@x.test>... Relaying denied. Proper authentication required.",
        refused(.relay), to: "v@x.test"),
      ruleset(
        "check_rcpt", "<v@x.test>", "550 5.7.1 <v@x.test>... Relaying denied. IP name possibly forged [192.0.2.6]",
        refused(.relay), to: "v@x.test"),
      ruleset(
        "check_rcpt", "<v@x.test>",
        "450 4.4.0 <v@x.test>... Relaying temporarily denied. Cannot resolve PTR record for x",
        refused(.relay), to: "v@x.test"),
      ruleset(
        "check_rcpt", "<v@x.test>", "553 5.1.8 <v@x.test>... Domain of sender address a@b does not exist",
        refused(.other), to: "v@x.test"),
      ruleset(
        "check_rcpt", "<v@x.test>", "550 5.7.1 <v@x.test>... Rejected: 192.0.2.6 listed at rbl.test", refused(.dnsbl),
        to: "v@x.test"),
      ruleset("check_mail", "<s@x.test>", "550 5.7.1 <s@x.test>... Access denied", .other),
      ruleset(
        "check_relay", "c6.example.net, arg2=127.0.0.2", "550 5.7.1 Rejected: 192.0.2.6 listed at rbl.test",
        .connectionRefused(.dnsbl)),
      ruleset(
        "check_relay", "c6, arg2=192.0.2.6", "421 4.3.2 Connection rate limit exceeded.", .connectionRefused(.rate)),
      ruleset("check_relay", "c6, arg2=192.0.2.6", "421 4.3.2 Too many open connections.", .connectionRefused(.rate)),
      ruleset("check_relay", "c6, arg2=192.0.2.6", "550 5.7.1 Access denied", .connectionRefused(.access)),
      (
        "ruleset=check_relay, arg1=x, arg2=127.0.0.2, relay=x [192.0.2.22], reject=550 5.7.1 Rejected: listed at rbl.test",
        Told(.connectionRefused(.dnsbl), "192.0.2.22", permanent: true)
      ),
      (
        "\(id): <n@mx.test>... User unknown", Told(refused(.unknownRecipient), id: id, to: "n@mx.test", permanent: true)
      ),
      ("\(id): Too many recipients", Told(refused(.rate), id: id)),
      ("\(id): Milter: data, reject=550 5.7.1 Blocked by SpamAssassin", Told(.filterRejected, id: id, permanent: true)),
      ("\(id): Milter: data, reject=451 4.7.1 later", Told(.filterRejected, id: id)),
      ("\(id): Milter: from=<a@b>, reject=451 4.7.1 slow down", Told(.other, id: id)),
      ("\(id): Milter: connect: host=x, addr=192.0.2.6, rejecting commands", Told(.other, id: id)),
    ])
  }

  @Test("A message from its client to its last delivery")
  func messages() {
    func queued(_ size: Int, _ count: Int, _ isAuthenticated: Bool) -> LogFact.Kind {
      .queued(size: size, recipients: count, isAuthenticated: isAuthenticated)
    }
    func delivered(_ outcome: LogFact.Outcome, _ count: Int = 1) -> Told {
      Told(.delivery(outcome, recipients: count), id: id, to: count == 1 ? "bob@mx.test" : nil)
    }
    let tail = "ctladdr=<alice@mx.test> (1000/1000), delay=00:00:00, xdelay=00:00:00, mailer=local, pri=60309"
    expect([
      (
        "\(id): from=<alice@mx.test>, size=62, class=0, nrcpts=2, msgid=<m1@client>, proto=ESMTPA, daemon=MTA-v4, "
          + "relay=c5.example.net [192.0.2.5]",
        Told(queued(62, 2, true), "192.0.2.5", id: id, from: "alice@mx.test")
      ),
      (
        "\(id): from=<>, size=62, class=0, nrcpts=2, msgid=<m1@client>, bodytype=8BITMIME, proto=ESMTPSA, daemon=MTA-v4, "
          + "tls_verify=NO, auth=PLAIN, relay=[192.0.2.5] (may be forged)",
        Told(queued(62, 2, true), "192.0.2.5", id: id, from: "")
      ),
      (
        "\(id): from=<x@spam.test>, size=0, class=0, nrcpts=0, proto=ESMTPS, daemon=MTA-v4, relay=[192.0.2.5]",
        Told(queued(0, 0, false), "192.0.2.5", id: id, from: "x@spam.test")
      ),
      (
        "\(id): from=alice, size=2039, class=0, nrcpts=1, msgid=<1@x>, relay=alice@localhost",
        Told(queued(2039, 1, false), id: id, from: "alice")
      ),
      ("\(id): to=<bob@mx.test>, \(tail), dsn=2.0.0, stat=Sent", delivered(.delivered)),
      ("\(id): to=bob@mx.test, delay=00:00:07, mailer=esmtp, dsn=2.0.0, stat=Sent (ok, stat=x)", delivered(.delivered)),
      ("\(id): to=<bob@mx.test>,<c@mx.test>,d, \(tail), dsn=2.0.0, stat=Sent", delivered(.delivered, 3)),
      (
        "\(id): to=<bob@mx.test>, \(tail), dsn=4.4.3, stat=Deferred: Name server: x.: host name lookup failure",
        delivered(.deferred)
      ),
      ("\(id): to=<bob@mx.test>, \(tail), dsn=4.0.0, stat=Operating system error", delivered(.deferred)),
      ("\(id): to=<bob@mx.test>, \(tail), dsn=5.1.1, stat=User unknown", delivered(.bounced)),
      ("\(id): to=<bob@mx.test>, delay=00:00:00, pri=30023, stat=Blocked by SpamAssassin", Told(.other, id: id)),
      ("\(id): done; delay=00:00:00, ntries=1", Told(.removed, id: id)),
      ("\(id): 6AL2pHZd000162: DSN: Host unknown (Name server: x: host not found)", Told(.other, id: id)),
    ])
  }

  @Test("Load, lost input and faults of its own are distress")
  func distress() {
    expect([
      ("rejecting connections on daemon MTA-v4: 4 children, max 4", Told(.distress)),
      ("rejecting connections on daemon MTA: load average: 14", Told(.distress)),
      ("rejecting new messages: min free: 100", Told(.distress)),
      ("runqueue: Aborting queue run: load average too high", Told(.distress)),
      ("\(id): collect: premature EOM: Connection reset", Told(.distress, id: id)),
      ("\(id): collect: I/O error on connection from x [192.0.2.7], from=<a@b>", Told(.distress, id: id)),
      ("\(id): SYSERR(root): collect: I/O error on connection from x, from=<a@b>", Told(.distress, id: id)),
      ("\(id): SYSERR: putoutmsg (x): error on output channel sending \"250\"", Told(.distress, id: id)),
      ("accepting connections again for daemon MTA-v4", Told(.other)),
      ("starting daemon (8.17.1.9): SMTP+queueing@00:01:00", Told(.other)),
      // Words of a client where those of the MTA might be.
      (
        "\(id): <rejecting connections on daemon x>... User unknown",
        Told(.recipientRefused(.unknownRecipient), id: id, to: "rejecting connections on daemon x", permanent: true)
      ),
      ("\(id)[2]: SYSERR(root): x", Told(.other)),
    ])
  }
}
