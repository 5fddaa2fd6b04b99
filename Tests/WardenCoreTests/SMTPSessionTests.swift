import Testing

@testable import WardenCore

/// What MTAs do show of a session, in every order in which they do it.
struct SMTPSessionTests {
  private let all = SMTPSession.Setup(needs: [.recipients, .refusedRecipients, .data, .content, .recipientReply])

  private func connected(_ address: String? = "192.0.2.7", port: Int = 40_000) -> SMTPSession {
    var session = SMTPSession(all)
    _ = session.connect(at: .start, address: address.map(ip), port: port, host: nil)
    return session
  }

  @Test("Where no rule asks for recipients by name, the first is known all the same, and it alone")
  func firstRecipient() throws {
    var session = connected()
    for names in [["<Friend@B.test>", "<other@c.test>"], ["<third@d.test>"]] {
      _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
      for name in names { _ = try session.recipient(at: .start, .accepted, path: name, refusals: nil) }
      let event = try session.endOfMessage(at: .start, refusals: nil)
      #expect(event.recipients == [Recipient(path: names[0])] && event.wants[.recipients] == names.count)
    }
  }

  // MARK: - The client's address

  @Test("A client's address and its network are known as it connects")
  func address() {
    var session = SMTPSession(all)
    let event = session.connect(at: .start, address: ip("2001:db8:1:2:3::4"), port: 25, host: nil)
    #expect(event.happened == [.connections: 1])
    #expect(event.subject.ip == ip("2001:db8:1:2:3::4"))
    #expect(event.subject.network == Network("2001:db8:1:2::/64"))
  }

  @Test("An IPv4 address inside IPv6 is the IPv4 address and counts with its network")
  func mappedAddress() {
    var session = SMTPSession(all)
    let mapped = IPAddress(v6High: 0, low: 0xffff_c000_0207)
    let event = session.connect(at: .start, address: mapped, port: 25, host: nil)
    #expect(event.subject.ip == ip("192.0.2.7"))
    #expect(event.subject.network == Network("192.0.2.0/24"))
    #expect(ip("::ffff:192.0.2.7") == ip("192.0.2.7"))
  }

  @Test(
    "The machine's own programs (no address, or port 0) have no address to be penalised by",
    arguments: [
      (nil, 40_000), ("127.0.0.1", 0),
    ] as [(String?, Int)])
  func localPrograms(address: String?, port: Int) throws {
    let server = Server(
      .brokenConnections, Rule("ip", .messages, per: .ip, .of(1, per: .hours(1))),
      Rule("connections", .connections, per: .network, .of(1, per: .hours(1))))
    _ = server.block(.network("127.0.0.0/8"), for: .hours(1))
    for _ in 0..<10 {
      let client = server.connect(address, port: port)
      #expect(client.greeting?.refusal == nil)
      client.close()
    }
    let client = server.connect(address, port: port)
    for _ in 0..<5 { #expect(try client.send(nil) == nil) }
    #expect(server.figure("broken-connections").total == 0)
    #expect(server.figure("connections").total == 11)
  }

  // MARK: - Order

  @Test("A connection's end without its beginning is no event")
  func closeWithoutConnect() {
    var session = SMTPSession(all)
    #expect(session.close(at: .start) == nil)
    #expect(session.badCommand(at: .start) == nil)
  }

  @Test("A session ends once")
  func closesOnce() {
    var session = connected()
    #expect(session.close(at: .start) != nil)
    #expect(session.close(at: .start) == nil)
  }

  @Test("An abort without MAIL means nothing, also right after connecting")
  func abortWithoutMail() throws {
    var session = connected()
    session.abort()
    session.abort()
    _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
    #expect(session.close(at: .start)?.happened == [:])
  }

  @Test("What cannot be without the stage before it is said to be out of order")
  func outOfOrder() throws {
    var fresh = SMTPSession(all)
    #expect(throws: SMTPSession.OutOfOrder.self) {
      try fresh.mail(at: .start, sender: "<>", login: nil)
    }
    var session = connected()
    #expect(throws: SMTPSession.OutOfOrder.self) {
      try session.recipient(at: .start, .accepted, path: "<b@b.test>", refusals: nil)
    }
    #expect(throws: SMTPSession.OutOfOrder.self) {
      try session.endOfMessage(at: .start, refusals: nil)
    }
    // Strays that need no answer are harmless.
    session.data()
    session.content(bytes: 100)
    _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
    _ = try session.endOfMessage(at: .start, refusals: nil)
    #expect(throws: SMTPSession.OutOfOrder.self) {
      try session.endOfMessage(at: .start, refusals: nil)
    }
  }

  @Test("A message asks for what it is, and one that follows begins anew")
  func transactionsAreApart() throws {
    var session = connected()
    _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
    for _ in 0..<3 { _ = try session.recipient(at: .start, .accepted, path: "<b@b.test>", refusals: nil) }
    session.data()
    session.content(bytes: 700)
    let first = try session.endOfMessage(at: .start, refusals: nil)
    #expect(first.wants == [.messages: 1, .recipients: 3, .bytes: 700])
    _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
    _ = try session.recipient(at: .start, .accepted, path: "<b@b.test>", refusals: nil)
    #expect(try session.endOfMessage(at: .start, refusals: nil).wants == [.messages: 1, .recipients: 1])
  }

  // MARK: - Paths

  @Test(
    "The same sender, however it is typed, is one sender",
    arguments: [
      "<alice@example.org>", "alice@example.org", "<Alice@Example.ORG>", " <alice@example.org> ",
      "<@relay.test,@other.test:alice@example.org>", "@relay.test:ALICE@example.org",
      "<alice@example.org.>",
    ])
  func sendersOfOneName(path: String) throws {
    var session = connected()
    let event = try session.mail(at: .start, sender: path, login: nil)
    #expect(event.subject.sender == "alice@example.org")
    #expect(event.subject.senderDomain == "example.org")
  }

  @Test(
    "Senders without a domain have none, the null sender has no name either",
    arguments: [
      ("<>", ""), ("", ""), ("< >", ""), ("root", "root"), ("<root@>", "root@"),
    ])
  func sendersWithoutDomain(path: String, sender: String) throws {
    var session = connected()
    let event = try session.mail(at: .start, sender: path, login: nil)
    #expect(event.subject.sender == sender)
    #expect(event.subject.senderDomain == nil)
  }

  @Test(
    "The domain is what follows the last @",
    arguments: [
      ("\"a@b\"@example.org", "example.org"), ("a@b@example.org", "example.org"), ("@example.org", "example.org"),
    ])
  func domains(address: String, domain: String) { #expect(Mailbox.domain(of: address) == domain) }

  @Test(
    "Hostile paths are read without a fault, and kept short",
    arguments: [
      "<<<<>>>>", "@", "@:", "<@>", "<@a:>", "<:>", ">", "\u{0}", "\u{fffd}\u{fffd}@\u{fffd}", "a\r\nb@c\r\n",
      String(repeating: "<", count: 5_000), String(repeating: "@", count: 5_000), String(repeating: "é", count: 5_000),
      "a" + String(repeating: "\u{301}", count: 5_000) + "@example.org",
    ])
  func hostilePaths(path: String) throws {
    var session = connected()
    let event = try session.mail(at: .start, sender: path, login: path)
    #expect(event.subject.sender!.utf8.count <= Bounded.bytes)
    #expect((event.subject.senderDomain ?? "").utf8.count <= Bounded.bytes)
    #expect(event.subject.user!.utf8.count <= Bounded.bytes)
  }

  @Test("Long names that differ only in their last letters stay apart")
  func longNamesStayApart() {
    let long = String(repeating: "a", count: 1_000)
    #expect(Bounded.text(long + "1") != Bounded.text(long + "2"))
    #expect(Bounded.text(long + "1") == Bounded.text(long + "1"))
    let honest = String(repeating: "a", count: 242) + "@example.org"
    #expect(Bounded.text(honest) == honest)
  }

  // MARK: - Broken and cut off

  @Test("A connection without MAIL is broken once, whatever else it did")
  func brokenConnection() {
    var session = connected()
    _ = session.badCommand(at: .start)
    session.abort()
    #expect(session.close(at: .start)?.happened == [.brokenConnections: 1])
  }

  @Test("A connection with MAIL is not broken, even when the message was refused or given up")
  func notBroken() throws {
    var session = connected()
    _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
    session.settle(.refusing, at: .mail)
    #expect(session.close(at: .start)?.happened == [:])
  }

  @Test("A connection that we turned away is not broken by the client")
  func refusedIsNotBroken() {
    let server = Server(.brokenConnections)
    _ = server.block(.ip("192.0.2.7"), for: .minutes(1))
    for _ in 0..<10 { #expect(server.probe("192.0.2.7") != nil) }
    #expect(server.figure("broken-connections").total == 0)
    #expect(server.counts(.ip("192.0.2.7")) == ["broken": [0]])
  }

  @Test("A message whose connection ends after DATA was cut off")
  func cutOff() throws {
    var session = connected()
    _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
    session.data()
    session.abort()
    // libmilter can tell of it twice.
    session.abort()
    #expect(session.close(at: .start)?.happened == [.cutOffMessages: 1])
  }

  @Test("A message whose connection ends without an abort was cut off too, one without DATA was not")
  func cutOffWithoutAbort() throws {
    for hasData in [true, false] {
      var session = connected()
      _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
      if hasData { session.data() }
      #expect(session.close(at: .start)?.happened[.cutOffMessages] == (hasData ? 1 : 0))
    }
  }

  private enum After: CaseIterable { case noData, nextMail, nextMessage, command, end }

  @Test("A message given up earlier, or before DATA, was not cut off", arguments: After.allCases)
  private func notCutOff(after: After) throws {
    var session = connected()
    _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
    if after != .noData { session.data() }
    if after == .end {
      _ = try session.endOfMessage(at: .start, refusals: nil)
    } else {
      session.abort()
    }
    switch after {
    case .noData, .end: break
    case .nextMail:
      _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
    case .nextMessage:
      _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
      _ = try session.endOfMessage(at: .start, refusals: nil)
    case .command: _ = session.badCommand(at: .start)
    }
    #expect(session.close(at: .start)?.happened == [:])
  }

  // MARK: - What the MTA waits for

  @Test("Where the MTA does not wait for us, a decision changes nothing in the session")
  func unansweredDecisions() throws {
    var session = SMTPSession(SMTPSession.Setup(needs: .recipients))
    _ = session.connect(at: .start, address: ip("192.0.2.7"), port: 25, host: nil)
    session.settle(.refusing, at: .connect)
    _ = try session.mail(at: .start, sender: "<a@b.test>", login: nil)
    #expect(try session.recipient(at: .start, .accepted, path: "<b@b.test>", refusals: nil) == nil)
    session.settle(.refusing, at: .recipient)
    #expect(try session.endOfMessage(at: .start, refusals: nil).wants[.recipients] == 1)
    #expect(
      [Step.connect, .mail, .recipient, .endOfMessage, .close].map(session.answers) == [
        false, true, false, true, false,
      ])
  }
}

extension Decision {
  /// Some refusal.
  static let refusing = Decision(
    verdict: .refuse(
      Refusal(
        code: ReplyCode(code: 450, enhanced: "4.7.1"), lines: ["no"],
        reason: Reason(rule: "rule", key: .user("alice"), cause: .administrator(note: ""), until: .start),
        isPenalty: false)))
}
