import WardenCore

/// Who is logged in at the page. A session is known by the digest of its cookie.
struct WebSessions {
  struct Session: Sendable {
    /// What has let them in, and lets them stay.
    let token: WebTokens.Token
    /// What a request that changes something has to bring beside the cookie, which a browser sends by itself.
    let csrf: String
    let until: Timestamp
  }

  static let life = TimeSpan.hours(12)
  static let most = 1_000

  private var sessions: [WebSecret.Digest: Session] = [:]

  /// - Returns: the cookie's value as well, which is nowhere else.
  mutating func begin(_ token: WebTokens.Token, at now: Timestamp) -> (id: String, Session) {
    sessions = sessions.filter { now < $0.value.until }
    if sessions.count >= Self.most, let oldest = sessions.min(by: { $0.value.until < $1.value.until })?.key {
      sessions[oldest] = nil
    }
    let id = WebSecret.make()
    let session = Session(token: token, csrf: WebSecret.make(), until: now + Self.life)
    sessions[WebSecret.Digest(of: id)] = session
    return (id, session)
  }

  func session(_ id: String, at now: Timestamp) -> Session? {
    sessions[WebSecret.Digest(of: id)].flatMap { now < $0.until ? $0 : nil }
  }

  mutating func end(_ id: String) { sessions[WebSecret.Digest(of: id)] = nil }

  var count: Int { sessions.count }
}
