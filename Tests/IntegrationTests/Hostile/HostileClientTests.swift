import Foundation
import Testing
import WardenTestKit

/// What no honest client would do to a real MTA that has the daemon as its milter.
@Suite("Hostile clients", .serialized, .enabled(if: geteuid() == 0, "root is needed for private MTAs"))
struct HostileClientTests {
  private static let blocked = "bob"

  private func connect(_ mta: MTA, from source: String = "127.0.91.1") throws -> LineConnection {
    try LineConnection(port: mta.port, from: source)
  }

  /// Sends it all at once and reads until the MTA hangs up, which it does at the end of what it is sent.
  @discardableResult
  private func play(_ mta: MTA, _ bytes: [UInt8], from source: String = "127.0.91.1") throws -> [String] {
    let client = try connect(mta, from: source)
    try? client.send(bytes)
    client.finish()
    return client.drain()
  }

  private static func plain(_ text: String) -> String { "AUTH PLAIN \(Data(text.utf8).base64EncodedString())" }
  private static func logIn(_ user: String) -> String { plain("\0\(user)\0secret-\(user)") + "\r\n" }

  /// What was taken into the queue, by the MTA's own words.
  private func taken(_ replies: [String]) -> Int {
    replies.count { $0.contains("queued as ") || $0.contains("Message accepted for delivery") }
  }

  // MARK: - Slow and silent

  @Test("Clients that speak byte by byte, and clients that never speak", arguments: MTA.Kind.allCases)
  func slow(_ kind: MTA.Kind) throws {
    let mta = try MTA.of(kind, for: "hostile")
    let siege = try Siege(through: mta)
    let silent = try (0..<25).map { try connect(mta, from: "127.0.92.\($0)") }
    let slow = try (0..<25).map { try connect(mta, from: "127.0.93.\($0)") }
    for client in slow { _ = try client.receiveLine() }
    let lines = [
      "HELO x.test\r\n", "MAIL FROM:<a@sender.test>\r\n", "RCPT TO:<alice@local.test>\r\n", "DATA\r\n",
      "x: y\r\n\r\nz\r\n.\r\n",
    ]
    for line in lines {
      for byte in line.utf8 {
        for client in slow { try client.send([byte]) }
      }
      if line.hasPrefix("MAIL") || line.hasPrefix("DATA") { try siege.stands() }
      // Sendmail takes nothing that comes before its answer to DATA.
      if line != lines.last { for client in slow { _ = try client.receiveLine() } }
    }
    for client in slow { try client.send("QUIT\r\n") }
    for client in slow { #expect(taken(client.drain()) == 1) }
    #expect(try siege.daemon.count("sender:a@sender.test", rule: "sender") == slow.count)
    try siege.stands()
    for client in silent { client.drop() }
    try siege.recovers()
  }

  @Test("Clients that are gone without a FIN hold their sessions until the MTA's time limit, and no longer")
  func vanished() throws {
    let mta = try MTA(.postfix, with: [.timeLimit(2)])
    defer { mta.stop() }
    let siege = try Siege(through: mta)
    try (1..<31).forEach {
      let client = try connect(mta, from: "127.0.94.\($0)")
      _ = try client.receiveLine()
      try client.send("EHLO x.test\r\nMAIL FROM:<a@sender.test>\r\n")
      client.vanish()
    }
    try siege.stands()
    try siege.recovers()
  }

  @Test("Clients that reset the connection at each stage", arguments: MTA.Kind.allCases)
  func resets(_ kind: MTA.Kind) throws {
    let mta = try MTA.of(kind, for: "hostile")
    let siege = try Siege(through: mta)
    let port = mta.port
    let rounds = Siege.rounds ?? 2
    try siege.stands(while: {
      let steps = [
        "EHLO x.test\r\n", Self.logIn("carol"), "MAIL FROM:<carol@local.test>\r\n", "RCPT TO:<friend@far.test>\r\n",
        "DATA\r\n",
        "Subject: half\r\n\r\nhal",
      ]
      for round in 0..<rounds {
        for count in 0...steps.count {
          for waits in [false, true] {
            let client = try LineConnection(port: port, from: "127.0.95.\(round % 250 + 1)")
            if waits { _ = try client.receiveLine() }
            for step in steps.prefix(count) {
              try? client.send(step)
              if waits, step.hasSuffix("\r\n") {
                while let line = try? client.receiveLine(), line.dropFirst(3).first == "-" {}
              }
            }
            client.resetAtEnd()
          }
        }
      }
    })
    try siege.recovers()
    #expect(try siege.daemon.count("user:carol", rule: "mail") ?? 0 == 0)
  }

  @Test("Connections by the hundred at once and by the thousand in succession")
  func connections() throws {
    let mta = try MTA.of(.postfix, for: "hostile")
    let siege = try Siege(through: mta)
    let before = try siege.total("connections")
    let count = Siege.rounds == nil ? 400 : 10_000
    let (together, port) = (200, mta.port)
    let begun = ContinuousClock.now
    try siege.stands(while: {
      for round in 0..<count / together {
        let clients = try (0..<together).map {
          try LineConnection(port: port, from: "127.0.96.\(($0 + round) % 250 + 1)")
        }
        for client in clients { try client.send("QUIT\r\n") }
        for client in clients { _ = client.drain() }
      }
    })
    print(
      "hostile: \(count) SMTP connections in \(ContinuousClock.now - begun), \(together) at once: \(try siege.figures)")
    try siege.daemon.awaitNoSessions()
    #expect(try siege.total("connections") >= before + count)
    try siege.recovers()
  }

  // MARK: - What they say

  @Test(
    "Whole sessions in one piece, before the banner: the MTA's answers are the milter's, message by message",
    arguments: MTA.Kind.allCases)
  func pipelining(_ kind: MTA.Kind) throws {
    let mta = try MTA.of(kind, for: "hostile")
    let siege = try Siege(through: mta)
    let message = "MAIL FROM:<a@sender.test>\r\nRCPT TO:<friend@far.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n"
    for (user, ends) in [("carol", 5), (Self.blocked, 5), ("carol", 1), (Self.blocked, 1)] {
      let before = try siege.daemon.count("user:\(user)", rule: "mail") ?? 0
      let session = "EHLO x.test\r\n\(Self.logIn(user))" + String(repeating: message, count: ends) + "QUIT\r\n"
      let passed = taken(try play(mta, Array(session.utf8)))
      if user == Self.blocked { #expect(passed == 0) }
      #expect(try (siege.daemon.count("user:\(user)", rule: "mail") ?? 0) - before == passed)
    }
    // The answers to all but the last word of a group may be waited for together (RFC 2920).
    let client = try connect(mta)
    _ = try client.receiveLine()
    try client.send("EHLO x.test\r\n")
    while try client.receiveLine().dropFirst(3).first == "-" {}
    try client.send(Self.logIn("carol"))
    #expect(try client.receiveLine().hasPrefix("235"))
    let before = try siege.daemon.count("user:carol", rule: "mail") ?? 0
    for _ in 0..<20 { try client.send(message) }
    try client.send("QUIT\r\n")
    // Sendmail throws away what comes before its answer to DATA.
    let passed = taken(client.drain())
    #expect(passed == (kind == .postfix ? 20 : 0))
    #expect(try siege.daemon.count("user:carol", rule: "mail") == before + passed)
    try siege.recovers()
  }

  @Test(
    "A second message that is smuggled behind the end of the first is judged and counted like any",
    arguments: MTA.Kind.allCases)
  func smuggling(_ kind: MTA.Kind) throws {
    let mta = try MTA.of(kind, for: "hostile")
    let siege = try Siege(through: mta)
    let begin =
      "EHLO x.test\r\n\(Self.logIn("carol"))MAIL FROM:<carol@local.test>\r\nRCPT TO:<friend@far.test>\r\nDATA\r\n"
    let second =
      "MAIL FROM:<alice@local.test>\r\nRCPT TO:<friend@far.test>\r\nDATA\r\nSubject: two\r\n\r\ntwo\r\n.\r\nQUIT\r\n"
    for end in ["\r\n.\r\n", "\n.\r\n", "\r\n.\n", "\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r\n\0.\r\n", "\n\n..\r\n"]
    {
      let before = try siege.daemon.count("user:carol", rule: "mail") ?? 0
      let passed = taken(try play(mta, Array((begin + "Subject: one\r\n\r\none" + end + second).utf8)))
      // None is alice's: the login says whose message it is.
      #expect(try siege.daemon.count("user:carol", rule: "mail") == before + passed, "\(end.debugDescription)")
    }
    try siege.recovers()
  }

  @Test("Lines without end, and what no line should hold, in every command", arguments: MTA.Kind.allCases)
  func lines(_ kind: MTA.Kind) throws {
    let mta = try MTA.of(kind, for: "hostile")
    let siege = try Siege(through: mta)
    let odd: [[UInt8]] = [
      Array("a\0b".utf8), [0xff, 0xfe, 0x80], Array("\u{1b}[2J\u{7}\u{8}".utf8), Array("a\rb".utf8),
      Array("a\nQUIT\nb".utf8),
      Array("%s%n%%{user}".utf8), Array("\u{202e}\u{e4}".utf8), Array(#""a\"b"@c"#.utf8),
      Array(repeating: 0x61, count: 100_000),
      Array(repeating: 0x25, count: 5_000), Array(repeating: 0x3c, count: 5_000),
    ]
    let place = Array("?".utf8)
    let sessions = [
      "EHLO ?", "HELO ?", "EHLO x\r\nMAIL FROM:<?>", "EHLO x\r\nMAIL FROM:<?@sender.test> SIZE=?",
      "EHLO x\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<?@local.test>",
      "EHLO x\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<alice@local.test> NOTIFY=?",
      "EHLO x\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<alice@local.test>\r\nDATA\r\nSubject: ?\r\n?: x\r\n\r\n?\r\n.",
      "EHLO x\r\nAUTH PLAIN ?", "?",
      "EHLO x\r\nVRFY ?", "EHLO x\r\nXCLIENT ADDR=?",
    ]
    try siege.stands()
    for word in odd {
      for session in sessions {
        let bytes = Array((session + "\r\nQUIT\r\n").utf8).flatMap { $0 == place[0] ? word : [$0] }
        try play(mta, bytes)
      }
    }
    // Never an end of line.
    try play(mta, Array(repeating: 0x61, count: 4_000_000))
    try siege.recovers()
    #expect(
      try siege.daemon.log.split(separator: "\n").allSatisfy { line in
        line.hasPrefix("20") && line.utf8.count < 2_000 && !line.unicodeScalars.contains { $0.value < 0x20 }
      })
  }

  @Test("Recipients over the MTA's limit, and commands that never end")
  func endless() throws {
    let mta = try MTA.of(.postfix, for: "hostile")
    let siege = try Siege(through: mta)
    let port = mta.port
    try siege.stands(while: {
      let client = try SMTPClient(port: port, from: "127.0.97.1")
      try client.command("EHLO x.test")
      try client.authenticate("carol")
      try client.command("MAIL FROM:<carol@local.test>")
      // smtpd_recipient_limit is 1,000; smtpd_hard_error_limit ends it 100 later.
      var codes: [Int] = []
      for number in 0..<1_050 { codes.append(try client.command("RCPT TO:<r\(number)@far.test>").code) }
      #expect(codes.count { $0 == 250 } == 1_000)
      #expect(codes.suffix(50).allSatisfy { $0 == 452 })
      #expect(try client.message(bytes: 10).code == 250)
    })
    #expect(try siege.daemon.count("user:carol", rule: "mail") == 1)
    #expect(try siege.total("recipients") >= 1_000)
    for word in ["NOOP", "RSET", "VRFY alice@local.test", "FOO", "HELP", "EHLO x", "AUTH PLAIN AGEAYg=="] {
      let replies = try play(mta, Array(("EHLO x\r\n" + String(repeating: word + "\r\n", count: 1_000)).utf8))
      #expect(!replies.isEmpty)
    }
    try siege.recovers()
  }

  @Test("Logins that are wrong, given up half-way, of others, or with a NUL in them")
  func logins() throws {
    let mta = try MTA.of(.postfix, for: "hostile")
    let siege = try Siege(through: mta)
    let odd = [
      Self.plain("bob\0carol\0secret-bob"), Self.plain("\0bob\0x\0secret-bob"), Self.plain("\0bo\0b\0secret-bob"),
      Self.plain("\0bob\0secret-bob\0"),
      Self.plain("alice\0bob\0secret-bob"), Self.plain(String(repeating: "b", count: 9_000)), "AUTH LOGIN",
      "AUTH PLAIN =",
      "AUTH PLAIN",
      "AUTH CRAM-MD5", "AUTH \0", "AUTH PLAIN *",
    ]
    for login in odd {
      let session =
        "EHLO x\r\n\(login)\r\n*\r\nMAIL FROM:<alice@local.test> AUTH=<alice@local.test>\r\nRCPT TO:<friend@far.test>\r\nDATA\r\n.\r\nQUIT\r\n"
      #expect(taken(try play(mta, Array(session.utf8))) == 0, "\(login.debugDescription)")
    }
    try siege.stands(while: {
      for _ in 0..<20 {
        _ = try self.play(
          mta, Array(("EHLO x\r\n" + String(repeating: Self.plain("\0alice\0no") + "\r\n", count: 20)).utf8))
      }
    })
    try siege.recovers()
  }

  @Test("BDAT in every wrong way: what Postfix takes is what was counted")
  func chunks() throws {
    let mta = try MTA.of(.postfix, for: "hostile")
    let siege = try Siege(through: mta)
    let begin = "EHLO x\r\n\(Self.logIn("carol"))"
    let mail = "MAIL FROM:<carol@local.test>\r\nRCPT TO:<friend@far.test>\r\n"
    let sessions = [
      "BDAT 5 LAST\r\nhello", mail + "BDAT 5 LAST\r\nhello", mail + "BDAT 0 LAST\r\n",
      mail + "BDAT 3\r\nabcBDAT 3\r\ndefBDAT 0 LAST\r\n",
      mail + "BDAT 99999999999999999999 LAST\r\nx", mail + "BDAT -1 LAST\r\nx", mail + "BDAT 5\r\nhelloDATA\r\n.\r\n",
      mail + "BDAT 100 LAST\r\nhalf",
      mail + "BDAT 5\r\nhelloRSET\r\n" + mail + "BDAT 5 LAST\r\nagain",
      mail + "BDAT 5 LAST\r\nhello" + mail + "BDAT 5 LAST\r\nhello",
      mail + "BDAT 7 LAST\r\n\r\n.\r\nxx", mail + "BDAT\r\n", mail + "BDAT x LAST\r\n",
    ]
    for session in sessions {
      let before = try siege.daemon.count("user:carol", rule: "mail") ?? 0
      let replies = try play(mta, Array((begin + session + "QUIT\r\n").utf8))
      let passed = replies.count {
        $0.contains("queued as ") || $0.contains("Ok: ") && $0.contains("octets") && $0.contains("queued")
      }
      #expect(try (siege.daemon.count("user:carol", rule: "mail") ?? 0) - before == passed, "\(session): \(replies)")
    }
    try siege.recovers()
  }

  @Test("Clients that say that they are others are who they are", arguments: MTA.Kind.allCases)
  func disguises(_ kind: MTA.Kind) throws {
    let mta = try MTA.of(kind, for: "hostile")
    let siege = try Siege(through: mta)
    for disguise in [
      "XCLIENT ADDR=192.0.2.77 LOGIN=alice@test", "XFORWARD ADDR=192.0.2.77", "XCLIENT ADDR=IPV6:2001:db8::77",
    ] {
      let client = try SMTPClient(port: mta.port, from: "127.0.91.9")
      try client.command("EHLO x.test")
      #expect(try client.command(disguise).code >= 500)
      try client.authenticate("carol")
      try client.command("MAIL FROM:<alice@local.test> AUTH=<alice@local.test>")
      try client.command("RCPT TO:<friend@far.test>")
      #expect(
        try client.message(bytes: 10, headers: "X-Originating-IP: 192.0.2.77\r\nReceived: from [192.0.2.77]\r\n").code
          == 250)
      try client.command("QUIT")
    }
    #expect(try siege.daemon.count("user:carol", rule: "mail") == 3)
    #expect(try siege.daemon.count("ip:127.0.91.9", rule: "bytes") ?? 0 > 0)
    #expect(try siege.daemon.count("ip:192.0.2.77", rule: "bytes") ?? 0 == 0)
    guard kind == .postfix else { return try siege.recovers() }
    // Where XCLIENT is allowed, the address that it names is the one that is stopped.
    for address in ["192.0.2.66", "::ffff:192.0.2.66", "2001:db8:66::1", "2001:db8:66::ffff:1"] {
      let client = try SMTPClient(port: mta.xclientPort, from: "127.0.91.10")
      let known = address.contains(":") ? "IPV6:\(address)" : address
      let reply = try client.command("XCLIENT ADDR=\(known) NAME=[UNAVAILABLE]")
      let hello = reply.code == 220 ? try client.command("EHLO x.test") : reply
      let mail = hello.code == 250 ? try client.command("MAIL FROM:<a@sender.test>") : hello
      #expect(mail.code >= 400, "\(address): \(mail)")
    }
    try siege.recovers()
  }

  @Test(
    "A message without header fields, or after a command that nobody knows, is answered at once and counts, whatever is asked for",
    arguments: MTA.Kind.allCases)
  func bare(_ kind: MTA.Kind) throws {
    let mta = try MTA.of(kind, for: "hostile")
    let choices = [
      ["bad-commands, per: ip"], ["bad-commands, per: ip", "bytes, per: ip"],
      ["cut-off-messages, per: ip", "spam, per: user"],
      [
        "bad-commands, per: ip", "cut-off-messages, per: ip", "bytes, per: ip", "recipients, per: user",
        "spam, per: user",
      ],
    ]
    for choice in choices {
      let counted = ["messages, per: user"] + choice
      let lines = counted.enumerated().map { "  - {name: r\($0), count: \($1), limit: 1000000 per 1d, then: alert}\n" }
      let daemon = try TestDaemon(policy: "rules:\n\(lines.joined())", folder: mta.milterFolder)
      var passed = 0
      for body in ["", "hello\r\n", "\r\nhello\r\n", "Subject: x\r\n", "Subject: x\r\n\r\nhello\r\n"] {
        for oddity in ["", "FOO\r\n"] {
          let client = try SMTPClient(port: mta.port, from: "127.0.91.40")
          try client.command("EHLO x.test")
          try client.authenticate("carol")
          if !oddity.isEmpty { try client.command("FOO") }
          try client.command("MAIL FROM:<carol@local.test>")
          if !oddity.isEmpty { try client.command("FOO") }
          try client.command("RCPT TO:<friend@far.test>")
          if !oddity.isEmpty { try client.command("FOO") }
          try client.command("DATA")
          #expect(try client.command(body + ".").code == 250, "\(choice) \(body.debugDescription) \(oddity)")
          passed += 1
          try client.command("QUIT")
        }
      }
      #expect(try daemon.count("user:carol", rule: "r0") == passed, "\(choice)")
    }
  }

  // MARK: - Blocks

  @Test("A block that comes while a client is in DATA stops that message, and its next", arguments: MTA.Kind.allCases)
  func inFlight(_ kind: MTA.Kind) throws {
    let mta = try MTA.of(kind, for: "hostile")
    let siege = try Siege(through: mta)
    for (user, key) in [("carol", "user:carol"), ("dave", "ip:127.0.91.20")] {
      let client = try SMTPClient(port: mta.port, from: "127.0.91.20")
      try client.command("EHLO x.test")
      try client.authenticate(user)
      try client.command("MAIL FROM:<\(user)@local.test>")
      try client.command("RCPT TO:<friend@far.test>")
      #expect(try client.command("DATA").code == 354)
      try client.sendBytes("Subject: half\r\n\r\nhalf\r\n")
      #expect(try siege.daemon.command("block", key, "--for", "1d", "--reason", "now").status == 0)
      #expect(try client.command(".").code == 450, "\(key)")
      #expect(try client.command("MAIL FROM:<\(user)@local.test>").code == 450, "\(key)")
      client.drop()
      #expect(try siege.daemon.count("user:\(user)", rule: "mail") ?? 0 == 0)
      _ = try siege.daemon.command("release", key)
    }
    try siege.recovers()
  }

  @Test(
    "While the daemon is restarted nobody who is blocked comes through, whatever the MTA makes of it",
    arguments: MTA.Kind.allCases)
  func restart(_ kind: MTA.Kind) throws {
    let mta = try MTA.of(kind, for: "hostile")
    let folder = try TemporaryFolder()
    let siege = try Siege(through: mta, settings: "state: \(folder.file("state"))")
    let session = Array(
      "EHLO x\r\n\(Self.logIn(Self.blocked))MAIL FROM:<a@sender.test>\r\nRCPT TO:<friend@far.test>\r\nDATA\r\n.\r\nQUIT\r\n"
        .utf8)
    #expect(try siege.daemon.stop() == 0)
    let open = try SMTPClient(port: mta.port, from: "127.0.91.30")
    try open.command("EHLO x.test")
    // Both MTAs are set to tempfail what no milter has seen; Postfix already here.
    _ = try open.logIn(Self.blocked, password: "secret-\(Self.blocked)")
    #expect(try open.command("MAIL FROM:<a@sender.test>").code >= 400)
    for _ in 0..<5 { #expect(taken(try play(mta, session)) == 0) }
    try siege.restarted()
    for _ in 0..<5 { #expect(taken(try play(mta, session)) == 0) }
    #expect(try open.command("MAIL FROM:<a@sender.test>").code >= 400)
    open.drop()
    try siege.recovers()
  }
}
