import Foundation
import WardenCore

/// What Dovecot asks and tells of logins: its auth policy protocol, which is weakforced's, and its event exporter.
///
/// Knows nothing of how HTTP is carried, and never waits: Dovecot lets a login wait for the answer.
public final class DovecotFeed: Sendable {
  /// Which of the two tells: both can tell of the same login.
  public enum Teller: Sendable { case policy, events }

  public struct Figures: Sendable, Equatable {
    /// Requests by command.
    public var asked = 0
    public var told = 0
    public var resets = 0
    public var pings = 0
    public var events = 0
    /// Answers other than to go on.
    public var refused = 0
    public var delayed = 0
    /// Events that are no login's end.
    public var ignored = 0
    /// Requests without the right token.
    public var unauthorised = 0
    /// Requests that were not understood: they stop nobody and count for nothing.
    public var unreadable = 0
    /// Connections beyond the bound.
    public var turnedAway = 0
    /// When Dovecot last asked or told something.
    public var lastHeard: Timestamp?

    public init() {}
  }

  struct Request {
    var isPost: Bool
    /// Without the query.
    var path: String
    /// The query's `command`.
    var command: String?
    /// What came as a token, in whichever field.
    var tokens: [String]
    var body: [UInt8]
  }

  struct Answer: Equatable {
    /// HTTP's.
    var status: Int
    var json: String

    static let ok = Answer(status: 200, json: #"{"status":"ok"}"#)
    /// - Parameter reason: in words that need no escape.
    static func failure(_ status: Int, _ reason: String) -> Answer {
      Answer(status: status, json: #"{"status":"failure","reason":"\#(reason)"}"#)
    }
  }

  private let token: Token?
  private let setup: @Sendable () -> SMTPSession.Setup
  private let now: @Sendable () -> Timestamp
  private let decide: @Sendable (Event) -> Decision
  private let hear: @Sendable (Event, Teller) -> Void
  private let reset: @Sendable (Key) -> Void
  private let counted = Locked(Figures())

  /// - Parameters:
  ///   - token: nothing lets everybody in who can connect.
  ///   - setup: read for each request, so that a reload holds at once.
  ///   - decide: whether a login may be tried.
  ///   - hear: a login has succeeded or failed.
  ///   - reset: a client wants what was counted of a user, an address or both together to be forgotten.
  public init(
    token: String?, setup: @escaping @Sendable () -> SMTPSession.Setup, now: @escaping @Sendable () -> Timestamp,
    decide: @escaping @Sendable (Event) -> Decision, hear: @escaping @Sendable (Event, Teller) -> Void,
    reset: @escaping @Sendable (Key) -> Void
  ) {
    self.token = token.map(Token.init)
    self.setup = setup
    self.now = now
    self.decide = decide
    self.hear = hear
    self.reset = reset
  }

  public var figures: Figures { counted.withLock { $0 } }

  func answer(_ request: Request) -> Answer {
    if let token, !request.tokens.contains(where: token.matches) {
      count(\.unauthorised)
      return .failure(401, "the token is wrong or missing; send it as X-Mailwarden-Token, X-API-Key or a password")
    }
    switch (request.command, request.isPost) {
    case ("allow", true): return allow(request.body)
    case ("report", true): return report(request.body)
    case ("reset", true): return reset(request.body)
    case ("ping", _):
      count(\.pings)
      return .ok
    case (nil, true) where request.path == "/events": return event(request.body)
    case ("allow", false), ("report", false), ("reset", false):
      count(\.unreadable)
      return .failure(405, "this command has to be sent with POST")
    default:
      count(\.unreadable)
      return .failure(
        404, "unknown command; known are ?command=allow, report, reset and ping, and POST /events for Dovecot's events")
    }
  }

  /// A body is longer than anything that Dovecot sends.
  func tooLong() -> Answer {
    count(\.unreadable)
    return .failure(413, "the body is too long")
  }

  /// There are as many connections as there may be.
  func turnedAway() { count(\.turnedAway) }

  private func allow(_ body: [UInt8]) -> Answer {
    let now = heard(\.asked)
    guard let request = try? LenientJSON.decode(PolicyRequest.self, from: body) else { return noJSON() }
    guard let address = request.remote else {
      count(\.unreadable)
      return Answer(status: 200, json: PolicyAnswer.goOn.json)
    }
    let event = LoginEvents(setup()).asked(login: request.login, from: address, at: now)
    let answer = PolicyAnswer(decide(event), now: now)
    switch answer {
    case .goOn: break
    case .delay: count(\.delayed)
    case .refuse: count(\.refused)
    }
    return Answer(status: 200, json: answer.json)
  }

  private func report(_ body: [UInt8]) -> Answer {
    let now = heard(\.told)
    guard let request = try? LenientJSON.decode(PolicyRequest.self, from: body) else { return noJSON() }
    guard let outcome = request.outcome else {
      count(\.unreadable)
      return .failure(400, "success has to be true or false")
    }
    tell(outcome, login: request.login, from: request.remote, at: now, .policy)
    return .ok
  }

  private func event(_ body: [UInt8]) -> Answer {
    let now = heard(\.events)
    do {
      let request = try LenientJSON.decode(FinishedRequest.self, from: body)
      tell(request.outcome, login: request.login, from: request.remote, at: now, .events)
    } catch is FinishedRequest.OfNoInterest {
      count(\.ignored)
    } catch {
      return noJSON()
    }
    return .ok
  }

  private func tell(
    _ outcome: LoginOutcome, login: String, from address: IPAddress?, at now: Timestamp, _ teller: Teller
  ) {
    guard let address else { return count(\.unreadable) }
    if let event = LoginEvents(setup()).told(outcome, login: login, from: address, at: now) { hear(event, teller) }
  }

  private func reset(_ body: [UInt8]) -> Answer {
    count(\.resets)
    guard let order = try? LenientJSON.decode(ResetOrder.self, from: body) else { return noJSON() }
    guard let key = LoginEvents(setup()).key(login: order.login, address: order.ip) else {
      count(\.unreadable)
      return .failure(400, "ip has to be an address, or login a name, or both")
    }
    reset(key)
    return .ok
  }

  private func noJSON() -> Answer {
    count(\.unreadable)
    return .failure(400, "the body has to be a JSON object")
  }

  private func count(_ figure: WritableKeyPath<Figures, Int> & Sendable) {
    counted.withLock { $0[keyPath: figure] += 1 }
  }

  private func heard(_ figure: WritableKeyPath<Figures, Int> & Sendable) -> Timestamp {
    let now = now()
    counted.withLock {
      $0[keyPath: figure] += 1
      $0.lastHeard = now
    }
    return now
  }
}

/// What weakforced's `reset` takes.
private struct ResetOrder: Decodable {
  let login: String
  let ip: IPAddress?

  private enum Field: String, CodingKey { case login, ip }

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Field.self)
    login = fields.text(.login)
    ip = IPAddress(fields.text(.ip))
  }
}
