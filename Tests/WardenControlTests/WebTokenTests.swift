import Testing
import WardenCore

@testable import WardenControl

private let start = Timestamp(microseconds: 1_795_515_245_000_000)

@Suite("Web tokens")
struct WebTokenTests {
  /// What would be in the database.
  private final class Stored: Sendable {
    private let documents = Locked([String: String]())
    var all: [String: String] { documents.withLock { $0 } }
    func keep(_ changes: [String: String?]) {
      documents.withLock { documents in for (name, text) in changes { documents[name] = text } }
    }
  }

  private let stored = Stored()
  private var tokens: WebTokens { WebTokens(keep: stored.keep) }

  @Test("A token lets its owner in until its time is over, and another nobody")
  func lifetime() throws {
    let tokens = tokens
    let (secret, token) = try tokens.make(name: "alice", for: .hours(1), at: start)
    #expect(tokens.owner(of: secret, at: start)?.name == "alice")
    #expect(tokens.owner(of: secret, at: start + .minutes(59))?.name == "alice")
    #expect(tokens.owner(of: secret, at: start + .hours(1)) == nil)
    #expect(!tokens.holds(token, at: start + .hours(1)))
    for wrong in ["", "alice", String(secret.dropLast()), secret + "A", secret.lowercased(), token.digest.hex] {
      #expect(tokens.owner(of: wrong, at: start) == nil)
    }
  }

  @Test("Tokens are of 256 bits, in letters that headers and shells leave alone, and no two alike")
  func form() throws {
    let secrets = Set((0..<1_000).map { _ in WebSecret.make() })
    #expect(secrets.count == 1_000)
    for secret in secrets {
      #expect(secret.utf8.count == 43)
      #expect(secret.wholeMatch(of: /[A-Za-z0-9_-]+/) != nil)
    }
  }

  @Test("What is stored brings a token back and does not hold it; a revoked one stays away")
  func restart() throws {
    let before = tokens
    let (alice, _) = try before.make(name: "alice", for: .days(1), at: start)
    let (bob, _) = try before.make(name: "bob", for: .days(1), at: start)
    _ = try before.revoke("bob")
    #expect(before.owner(of: bob, at: start) == nil)
    #expect(stored.all.keys.sorted() == ["web-token/alice"])
    #expect(!stored.all.values.contains { $0.contains(alice) })
    let after = tokens
    after.restore(stored.all)
    #expect(after.owner(of: alice, at: start + .hours(23))?.name == "alice")
    #expect(after.owner(of: bob, at: start) == nil)
    #expect(after.valid(at: start + .days(1)).isEmpty)
  }

  @Test("A token that is revoked while others of its name are made is not in the state afterwards")
  func races() async throws {
    let (tokens, stored) = (tokens, stored)
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask { for _ in 0..<2_000 { _ = try? tokens.make(name: "alice", for: .hours(1), at: start) } }
        group.addTask { for _ in 0..<2_000 { _ = try? tokens.revoke("alice") } }
      }
    }
    #expect(tokens.valid(at: start).isEmpty == stored.all.isEmpty)
  }

  @Test("What was made before the state was read stays")
  func restoreLate() throws {
    _ = try tokens.make(name: "alice", for: .days(1), at: start)
    let after = WebTokens(keep: { _ in })
    let (newer, _) = try after.make(name: "alice", for: .days(1), at: start)
    after.restore(stored.all)
    #expect(after.owner(of: newer, at: start)?.name == "alice")
  }

  @Test(
    "Damaged documents are left out",
    arguments: ["", "{}", #"{"digest":"zz","made":1,"until":2}"#, #"{"digest":1}"#, "\0"])
  func damaged(text: String) {
    let tokens = tokens
    tokens.restore(["web-token/alice": text, "web-token/": text, "alerts/desk": text])
    #expect(tokens.valid(at: start).isEmpty)
  }

  @Test(
    "Names are plain",
    arguments: ["", "a b", "a\nb", "<b>", "ä", "a/b", String(repeating: "a", count: 65), "a\u{202e}b", "a\0"])
  func names(name: String) {
    #expect(throws: ErrorReport.self) { try tokens.make(name: name, for: .hours(1), at: start) }
  }

  @Test("A name has one token at a time, and there are so many at most; ended ones make room")
  func bounds() throws {
    let tokens = tokens
    for number in 0..<WebTokens.most { _ = try tokens.make(name: "t\(number)", for: .hours(1), at: start) }
    #expect(throws: ErrorReport.self) { try tokens.make(name: "one-more", for: .hours(1), at: start) }
    _ = try tokens.revoke("t7")
    _ = try tokens.make(name: "alice@example.org", for: .hours(2), at: start)
    #expect(throws: ErrorReport.self) { try tokens.make(name: "alice@example.org", for: .hours(1), at: start) }
    #expect(throws: ErrorReport.self) { try tokens.revoke("t7") }
    _ = try tokens.make(name: "t7", for: .hours(1), at: start + .hours(1))
    #expect(tokens.valid(at: start + .hours(1)).map(\.name) == ["alice@example.org", "t7"])
    #expect(stored.all.count == 2)
  }
}

@Suite("Web sessions")
struct WebSessionTests {
  private func token() throws -> WebTokens.Token {
    try WebTokens(keep: { _ in }).make(name: "alice", for: .days(1), at: start).1
  }

  @Test("A session ends after its life, or by logging out")
  func life() throws {
    var sessions = WebSessions()
    let token = try token()
    let (id, session) = sessions.begin(token, at: start)
    #expect(sessions.session(id, at: start + WebSessions.life + TimeSpan(microseconds: -1))?.csrf == session.csrf)
    #expect(sessions.session(id, at: start + WebSessions.life) == nil)
    #expect(id != session.csrf)
    let (other, _) = sessions.begin(token, at: start)
    sessions.end(other)
    #expect(sessions.session(other, at: start) == nil)
    #expect(sessions.session("", at: start) == nil)
  }

  @Test("The oldest sessions go where there are too many")
  func bound() throws {
    var sessions = WebSessions()
    let token = try token()
    let ids = (0...WebSessions.most).map { sessions.begin(token, at: start + .seconds($0)).id }
    let now = start + .hours(1)
    #expect(sessions.session(ids[0], at: now) == nil)
    #expect(sessions.session(ids[1], at: now) != nil)
    #expect(sessions.count == WebSessions.most)
  }
}

@Suite("Wrong web tokens")
struct LoginAttemptsTests {
  private func client(_ number: Int) -> IPAddress { IPAddress(v4: 0xc000_0200 + UInt32(number)) }

  @Test("A client may be wrong some times, then has to wait, and may again once it has")
  func one() throws {
    var attempts = LoginAttempts()
    for _ in 0..<10 { #expect(attempts.refuse(from: client(1), at: start) == nil) }
    let first = attempts.refuse(from: client(1), at: start)
    let wait = try #require(first)
    #expect(attempts.refuse(from: client(2), at: start) == nil)
    #expect(attempts.refuse(from: client(1), at: start + wait) == nil)
    #expect(attempts.refuse(from: client(1), at: start + wait) != nil)
  }

  @Test("All clients together have to wait, too, and an IPv6 network counts as one")
  func all() {
    var attempts = LoginAttempts()
    for number in 0..<100 { #expect(attempts.refuse(from: client(number), at: start) == nil) }
    #expect(attempts.refuse(from: client(100), at: start) != nil)
    var v6 = LoginAttempts()
    let waits = (0..<11).map { v6.refuse(from: IPAddress(v6High: 0x2001_0db8 << 32, low: UInt64($0)), at: start) }
    #expect(waits.prefix(10).allSatisfy { $0 == nil } && waits[10] != nil)
  }

  @Test("The table of clients is bounded")
  func bound() {
    var attempts = LoginAttempts()
    for number in 0..<3_000 { _ = attempts.refuse(from: client(number), at: start + .seconds(2 * number)) }
    #expect(attempts.knownNetworks <= LoginAttempts.mostNetworks)
  }
}

@Suite("Lines that others can cause")
struct RepeatedLineTests {
  @Test("The log is told at once, then once a minute of all that came meanwhile, also when no more come")
  func summary() async throws {
    let page = TestPage()
    let (minutes, pass) = AsyncStream.makeStream(of: Void.self)
    let (begun, begin) = AsyncStream.makeStream(of: Void.self)
    let line = RepeatedLine("wrong", logger: page.logger) {
      begin.yield()
      for await _ in minutes { return }
    }
    var waits = begun.makeAsyncIterator()
    func counts() -> [String] {
      page.log.withLock { $0.map { String($0.firstMatch(of: /"count": (\d+)/)?.1 ?? "") } }
    }
    line.note()
    #expect(counts() == ["1"])
    for minute in [500, 7] {
      _ = await waits.next()
      for _ in 0..<minute { line.note() }
      pass.yield()
    }
    _ = await waits.next()
    #expect(counts() == ["1", "500", "7"])
    // Nothing in a minute: the next is told at once again.
    pass.yield()
    for _ in 0..<10_000 where counts().count < 4 {
      line.note()
      await Task.yield()
    }
    #expect(counts().count == 4)
  }
}

@Suite("What the page may be called")
struct WebHostsTests {
  private let hosts = WebHosts(host: "192.0.2.1", port: 8_025, names: ["warden.example.org", "w.example:8443"])

  @Test(
    "Its address, its names, and this machine's at any port: a tunnel has another",
    arguments: [
      "192.0.2.1:8025", "localhost", "localhost:9000", "LOCALHOST:8025", "127.0.0.1:8025", "127.0.0.1:9000",
      "[::1]:9000", "[::1]", "warden.example.org", "Warden.Example.org:8025", "w.example:8443",
    ])
  func own(authority: String) { #expect(hosts.include(authority)) }

  @Test(
    "No other",
    arguments: [
      "", ":", ":8025", "192.0.2.1", "192.0.2.1:80", "192.0.2.2:8025", "evil.example", "localhost.evil.example",
      "127.0.0.1.evil.example:8025", "warden.example.org:8443", "warden.example.org.", "w.example", "w.example:8025",
      "localhost:x", "localhost:80:80", "[::1", "[::1]x", "::1", "[localhost", "localhost\0", "user@localhost",
      "warden.example.org@evil", "2130706433:8025", "127.1:8025",
    ])
  func others(authority: String) { #expect(!hosts.include(authority)) }
}
