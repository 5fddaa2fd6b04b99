import Testing
import WardenCore

@testable import WardenFeeds

/// What Postfix says.
@Suite("Postfix's lines")
struct LogPostfixTests {
  private func expect(_ lines: [(String, Told?)], by program: String = "postfix/smtpd") {
    for (line, told) in lines { #expect(Lines.told(line, by: program) == told, "\(line)") }
  }

  @Test("Sessions begin and end")
  func sessions() {
    func ended(_ failed: Int, _ hadMail: Bool) -> LogFact.Kind { .ended(failedLogins: failed, hadMail: hadMail) }
    expect([
      ("connect from c3.example.net[192.0.2.3]", Told(.connected, "192.0.2.3")),
      ("connect from unknown[2001:db8::1]", Told(.connected, "2001:db8::1")),
      ("connect from unknown[192.0.2.3]:4711", Told(.connected, "192.0.2.3")),
      ("connect from unknown[unknown]", Told(.connected)),
      (
        "disconnect from c3.example.net[192.0.2.3] ehlo=1 auth=0/3 mail=1 rcpt=0/5 quit=1 commands=3/11",
        Told(ended(3, true), "192.0.2.3")
      ),
      ("disconnect from unknown[192.0.2.3] ehlo=1 auth=1/20 commands=1/21", Told(ended(19, false), "192.0.2.3")),
      ("disconnect from unknown[192.0.2.3] ehlo=1 auth=1 mail=1 quit=1 commands=4", Told(ended(0, true), "192.0.2.3")),
      ("disconnect from unknown[192.0.2.3] commands=0/0", Told(ended(0, false), "192.0.2.3")),
      ("disconnect from unknown[192.0.2.3]", Told(ended(0, false), "192.0.2.3")),
      ("disconnect from unknown[unknown] commands=0/0", Told(ended(0, false))),
      ("lost connection after DATA (29 bytes) from unknown[192.0.2.7]", Told(.cutOff, "192.0.2.7")),
      ("lost connection after BDAT from unknown[192.0.2.7]", Told(.cutOff, "192.0.2.7")),
      ("timeout after DATA from unknown[192.0.2.7]", Told(.cutOff, "192.0.2.7")),
      ("lost connection after AUTH from unknown[192.0.2.7]", Told(.other, "192.0.2.7")),
      ("timeout after END-OF-MESSAGE from unknown[192.0.2.7]", Told(.other, "192.0.2.7")),
      ("too many errors after RCPT from unknown[192.0.2.7]", Told(.recipientFlood, "192.0.2.7")),
      ("too many errors after AUTH from unknown[192.0.2.7]", Told(.other, "192.0.2.7")),
    ])
  }

  @Test("Logins that failed, with the name since 3.9 and without before")
  func logins() {
    func failed(_ failure: LogFact.Failure, _ user: String? = nil) -> Told {
      Told(.loginFailed(attempts: 1, failure), "192.0.2.3", user: user)
    }
    let client = "warning: c3.example.net[192.0.2.3]: SASL"
    expect([
      ("\(client) LOGIN authentication failed: authentication failure, sasl_username=alice", failed(.refused, "alice")),
      ("\(client) PLAIN authentication failed: (reason unavailable), sasl_username=a b", failed(.refused, "a b")),
      ("\(client) PLAIN authentication failed: (reason unavailable), sasl_username=", failed(.refused)),
      ("\(client) LOGIN authentication failed: UGFzc3dvcmQ6", failed(.refused)),
      ("\(client) LOGIN authentication failed: authentication failure", failed(.refused)),
      (
        "\(client) PLAIN authentication failed: Invalid base64 data in initial response, sasl_username=(unavailable)",
        failed(.aborted)
      ),
      (
        "\(client) NTLM authentication failed: Invalid authentication mechanism, sasl_username=(unavailable)",
        failed(.aborted)
      ),
      ("\(client) PLAIN authentication failed: bad protocol / cancel, sasl_username=(unavailable)", failed(.aborted)),
      ("\(client) LOGIN authentication aborted", failed(.aborted)),
      (
        "\(client) PLAIN authentication failed: Connection lost to authentication server, sasl_username=alice",
        failed(.server, "alice")
      ),
      ("\(client) PLAIN authentication failed: mailwarden: too many, sasl_username=bob", failed(.policy, "bob")),
      (
        "warning: AUTH command rate limit exceeded: 6 from c3.example.net[192.0.2.3] for service smtp",
        failed(.aborted)
      ),
      ("warning: SASL authentication failure: Password verification failed", Told(.other)),
      ("warning: SASL authentication failure: Couldn't find mech NTLM", Told(.other)),
    ])
  }

  @Test("Recipients refused, by the cause in Postfix's own words")
  func recipients() {
    func refused(
      _ words: String, _ cause: LogFact.Cause, to recipient: String = "v@elsewhere.test", permanent: Bool = true
    ) -> (String, Told?) {
      (
        "NOQUEUE: reject: RCPT from c6.example.net[192.0.2.6]: \(words); from=<x@spam.test> to=<\(recipient)> "
          + "proto=ESMTP helo=<client.example.net>",
        Told(.recipientRefused(cause), "192.0.2.6", from: "x@spam.test", to: recipient, permanent: permanent)
      )
    }
    expect([
      refused("554 5.7.1 <v@elsewhere.test>: Relay access denied", .relay),
      refused("454 4.7.1 <v@elsewhere.test>: Relay access denied", .relay, permanent: false),
      refused(
        "550 5.1.1 <v@elsewhere.test>: Recipient address rejected: User unknown in local recipient table",
        .unknownRecipient),
      refused("550 5.1.1 <v@elsewhere.test>: Recipient address rejected: User unknown", .unknownRecipient),
      refused(
        "550 5.1.1 <v@elsewhere.test>: Recipient address rejected: undeliverable address: host mx[192.0.2.99] said: 550",
        .unknownRecipient),
      refused("554 5.7.1 Service unavailable; Client host [192.0.2.6] blocked using rbl.test; see <x>", .dnsbl),
      refused("554 5.7.1 Service unavailable; Helo command [x] blocked using dbl.test", .dnsbl),
      refused("452 4.5.3 Error: too many recipients", .rate, permanent: false),
      refused("554 5.7.1 <c6[192.0.2.6]>: Client host rejected: Access denied", .access),
      refused("554 5.7.1 <x@spam.test>: Sender address rejected: Access denied", .access),
      refused("450 4.7.1 <v@elsewhere.test>: Recipient address rejected: Greylisted", .other, permanent: false),
      refused("450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.6]", .other, permanent: false),
      (
        "NOQUEUE: reject: VRFY from unknown[192.0.2.8]: 550 5.1.1 <root>: Recipient address rejected: User unknown in local "
          + "recipient table; to=<root> proto=ESMTP helo=<x>",
        Told(.recipientRefused(.unknownRecipient), "192.0.2.8", permanent: true)
      ),
      (
        "4C0FFEE123: reject: RCPT from unknown[192.0.2.8]: 554 5.7.1 <a@b.test>: Relay access denied; from=<> to=<a@b.test> "
          + "proto=ESMTP helo=<x> sasl_username=<alice>",
        Told(
          .recipientRefused(.relay), "192.0.2.8", user: "alice", id: "4C0FFEE123", from: "", to: "a@b.test",
          permanent: true)
      ),
      (
        "NOQUEUE: reject: RCPT from unknown[192.0.2.8]: 554 5.7.1 <a@b.test>: Relay access denied; from=<c@d.test> "
          + "to=<a@b.test> proto=ESMTP helo=<x> sasl_method=PLAIN sasl_username=alice sasl_sender=eve",
        Told(.recipientRefused(.relay), "192.0.2.8", user: "alice", from: "c@d.test", to: "a@b.test", permanent: true)
      ),
    ])
  }

  @Test("Connections refused, by the DNS or for their number")
  func connections() {
    expect([
      (
        "warning: Connection rate limit exceeded: 6 from unknown[192.0.2.11] for service smtp",
        Told(.connectionRefused(.rate), "192.0.2.11")
      ),
      (
        "warning: Connection concurrency limit exceeded: 51 from unknown[192.0.2.11] for service smtp",
        Told(.connectionRefused(.rate), "192.0.2.11")
      ),
      (
        "warning: Recipient address rate limit exceeded: 6 from unknown[192.0.2.11] for service smtp",
        Told(.recipientFlood, "192.0.2.11")
      ),
      (
        "NOQUEUE: reject: CONNECT from unknown[192.0.2.11]: 554 5.7.1 Service unavailable; Client host [192.0.2.11] blocked "
          + "using rbl.test; proto=SMTP",
        Told(.connectionRefused(.dnsbl), "192.0.2.11", permanent: true)
      ),
      (
        "NOQUEUE: reject: MAIL from unknown[192.0.2.11]: 450 4.1.8 <x@y.test>: Sender address rejected: Domain not found; "
          + "from=<x@y.test> proto=ESMTP helo=<x>",
        Told(.other, "192.0.2.11", from: "x@y.test")
      ),
      (
        "improper command pipelining after HELO from unknown[192.0.2.8]: AUTH LOGIN\\r\\n",
        Told(.badCommand, "192.0.2.8")
      ),
      ("warning: non-SMTP command from unknown[192.0.2.8]: GET / HTTP/1.1", Told(.badCommand, "192.0.2.8")),
      ("bare <LF> received after CONNECT from unknown[192.0.2.8]", Told(.badCommand, "192.0.2.8")),
      ("warning: hostname x.test does not resolve to address 192.0.2.9", Told(.other)),
      ("warning: Illegal address syntax from unknown[192.0.2.9] in RCPT command: <a b>", Told(.other)),
    ])
  }

  @Test("postscreen puts the port behind the address; whom it refuses smtpd never sees")
  func postscreen() {
    expect(
      [
        ("CONNECT from [192.0.2.7]:1234 to [192.0.2.1]:25", Told(.other, "192.0.2.7")),
        ("PREGREET 14 after 0.08 from [192.0.2.7]:1234: EHLO ylmf-pc\\r\\n", Told(.badCommand, "192.0.2.7")),
        ("HANGUP after 16 from [192.0.2.7]:1234 in tests after SMTP handshake", Told(.other, "192.0.2.7")),
        ("DNSBL rank 6 for [192.0.2.7]:1234", Told(.other)),
        ("PASS NEW [2001:db8::7]:1234", Told(.other, "2001:db8::7")),
        ("NON-SMTP COMMAND from [192.0.2.7]:1234 after CONNECT: GET / HTTP/1.1", Told(.badCommand, "192.0.2.7")),
        ("COMMAND TIME LIMIT from [192.0.2.7]:1234 after EHLO", Told(.other, "192.0.2.7")),
        ("DENYLISTED [192.0.2.7]:1234", Told(.other)),
        (
          "NOQUEUE: reject: RCPT from [192.0.2.7]:1234: 550 5.7.1 Service unavailable; client [192.0.2.7] blocked using "
            + "zen.test; from=<a@b.test>, to=<c@d.test>, proto=ESMTP, helo=<x>",
          Told(.connectionRefused(.dnsbl), "192.0.2.7", from: "a@b.test", to: "c@d.test", permanent: true)
        ),
        (
          "NOQUEUE: reject: CONNECT from [192.0.2.7]:1234: too many connections",
          Told(.connectionRefused(.rate), "192.0.2.7")
        ),
      ], by: "postfix/postscreen")
    expect([("addr 192.0.2.7 listed by domain zen.test as 127.0.0.2", Told(.other))], by: "postfix/dnsblog")
  }

  @Test("A message from its client to its last delivery")
  func messages() {
    expect([
      ("4C0FFEE123: client=unknown[192.0.2.5]", Told(.accepted, "192.0.2.5", id: "4C0FFEE123")),
      (
        "4C0FFEE123: client=c5[192.0.2.5], sasl_method=PLAIN, sasl_username=alice",
        Told(.accepted, "192.0.2.5", user: "alice", id: "4C0FFEE123")
      ),
      (
        "48rT2v1hQrz1J0N: client=c5[192.0.2.5], sasl_method=PLAIN, sasl_username=alice, sasl_sender=x@y",
        Told(.accepted, "192.0.2.5", user: "alice", id: "48rT2v1hQrz1J0N")
      ),
      (
        "NOQUEUE: client=c5[192.0.2.5], sasl_method=PLAIN, sasl_username=bob", Told(.accepted, "192.0.2.5", user: "bob")
      ),
    ])
    expect(
      [
        (
          "4C0FFEE123: from=<alice@mx.test>, size=253, nrcpt=2 (queue active)",
          Told(.queued(size: 253, recipients: 2, isAuthenticated: false), id: "4C0FFEE123", from: "alice@mx.test")
        ),
        (
          "4C0FFEE123: from=<>, status=expired, returned to sender",
          Told(.delivery(.bounced, recipients: 1), id: "4C0FFEE123")
        ),
        ("4C0FFEE123: removed", Told(.removed, id: "4C0FFEE123")),
      ], by: "postfix/qmgr")
    func delivery(_ outcome: LogFact.Outcome) -> Told {
      Told(.delivery(outcome, recipients: 1), id: "4C0FFEE123", to: "bob@mx.test")
    }
    let to = "4C0FFEE123: to=<bob@mx.test>"
    let delays = "delay=0.01, delays=0.01/0/0/0"
    expect(
      [
        ("\(to), relay=local, \(delays), dsn=2.0.0, status=sent (delivered to mailbox)", delivery(.delivered)),
        ("\(to), orig_to=<postmaster>, relay=local, \(delays), dsn=2.0.0, status=sent (x)", delivery(.delivered)),
        (
          "\(to), relay=none, \(delays), dsn=4.4.1, status=deferred (connect to x[192.0.2.9]:25: refused)",
          delivery(.deferred)
        ),
        ("\(to), relay=x[192.0.2.9]:25, \(delays), dsn=5.1.1, status=bounced (host x said: 550)", delivery(.bounced)),
        (
          "\(to), relay=x[192.0.2.9]:25, \(delays), dsn=2.1.5, status=deliverable (250 ok)",
          Told(.other, id: "4C0FFEE123")
        ),
        ("connect to 192.0.2.9[192.0.2.9]:25: Connection refused", Told(.other)),
        (
          "4C0FFEE123: host x[192.0.2.9] said: 450 4.7.1 try again (in reply to RCPT TO command)",
          Told(.other, id: "4C0FFEE123")
        ),
      ], by: "postfix/smtp")
  }

  @Test("Filters' refusals at the end of a message; of other stages the filter protocol tells")
  func filters() {
    expect(
      [
        (
          "4C0FFEE123: milter-reject: END-OF-MESSAGE from unknown[192.0.2.10]: 5.7.1 Blocked by SpamAssassin; "
            + "from=<a@b.test> to=<bob@mx.test> proto=ESMTP helo=<x>",
          Told(
            .filterRejected, "192.0.2.10", id: "4C0FFEE123", from: "a@b.test", to: "bob@mx.test", permanent: true)
        ),
        (
          "4C0FFEE123: milter-reject: END-OF-MESSAGE from unknown[192.0.2.10]: 4.7.1 later; from=<> to=<b@mx.test> proto=SMTP",
          Told(.filterRejected, "192.0.2.10", id: "4C0FFEE123", from: "", to: "b@mx.test")
        ),
        (
          "4C0FFEE123: reject: header Subject: x from victim[203.0.113.9]; from=<v> from unknown[192.0.2.10]; from=<a@b.test> "
            + "to=<b@mx.test> proto=ESMTP helo=<x>: 5.7.1 no",
          Told(.filterRejected, id: "4C0FFEE123", permanent: true)
        ),
      ], by: "postfix/cleanup")
    expect([
      (
        "NOQUEUE: milter-reject: MAIL from unknown[192.0.2.10]: 451 4.7.1 mailwarden: slow down; from=<a@mx.test> proto=ESMTP",
        Told(.other)
      ),
      (
        "NOQUEUE: milter-discard: MAIL from unknown[192.0.2.10]: milter triggers DISCARD action; from=<a>", Told(.other)
      ),
      (
        "NOQUEUE: proxy-reject: END-OF-MESSAGE from unknown[192.0.2.10]: 554 5.7.0 Reject; from=<> to=<b@mx.test> proto=SMTP",
        Told(.filterRejected, "192.0.2.10", from: "", to: "b@mx.test", permanent: true)
      ),
    ])
  }

  @Test("Faults of its own are distress; what a client brings about is not")
  func distress() {
    for line in [
      "fatal: no SASL authentication mechanisms", "panic: myfree: corrupt memory", "error: open /x: No such file",
      "warning: not enough free space in mail queue: 5 bytes < 1.5*message size limit",
      "warning: process /usr/lib/postfix/sbin/smtpd pid 46 killed by signal 11",
      "warning: process /usr/lib/postfix/sbin/smtpd pid 46 exit status 1",
      "warning: /usr/lib/postfix/sbin/smtpd: bad command startup -- throttling",
      "warning: service \"smtp\" (25) has reached its process limit \"100\": new clients may experience noticeable delays",
      "warning: 4C0FFEE123: write queue file: No space left on device", "warning: connect #1 to subsystem private/x: y",
      "warning: problem talking to service private/scache: Connection timed out",
      "warning: maildrop/4C0FFEE123: queue file write error",
    ] {
      #expect(Lines.told(line, by: "postfix/master")?.kind == .distress, "\(line)")
    }
    for line in [
      "warning: non-SMTP command from unknown[192.0.2.8]: No space left on device",
      "warning: Illegal address syntax from unknown[192.0.2.8] in MAIL command: <: No space left on device",
      "warning: valid_hostname: invalid character 32(decimal): x: No space left on device",
      "warning: unknown[192.0.2.8]: SASL PLAIN authentication failed: x, sasl_username=: queue file write error",
      "fatal: usage: sendmail [options]", "fatal: alice(1000): message file too big",
    ] {
      #expect(Lines.told(line, by: "postfix/smtpd")?.kind != .distress, "\(line)")
    }
  }

  @Test("The service is what follows the instance's name, however that is called")
  func services() {
    for (program, service) in [
      ("postfix/smtpd", "smtpd"), ("postfix/submission/smtpd", "submission/smtpd"), ("postfix-out/smtpd", "smtpd"),
      ("mx/smtps/smtpd", "smtps/smtpd"), ("postfix/10025/smtpd", "10025/smtpd"), ("postfix", nil),
    ] {
      let line = Array("Nov 21 02:34:04 mx \(program)[1]: connect from x[192.0.2.3]".utf8)
      Lines.fact(line) {
        #expect($0?.client?.description == "192.0.2.3")
        #expect($0?.service?.string == service)
      }
    }
    for program in ["postfix/unknown", "postfix1", "opendkim", "sshd", "x/y"] {
      #expect(Lines.told("connect from x[192.0.2.3]", by: program) == nil)
    }
  }

  @Test("A daemon that has no clients of ours names none")
  func inner() {
    #expect(Lines.told("connect from x[192.0.2.3]", by: "postfix/smtp") == nil)
    #expect(
      Lines.told("warning: x[192.0.2.3]: SASL LOGIN authentication failed: x", by: "postfix/smtp") == Told(.other))
    #expect(Lines.told("Unsupported", by: "postfix/smtpd") == nil)
  }
}
