import Testing

@testable import WardenCore

/// Recipients that the MTA refuses: shown by both MTAs, hidden by Sendmail behind its own count of them.
struct RefusedRecipientTests {
  private static let unknown = SMTPSession.RecipientFate.refused(enhancedCode: "5.1.1", text: "User unknown")

  /// Counts all refusals, and stops nobody.
  private func server() -> Server {
    Server(Rule("bad", .badRecipients, per: .user, .of(1_000, per: .hours(1))))
  }

  private func totals(_ server: Server) -> [Int] {
    ["bad-recipients", "unknown-recipients", "relay-attempts", "dnsbl-rejections"].map { server.figure($0).total }
  }

  @Test(
    "A refusal for good counts with its cause where the MTA tells it",
    arguments: [
      ("5.1.1", "Recipient address rejected: User unknown in local recipient table", .unknownRecipients),
      ("5.1.1", "550 5.1.1 User unknown", .unknownRecipients),
      ("5.1.10", "Recipient address has null MX", .unknownRecipients),
      ("5.7.1", "Relay access denied", .relayAttempts),
      (
        "5.7.1", "unavailable; Client host [192.0.2.7] blocked using dnsbl.test; see https://dnsbl.test",
        .dnsblRejections
      ),
      ("5.7.1", "unavailable; Client host [2001:db8::7] blocked using dnsbl.test", .dnsblRejections),
      ("5.7.1", "unavailable; Sender address [a@b.test] blocked using dbl.test", nil),
      ("5.7.1", "Recipient address rejected: said: unavailable; Client host [192.0.2.7] blocked using x", nil),
      ("5.7.1", "<Relay access denied>: Helo command rejected: Access denied", nil),
      ("5.7.1", "blocked using dnsbl.test", nil),
      ("5.7.1", "unavailable; Client host [192.0.2.7] refused; said: [x] blocked using dnsbl.test", nil),
      ("5.2.1", "Mailbox disabled", nil),
      ("", "", nil),
    ] as [(String, String, Signal?)])
  func causes(code: String, text: String, cause: Signal?) {
    #expect(SMTPSession.cause(enhancedCode: code, text: text) == cause)
  }

  @Test(
    "A refusal for now (greylisting, a full disk, too many recipients) is not held against anybody",
    arguments: [
      ("4.2.0", "Greylisted"), ("4.1.1", "Relay access denied"), ("4.7.1", "Relaying temporarily denied"),
      ("4.5.3", "Too many recipients"),
    ])
  func temporary(code: String, text: String) throws {
    let server = server()
    let client = server.connect()
    try client.mail()
    try client.recipient(.refused(enhancedCode: code, text: text), refusals: 1)
    try client.end(refusals: 1)
    #expect(totals(server) == [0, 0, 0, 0])
  }

  @Test("Refusals that Sendmail hides count once, those that it shows not twice")
  func hiddenRefusals() throws {
    let server = server()
    let client = server.connect()
    try client.mail()
    try client.recipient(refusals: 0)
    // Two are refused by a ruleset and never shown.
    try client.recipient(refusals: 2)
    #expect(totals(server) == [2, 0, 0, 0])
    try client.recipient(refusals: 2)
    try client.recipient(Self.unknown, refusals: 3)
    try client.recipient(Self.unknown, refusals: 4)
    #expect(totals(server) == [4, 2, 0, 0])
    // One more is hidden before the end.
    try client.end(refusals: 5)
    #expect(totals(server) == [5, 2, 0, 0])
    #expect(server.counts(.user("alice")) == ["bad": [5]])
  }

  @Test("Sendmail's count begins anew with each message")
  func countIsOfAMessage() throws {
    let server = server()
    let client = server.connect()
    try client.mail()
    try client.recipient(refusals: 3)
    client.abort()
    try client.mail()
    try client.recipient(refusals: 1)
    try client.end(refusals: 1)
    #expect(totals(server) == [4, 0, 0, 0])
  }

  @Test("A count that is shown late, or falls, is not counted again")
  func lateCount() throws {
    let server = server()
    let client = server.connect()
    try client.mail()
    // Shown before Sendmail adds it.
    try client.recipient(Self.unknown, refusals: 0)
    try client.recipient(refusals: 1)
    try client.recipient(refusals: 0)
    try client.recipient(refusals: -7)
    try client.end(refusals: 1)
    #expect(totals(server) == [1, 1, 0, 0])
  }

  @Test("What we refuse ourselves raises Sendmail's count too, and is not the client's fault")
  func ourOwnRefusals() throws {
    let server = Server(Rule("bad", .badRecipients, per: .user, .of(2, per: .hours(1))))
    let client = server.connect()
    try client.mail()
    for count in 1...3 { try client.recipient(Self.unknown, refusals: count) }
    for refused in 0..<10 { #expect(try client.recipient(refusals: 3 + refused)?.refusal != nil) }
    client.abort()
    #expect(totals(server) == [3, 3, 0, 0])
  }

  @Test("An absurd count from a broken MTA does not stop the daemon")
  func absurdCount() async {
    await #expect(processExitsWith: .success) {
      var session = SMTPSession(SMTPSession.Setup(needs: [.recipients, .refusedRecipients, .recipientReply]))
      _ = session.connect(at: .start, address: nil, port: 0, host: nil)
      _ = try session.mail(at: .start, sender: "<>", login: nil)
      for refusals in [Int.min, -1, .max, .max, 0] {
        _ = try session.recipient(at: .start, .accepted, path: "", refusals: refusals)
        _ = try session.recipient(at: .start, .refused(enhancedCode: "5.1.1", text: ""), path: "", refusals: refusals)
      }
      _ = try session.endOfMessage(at: .start, refusals: .max)
    }
  }

  @Test("A harvester is stopped in the middle of his list, and only while he is over the limit")
  func harvester() throws {
    let server = Server(Rule("harvest", .unknownRecipients, per: .ip, .of(8, per: .hours(1)), then: .block(.days(1))))
    let client = server.connect()
    try client.mail(nil)
    for _ in 0..<8 { try client.recipient(Self.unknown) }
    #expect(try client.recipient()?.refusal == nil)
    try client.recipient(Self.unknown)
    #expect(server.penalty(.ip("192.0.2.7"))?.until == server.now + .days(1))
    #expect(try client.recipient()?.refusal?.isPenalty == true)
    #expect(server.probe("192.0.2.7") != nil)
    #expect(server.probe("192.0.2.8") == nil)
  }
}
