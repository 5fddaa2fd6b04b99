import Testing

@testable import WardenCore

/// Many sessions at once, and sessions that end in any way but well: nothing is ever pending.
struct SessionsTogetherTests {
  @Test("Of a hundred sessions that begin together at a limit of 25, exactly 25 messages pass")
  func exactlyTheLimitPasses() throws {
    let server = Server(.userMessages)
    let clients = (0..<100).map { server.connect("192.0.2.\($0)") }
    for client in clients {
      #expect(try client.mail().refusal == nil)
      try client.recipient()
      client.data()
    }
    let passed = try clients.filter { try $0.end().refusal == nil }
    #expect(passed.count == 25)
    #expect(server.counts(.user("alice")) == ["user-messages": [25]])
    #expect(try server.send() != nil)
  }

  @Test("Sessions that end without a message leave nothing behind", arguments: 0..<20)
  func nothingLeaks(seed: Int) throws {
    var random = SplitMix64(seed: seed)
    let server = Server(.userMessages, Rule("rcpts", .recipients, per: .user, .of(100, per: .hours(2))))
    for _ in 0..<60 {
      let client = server.connect()
      try client.mail()
      for _ in 0..<Int.random(in: 0...30, using: &random) { try client.recipient() }
      if Bool.random(using: &random) { client.data() }
      // RSET, a drop, or a new HELO: an abort where something was begun, and perhaps another one without.
      if Bool.random(using: &random) { client.abort() }
      if Bool.random(using: &random) { client.abort() }
      client.close()
    }
    #expect(server.counts(.user("alice")) == ["user-messages": [0], "rcpts": [0]], "seed \(seed)")
    for _ in 0..<25 { #expect(try server.send(recipients: 4) == nil, "seed \(seed)") }
    #expect(try server.send() != nil, "seed \(seed)")
  }

  @Test("Messages of one session count one by one, and one given up between them does not")
  func severalMessagesInASession() throws {
    let server = Server(.userMessages)
    let client = server.connect()
    try client.send(recipients: 2)
    try client.mail()
    try client.recipient()
    client.abort()
    try client.send(recipients: 3)
    #expect(server.counts(.user("alice")) == ["user-messages": [2]])
    #expect(server.figure("messages").total == 2)
    #expect(server.figure("recipients").total == 5)
  }

  @Test("A session goes from one user's message to a message of nobody's")
  func loginIsPerMessage() throws {
    let server = Server(.userMessages)
    let client = server.connect()
    try client.send("alice")
    try client.send(nil)
    try client.send("")
    #expect(server.counts(.user("alice")) == ["user-messages": [1]])
  }

  @Test("One message of 5,000 recipients on a cold key is refused at its end, and counts nowhere")
  func hugeFirstMessage() throws {
    let server = Server(
      Rule("rcpts", .recipients, per: .user, .of(200, per: .hours(1))),
      Rule("all", .messages, per: .server, .of(10, per: .hours(1)), then: .alert))
    let client = server.connect()
    #expect(try client.mail().refusal == nil)
    for _ in 0..<5_000 { try client.recipient() }
    client.data()
    let refusal = try #require(try client.end().refusal)
    #expect(refusal.reason.cause == .over(signal: .recipients, count: 5_000, limit: 200, window: .hours(1)))
    #expect(server.counts(.user("alice")) == ["rcpts": [0]])
    #expect(server.counts(Key(.server)) == ["all": [0]])
    #expect(server.figure("messages").total == 0)
    #expect(try client.send(recipients: 200) == nil)
    #expect(
      try client.mail().refusal?.reason.cause == .over(signal: .recipients, count: 201, limit: 200, window: .hours(1)))
  }

  @Test("A message refused by one rule counts for none of the others")
  func refusalCountsNowhere() throws {
    let server = Server(
      Rule("per-user", .messages, per: .user, .of(10, per: .hours(1))),
      Rule("per-ip", .messages, per: .ip, .of(1, per: .hours(1))))
    try server.send()
    for _ in 0..<5 { #expect(try server.send()?.reason.rule == "per-ip") }
    #expect(server.counts(.user("alice")) == ["per-user": [1]])
  }

  @Test("Recipients that the MTA or we refused are no recipients of the message")
  func refusedRecipientsAreNone() throws {
    let server = Server(
      Rule("rcpts", .recipients, per: .user, .of(100, per: .hours(1)), then: .alert),
      Rule("bad", .badRecipients, per: .user, .of(2, per: .minutes(1))))
    let client = server.connect()
    try client.mail()
    for _ in 0..<5 { try client.recipient() }
    try client.recipient(.refused(enhancedCode: "4.2.2", text: "Mailbox full"))
    for _ in 0..<3 { try client.recipient(.refused(enhancedCode: "5.1.1", text: "User unknown")) }
    for _ in 0..<4 { #expect(try client.recipient()?.refusal != nil) }
    server.wait(.minutes(2))
    try client.recipient()
    #expect(try client.end().refusal == nil)
    #expect(server.counts(.user("alice")) == ["rcpts": [6], "bad": [0]])
    #expect(server.figure("bad-recipients").total == 3)
  }

  @Test("A penalty that falls after MAIL stops the message at its end")
  func penaltyBetweenMailAndEnd() throws {
    let server = Server(.userMessages)
    let client = server.connect()
    #expect(try client.mail().refusal == nil)
    try client.recipient()
    _ = server.block(.user("alice"), for: .hours(1))
    #expect(try client.end().refusal?.isPenalty == true)
    #expect(server.counts(.user("alice")) == ["user-messages": [0]])
  }
}
