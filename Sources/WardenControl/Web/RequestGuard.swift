import Hummingbird
import NIOCore
import WardenCore

/// A request at the page, with whoever sends it.
struct WebContext: AdministratorContext {
  static let cookie = "mailwarden_session"

  var coreContext: CoreRequestContextStorage
  let channel: any Channel
  let client: IPAddress?
  var visitor = WebAccess.Visitor.nobody

  init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    channel = source.channel
    client = source.channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) }
  }

  var watcherPlace: Watchers.Place { if case .nobody = visitor { .guest } else { .login } }

  func administrator() async -> String { visitor.name.map { "\($0) (web)" } ?? "unknown" }
}

/// Lets no request further that is not the page's own, or whose sender may not do what it asks.
struct RequestGuard: RouterMiddleware {
  let hosts: WebHosts
  let access: WebAccess

  private struct Refusal: Error {
    let status: HTTPResponse.Status
    let reason: String
    var headers: HTTPFields = [:]

    init(_ status: HTTPResponse.Status, _ reason: String, _ headers: HTTPFields = [:]) {
      self.status = status
      self.reason = reason
      self.headers = headers
    }

    init(_ wrong: WebAccess.Wrong) {
      // Whoever has no token keeps no connection, which others may need.
      if let wait = wrong.wait {
        let seconds = (wait.microseconds + 999_999) / 1_000_000
        self.init(
          .tooManyRequests, "the token is wrong, and there have been too many of them",
          [.connection: "close", .retryAfter: "\(seconds)"])
      } else {
        self.init(
          .unauthorized, "the token is wrong, revoked or ended", [.connection: "close", .wwwAuthenticate: "Bearer"])
      }
    }

    var response: Response {
      var response = Routes.json(ErrorReport(error: reason), status)
      for field in headers { response.headers.append(field) }
      return response
    }
  }

  static func answer(to wrong: WebAccess.Wrong) -> Response { Refusal(wrong).response }

  func handle(
    _ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response
  ) async throws -> Response {
    let response = await checked(request, context, next)
    return request.method == .head ? response.createHeadResponse() : response
  }

  private func checked(
    _ request: Request, _ context: WebContext, _ next: (Request, WebContext) async throws -> Response
  ) async -> Response {
    do throws(Refusal) {
      try checkForm(of: request)
      var context = context
      if !PageFiles.holds(request.uri.path) {
        try checkOrigin(of: request)
        context.visitor = try visitor(of: request, from: context.client)
        try checkRights(of: context.visitor, for: request)
      }
      return try await answer(request, context, next)
    } catch {
      return error.response
    }
  }

  private func answer(
    _ request: Request, _ context: WebContext, _ next: (Request, WebContext) async throws -> Response
  ) async throws(Refusal) -> Response {
    do {
      let response = try await next(request, context)
      if response.headers[.contentType] == "text/event-stream" { endWithLogin(context) }
      return response
    } catch let error as HTTPError {
      throw Refusal(error.status, error.status.reasonPhrase.lowercased())
    } catch let error as ErrorReport {
      return error.response(from: request, context: context)
    } catch {
      throw Refusal(.internalServerError, "the answer could not be made")
    }
  }

  /// A stream lasts no longer than what has let its reader in: without a further request nothing else would ask.
  private func endWithLogin(_ context: WebContext) {
    guard !access.readsWithoutLogin else { return }
    let (access, channel, visitor) = (access, context.channel, context.visitor)
    channel.eventLoop.scheduleRepeatedTask(initialDelay: Self.recheck, delay: Self.recheck) { task in
      if !access.lets(visitor) { channel.close(promise: nil) }
      if !channel.isActive { task.cancel() }
    }
  }

  private static let recheck = TimeAmount.seconds(2)

  // MARK: - Form

  private static let longestPath = 256

  private func checkForm(of request: Request) throws(Refusal) {
    guard request.headers[.init("Host")!] == nil else { throw Refusal(.badRequest, "there is more than one Host") }
    guard let host = request.head.authority, hosts.include(host) else {
      throw Refusal(
        .misdirectedRequest, "this listener is not known by that name; add it to listen.web.names if it is right")
    }
    guard Self.isPlain(request.head.path ?? "") else {
      throw Refusal(.notFound, "this path is not part of this API")
    }
  }

  /// No path of ours needs an escape, an empty part or one that leads upwards.
  private static func isPlain(_ target: String) -> Bool {
    let path = target.prefix { $0 != "?" }
    guard path.first == "/", path.utf8.count <= longestPath else { return false }
    if path == "/" { return true }
    return path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
      !part.isEmpty && part != "." && part != ".."
        && part.utf8.allSatisfy { byte in
          (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
            || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
    }
  }

  /// Browsers say which page has made a request. Those of other ports of this machine are other pages, too.
  private func checkOrigin(of request: Request) throws(Refusal) {
    let host = request.head.authority?.lowercased() ?? ""
    let origin = request.headers[.origin]?.lowercased()
    let site = request.headers[.init("Sec-Fetch-Site")!]
    let isOwn = origin.map { $0 == "http://\(host)" || $0 == "https://\(host)" } ?? true
    guard isOwn, site.map({ ["same-origin", "none"].contains($0) }) ?? true else {
      throw Refusal(
        .forbidden, "this request was made by another page")
    }
  }

  // MARK: - Rights

  private func visitor(of request: Request, from client: IPAddress?) throws(Refusal) -> WebAccess.Visitor {
    let scheme = "bearer "
    let bearer = request.headers[.authorization].flatMap { value in
      value.lowercased().hasPrefix(scheme) ? String(value.dropFirst(scheme.count)) : nil
    }
    do throws(WebAccess.Wrong) {
      return try access.visitor(bearer: bearer, cookie: request.cookies[WebContext.cookie]?.value, from: client)
    } catch {
      throw Refusal(error)
    }
  }

  private func checkRights(of visitor: WebAccess.Visitor, for request: Request) throws(Refusal) {
    let path = request.uri.path
    // No path answers to HEAD but the page's files.
    let isReading = request.method == .get || request.method == .head
    if path == WebSessionRoutes.path, request.method != .delete { return }
    if case .nobody = visitor {
      if isReading, access.readsWithoutLogin { return }
      throw Refusal(
        .unauthorized, "this needs a login with a token made by mailwarden web-token",
        [.wwwAuthenticate: "Bearer"])
    }
    if case .session(let session, _) = visitor, !isReading {
      let word = request.headers[.init("X-CSRF-Token")!] ?? ""
      guard WebSecret.Digest(of: word).matches(WebSecret.Digest(of: session.csrf)) else {
        throw Refusal(
          .forbidden, "the X-CSRF-Token of the login is missing; log in again")
      }
    }
  }
}
