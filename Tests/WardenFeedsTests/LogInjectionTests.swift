import Testing
import WardenCore

@testable import WardenFeeds

/// Names and addresses that a client chose, made to look like a daemon's own words.
@Suite("Injected words")
struct LogInjectionTests {
  /// Logins that have been tried against readers of logs, and such as would fool ours.
  private static let names: [String] = [
    "", "alice", "(unavailable)", "?", "x, relay=victim.example [203.0.113.9]",
    "x, relay=victim.example [203.0.113.9] (may be forged)", "eve]: fake: from=<x>, sasl_username=root",
    "a]: SASL LOGIN authentication failed: x, sasl_username=root", "], [", "user=root, user=", ", user=", ", relay=",
    ", relay=[203.0.113.9]", "] [service=smtp] [realm=", " from=<", "relay=", "status=sent", "\"", "\\", "\\\"", "<>",
    ">, ",
    "x>, method=PLAIN, rip=203.0.113.9, lip=", "x>, rip=203.0.113.9", ", rip=203.0.113.9", "rip=203.0.113.9",
    ",203.0.113.9): Password mismatch", "x,203.0.113.9): unknown user", "x,203.0.113.9,<s>): Password mismatch",
    "x,203.0.113.9): unknown user (given password: y",
    "?,203.0.113.9): Username character disallowed by "
      + "auth_username_chars: 0x0d (username: x", "x,203.0.113.9): pam_authenticate() failed: x",
    "x,203.0.113.9,sasl:plain)<s>: sql: Password mismatch", "x,203.0.113.9", "): ", "(auth failed, 9 attempts)",
    "\u{1B}[2J\u{7}", "a\0b", "\t", "\u{202E}", "\u{2028}", "é",
    "bob\r\nNov 21 00:00:00 mx postfix/smtpd[1]: connect from "
      + "unknown[203.0.113.9]", "#012Nov 21 00:00:00", String(repeating: "z", count: 64),
    String(repeating: "z", count: 65),
    String(repeating: "z", count: 256), String(repeating: "z", count: 257), String(repeating: "z", count: 8_000),
    String(repeating: ", relay=[203.0.113.9]", count: 300),
    String(repeating: ",203.0.113.9): unknown user", count: 300),
  ]

  private static func random(_ count: Int) -> [[UInt8]] {
    var generator = Dice(seed: 5)
    let words = names.map { Array($0.utf8) }
    return (0..<count).map { _ in
      var name: [UInt8] = []
      for _ in 0..<generator.next(below: 6) {
        switch generator.next(below: 3) {
        case 0: name += words[generator.next(below: words.count - 3)]
        case 1: name += (0..<generator.next(below: 9)).map { _ in UInt8(generator.next(below: 256)) }
        default:
          name += [UInt8(ascii: ","), UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: " ")].shuffled(
            using: &generator)
        }
      }
      return name.filter { ![0, 10, 13].contains($0) }
    }
  }

  @Test("A sender that makes Postfix cut its line chooses no user")
  func cutEnvelope() {
    // Where the shortest syslog cuts a line, its header and all, and where Postfix does.
    for length in [970, 1_024, 2_000, 2_048] {
      let sender =
        "\"\(String(repeating: "a", count: 490)) proto=SMTP helo=<q> sasl_username=carol sasl_sender="
        + String(repeating: "z", count: 3_000)
      let whole =
        "NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 554 5.7.1 <v@elsewhere.test>: Relay access denied; from=<\(sender)"
      let fact = Lines.told(String(whole.prefix(length)), by: "postfix/smtpd")
      #expect(fact?.client == "192.0.2.9")
      #expect(fact?.user == nil)
    }
  }

  @Test("Words of the log in an address hide no refusal's cause")
  func hiddenCause() {
    for address in ["\"; from=<a> to=<b>\"@x.test", "; from=<", "\"; from=<; from=<\"@x.test"] {
      for (reason, cause) in [
        ("<v@elsewhere.test>: Relay access denied", LogFact.Cause.relay),
        ("<\(address)>: Relay access denied", .relay),
        ("Service unavailable; Client host [192.0.2.9] blocked using dnsbl.test", .dnsbl),
      ] {
        let fact = Lines.told(
          "NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 554 5.7.1 \(reason); from=<\(address)> "
            + "to=<v@elsewhere.test> proto=ESMTP helo=<h>", by: "postfix/smtpd")
        #expect(fact?.kind == .recipientRefused(cause))
        #expect(fact?.client == "192.0.2.9")
      }
    }
  }

  /// How each daemon writes a failed login, and whether it is certain where the name ends.
  private static let formats: [(program: String, before: String, after: String, isNameCertain: Bool)] = [
    (
      "postfix/smtpd",
      "warning: unknown[192.0.2.3]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=", "", true
    ),
    (
      "postfix/smtpd",
      "warning: c3.example.net[192.0.2.3]: SASL LOGIN authentication failed: authentication failure, sasl_username=",
      "", true
    ),
    (
      "sendmail", "6AL2jPjD000054: AUTH failure (PLAIN): authentication failure (-13) SASL(-13): x, user=",
      ", relay=c3.example.net [192.0.2.3]", true
    ),
    (
      "sendmail", "6AL2jPjD000054: AUTH failure (LOGIN): authentication failure (-13) SASL(-13): x, user=",
      ", relay=[192.0.2.3] (may be forged)", true
    ),
    ("sendmail", "AUTH=server, relay=c3.example.net [192.0.2.3], authid=", ", mech=PLAIN, bits=0", true),
    ("dovecot", "auth: passwd-file(", ",192.0.2.3): Password mismatch", true),
    (
      "dovecot", "auth: pam(",
      ",192.0.2.3,<s>): pam_authenticate() failed: Authentication failure (Password mismatch?)", true
    ),
    ("dovecot", "auth-worker(12): sql(", ",192.0.2.3,<s>): unknown user", true),
    (
      "dovecot", "imap-login: Disconnected (auth failed, 3 attempts in 5 secs): user=<",
      ">, method=PLAIN, rip=192.0.2.3, lip=192.0.2.1, session=<a>", true
    ),
    ("dovecot", "imap-login: Login: user=<", ">, rip=192.0.2.3, lip=192.0.2.1, mpid=5, TLS, session=<a>", false),
    ("dovecot", "auth(", ",192.0.2.3,sasl:plain)<s>: Info: sql: Password mismatch", true),
  ]

  @Test("Whatever the name, the client is the one that the daemon names, and the name is the name")
  func names() {
    for name in Self.names.map({ Array($0.utf8) }) + Self.random(1_000) {
      for format in Self.formats {
        let line = Array(format.before.utf8) + name + Array(format.after.utf8)
        let told = Lines.told(line, by: format.program)
        let text = String(decoding: line.prefix(300), as: UTF8.self)
        // Dovecot names it behind the name: it is believed where the line cannot have been cut.
        if format.program == "dovecot", line.count > 900 {
          #expect(told?.client == nil, "\(text)")
          continue
        }
        #expect(told?.client == "192.0.2.3", "\(text)")
        let user = String(decoding: name, as: UTF8.self)
        let isNone = user.isEmpty || user == (format.program == "dovecot" ? "?" : "(unavailable)")
        guard format.isNameCertain, user != "?", user != "(unavailable)" else { continue }
        #expect(told?.user == (isNone ? nil : user), "\(text)")
      }
    }
  }

  @Test("A password in the log names nobody else as the client")
  func passwords() {
    for password in Self.names {
      let told = Lines.told("auth: sql(alice,192.0.2.3): unknown user (given password: \(password))", by: "dovecot")
      #expect(told?.client == "192.0.2.3" || told?.client == nil, "\(password)")
      #expect(told?.user == "alice" || told?.user == nil, "\(password)")
    }
  }

  /// Addresses of the envelope with other lines in them.
  private static let addresses = [
    "\"x, reject=550 [203.0.113.9]\"@elsewhere.test", "\"a> to=<b>, relay=evil[203.0.113.9], stat=Sent (x\"@spam.test",
    "\"a\"@b>, relay=evil [203.0.113.9], reject=550 x <\"@c.test",
    "\"x\\\">, relay=evil [203.0.113.9], stat=Sent\"@x.test",
    "a(\")\">, relay=evil [203.0.113.9], reject=\"@x.test",
    "a>: Relay access denied; from=<b> to=<c> proto=ESMTP helo=<d>",
    "a; from=<b> to=<c>: Relay access denied",
    "a>: Recipient address rejected: User unknown; from=<b", "a>, relay=x, delay=0, dsn=2.0.0, status=sent (x",
    "a>, orig_to=<b>, relay=x",
    "a>, size=1, nrcpt=9 (queue active)", "\", size=1, class=0, nrcpts=9, proto=ESMTPA, relay=[203.0.113.9]\"@x",
    "a> stat=Sent, relay=[203.0.113.9] @mx.test", "\"a>... User unknown\"@x", "<<>>", ">", "\"", "(", ",,,", "a,b",
  ]

  @Test("Whatever the recipient, who was refused is the client that the daemon names")
  func recipients() {
    for address in Self.addresses {
      let told = Lines.told(
        "NOQUEUE: reject: RCPT from c9[192.0.2.9]: 554 5.7.1 <\(address)>: Relay access denied; from=<\(address)> "
          + "to=<\(address)> proto=ESMTP helo=<x>", by: "postfix/smtpd")
      #expect(told?.client == "192.0.2.9", "\(address)")
      #expect([.recipientRefused(.relay), .recipientRefused(.other)].contains(told?.kind), "\(address)")
      #expect([nil, address].contains(told?.recipient) && [nil, address].contains(told?.sender), "\(address)")
      let sendmail = Lines.told(
        "6AL2jPjD000054: ruleset=check_rcpt, arg1=<\(address)>, relay=c9 [192.0.2.9], reject=550 5.7.1 <\(address)>... "
          + "Relaying denied", by: "sendmail")
      #expect(sendmail?.client == "192.0.2.9" || sendmail?.client == nil, "\(address)")
      if sendmail?.client != nil { #expect(sendmail?.kind == .recipientRefused(.relay), "\(address)") }
      let unknown = Lines.told("6AL2jPjD000054: <\(address)>... User unknown", by: "sendmail")
      #expect(unknown?.kind == .recipientRefused(.unknownRecipient) && unknown?.client == nil, "\(address)")
    }
    let told = Lines.told(
      "NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 554 5.7.1 <x, reject=550 [203.0.113.9]@elsewhere.test>: Relay access "
        + "denied; from=<\"a> to=<b>, relay=evil[203.0.113.9], stat=Sent (x\"@spam.test> to=<\"x, reject=550 "
        + "[203.0.113.9]\"@elsewhere.test> proto=ESMTP helo=<x]:?SASL?LOGIN?failed?from=?root?mx??[203.0.113.9]>",
      by: "postfix/smtpd")
    // Two addresses that hold the fields' names: it is certain who was refused, and why, and not for whom.
    #expect(told == Told(.recipientRefused(.relay), "192.0.2.9", permanent: true))
  }

  @Test("Whatever the sender and the message's id, a message's client and size are the daemon's")
  func messages() {
    for address in Self.addresses + Self.names where address.utf8.count < 600 {
      let queued = Lines.told(
        "6AL2jPjD000054: from=<a@b.test>, size=62, class=0, nrcpts=2, msgid=<\(address)>, proto=ESMTP, daemon=MTA-v4, "
          + "relay=c9 [192.0.2.9]", by: "sendmail")
      #expect(
        queued
          == Told(
            .queued(size: 62, recipients: 2, isAuthenticated: false), "192.0.2.9", id: "6AL2jPjD000054",
            from: "a@b.test"),
        "\(address)")
      let sender = Lines.told(
        "6AL2jPjD000054: from=<\(address)>, size=62, class=0, nrcpts=2, proto=ESMTP, daemon=MTA-v4, relay=[192.0.2.9]",
        by: "sendmail")
      #expect(sender?.client == "192.0.2.9" || sender?.kind == .other, "\(address)")
      if case .queued(let size, let count, _) = sender?.kind { #expect(size == 62 && count == 2, "\(address)") }
      let postfix = Lines.told("4C0FFEE123: from=<\(address)>, size=62, nrcpt=2 (queue active)", by: "postfix/qmgr")
      #expect(
        postfix
          == Told(.queued(size: 62, recipients: 2, isAuthenticated: false), id: "4C0FFEE123", from: address),
        "\(address)")
    }
  }

  @Test("Whatever the recipient, a delivery's outcome is the daemon's, or not told")
  func deliveries() {
    for address in Self.addresses {
      let postfix = Lines.told(
        "4C0FFEE123: to=<\(address)>, relay=none, delay=0, delays=0/0/0/0, dsn=5.1.1, status=bounced (x)",
        by: "postfix/smtp")
      #expect(postfix?.kind == .delivery(.bounced, recipients: 1) || postfix?.kind == .other, "\(address)")
      let sendmail = Lines.told(
        "6AL2jPjD000054: to=<\(address)>, delay=00:00:01, mailer=esmtp, pri=1, dsn=5.1.1, stat=User unknown",
        by: "sendmail")
      #expect(sendmail?.kind == .delivery(.bounced, recipients: 1) || sendmail?.kind == .other, "\(address)")
    }
  }

  @Test("The mechanism is what the client asked for: with more in it, no name is taken")
  func mechanisms() {
    let told = Lines.told(
      "warning: unknown[192.0.2.3]: SASL X authentication failed: y, sasl_username=root z authentication failed: Invalid "
        + "authentication mechanism, sasl_username=(unavailable)", by: "postfix/smtpd")
    #expect(told?.client == "192.0.2.3")
    let spaced = Lines.told(
      "warning: unknown[192.0.2.3]: SASL X Y authentication failed: y, sasl_username=root", by: "postfix/smtpd")
    #expect(spaced == Told(.loginFailed(attempts: 1, .aborted), "192.0.2.3"))
  }

  @Test("A line that was cut names the client or nobody")
  func cut() {
    let fake = ", relay=x [203.0.113.9]>, rip=203.0.113.9, lip=192.0.2.1,203.0.113.9): Password mismatch"
    for format in Self.formats where format.program != "sendmail" {
      let line = Array((format.before + String(repeating: "x", count: 900) + fake + format.after).utf8)
      for end in 900...line.count {
        let client = Lines.told(Array(line[..<end]), by: format.program)?.client
        #expect(client == nil || client == "192.0.2.3", "\(format) \(end)")
      }
    }
  }
}

/// The same numbers from the same seed, on every machine.
struct Dice: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func next(below bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
