import Foundation
import Testing
import WardenScript
import WardenTestKit

/// Everything that a real MTA must show. The tests of one MTA take turns: its milter socket has one place.
@Suite("Real Postfix", .serialized, .enabled(if: MTA.missing(.postfix) == nil, "root is needed for a private Postfix"))
struct PostfixTests {
  @Test("Scripted sessions", arguments: SessionScriptTests.scripts)
  func session(_ script: SessionScript) throws { try MTATests(.postfix).session(script) }

  @Test("Of 100 sessions that begin together at a limit of 25, exactly 25 messages pass")
  func race() throws { try MTATests(.postfix).race() }

  @Test("One login in all its spellings is one user")
  func spellings() throws { try MTATests(.postfix).spellings(["alice", "alice@test"]) }

  @Test("SIGTERM lets a message that is under way pass")
  func drain() throws { try MTATests(.postfix).drain() }

  @Test("XCLIENT: the address and the login that a proxy names are the ones that count")
  func xclient() throws {
    let mta = try MTA.of(.postfix)
    let daemon = try TestDaemon(policy: MTATests.messageCap(1), folder: mta.milterFolder)
    for (address, expected) in [("192.0.2.1", 250), ("IPV6:2001:db8::1", 450)] {
      let client = try SMTPClient(port: mta.xclientPort, from: "127.0.60.1")
      try client.command("EHLO proxy.test")
      #expect(try client.command("XCLIENT ADDR=\(address) NAME=client.example LOGIN=carol@test").code == 220)
      try client.command("EHLO client.test")
      #expect(try client.command("MAIL FROM:<carol@local.test>").code == expected)
      if expected == 250 {
        try client.command("RCPT TO:<friend@far.test>")
        #expect(try client.message(bytes: 10).code == 250)
      }
      try client.command("QUIT")
    }
    #expect(try daemon.count("user:carol", rule: "cap") == 1)
  }

  @Test("Mail of the machine's own programs is no broken connection and counts for no address")
  func localSubmission() throws {
    let mta = try MTA.of(.postfix)
    let daemon = try TestDaemon(
      policy: """
        rules:
          - {name: broken, count: broken-connections, per: ip, limit: 1 per 1h, then: block for 1h}
          - {name: by-ip, count: messages, per: ip, limit: 1 per 1h, then: reject}
          - {name: by-sender, count: messages, per: sender, limit: 9 per 1h, then: alert}
        """, folder: mta.milterFolder)
    for _ in 0..<3 { try mta.submit(from: "alice@local.test", to: "friend@far.test") }
    try eventually("three messages came by") { try daemon.count("sender:alice@local.test", rule: "by-sender") == 3 }
    #expect(try daemon.blockedKeys == [])
  }
}

@Suite(
  "Real Sendmail", .serialized, .enabled(if: MTA.missing(.sendmail) == nil, "root is needed for a private Sendmail"))
struct SendmailTests {
  @Test("Scripted sessions", arguments: SessionScriptTests.scripts)
  func session(_ script: SessionScript) throws { try MTATests(.sendmail).session(script) }

  @Test("Of 100 sessions that begin together at a limit of 25, exactly 25 messages pass")
  func race() throws { try MTATests(.sendmail).race() }

  @Test("One login in all its spellings is one user")
  func spellings() throws { try MTATests(.sendmail).spellings(["alice", "alice@test"]) }

  @Test("SIGTERM lets a message that is under way pass")
  func drain() throws { try MTATests(.sendmail).drain() }

  @Test("Recipients that Sendmail refuses without showing them are counted by its own count")
  func hiddenRefusals() throws {
    let mta = try MTA.of(.sendmail)
    let daemon = try TestDaemon(
      policy: "rules: [{name: bad, count: bad-recipients, per: ip, limit: 2 per 1h, then: block for 1h}]",
      folder: mta.milterFolder)
    let client = try SMTPClient(port: mta.port, from: "127.0.61.1")
    try client.command("EHLO x.test")
    try client.command("MAIL FROM:<a@sender.test>")
    for _ in 0..<3 { #expect(try client.command("RCPT TO:<victim@far.test>").code == 550) }
    // They show themselves at the next recipient that Sendmail does show.
    #expect(try client.command("RCPT TO:<alice@local.test>").code == 450)
    #expect(try daemon.blockedKeys == ["ip:127.0.61.1"])
    #expect(try daemon.count("ip:127.0.61.1", rule: "bad") == 3)
  }
}

/// The tests that both MTAs share.
private struct MTATests {
  let mta: MTA

  init(_ kind: MTA.Kind) throws { mta = try MTA.of(kind) }

  static func messageCap(_ limit: Int) -> String {
    "rules: [{name: cap, count: messages, per: user, limit: \(limit) per 2h, then: tempfail}]"
  }

  func session(_ script: SessionScript) throws {
    let daemon = try TestDaemon(policy: script.policy, folder: mta.milterFolder)
    #expect(script.run(on: SMTPDriver(mta, daemon)) == [])
    #expect(try daemon.stop() == 0)
  }

  func race() throws {
    let daemon = try TestDaemon(policy: Self.messageCap(25), folder: mta.milterFolder)
    let clients = try (0..<100).map { index in
      let client = try SMTPClient(port: mta.port, from: "127.0.62.\(index + 1)")
      try client.command("EHLO client.test")
      try client.authenticate("dave")
      return client
    }
    for client in clients { #expect(try client.command("MAIL FROM:<dave@local.test>").code == 250) }
    for client in clients { try client.command("RCPT TO:<friend@far.test>") }
    let replies = try clients.map { try $0.message(bytes: 10).code }
    #expect(replies.filter { $0 == 250 }.count == 25)
    #expect(replies.filter { $0 == 450 }.count == 75)
    #expect(try daemon.count("user:dave", rule: "cap") == 25)
  }

  func spellings(_ logins: [String]) throws {
    let daemon = try TestDaemon(policy: Self.messageCap(99), folder: mta.milterFolder)
    for login in logins {
      let client = try SMTPClient(port: mta.port, from: "127.0.63.1")
      try client.command("EHLO client.test")
      try client.authenticate(login)
      try client.command("MAIL FROM:<alice@local.test>")
      try client.command("RCPT TO:<friend@far.test>")
      #expect(try client.message(bytes: 10).code == 250)
      try client.command("QUIT")
    }
    // However it is asked for.
    for key in ["user:alice", "user:ALICE@test"] { #expect(try daemon.count(key, rule: "cap") == logins.count) }
  }

  func drain() throws {
    let daemon = try TestDaemon(policy: Self.messageCap(99), folder: mta.milterFolder)
    let client = try SMTPClient(port: mta.port, from: "127.0.64.1")
    try client.command("EHLO client.test")
    try client.authenticate("erin")
    try client.command("MAIL FROM:<erin@local.test>")
    daemon.signal(SIGTERM)
    try eventually("the daemon is draining") { try daemon.log.contains(" stopping ") }
    try client.command("RCPT TO:<friend@far.test>")
    #expect(try client.message(bytes: 10).code == 250)
    try client.command("QUIT")
    client.drop()
    #expect(try daemon.awaitExit() == 0)
    #expect(try !daemon.log.contains("still open"))
  }
}
