import Testing

@testable import WardenCore

/// Who a login is, and whose a sender's address.
struct LoginTests {
  @Test(
    "Alice is one user, however she types her name",
    arguments: [
      "alice", "Alice", "ALICE@mail.example.org", "alice@example.org", "alice@Example.ORG",
    ])
  func oneUser(login: String) throws {
    let server = Server(.userMessages, realms: nil)
    let client = server.connect(host: "Mail.Example.org")
    try client.send(login)
    #expect(server.counts(.user("alice")) == ["user-messages": [1]])
  }

  @Test(
    "A realm that is not the server's makes another user",
    arguments: [
      "alice@other.test", "alice@sub.mail.example.org", "alice@xample.org", "alice@", "alice@org",
    ])
  func anotherUser(login: String) throws {
    let server = Server(.userMessages, realms: nil)
    let client = server.connect(host: "mail.example.org")
    try client.send(login)
    #expect(server.counts(.user("alice")) == ["user-messages": [0]])
    #expect(server.counts(.user(login)) == ["user-messages": [1]])
  }

  @Test("Realms that the policy lists are the only ones")
  func listedRealms() {
    var realms = LocalRealms(listed: ["Example.ORG"])
    realms.learn(host: "mail.other.test")
    #expect(realms.user(login: "Alice@example.org") == "alice")
    #expect(realms.user(login: "alice@other.test") == "alice@other.test")
    #expect(realms.user(login: "alice@mail.other.test") == "alice@mail.other.test")
    var none = LocalRealms(listed: [])
    none.learn(host: "mail.example.org")
    #expect(none.user(login: "alice@example.org") == "alice@example.org")
  }

  @Test("An MTA's name is learned for the sessions after it, and a flood of names is not")
  func learnedRealms() throws {
    let server = Server(.userMessages, realms: nil)
    server.connect(host: "mail.example.org").close()
    let other = server.connect()
    try other.send("alice@example.org")
    #expect(server.counts(.user("alice")) == ["user-messages": [1]])
    for number in 0..<1_000 { server.connect(host: "host\(number).test\(number)").close() }
    #expect(server.engine.realms.names.count < 70)
    #expect(server.engine.realms.names.contains("example.org"))
  }

  @Test("Only a session's first authenticated MAIL is a login")
  func logins() throws {
    let server = Server(Rule("logins", .logins, per: .user, .of(100, per: .hours(1))))
    let client = server.connect()
    try client.send(nil)
    for _ in 0..<3 { try client.send("alice") }
    client.close()
    try server.send("alice")
    #expect(server.counts(.user("alice")) == ["logins": [2]])
  }

  @Test(
    "A sender is the user's own in any spelling, with any extension, and so is the null sender",
    arguments: [
      ("alice", "alice@example.org"), ("alice", "alice@other.example.org"), ("alice", "alice+news@example.org"),
      ("alice", "alice"), ("alice", ""), ("alice@other.test", "alice@other.test"),
      ("alice@other.test", "alice+x@other.test"), ("bob+x", "bob+x"),
    ])
  func ownSenders(user: String, sender: String) { #expect(Mailbox.belongs(sender: sender, to: user)) }

  @Test(
    "Anything else is another's",
    arguments: [
      ("alice", "bob@example.org"), ("alice", "alicex@example.org"), ("alice", "@example.org"),
      ("alice@other.test", "alice@example.org"), ("alice@other.test", "alice"), ("alice", "+alice@example.org"),
    ])
  func othersSenders(user: String, sender: String) { #expect(!Mailbox.belongs(sender: sender, to: user)) }

  @Test(
    "An address has one form, whatever was typed",
    arguments: [
      ("alice@example.org", "alice@example.org"), ("Alice@Example.ORG", "alice@example.org"),
      ("alice@example.org.", "alice@example.org"), ("<alice@example.org>", "alice@example.org"),
      ("\"alice\"@example.org", "alice@example.org"), ("al\\ice@example.org", "alice@example.org"),
      ("@relay.test:alice@example.org", "alice@example.org"), (" alice@example.org ", "alice@example.org"),
      ("srs0=a=b=other.test=alice+x@example.org", "srs0=a=b=other.test=alice+x@example.org"), ("<>", ""), ("", ""),
    ])
  func oneForm(path: String, address: String) { #expect(Mailbox.normalized(path) == address) }

  @Test("A login with a plus sign of its own owns that address in each domain")
  func plusInLogin() { #expect(Mailbox.belongs(sender: "bob+x@example.org", to: "bob+x")) }

  @Test("Messages under a foreign sender count, those without a login do not")
  func senderMismatch() throws {
    let server = Server(Rule("mismatch", .senderMismatch, per: .user, .of(2, per: .hours(1))))
    for _ in 0..<3 { #expect(try server.send("alice", sender: "<ALICE@Example.org>") == nil) }
    for _ in 0..<2 { #expect(try server.send("alice@example.org", sender: "<ceo@bank.test>") == nil) }
    #expect(try server.send("alice", sender: "<ceo@bank.test>") != nil)
    #expect(try server.send("alice") == nil)
    #expect(try server.send(nil, sender: "<ceo@bank.test>") == nil)
    #expect(server.figure("sender-mismatch").total == 2)
    #expect(server.figure("submissions").total == 6)
  }
}
