import Hummingbird
import WardenCore

/// Making and revoking the page's tokens: on the control socket alone, so that no token makes others.
struct WebTokenRoutes {
  let control: Control

  func add<Context: AdministratorContext>(to router: Router<Context>) {
    let control = control
    router.get("/v1/web-tokens") { request, _ in
      _ = try Query(request)
      return Routes.json(control.webTokens())
    }
    router.post("/v1/web-tokens") { request, context in
      try await Routes.order(request, WebTokenOrder.self, like: #"{"name":"alice","for":"30d"}"#) {
        try await control.makeWebToken($0, by: context.administrator())
      }
    }
    router.delete("/v1/web-tokens") { request, context in
      let name = try Query(request, knows: "name").required("name", like: "alice")
      return Routes.json(try await control.revokeWebToken(name, by: context.administrator()))
    }
  }
}

extension Control {
  func webTokens() -> [WebTokenReport] { tokens.valid(at: wall(now())).map { report($0) } }

  func makeWebToken(_ order: WebTokenOrder, by who: String) async throws -> NewWebTokenReport {
    let (secret, token) = try tokens.make(name: order.name, for: span(order.for), at: wall(now()))
    let until = token.until.rfc3339
    var notes: [String] = []
    if gauges().state == nil { notes.append("the policy has no \"state\": the token ends with the daemon") }
    if let problem = await enter("web-token", "", "\(token.name) until \(until)", by: who) { notes.append(problem) }
    return NewWebTokenReport(
      name: token.name, token: secret, until: until, note: notes.isEmpty ? nil : notes.joined(separator: "; "))
  }

  func revokeWebToken(_ name: String, by who: String) async throws -> WebTokenReport {
    let token = try tokens.revoke(name)
    return report(token, note: await enter("revoke-web-token", "", token.name, by: who))
  }

  private func report(_ token: WebTokens.Token, note: String? = nil) -> WebTokenReport {
    WebTokenReport(name: token.name, made: token.made.rfc3339, until: token.until.rfc3339, note: note)
  }
}

/// Asks for a token of the page.
public struct WebTokenOrder: Codable, Sendable {
  public let name: String
  /// How long it lets somebody in.
  public let `for`: String

  public init(name: String, for span: String) {
    self.name = name
    self.for = span
  }
}

/// A token as it is told, this once.
public struct NewWebTokenReport: Codable, Sendable {
  public let name: String
  public let token: String
  public let until: String
  public let note: String?
}

public struct WebTokenReport: Codable, Sendable {
  public let name: String
  public let made: String
  public let until: String
  /// Where a revocation is in force but not stored.
  public let note: String?
}
