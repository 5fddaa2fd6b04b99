import Hummingbird
import Logging
import NIOCore
import WardenCore

/// The control socket: HTTP with JSON over a UNIX socket. Who may talk to it is the file's mode.
public struct ControlServer {
  private let control: Control
  private let path: String
  private let logger: Logger
  /// The largest order is a key and a sentence.
  private static let largestBody = 16_384

  public init(control: Control, path: String, logger: Logger) {
    self.control = control
    self.path = path
    self.logger = logger
  }

  /// - Parameter onRunning: called once the socket is there.
  public func application(onRunning: @escaping @Sendable () -> Void) -> some ApplicationProtocol {
    Application(
      router: router(),
      configuration: ApplicationConfiguration(address: .unixDomainSocket(path: path), serverName: "mailwarden"),
      onServerRunning: { _ in onRunning() },
      logger: logger)
  }

  private func router() -> Router<BasicRequestContext> {
    let control = control
    let router = Router()
    router.get("/v1/status") { _, _ in Self.json(control.status()) }
    router.get("/v1/counters") { request, _ in
      try Self.reply { try control.counters(of: Self.parameter("key", request)) }
    }
    router.get("/v1/keys") { request, _ in
      try Self.reply {
        let query = request.uri.queryParameters
        let limit = query["limit"].map { Int($0) } ?? 20
        guard let limit else { throw ErrorReport(error: "limit has to be a number") }
        return try control.keys(order: query["order"].map(String.init) ?? "limit", limit: limit)
      }
    }
    router.get("/v1/explain") { request, _ in
      try Self.reply { try control.explain(Self.parameter("key", request)) }
    }
    router.get("/v1/penalties") { _, _ in Self.json(control.penalties()) }
    router.post("/v1/penalties") { request, _ in
      try await Self.order(request, BlockOrder.self, like: #"{"key":"user:alice","for":"1h","reason":"…"}"#) {
        try control.block($0)
      }
    }
    router.delete("/v1/penalties") { request, _ in
      try Self.reply { try control.release(Self.parameter("key", request)) }
    }
    router.get("/v1/overrides") { _, _ in Self.json(control.overrides()) }
    router.post("/v1/overrides") { request, _ in
      try await Self.order(
        request, AllowOrder.self, like: #"{"key":"user:alice","for":"1h","rule":"…","limit":"500 per 1d","reason":"…"}"#
      ) {
        try control.allow($0)
      }
    }
    router.delete("/v1/overrides") { request, _ in
      try Self.reply { try control.revoke(Self.parameter("key", request)) }
    }
    router.post("/v1/reload") { _, _ in
      let report = control.reload()
      return Self.json(report, report.ok ? .ok : .unprocessableContent)
    }
    router.add(middleware: UnknownPath())
    return router
  }

  /// Carries out what a body orders.
  private static func order<Order: Decodable, Answer: Encodable>(
    _ request: Request, _: Order.Type, like example: String, _ work: (Order) throws -> Answer
  ) async throws -> Response {
    let order: Order
    do {
      order = try JSONCoding.decode(Order.self, from: try await request.body.collect(upTo: largestBody))
    } catch {
      return json(ErrorReport(error: "the body has to be JSON like \(example)"), .badRequest)
    }
    return try reply { try work(order) }
  }

  private static func parameter(_ name: String, _ request: Request) throws -> String {
    guard let value = request.uri.queryParameters[Substring(name)] else {
      throw ErrorReport(error: "the parameter \"\(name)\" is missing, as in ?\(name)=user:alice@example.org")
    }
    return String(value)
  }

  private static func reply(_ body: () throws -> some Encodable) throws -> Response {
    do {
      return json(try body())
    } catch let error as ErrorReport {
      return json(error, .badRequest)
    }
  }

  fileprivate static func json(_ value: some Encodable, _ status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: JSONCoding.encode(value)))
  }
}

/// Says in JSON, too, that a path or method is unknown.
private struct UnknownPath: RouterMiddleware {
  func handle(
    _ request: Request, context: BasicRequestContext,
    next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as HTTPError where error.status == .notFound || error.status == .methodNotAllowed {
      return ControlServer.json(
        ErrorReport(error: "\(request.method) \(request.uri.path) is not part of this API"), error.status)
    }
  }
}
