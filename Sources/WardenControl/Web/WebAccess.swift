import Foundation
import Logging
import WardenCore

/// Who may do what at the page: tokens, sessions and wrong attempts together.
final class WebAccess: Sendable {
  /// Who sends a request.
  enum Visitor: Sendable {
    case nobody
    /// By a cookie, which a browser adds to any page's requests: orders need the session's word as well.
    case session(WebSessions.Session, id: String)
    case bearer(WebTokens.Token)

    var name: String? {
      switch self {
      case .nobody: nil
      case .session(let session, _): session.token.name
      case .bearer(let token): token.name
      }
    }
  }

  /// A wrong token.
  struct Wrong: Error {
    /// How long to wait, where there have been too many.
    let wait: TimeSpan?
  }

  let readsWithoutLogin: Bool
  private let tokens: WebTokens
  private let now: @Sendable () -> Timestamp
  private let wall: @Sendable (Timestamp) -> Timestamp
  private let logger: Logger
  private let wrong: RepeatedLine
  private let sessions = Locked(WebSessions())
  private let attempts = Locked(LoginAttempts())

  init(
    tokens: WebTokens, readsWithoutLogin: Bool, now: @escaping @Sendable () -> Timestamp,
    wall: @escaping @Sendable (Timestamp) -> Timestamp, logger: Logger
  ) {
    self.tokens = tokens
    self.readsWithoutLogin = readsWithoutLogin
    self.now = now
    self.wall = wall
    self.logger = logger
    wrong = RepeatedLine("wrong web tokens", logger: logger)
  }

  func login(_ secret: String, from client: IPAddress?) throws(Wrong) -> (id: String, WebSessions.Session) {
    let token = try owner(of: secret, from: client)
    let now = now()
    logger.notice("web login", metadata: ["who": "\(token.name)", "from": "\(client?.description ?? "?")"])
    return sessions.withLock { $0.begin(token, at: now) }
  }

  func logout(_ id: String) { sessions.withLock { $0.end(id) } }

  /// - Parameters:
  ///   - bearer: the token that came with the request itself.
  ///   - cookie: of a session.
  func visitor(bearer: String?, cookie: String?, from client: IPAddress?) throws(Wrong) -> Visitor {
    if let bearer { return .bearer(try owner(of: bearer, from: client)) }
    let now = now()
    guard let cookie, let session = sessions.withLock({ $0.session(cookie, at: now) }),
      tokens.holds(session.token, at: wall(now))
    else { return .nobody }
    return .session(session, id: cookie)
  }

  /// Whether what has let somebody in still does.
  func lets(_ visitor: Visitor) -> Bool {
    let now = now()
    return switch visitor {
    case .nobody: false
    case .bearer(let token): tokens.holds(token, at: wall(now))
    case .session(let session, let id):
      sessions.withLock { $0.session(id, at: now) } != nil && tokens.holds(session.token, at: wall(now))
    }
  }

  /// When it ends by itself, for people.
  func end(of session: WebSessions.Session) -> String { min(wall(session.until), session.token.until).rfc3339 }

  private func owner(of secret: String, from client: IPAddress?) throws(Wrong) -> WebTokens.Token {
    let now = now()
    if let token = tokens.owner(of: secret, at: wall(now)) { return token }
    wrong.note(["from": "\(client?.description ?? "?")"])
    throw Wrong(wait: attempts.withLock { $0.refuse(from: client, at: now) })
  }
}
