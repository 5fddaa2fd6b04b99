import Testing
import WardenCore

@testable import WardenFeeds

/// What is read from a body, and what it makes the engine hear.
@Suite("Dovecot's requests")
struct DovecotRequestTests {
  private func policy(_ body: String) throws -> PolicyRequest {
    try LenientJSON.decode(PolicyRequest.self, from: Array(body.utf8))
  }
  private func finished(_ fields: String) throws -> FinishedRequest {
    try LenientJSON.decode(
      FinishedRequest.self, from: Array(#"{"event":"auth_request_finished","fields":{\#(fields)}}"#.utf8))
  }

  @Test("Every request of a real Dovecot is read")
  func captured() throws {
    let requests = try DovecotCapture.policy()
    #expect(requests.count == 225)
    var outcomes: [String: Int] = [:]
    for (command, body) in requests {
      let request = try policy(body)
      #expect(request.remote != nil)
      let name =
        switch request.outcome {
        case nil: "none"
        case .success: "success"
        case .failure(nil): "failure without a login"
        case .failure: "failure"
        case .noMatter: "policy"
        }
      outcomes["\(command) \(name)", default: 0] += 1
    }
    #expect(
      outcomes == [
        "allow none": 128, "report success": 42, "report failure": 40, "report failure without a login": 6,
        "report policy": 9,
      ])
  }

  @Test("Every event of a real Dovecot is read")
  func capturedEvents() throws {
    let events = try DovecotCapture.events().map { try LenientJSON.decode(FinishedRequest.self, from: Array($0.utf8)) }
    #expect(
      events.map(\.outcome).map { $0 == .success } == [
        false, false, false, false, false, true, true, true, false, false, true,
      ])
    #expect(events.allSatisfy { $0.remote != nil })
    #expect(events[2].login == "alíce\"\\")
    #expect(events[3].login.hasPrefix("bob\r\nNov 21"))
  }

  @Test(
    "Success is read from a flag and from a word",
    arguments: [("true", true), (#""true""#, true), (#""TRUE""#, true), ("false", false), (#""false""#, false)])
  func flags(text: String, isSuccess: Bool) throws {
    let request = try policy(#"{"login":"alice","remote":"192.0.2.7","success":\#(text)}"#)
    #expect(request.outcome == (isSuccess ? .success : .failure(password: nil)))
  }

  @Test("Success of another type is as good as missing", arguments: ["1", "null", "[]", #""perhaps""#, "{}"])
  func noFlag(text: String) throws {
    #expect(try policy(#"{"login":"alice","remote":"192.0.2.7","success":\#(text)}"#).outcome == nil)
  }

  @Test(
    "Why a login failed is heeded where Dovecot tells it",
    arguments: [
      ("", true), ("credentials", true), ("account", true), ("something new", true), ("internal", false),
      ("expired", false), ("disabled", false), ("policy", false),
    ])
  func failures(why: String, counts: Bool) throws {
    let request = try policy(
      #"{"login":"alice","remote":"192.0.2.7","pwhash":"0cb4","success":false,"fail_type":"\#(why)"}"#)
    #expect(request.outcome == (counts ? .failure(password: "alice\00cb4") : .noMatter))
  }

  @Test("A refusal by a policy server is no failed login")
  func policyReject() throws {
    for flag in ["true", #""true""#] {
      let body = #"{"login":"alice","remote":"192.0.2.7","pwhash":"0cb4","success":false,"policy_reject":\#(flag)}"#
      #expect(try policy(body).outcome == .noMatter)
    }
  }

  @Test("Who logs in although the policy server has refused is logged in: Dovecot only logs what it says")
  func logOnly() throws {
    #expect(try policy(#"{"login":"alice","success":true,"policy_reject":true}"#).outcome == .success)
  }

  @Test("A password is told from another by login and hash, and not without both")
  func passwords() throws {
    func password(_ login: String, _ hash: String) throws -> LoginOutcome? {
      try policy(#"{"login":"\#(login)","remote":"192.0.2.7","pwhash":"\#(hash)","success":false}"#).outcome
    }
    #expect(try password("alice", "0cb4") == .failure(password: "alice\00cb4"))
    #expect(try password("alice", "0cb4") != password("alice0", "cb4"))
    #expect(try password("", "0940") == .failure(password: nil))
    #expect(try password("alice", "") == .failure(password: nil))
  }

  @Test("Fields of unknown name, or of the wrong type, are passed over")
  func tolerance() throws {
    let request = try policy(
      #"{"attrs":{"x":[1,{"y":null}]},"login":17,"pwhash":{},"remote":"192.0.2.7","tls":"TLSv1.3","success":false}"#)
    #expect(request.login == "")
    #expect(request.remote == ip("192.0.2.7"))
    #expect(request.outcome == .failure(password: nil))
  }

  @Test(
    "Only an address is an address",
    arguments: [
      "", "unix:/run/x", "192.0.2.7:25", "192.0.2", "192.0.2.7\\u0000", "fe80::1%eth0", " 192.0.2.7", "mx.test",
    ])
  func addresses(text: String) throws {
    #expect(try policy(#"{"login":"alice","remote":"\#(text)"}"#).remote == nil)
  }

  @Test("IPv6 and IPv4 within it are addresses")
  func v6() throws {
    #expect(try policy(#"{"remote":"2001:db8::1"}"#).remote == ip("2001:db8::1"))
    #expect(try policy(#"{"remote":"::ffff:192.0.2.7"}"#).remote == ip("192.0.2.7"))
  }

  @Test("A login may hold anything, also what is no UTF-8")
  func logins() throws {
    #expect(
      try policy(#"{"login":"a\u0000\"\\\r\n\u202e, ip:203.0.113.9"}"#).login == "a\0\"\\\r\n\u{202e}, ip:203.0.113.9")
    let bytes = Array(#"{"login":"al"#.utf8) + [0xff, 0xc3] + Array(#"ice","remote":"192.0.2.7"}"#.utf8)
    let request = try LenientJSON.decode(PolicyRequest.self, from: bytes)
    #expect(request.login == "al\u{fffd}\u{fffd}ice")
    #expect(request.remote == ip("192.0.2.7"))
  }

  @Test("An event tells the client's address rather than a proxy's, and the login as typed")
  func eventFields() throws {
    let event = try finished(
      #""success":"yes","remote_ip":"192.0.2.7","real_remote_ip":"127.0.0.1","original_user":"Alice","user":"alice""#)
    #expect(event.remote == ip("192.0.2.7"))
    #expect(event.login == "Alice")
    #expect(event.outcome == .success)
    let other = try finished(#""real_remote_ip":"192.0.2.9","user":"bob","error":"authentication failed""#)
    #expect(other.remote == ip("192.0.2.9"))
    #expect(other.login == "bob")
    #expect(other.outcome == .failure(password: nil))
  }

  @Test(
    "An event of a login that nobody looked at says nothing",
    arguments: [#""policy_result":"refused""#, #""error":"internal failure""#])
  func eventWithoutCheck(fields: String) throws { #expect(try finished(fields).outcome == .noMatter) }

  @Test("Another event is of no interest")
  func otherEvents() {
    for name in ["auth_client_request_finished", "", "imap_command_finished"] {
      #expect(throws: FinishedRequest.OfNoInterest.self) {
        try LenientJSON.decode(FinishedRequest.self, from: Array(#"{"event":"\#(name)","fields":{}}"#.utf8))
      }
    }
  }

  // MARK: - Events

  private let events = LoginEvents(
    SMTPSession.Setup(realms: LocalRealms(listed: ["example.org"]), networkPrefix: NetworkPrefix(v4: 16)))
  private let now = Timestamp(microseconds: 1_795_515_245_123_457)

  @Test("Who asks is the user in its one form, the address and its network")
  func asked() {
    let event = events.asked(login: "Alice@Example.org", from: ip("192.0.2.7"), at: now)
    #expect(event.step == .login)
    #expect(event.source == .dovecot)
    #expect(event.at == now)
    #expect(event.subject.user == "alice")
    #expect(event.subject.ip == ip("192.0.2.7"))
    #expect(event.subject.address == ip("192.0.2.7"))
    #expect(event.subject.network == Network("192.0.0.0/16"))
    #expect(event.happened.isEmpty)
  }

  @Test("Without a login there is no user, and a login of any length is bounded")
  func users() {
    #expect(events.asked(login: "", from: ip("192.0.2.7"), at: now).subject.user == nil)
    let long = events.asked(login: String(repeating: "x", count: 60_000), from: ip("192.0.2.7"), at: now).subject.user
    #expect((long?.utf8.count ?? 0) < 300)
    #expect(
      long == events.asked(login: String(repeating: "X", count: 60_000), from: ip("192.0.2.7"), at: now).subject.user)
  }

  @Test("What became of a login is told, and what means nothing is not")
  func told() {
    func told(_ outcome: LoginOutcome) -> Event? {
      events.told(outcome, login: "alice", from: ip("192.0.2.7"), at: now)
    }
    #expect(told(.success)?.happened == [.authSuccesses: 1])
    let failure = told(.failure(password: "p"))
    #expect(failure?.happened == [.authFailures: 1])
    #expect(failure?.step == .heard)
    #expect(failure?.source == .dovecot)
    #expect(failure?.password == "p")
    #expect(told(.noMatter) == nil)
  }
}
