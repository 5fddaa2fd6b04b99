import Testing

@testable import WardenCore

struct KeyTests {
  private let realms = LocalRealms(listed: ["example.org"])

  @Test(
    "A key is read from what it is written as",
    arguments: [
      "user:alice", "user:alice@other.test", "ip:192.0.2.7", "ip:2001:db8::1", "network:192.0.2.0/24",
      "network:2001:db8::/64", "sender:alice@example.org", "sender-domain:example.org", "server",
      "user:alice,ip:192.0.2.7", "user:o,brien", "user:bob,ipswich", "user:a,server-room", "user:alice,server",
      "ip:192.0.2.7,sender:a,b@example.org", "user:a:b", "sender:,", "user:users,user,network",
    ])
  func roundTrip(text: String) throws { #expect(try Key(text, realms: realms).description == text) }

  @Test(
    "A key is brought to its one form as it is read",
    arguments: [
      ("user:Alice@Example.org", "user:alice"), ("ip:::FFFF:192.0.2.7", "ip:192.0.2.7"),
      ("network:192.0.2.7/24", "network:192.0.2.0/24"), ("sender:<Alice@Example.ORG>", "sender:alice@example.org"),
      ("sender-domain:Example.ORG", "sender-domain:example.org"),
      ("user:ALICE,network:2001:db8::1/64", "user:alice,network:2001:db8::/64"),
      ("ip:2001:db8::1,user:alice", "user:alice,ip:2001:db8::1"),
      ("sender:a,b@example.org,ip:192.0.2.7", "ip:192.0.2.7,sender:a,b@example.org"),
    ])
  func normalized(text: String, written: String) throws {
    #expect(try Key(text, realms: realms).description == written)
  }

  @Test(
    "What is wrong with a key is said",
    arguments: [
      ("", .form("")), ("alice", .form("alice")), ("users:alice", .kind("users")), ("User:alice", .kind("User")),
      ("user:", .value(kind: .user, text: "")), ("ip:192.0.2", .value(kind: .ip, text: "192.0.2")),
      ("network:192.0.2.0", .value(kind: .network, text: "192.0.2.0")),
      ("sender-domain:", .value(kind: .senderDomain, text: "")),
      ("server:", .value(kind: .server, text: "")), (":", .kind("")), ("user:alice,ip:", .value(kind: .ip, text: "")),
      ("ip:192.0.2.7,", .value(kind: .ip, text: "192.0.2.7,")),
    ] as [(String, Key.Problem)])
  func bad(text: String, problem: Key.Problem) {
    #expect(throws: problem) { try Key(text, realms: realms) }
  }

  @Test(
    "A key that no client can ever have is refused",
    arguments: [
      "user:alice,user:bob", "ip:192.0.2.7,ip:192.0.2.8", "server,ip:192.0.2.7", "sender:a,sender:b", "sender:",
      "sender:<>",
    ])
  func impossibleKeys(text: String) {
    #expect(throws: Key.Problem.self) { try Key(text, realms: realms) }
  }

  @Test(
    "A name that looks like a pair, or like an escape, is read back as the name that it is",
    arguments: ["x,ip:192.0.2.7", "x%2Cip:192.0.2.7", "50%25", "a,user:b,sender-domain:c", "%2525"])
  func hostileNames(name: String) throws {
    for part in [KeyPart.user(name), .sender(name + "@b.test")] {
      let key = Key(part, .ip(IPAddress("192.0.2.9")!))
      #expect(try Key(key.description, realms: LocalRealms(listed: [])) == lowercased(key))
      #expect(try Key(Key(part).description, realms: LocalRealms(listed: [])) == lowercased(Key(part)))
    }
  }

  /// Keys are made of names in lower case.
  private func lowercased(_ key: Key) -> Key {
    let parts = key.parts.map { part in
      switch part {
      case .user(let name): KeyPart.user(name.lowercased())
      case .sender(let name): KeyPart.sender(name.lowercased())
      default: part
      }
    }
    return Key(parts[0], parts.count > 1 ? parts[1] : nil)
  }

  @Test("A mistyped kind is answered with the right one")
  func suggestion() {
    #expect(Key.Problem.kind("usr").description == "unknown kind of key \"usr\" (did you mean \"user\"?)")
  }

  @Test(
    "Hostile texts are read without a fault",
    arguments: [
      ",", ",,,,", ":::", "user:,", ",user:", "user:\u{0}", "sender:\r\n", "ip:,ip:", "user:a,ip",
      String(repeating: ",ip:", count: 2_000), String(repeating: ",", count: 20_000),
      "user:" + String(repeating: "x", count: 20_000),
      "sender:" + "e" + String(repeating: "\u{301}", count: 10_000),
    ])
  func hostile(text: String) {
    guard let key = try? Key(text, realms: realms) else { return }
    #expect(key.parts.allSatisfy { $0.value.utf8.count <= Bounded.bytes })
  }

  @Test(
    "The one form of a key that a session counts is the one that an administrator's words lead to",
    arguments: [
      "alice", "ALICE@example.org", "alice@other.test", "o'brien", "a b", "имя@example.org",
      String(repeating: "n", count: 600) + "@other.test",
    ])
  func sessionsKeyIsFound(login: String) throws {
    let server = Server(.userMessages)
    try server.send(login)
    #expect(server.counts(try Key("user:\(login)", realms: server.engine.realms)) == ["user-messages": [1]])
    // As it is printed, too.
    let printed = try #require(server.keys().first).key.description
    #expect(server.counts(try Key(printed, realms: server.engine.realms)) == ["user-messages": [1]])
  }

  @Test("A key's phrase stands in a sentence")
  func phrases() throws {
    #expect(try key("user:alice,ip:192.0.2.7").phrase == "user alice, ip 192.0.2.7")
    #expect(try key("sender-domain:example.org").phrase == "sender-domain example.org")
    #expect(try key("server").phrase == "server")
  }
}

struct SuggestionTests {
  private let words = ["connections", "messages", "recipients", "bytes", "per", "then"]

  @Test(
    "A mistyped word is led to the nearest one",
    arguments: [
      ("mesages", "messages"), ("Messages", "messages"), ("conections", "connections"), ("recipeints", "recipients"),
      ("byte", "bytes"), ("pre", "per"), ("thne", "then"), ("messagse", "messages"),
    ])
  func near(word: String, nearest: String) { #expect(Suggestion.nearest(to: word, among: words) == nearest) }

  @Test("A word that is near to none is not guessed at", arguments: ["", "x", "zzzzzzzz", "mail-volume", "\u{0}"])
  func far(word: String) { #expect(Suggestion.nearest(to: word, among: words) == nil) }

  @Test("Huge words and empty lists are harmless")
  func extremes() {
    #expect(Suggestion.nearest(to: String(repeating: "x", count: 1_000_000), among: words) == nil)
    #expect(Suggestion.phrase(for: "messages", among: []) == "")
    #expect(Suggestion.phrase(for: "mesages", among: words) == " (did you mean \"messages\"?)")
  }

  @Test(
    "A letter added, dropped or changed and two swapped are one edit each",
    arguments: [
      ("per", "per", 0), ("pr", "per", 1), ("perr", "per", 1), ("par", "per", 1), ("pre", "per", 1), ("", "per", 3),
      ("messagse", "mesages", 2),
    ])
  func edits(a: String, b: String, edits: Int) { #expect(Suggestion.distance(a, b) == edits) }

  @Test(
    "The distance is symmetric, zero only for the same word, and at most the longer one's length", arguments: 0..<10)
  func distance(seed: Int) {
    var random = SplitMix64(seed: seed)
    func word() -> String {
      String((0..<Int.random(in: 0...8, using: &random)).map { _ in "abc".randomElement(using: &random)! })
    }
    for _ in 0..<100 {
      let (a, b) = (word(), word())
      let edits = Suggestion.distance(a, b)
      guard edits == Suggestion.distance(b, a), (edits == 0) == (a == b), edits <= max(a.count, b.count),
        edits >= abs(a.count - b.count)
      else {
        Issue.record("seed \(seed): \(a) and \(b) are \(edits) apart")
        return
      }
    }
  }
}

extension KeyTests {
  @Test("An IPv4 network that is written as one of IPv6 is no key: no prefix of more than 32 bits fits it")
  func mappedNetwork() {
    var bytes = Key(.network(Network(of: ip("2001:db8::"), prefix: 100))).bytes
    #expect(bytes.withUnsafeBytes { Key(bytes: $0) } != nil)
    bytes.replaceSubrange(4..<20, with: Array(repeating: 0, count: 10) + [0xff, 0xff, 192, 0, 2, 0])
    #expect(bytes.withUnsafeBytes { Key(bytes: $0) } == nil)
  }
}
