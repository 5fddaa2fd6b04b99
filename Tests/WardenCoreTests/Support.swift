import Testing

@testable import WardenCore

/// A small generator with a seed, so that what failed can be run again.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64
  init(seed: Int) { state = UInt64(bitPattern: Int64(seed)) }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

extension Timestamp {
  /// 2026-11-24T10:14:05.123457Z: on no slot's edge.
  static let start = Timestamp(microseconds: 1_795_515_245_123_457)
}

// MARK: - Policies

extension KeyShape {
  static let user = KeyShape(.user)
  static let ip = KeyShape(.ip)
  static let network = KeyShape(.network)
  static let sender = KeyShape(.sender)
  static let senderDomain = KeyShape(.senderDomain)
  static let server = KeyShape(.server)
  static let helo = KeyShape(.helo)
  static let recipient = KeyShape(.recipient)
  static let recipientDomain = KeyShape(.recipientDomain)
}

extension Limit {
  static func of(_ count: Int, per window: TimeSpan) -> Limit { Limit(count: count, window: window) }

  /// Of a fixed limit.
  var count: Int { if case .count(let count) = bound { count } else { 0 } }
}

extension Reason.Cause {
  /// Of a rule of one part that counts a signal.
  static func over(signal: Signal, count: Int, limit: Int, window: TimeSpan) -> Reason.Cause {
    .over([
      Reason.Finding(
        quantity: .measure(.signal(signal)), count: count, isLeast: false, limit: limit,
        bound: .of(limit, per: window), share: nil)
    ])
  }
}

extension Consequences {
  static let alert = Consequences(alert: true)
  static let tempfail = Consequences(refusal: .tempfail)
  static let reject = Consequences(refusal: .reject)
  static func block(_ spans: TimeSpan...) -> Consequences { Consequences(block: Block(spans)) }
}

extension Rule {
  init(
    _ name: String, _ count: Signal, per: KeyShape, _ limits: Limit..., then: Consequences = .tempfail,
    reply: ReplyTemplate? = nil, mode: Mode = .enforce
  ) {
    self.init(name: name, count: count, per: per, limits: limits, then: then, reply: reply, mode: mode)
  }

  /// The limit that most tests use: 25 messages in 2 hours.
  static let userMessages = Rule("user-messages", .messages, per: .user, .of(25, per: .hours(2)))
  /// Connects and leaves without mail: the fifth time in 2 hours blocks for 3 days.
  static let brokenConnections = Rule(
    "broken", .brokenConnections, per: .ip, .of(4, per: .hours(2)), then: .block(.days(3)))
}

// MARK: - Keys

func ip(_ text: String) -> IPAddress { IPAddress(text)! }
func key(_ text: String) throws -> Key { try Key(text, realms: LocalRealms(listed: [])) }

extension Key {
  static func user(_ name: String) -> Key { Key(.user(name)) }
  static func ip(_ text: String) -> Key { Key(.ip(IPAddress(text)!)) }
  static func network(_ text: String) -> Key { Key(.network(Network(text)!)) }
}

// MARK: - Decisions

extension Decision {
  var refusal: Refusal? { if case .refuse(let refusal) = verdict { refusal } else { nil } }
  var held: Reason? { if case .hold(let reason) = verdict { reason } else { nil } }
  var isExempt: Bool { if case .exempt = verdict { true } else { false } }
}

// MARK: - An engine with sessions on it

/// The engine as the daemon wires it, with the time in the test's hands.
final class Server {
  let engine: Engine
  var now: Timestamp
  /// All that was told so far.
  private(set) var notices: [Notice] = []

  convenience init(_ policy: Policy, bounds: Engine.Bounds = .init(), at now: Timestamp = .start) {
    self.init(Engine(policy: policy, bounds: bounds), at: now)
  }

  init(_ engine: Engine, at now: Timestamp = .start) {
    self.engine = engine
    self.now = now
  }

  convenience init(
    _ rules: Rule..., exempt: Exemptions = Exemptions(), realms: [String]? = ["example.org"],
    groups: [String: Set<String>] = [:], overrides: [Override] = [], bounds: Engine.Bounds = .init()
  ) {
    self.init(
      Policy(rules: rules, exempt: exempt, realms: realms, groups: groups, overrides: overrides), bounds: bounds)
  }

  func wait(_ span: TimeSpan) { now = now + span }

  func decide(_ event: Event) -> Decision {
    let decision = engine.decide(event)
    notices += decision.notices
    return decision
  }

  func told(_ kind: Notice.Kind) -> [Notice] { notices.filter { $0.kind == kind } }

  func reload(_ rules: Rule...) {
    var policy = engine.policy
    policy.rules = rules
    engine.replace(policy: policy)
  }

  /// A client connects; a port of 0 is one of the MTA's own machine's programs.
  func connect(
    _ address: String? = "192.0.2.7", port: Int = 40_000, host: String? = nil, daemon: String? = nil
  ) -> Client {
    let client = Client(self)
    client.connect(address, port: port, host: host, daemon: daemon)
    return client
  }

  /// A whole session with one message.
  /// - Returns: its refusal, wherever it fell.
  @discardableResult
  func send(
    _ login: String? = "alice", from address: String = "192.0.2.7", sender: String = "<alice@example.org>",
    recipients: Int = 1, to paths: [String]? = nil
  ) throws -> Refusal? {
    let client = connect(address)
    defer { client.close() }
    if let refusal = client.greeting?.refusal { return refusal }
    return try client.send(login, sender: sender, recipients: recipients, to: paths)
  }

  /// How many of so many messages pass.
  func sent(_ count: Int, _ login: String? = "alice", from address: String = "192.0.2.7") throws -> Int {
    try (0..<count).count { _ in try send(login, from: address) == nil }
  }

  /// A feed tells of something.
  @discardableResult
  func hear(
    _ signal: Signal, _ count: Int = 1, from address: String? = "192.0.2.7", user: String? = nil,
    password: String? = nil, source: Source = .dovecot
  ) -> Decision {
    decide(
      Event(
        at: now, step: .heard, subject: subject(address, user), happened: [signal: count], source: source,
        password: password))
  }

  /// Somebody wants to log in, and a feed asks.
  func login(_ user: String? = "alice", from address: String? = "192.0.2.7") -> Decision {
    decide(Event(at: now, step: .login, subject: subject(address, user), source: .dovecot))
  }

  private func subject(_ address: String?, _ user: String?) -> Subject {
    var subject = Subject()
    subject.address = address.map { IPAddress($0)! }
    subject.ip = subject.address
    subject.network = subject.ip.map { engine.policy.networkPrefix.network(of: $0) }
    subject.user = user
    return subject
  }

  /// A client that connects and leaves without mail.
  /// - Returns: what it was told as it connected.
  @discardableResult
  func probe(_ address: String) -> Refusal? {
    let client = connect(address)
    client.close()
    return client.greeting?.refusal
  }

  /// The key's counts by rule, a count for each limit.
  func counts(_ key: Key) -> [String: [Int]] {
    engine.explain(key, at: now).standings.reduce(into: [:]) { $0[$1.rule, default: []].append($1.count) }
  }

  /// All keys that count, in parts of the index's places.
  func keys(atMost: Int = 64, from cursor: KeyCursor = KeyCursor()) -> [Standing] {
    var found: [Standing] = []
    var cursor: KeyCursor? = cursor
    while let from = cursor {
      let (part, next) = engine.keys(from: from, atMost: atMost, at: now)
      found += part
      cursor = next
    }
    return found
  }

  func figure(_ name: String) -> Totals.Figure { engine.status(at: now).totals.first { $0.name == name }! }

  func block(_ key: Key, for span: TimeSpan, note: String = "") -> Penalty? {
    engine.block(key, for: span, note: note, at: now)
  }

  func penalty(_ key: Key) -> Penalty? { engine.penalties(at: now).first { $0.key == key } }
}

/// One SMTP session: what the MTA shows goes to the engine, what is decided comes back to the session.
final class Client {
  private let server: Server
  private var session: SMTPSession
  /// The decision at connect.
  private(set) var greeting: Decision?

  init(_ server: Server) {
    self.server = server
    session = SMTPSession(
      .init(
        realms: server.engine.realms, networkPrefix: server.engine.policy.networkPrefix, needs: server.engine.needs))
  }

  private func decide(_ event: Event?) -> Decision? {
    guard let event else { return nil }
    let decision = server.decide(event)
    session.settle(decision, at: event.step)
    return decision
  }

  func connect(_ address: String?, port: Int, host: String?, daemon: String?) {
    greeting = decide(
      session.connect(at: server.now, address: address.map(ip), port: port, host: host, daemon: daemon))
  }

  func helo(_ name: String) { session.helo(name) }

  @discardableResult
  func mail(_ login: String? = "alice", sender: String = "<alice@example.org>") throws -> Decision {
    decide(try session.mail(at: server.now, sender: sender, login: login))!
  }

  /// - Parameter refusals: Sendmail's count of refused recipients, this one included.
  @discardableResult
  func recipient(
    _ fate: SMTPSession.RecipientFate = .accepted, to path: String = "<carol@example.net>", refusals: Int? = nil
  ) throws -> Decision? {
    decide(try session.recipient(at: server.now, fate, path: path, refusals: refusals))
  }

  func data() { session.data() }
  func header(_ name: String, _ value: String) { session.header(name, value) }
  func content(bytes: Int) { session.content(bytes: bytes) }
  func abort() { session.abort() }

  @discardableResult
  func end(refusals: Int? = nil) throws -> Decision {
    decide(try session.endOfMessage(at: server.now, refusals: refusals))!
  }

  @discardableResult
  func command() -> Decision? { decide(session.badCommand(at: server.now)) }

  @discardableResult
  func close() -> Decision? { decide(session.close(at: server.now)) }

  /// A message from MAIL to its end; the session stays open.
  /// - Parameter paths: its recipients; nothing for so many of one name. Those that we refuse are left out.
  @discardableResult
  func send(
    _ login: String? = "alice", sender: String = "<alice@example.org>", recipients: Int = 1, to paths: [String]? = nil
  ) throws -> Refusal? {
    if let refusal = try mail(login, sender: sender).refusal { return refusal }
    var refusal: Refusal?
    for path in paths ?? Array(repeating: "<carol@example.net>", count: recipients) {
      refusal = try recipient(to: path)?.refusal ?? refusal
    }
    data()
    return try end().refusal ?? refusal
  }
}
