import Testing

@testable import WardenCore

/// What the MTA is asked to show and to wait for: each round trip costs more than the decision.
struct NeedsTests {
  private struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let rules: [Rule]
    let needs: Needs
    var exempt = Exemptions()

    init(_ name: String, _ rules: Rule..., exempt: Exemptions = Exemptions(), needs: Needs) {
      testDescription = name
      self.rules = rules
      self.exempt = exempt
      self.needs = needs
    }
  }

  private static func rule(
    _ count: Signal, per: KeyShape, then: Consequences = .tempfail, mode: Rule.Mode = .enforce
  ) -> Rule {
    Rule("rule", count, per: per, .of(1, per: .hours(1)), then: then, mode: mode)
  }

  private static let bad: Needs = [.recipients, .refusedRecipients, .recipientReply]

  private static let cases = [
    Case("nothing", needs: []),
    Case("messages of a user", rule(.messages, per: .user), needs: []),
    Case("a user's block", rule(.messages, per: .user, then: .block(.hours(1))), needs: []),
    Case("an address's block", rule(.messages, per: .ip, then: .block(.hours(1))), needs: .connectReply),
    Case("an observed block", rule(.messages, per: .ip, then: .block(.hours(1)), mode: .observe), needs: []),
    Case("a pair's block", rule(.messages, per: KeyShape(.user, .ip), then: .block(.hours(1))), needs: []),
    Case("the server's block", rule(.messages, per: .server, then: .block(.hours(1))), needs: .connectReply),
    Case("recipients", rule(.recipients, per: .user), needs: .recipients),
    Case("bytes", rule(.bytes, per: .user), needs: .content),
    Case("broken connections, an alert", rule(.brokenConnections, per: .ip, then: .alert), needs: .connectReply),
    Case("broken connections, refusing", rule(.brokenConnections, per: .ip), needs: .connectReply),
    Case("broken connections, blocking", .brokenConnections, needs: .connectReply),
    Case("connections, refusing", rule(.connections, per: .ip), needs: .connectReply),
    Case("connections, an alert", rule(.connections, per: .ip, then: .alert), needs: .connectReply),
    Case("connections, observed", rule(.connections, per: .ip, mode: .observe), needs: .connectReply),
    Case("bad recipients, an alert", rule(.badRecipients, per: .user, then: .alert), needs: bad),
    Case("bad recipients, observed", rule(.badRecipients, per: .user, mode: .observe), needs: bad),
    Case("bad recipients, refusing", rule(.badRecipients, per: .user), needs: bad),
    Case(
      "unknown recipients, blocking an address", rule(.unknownRecipients, per: .ip, then: .block(.days(1))),
      needs: bad.union(.connectReply)),
    Case("relay attempts", rule(.relayAttempts, per: .ip, then: .alert), needs: bad),
    Case("block lists", rule(.dnsblRejections, per: .ip, then: .alert), needs: bad),
    Case("cut-off messages", rule(.cutOffMessages, per: .ip, then: .alert), needs: .data),
    Case("bad commands", rule(.badCommands, per: .ip), needs: .unknownCommands),
    Case("logins", rule(.logins, per: .user), needs: []),
    Case("sender mismatch", rule(.senderMismatch, per: .user), needs: []),
    Case("exempt networks", exempt: Exemptions(networks: [Network("::1")!]), needs: .connectReply),
    Case("exempt users", rule(.messages, per: .user), exempt: Exemptions(users: ["alice"]), needs: []),
    Case(
      "several rules", rule(.recipients, per: .user), rule(.bytes, per: .server), .brokenConnections,
      needs: [.recipients, .content, .connectReply]),
  ]

  @Test("A policy asks for what it needs and for no more", arguments: cases)
  private func needs(_ wanted: Case) {
    let engine = Engine(policy: Policy(rules: wanted.rules, exempt: wanted.exempt))
    #expect(engine.needs == wanted.needs)
  }

  @Test(
    "A block that holds at connect makes the MTA wait there, and no longer once it is lifted",
    arguments: [
      ("ip:192.0.2.7", true), ("network:192.0.2.0/24", true), ("server", true), ("user:alice", false),
      ("sender-domain:spam.test", false), ("user:alice,ip:192.0.2.7", false),
      ("ip:192.0.2.7,network:192.0.2.0/24", true),
    ])
  func needsFollowTheBox(text: String, waits: Bool) throws {
    let server = Server(.userMessages)
    _ = server.block(try key(text), for: .hours(1))
    #expect(server.engine.needs.contains(.connectReply) == waits)
    _ = server.engine.release(try key(text), at: server.now)
    #expect(!server.engine.needs.contains(.connectReply))
  }

  @Test("A reload changes what is needed")
  func needsFollowTheRules() {
    let server = Server(Self.rule(.recipients, per: .user))
    server.reload(Self.rule(.cutOffMessages, per: .ip))
    #expect(server.engine.needs == .data)
  }

  @Test("Every signal is counted once the MTA shows what its rule needs", arguments: Signal.allCases)
  func everySignalCounts(signal: Signal) throws {
    let server = Server(Rule("rule", signal, per: .server, .of(1_000_000, per: .hours(1)), then: .alert))
    let needs = server.engine.needs
    server.probe("192.0.2.8")
    let client = server.connect()
    if needs.contains(.unknownCommands) { client.command() }
    try client.mail("alice", sender: "<ceo@bank.test>")
    if needs.contains(.recipients) { try client.recipient() }
    if needs.contains(.refusedRecipients) {
      try client.recipient(.refused(enhancedCode: "5.1.1", text: "User unknown"))
      try client.recipient(.refused(enhancedCode: "5.7.1", text: "Relay access denied"))
      try client.recipient(
        .refused(enhancedCode: "5.7.1", text: "unavailable; Client host [192.0.2.7] blocked using dnsbl.test"))
    }
    if needs.contains(.headers) { client.header("X-Spam-Flag", " YES") }
    if needs.contains(.content) { client.content(bytes: 10) }
    try client.end()
    try client.mail()
    if needs.contains(.data) { client.data() }
    client.abort()
    client.close()
    // Some only feeds tell of.
    if signal.declaration.shownBy.isEmpty {
      server.hear(signal)
      #expect(needs.isEmpty)
    }
    let counts = try #require(server.counts(Key(.server))["rule"])
    #expect(counts[0] > 0)
    #expect(counts[0] == server.figure(signal.name).total)
  }
}
