import Foundation
import WardenCore

@testable import WardenFeeds

/// The feed on an engine of its own, with the time in the test's hands.
final class DovecotDesk: Sendable {
  let engine: Engine
  private let time = Locked(Timestamp(microseconds: 1_795_515_245_123_457))
  private let heard = Locked([(event: Event, teller: DovecotFeed.Teller)]())
  private let resets = Locked([Key]())
  private let token: String?

  init(_ rules: Rule..., exempt: Exemptions = Exemptions(), token: String? = nil) {
    engine = Engine(policy: Policy(rules: rules, exempt: exempt, realms: ["example.org"]))
    self.token = token
  }

  /// One for each call: what it counts begins anew.
  func feed() -> DovecotFeed {
    let (engine, time, heard, resets) = (engine, time, heard, resets)
    return DovecotFeed(
      token: token,
      setup: { SMTPSession.Setup(realms: engine.realms, networkPrefix: engine.policy.networkPrefix) },
      now: { time.withLock { $0 } }, decide: { engine.decide($0) },
      hear: { event, teller in
        _ = engine.decide(event)
        heard.withLock { $0.append((event, teller)) }
      },
      reset: { key in resets.withLock { $0.append(key) } })
  }

  var now: Timestamp { time.withLock { $0 } }
  func wait(_ span: TimeSpan) { time.withLock { $0 = $0 + span } }
  var events: [Event] { heard.withLock { $0.map(\.event) } }
  var tellers: [DovecotFeed.Teller] { heard.withLock { $0.map(\.teller) } }
  var orders: [Key] { resets.withLock { $0 } }

  /// The key's counts by rule.
  func counts(_ key: Key) -> [String: Int] {
    engine.explain(key, at: now).standings.reduce(into: [:]) { $0[$1.rule] = $1.count }
  }
}

extension DovecotFeed {
  func post(_ command: String?, _ body: String, path: String = "/", token: String? = nil) -> Answer {
    post(command, Array(body.utf8), path: path, token: token)
  }

  func post(_ command: String?, _ body: [UInt8], path: String = "/", token: String? = nil) -> Answer {
    answer(Request(isPost: true, path: path, command: command, tokens: token.map { [$0] } ?? [], body: body))
  }

  /// What `allow` says to the login.
  func allow(_ login: String = "alice", from address: String = "192.0.2.7") -> String {
    post("allow", Self.body(login, address)).json
  }

  func fail(_ login: String = "alice", from address: String = "192.0.2.7", password: String = "0cb4") {
    _ = post("report", Self.body(login, address, password, #","success":false,"policy_reject":false"#))
  }

  func succeed(_ login: String = "alice", from address: String = "192.0.2.7") {
    _ = post("report", Self.body(login, address, "0ca9", #","success":true,"policy_reject":false"#))
  }

  static func body(_ login: String, _ address: String, _ password: String = "0cb4", _ more: String = "") -> String {
    #"{"device_id":"","login":"\#(login)","protocol":"imap","pwhash":"\#(password)","remote":"\#(address)""#
      + #","session_id":""\#(more),"tls":false}"#
  }
}

/// What a real Dovecot has sent.
enum DovecotCapture {
  /// The requests to the policy server: a command and a body each.
  static func policy() throws -> [(command: String, body: String)] {
    try lines("policy.txt").map { line in
      let space = line.firstIndex(of: " ")!
      return (String(line[..<space]), String(line[line.index(after: space)...]))
    }
  }

  /// The event exporter's bodies.
  static func events() throws -> [String] { try lines("events.jsonl") }

  private static func lines(_ name: String) throws -> [String] {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/dovecot/\(name)")
    return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
  }
}

func ip(_ text: String) -> IPAddress { IPAddress(text)! }
