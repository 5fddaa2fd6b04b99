import Hummingbird
import NIOCore
import WardenCore

/// Logging in and out at the page.
struct WebSessionRoutes {
  static let path = "/v1/session"

  private static let largestLogin = 1_024

  let access: WebAccess

  func add(to router: Router<WebContext>) {
    let access = access
    router.get(RouterPath(Self.path)) { request, context in
      _ = try Query(request)
      return Routes.json(Self.report(context.visitor, access))
    }
    router.post(RouterPath(Self.path)) { request, context in
      let order = try await Routes.body(of: request, LoginOrder.self, upTo: Self.largestLogin, like: #"{"token":"…"}"#)
      do throws(WebAccess.Wrong) {
        let (id, session) = try access.login(order.token, from: context.client)
        var response = Routes.json(
          LoginReport(who: session.token.name, csrf: session.csrf, until: access.end(of: session)))
        // Browsers always name the origin of a POST: behind a proxy with TLS the cookie is for TLS alone.
        let isEncrypted = request.headers[.origin]?.lowercased().hasPrefix("https:") ?? false
        response.setCookie(Self.cookie(id, for: WebSessions.life, isEncrypted: isEncrypted))
        return response
      } catch {
        return RequestGuard.answer(to: error)
      }
    }
    router.delete(RouterPath(Self.path)) { request, _ in
      _ = try Query(request)
      if let id = request.cookies[WebContext.cookie]?.value { access.logout(id) }
      var response = Routes.json(Self.report(.nobody, access))
      response.setCookie(Self.cookie("", for: TimeSpan.seconds(0), isEncrypted: false))
      return response
    }
  }

  private static func cookie(_ value: String, for life: TimeSpan, isEncrypted: Bool) -> Cookie {
    Cookie(
      name: WebContext.cookie, value: value, maxAge: life.microseconds / 1_000_000, path: "/", secure: isEncrypted,
      httpOnly: true, sameSite: .strict)
  }

  private static func report(_ visitor: WebAccess.Visitor, _ access: WebAccess) -> SessionReport {
    let isKnown = visitor.name != nil
    return SessionReport(who: visitor.name, may_read: isKnown || access.readsWithoutLogin, may_act: isKnown)
  }
}

struct LoginOrder: Decodable { let token: String }

struct LoginReport: Encodable {
  let who: String
  let csrf: String
  let until: String
}

/// What the page has to know to show what can be done. All fields are always there.
///
/// Not the session's word: a browser sends the cookie to every port of this host, so whoever has it may be another.
struct SessionReport: Encodable {
  let who: String?
  let may_read: Bool
  let may_act: Bool

  private enum CodingKeys: CodingKey { case who, may_read, may_act }

  func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(who, forKey: .who)
    try fields.encode(may_read, forKey: .may_read)
    try fields.encode(may_act, forKey: .may_act)
  }
}
