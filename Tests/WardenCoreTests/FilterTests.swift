import Testing

@testable import WardenCore

/// Which mail a rule looks at.
struct FilterTests {
  private static func server(
    only: [Match] = [], except: [Match] = [], per: KeyShape = .server, groups: [String: Set<String>] = [:]
  ) -> Server {
    let rule = Rule(
      name: "rule", per: per, parts: [Part(.measure(.signal(.messages)), [.of(1_000, per: .hours(1))])],
      filter: Filter(only: only, except: except), then: .alert)
    return Server(rule, groups: groups)
  }

  /// One message of a kind.
  private struct Mail: Sendable {
    var login: String?
    var address = "192.0.2.7"
    var sender = "<s@sender.test>"
    var daemon: String?
    var header: String?
  }

  private static func count(_ mail: Mail, _ server: Server) throws -> Int {
    let client = server.connect(mail.address, daemon: mail.daemon)
    try client.mail(mail.login, sender: mail.sender)
    try client.recipient()
    client.data()
    if let header = mail.header {
      let parts = header.split(separator: ":", maxSplits: 1).map(String.init)
      client.header(parts[0], parts[1])
    }
    try client.end()
    client.close()
    return server.counts(Key(.server))["rule"]![0]
  }

  private static let cases: [(Match, matching: Mail, other: Mail)] = [
    (.authenticated, Mail(login: "alice"), Mail()),
    (.anonymous, Mail(), Mail(login: "alice")),
    (.anonymous, Mail(login: ""), Mail(login: "alice")),
    (.bounces, Mail(sender: "<>"), Mail()),
    (.forwards, Mail(sender: "<SRS0=aa=bb=x.test=joe@fwd.test>"), Mail(sender: "<srs0@x.test>")),
    (.lists, Mail(header: "List-Id: <a.b>"), Mail(header: "List: a")),
    (.lists, Mail(header: "Precedence:\tBULK"), Mail(header: "Precedence: first-class")),
    (.daemon("submission"), Mail(daemon: "submission"), Mail(daemon: "smtp")),
    (.daemon("submission"), Mail(daemon: "submission"), Mail()),
    (.network(Network("192.0.2.0/24")!), Mail(), Mail(address: "192.0.20.7")),
    (.network(Network("2001:db8::/32")!), Mail(address: "2001:db8::1"), Mail(address: "2001:db80::1")),
    (.user("alice@example.org"), Mail(login: "Alice"), Mail(login: "alice@other.test")),
    (.group("staff"), Mail(login: "bob@example.org"), Mail(login: "bobby")),
    (.group("hosted"), Mail(login: "x@hosted.test"), Mail(login: "x@nothosted.test")),
    (.senderDomain("sender.test"), Mail(), Mail(sender: "<s@a.sender.test>")),
    (.senderDomain("sender.test"), Mail(), Mail(sender: "<s@xsender.test>")),
  ]

  @Test("Only what matches counts under `only`, and all else under `except`", arguments: cases.indices)
  func matches(place: Int) throws {
    let (match, matching, other) = Self.cases[place]
    let groups: [String: Set<String>] = ["staff": ["bob"], "hosted": ["@hosted.test"]]
    #expect(try Self.count(matching, Self.server(only: [match], groups: groups)) == 1)
    #expect(try Self.count(other, Self.server(only: [match], groups: groups)) == 0)
    #expect(try Self.count(matching, Self.server(except: [match], groups: groups)) == 0)
    #expect(try Self.count(other, Self.server(except: [match], groups: groups)) == 1)
  }

  @Test("Matches of one kind are alternatives, and every kind named has to hold")
  func kinds() throws {
    let networks = ["192.0.2.0/24", "198.51.100.0/24"].map { Match.network(Network($0)!) }
    let server = Self.server(only: networks + [.authenticated, .user("alice"), .group("none")])
    #expect(try Self.count(Mail(login: "alice"), server) == 1)
    #expect(try Self.count(Mail(login: "alice", address: "198.51.100.1"), server) == 2)
    #expect(try Self.count(Mail(login: "alice", address: "203.0.113.1"), server) == 2)
    #expect(try Self.count(Mail(login: "bob"), server) == 2)
    #expect(try Self.count(Mail(), server) == 2)
  }

  @Test("A rule per user does not count bounces and forwards by itself, and does where it says so")
  func notTheUsersOwn() throws {
    for isIncluded in [false, true] {
      var rule = Rule("rule", .messages, per: .user, .of(9, per: .hours(1)))
      (rule.includesBounces, rule.includesForwards) = (isIncluded, isIncluded)
      let server = Server(rule)
      try server.send(sender: "<>")
      try server.send(sender: "<SRS1=x=y==z=joe@fwd.test>")
      try server.send()
      #expect(server.counts(.user("alice")) == ["rule": [isIncluded ? 3 : 1]])
    }
  }

  @Test("Mail from a network that is new to its user is limited, from a known one it is not")
  func newNetwork() throws {
    let rule = Rule(
      name: "new", per: .user, parts: [Part(.measure(.signal(.messages)), [.of(2, per: .hours(1))])],
      filter: Filter(only: [.newNetwork]), then: .tempfail)
    let server = Server(rule)
    #expect(try server.sent(5) == 5)
    server.wait(.days(8))
    #expect(try server.sent(5) == 5)
    #expect(try server.sent(5, from: "198.51.100.1") == 2)
    #expect(try server.sent(5) == 5)
    #expect(try server.sent(5, "bob", from: "198.51.100.1") == 5)
    server.wait(Meter.novelty)
    server.wait(.days(1))
    #expect(try server.sent(5, from: "198.51.100.1") == 5)
  }

  @Test("However many filters there are, each keeps to its own mail", arguments: [10, 63, 64, 65, 130])
  func manyFilters(count: Int) throws {
    var rules = (0..<count).map { number in
      Rule(
        name: "rule\(number)", per: .user, parts: [Part(.measure(.signal(.messages)), [.of(9, per: .hours(1))])],
        filter: Filter(only: [.senderDomain("d\(number).test")]), then: .alert)
    }
    rules.append(
      Rule(
        name: "new", per: .user, parts: [Part(.measure(.signal(.messages)), [.of(1, per: .hours(1))])],
        filter: Filter(only: [.newNetwork]), then: .tempfail))
    let server = Server(Policy(rules: rules))
    for number in [0, count - 1] { try server.send(sender: "<s@d\(number).test>") }
    let counts = server.counts(.user("alice"))
    #expect(counts.filter { $0.value != [0] }.keys.sorted() == ["rule0", "rule\(count - 1)"])
    server.wait(.days(8))
    #expect(try server.sent(3, from: "198.51.100.1") == 1)
  }

  @Test("An address that only strangers are blocked from still lets those in who log in")
  func blockOfStrangers() throws {
    let rule = Rule(
      name: "strangers", per: .ip, parts: [Part(.measure(.signal(.badRecipients)), [.of(2, per: .hours(1))])],
      filter: Filter(except: [.authenticated]), then: .block(.days(1)))
    let server = Server(rule)
    #expect(!server.engine.needs.contains(.connectReply))
    // Another rule makes the MTA wait as a client connects.
    server.reload(rule, Rule("connections", .connections, per: .ip, .of(99, per: .hours(1))))
    let client = server.connect()
    try client.mail(nil)
    for _ in 0..<3 { try client.recipient(.refused(enhancedCode: "5.1.1", text: "User unknown")) }
    #expect(server.penalty(.ip("192.0.2.7")) != nil)
    #expect(server.probe("192.0.2.7") == nil)
    #expect(try server.send("alice") == nil)
    #expect(try server.send(nil)?.isPenalty == true)
  }

  @Test("A list of the exempt is not searched for parts of names")
  func exemptIsNoSubstring() throws {
    let exempt = Exemptions(networks: [Network("10.0.0.1")!], users: ["alice", "news@example.org"])
    let server = Server(Rule("rate", .messages, per: .user, .of(1, per: .hours(1))), exempt: exempt)
    for login in ["alic", "alice2", "lice", "news@example.or", "ews", "e", ""] where !login.isEmpty {
      #expect(try server.sent(3, login) == 1, "\(login)")
    }
    #expect(try server.sent(3, "carol", from: "10.0.0.10") == 1)
    #expect(try server.sent(3, "dave", from: "110.0.0.1") == 1)
    #expect(try server.sent(3, "alice") == 3)
    #expect(server.connect("10.0.0.1").greeting?.isExempt == true)
  }
}
