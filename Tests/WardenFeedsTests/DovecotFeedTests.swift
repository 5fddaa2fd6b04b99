import Foundation
import Testing
import WardenCore

@testable import WardenFeeds

/// The feed with an engine behind it: commands, rules, and clients that mean harm.
@Suite("Dovecot feed")
struct DovecotFeedTests {
  private static let goOn = #"{"status":0,"msg":""}"#
  private static let ok = #"{"status":"ok"}"#

  private static func failures(_ limit: Int, per shape: KeyShape = KeyShape(.ip), then: Consequences) -> Rule {
    Rule(
      name: "failures", count: .authFailures, per: shape, limits: [Limit(count: limit, window: .hours(2))], then: then)
  }
  private static let block = Consequences(block: Block([.hours(1)]))

  // MARK: - Rules

  @Test("Who fails too often is refused at the next login, until the block ends")
  func blocked() {
    let desk = DovecotDesk(Self.failures(4, then: Self.block))
    let feed = desk.feed()
    for _ in 0..<4 {
      #expect(feed.allow() == Self.goOn)
      feed.fail()
    }
    #expect(feed.allow() == Self.goOn)
    feed.fail()
    #expect(feed.allow() == #"{"status":-1,"msg":"mailwarden: too many failed logins; try again in 1h"}"#)
    #expect(feed.allow("bob") == #"{"status":-1,"msg":"mailwarden: too many failed logins; try again in 1h"}"#)
    #expect(feed.allow(from: "192.0.2.8") == Self.goOn)
    desk.wait(.seconds(61))
    #expect(feed.allow() == #"{"status":-1,"msg":"mailwarden: too many failed logins; try again in 58m59s"}"#)
    desk.wait(.minutes(59))
    #expect(feed.allow() == Self.goOn)
    #expect(feed.figures.refused == 3)
  }

  @Test("Attempts that we refuse do not prolong the block")
  func refusedAttempts() {
    let desk = DovecotDesk(Self.failures(2, then: Self.block))
    let feed = desk.feed()
    for _ in 0..<3 { feed.fail() }
    for _ in 0..<50 {
      desk.wait(.minutes(1))
      #expect(feed.allow().contains(#""status":-1"#))
      #expect(
        feed.post("report", DovecotFeed.body("alice", "192.0.2.7", "1", #","success":false,"policy_reject":true"#)).json
          == Self.ok)
    }
    desk.wait(.minutes(11))
    #expect(feed.allow() == Self.goOn)
    #expect(desk.events.count == 3)
  }

  @Test("A rule that delays makes the login wait for whole seconds")
  func delayed() {
    for (delay, seconds) in [
      (TimeSpan.seconds(3), 3), (TimeSpan(microseconds: 300_000), 1), (TimeSpan(microseconds: 2_000_001), 3),
    ] {
      let desk = DovecotDesk(Self.failures(2, then: Consequences(delay: delay)))
      let feed = desk.feed()
      for _ in 0..<2 { feed.fail() }
      #expect(feed.allow() == Self.goOn)
      feed.fail()
      #expect(feed.allow() == #"{"status":\#(seconds),"msg":""}"#)
      #expect(feed.figures.delayed == 1)
    }
  }

  @Test("A telephone with a stale password is one wrong password, however often it tries; a guesser is many")
  func staleTelephone() {
    let passwords = Rule(
      name: "passwords", per: KeyShape(.user, .ip),
      parts: [Part(.measure(.distinct(.passwords)), [Limit(count: 5, window: .hours(2))])], then: Self.block)
    let desk = DovecotDesk(passwords, Self.failures(1_000, then: Self.block))
    let feed = desk.feed()
    for _ in 0..<100 { feed.fail() }
    #expect(desk.counts(Key(.user("alice"), .ip(ip("192.0.2.7")))) == ["passwords": 1])
    #expect(desk.counts(Key(.ip(ip("192.0.2.7"))))["failures"] == 100)
    #expect(feed.allow() == Self.goOn)
    for number in 0..<5 { feed.fail(from: "198.51.100.7", password: "0\(number)") }
    #expect(feed.allow(from: "198.51.100.7") == Self.goOn)
    feed.fail(from: "198.51.100.7", password: "05")
    #expect(feed.allow(from: "198.51.100.7").contains(#""status":-1"#))
    #expect(feed.allow() == Self.goOn)
  }

  @Test("Passwords tried on many names are as many")
  func sprayed() {
    let passwords = Rule(
      name: "passwords", per: KeyShape(.ip),
      parts: [Part(.measure(.distinct(.passwords)), [Limit(count: 9, window: .hours(2))])], then: Self.block)
    let feed = DovecotDesk(passwords).feed()
    for number in 0..<10 { feed.fail("user\(number)") }
    #expect(feed.allow("user11").contains(#""status":-1"#))
  }

  @Test("A block for too much mail leaves logins alone, an administrator's does not")
  func otherBlocks() {
    let desk = DovecotDesk(
      Rule(
        name: "messages", count: .messages, per: KeyShape(.user), limits: [Limit(count: 2, window: .hours(2))],
        then: Self.block))
    let feed = desk.feed()
    var subject = Subject()
    subject.user = "alice"
    for _ in 0..<3 {
      _ = desk.engine.decide(Event(at: desk.now, step: .endOfMessage, subject: subject, wants: [.messages: 1]))
    }
    #expect(desk.engine.penalty(on: Key(.user("alice"))) != nil)
    #expect(feed.allow() == Self.goOn)
    _ = desk.engine.block(Key(.user("bob")), for: .days(3), note: "called \"him\"", at: desk.now)
    #expect(
      feed.allow("bob") == #"{"status":-1,"msg":"mailwarden: blocked by the administrator; try again in 3d"}"#)
  }

  @Test("An exempt network is never refused; an exempt user's name, which anybody can type, is like any other")
  func exempt() {
    let desk = DovecotDesk(
      Self.failures(2, then: Self.block), exempt: Exemptions(networks: [Network("127.0.0.0/8")!], users: ["boss"]))
    let feed = desk.feed()
    for _ in 0..<10 {
      feed.fail(from: "127.0.0.1")
      feed.fail("boss")
    }
    _ = desk.engine.block(Key(.ip(ip("127.0.0.1"))), for: .days(1), note: "", at: desk.now)
    #expect(feed.allow(from: "127.0.0.1") == Self.goOn)
    #expect(feed.allow("boss") == feed.allow("alice"))
    #expect(feed.allow("boss") != Self.goOn)
  }

  @Test("A whole run of a real Dovecot counts what it told, once for each teller")
  func replayed() throws {
    let desk = DovecotDesk(Self.failures(1_000, then: Self.block))
    let feed = desk.feed()
    for (command, body) in try DovecotCapture.policy() {
      #expect(feed.post(command, body).json == (command == "allow" ? Self.goOn : Self.ok))
    }
    for body in try DovecotCapture.events() { #expect(feed.post(nil, body, path: "/events").json == Self.ok) }
    #expect(desk.events.count { $0.happened[.authFailures] == 1 } == 46 + 7)
    #expect(desk.events.count { $0.happened[.authSuccesses] == 1 } == 42 + 4)
    #expect(desk.tellers.count { $0 == .events } == 11)
    let figures = feed.figures
    #expect((figures.asked, figures.told, figures.events) == (128, 97, 11))
    #expect((figures.unreadable, figures.unauthorised, figures.ignored) == (0, 0, 0))
    #expect(figures.lastHeard == desk.now)
  }

  // MARK: - Commands

  @Test("What weakforced's clients send is understood")
  func weakforced() {
    let desk = DovecotDesk(token: nil)
    let feed = desk.feed()
    let tuple = #""remote":"192.0.2.7","login":"ahu","pwhash":"1234""#
    #expect(feed.post("allow", "{\(tuple)}").json == Self.goOn)
    #expect(feed.post("report", #"{\#(tuple),"success":"false"}"#).json == Self.ok)
    #expect(feed.post("reset", #"{"ip":"192.0.2.7"}"#).json == Self.ok)
    #expect(feed.post("reset", #"{"login":"Ahu@example.org"}"#).json == Self.ok)
    #expect(feed.post("reset", #"{"ip":"192.0.2.7","login":"ahu"}"#).json == Self.ok)
    #expect(
      desk.orders == [Key(.ip(ip("192.0.2.7"))), Key(.user("ahu")), Key(.user("ahu"), .ip(ip("192.0.2.7")))])
    #expect(desk.events.map(\.password) == ["ahu\01234"])
    for isPost in [true, false] {
      let ping = DovecotFeed.Request(isPost: isPost, path: "/", command: "ping", tokens: [], body: [])
      #expect(feed.answer(ping) == .ok)
    }
    let figures = feed.figures
    #expect((figures.asked, figures.told, figures.resets, figures.pings) == (1, 1, 3, 2))
  }

  @Test("What cannot be carried out is said, in JSON")
  func unknown() {
    let feed = DovecotDesk().feed()
    #expect(feed.post("addBLEntry", "{}").status == 404)
    #expect(feed.post("", "{}").status == 404)
    #expect(feed.post(nil, "{}").status == 404)
    #expect(feed.post(nil, "{}", path: "/other").status == 404)
    #expect(feed.post("reset", "{}").status == 400)
    #expect(feed.post("reset", #"{"ip":"here"}"#).status == 400)
    #expect(feed.post("report", DovecotFeed.body("alice", "192.0.2.7")).status == 400)
    #expect(
      feed.answer(.init(isPost: false, path: "/", command: "allow", tokens: [], body: [])).status == 405)
    #expect(feed.tooLong().status == 413)
    #expect(feed.figures.unreadable == 9)
    #expect(feed.post("allow", #"{"login":"alice","remote":"somewhere"}"#) == .init(status: 200, json: Self.goOn))
    #expect(feed.post("report", #"{"login":"alice","success":false}"#) == .ok)
    #expect(feed.figures.unreadable == 11)
  }

  @Test("Any path will do, and an event of no interest is passed over")
  func paths() throws {
    let desk = DovecotDesk()
    let feed = desk.feed()
    #expect(feed.post("allow", DovecotFeed.body("alice", "192.0.2.7"), path: "/dovecot").json == Self.goOn)
    #expect(feed.post(nil, #"{"event":"imap_command_finished","fields":{}}"#, path: "/events") == .ok)
    #expect(feed.figures.ignored == 1)
    #expect(desk.events.isEmpty)
  }

  // MARK: - Tokens

  @Test("Without the token nothing is answered or counted")
  func tokens() {
    let desk = DovecotDesk(Self.failures(0, then: Self.block), token: "secret")
    let feed = desk.feed()
    let body = DovecotFeed.body("alice", "192.0.2.7", "1", #","success":false"#)
    for wrong in [nil, "", "secre", "secret ", "Secret", "secrets", "terces"] {
      let answer = feed.post("report", body, token: wrong)
      #expect(answer.status == 401)
      #expect(!answer.json.contains("secret"))
    }
    #expect(desk.events.isEmpty)
    #expect(feed.figures.unauthorised == 7)
    #expect(feed.figures.lastHeard == nil)
    #expect(feed.post("report", body, token: "secret") == .ok)
    #expect(desk.events.count == 1)
  }

  // MARK: - Hostile bodies

  @Test(
    "A body that is no JSON object stops nobody and is counted",
    arguments: [
      "", " ", "[]", "[[]]", "null", "true", "17", "\"text\"", "{", "{\"login\":", "{\"login\":\"\\ud800\"", "{}}",
      "{'a':1}",
      "\0", "{\0}", "login=alice&remote=192.0.2.7", "{\"a\":1e999999}{",
      String(repeating: "[", count: 60_000), String(repeating: "{\"a\":", count: 12_000),
      "{\"a\":" + String(repeating: "[", count: 20_000) + String(repeating: "]", count: 20_000) + "}",
    ])
  func noJSON(body: String) {
    let desk = DovecotDesk()
    let feed = desk.feed()
    for command in ["allow", "report", "reset", nil] {
      #expect(feed.post(command, body, path: "/events").status == 400)
    }
    #expect(feed.figures.unreadable == 4)
    #expect(desk.events.isEmpty)
    #expect(desk.orders.isEmpty)
  }

  @Test(
    "An odd body is taken for what it says",
    arguments: [
      #"{"login":"alice","remote":"192.0.2.7","success":false,"n":123456789012345678901234567890}"#,
      #"{"login":"alice","remote":"192.0.2.7","success":false,"success":false}"#,
      #"{"login":"\u0000\u0001","remote":"192.0.2.7","success":false}"#,
      "{\"login\":\"\(String(repeating: "e\u{301}", count: 5_000))\",\"remote\":\"192.0.2.7\",\"success\":false}",
      #" {"success":false , "remote" :"192.0.2.7"} "#,
    ])
  func odd(body: String) {
    let desk = DovecotDesk()
    let feed = desk.feed()
    #expect(feed.post("allow", body).json == Self.goOn)
    #expect(feed.post("report", body) == .ok)
    #expect(desk.events.map(\.happened) == [[.authFailures: 1]])
    #expect(feed.figures.unreadable == 0)
  }

  @Test("Nothing that a client has said comes back to it")
  func words() {
    let desk = DovecotDesk(Self.failures(0, per: KeyShape(.user), then: Self.block))
    let feed = desk.feed()
    let login = #"x\",\"status\":0,\"y\":\"\r\n"#
    feed.fail(login)
    #expect(feed.allow(login) == #"{"status":-1,"msg":"mailwarden: too many failed logins; try again in 1h"}"#)
  }

  @Test("Bodies with bytes changed at random never do more than one login's harm")
  func fuzz() throws {
    let desk = DovecotDesk(Self.failures(3, then: Self.block))
    let feed = desk.feed()
    let bodies =
      try DovecotCapture.policy().map { (Optional($0.command), $0.body) } + DovecotCapture.events().map { (nil, $0) }
    var random = Xorshift(state: 42)
    for round in 0..<5_000 {
      let (command, body) = bodies[round % bodies.count]
      var bytes = Array(body.utf8)
      for _ in 0...(random.next() % 4) {
        let place = Int(random.next() % UInt64(bytes.count))
        switch random.next() % 4 {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 20)], at: place)
        default: bytes.removeLast(min(bytes.count - 1, Int(random.next() % 8)))
        }
      }
      let before = desk.events.count
      let answer = feed.post(command, bytes, path: "/events")
      #expect([200, 400].contains(answer.status), "round \(round)")
      #expect(try JSONSerialization.jsonObject(with: Data(answer.json.utf8)) is [String: Any])
      #expect(desk.events.count - before <= 1)
    }
    #expect(feed.figures.unreadable > 500)
    #expect(desk.events.count > 200)
  }
}

/// Marsaglia's, with a seed, so that what failed can be run again.
private struct Xorshift {
  var state: UInt64
  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}
