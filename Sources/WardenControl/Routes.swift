import Foundation
import Hummingbird
import NIOCore
import WardenCore

/// What a listener of the API knows of whoever asks.
protocol AdministratorContext: RequestContext {
  /// Who it is, for the log and the book of what was done.
  func administrator() async -> String
}

/// The paths of the API, the same on each listener.
struct Routes {
  let control: Control
  /// The largest order is a key and a sentence.
  private static let largestBody = 16_384

  func add<Context: AdministratorContext>(to router: Router<Context>) {
    let control = control
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
    router.post("/v1/penalties") { request, context in
      try await Self.order(request, BlockOrder.self, like: #"{"key":"user:alice","for":"1h","reason":"…"}"#) {
        try await control.block($0, by: context.administrator())
      }
    }
    router.delete("/v1/penalties") { request, context in
      try await Self.answer { try await control.release(Self.parameter("key", request), by: context.administrator()) }
    }
    router.get("/v1/overrides") { _, _ in Self.json(control.overrides()) }
    router.post("/v1/overrides") { request, context in
      try await Self.order(
        request, AllowOrder.self, like: #"{"key":"user:alice","for":"1h","rule":"…","limit":"500 per 1d","reason":"…"}"#
      ) {
        try await control.allow($0, by: context.administrator())
      }
    }
    router.delete("/v1/overrides") { request, context in
      try await Self.answer { try await control.revoke(Self.parameter("key", request), by: context.administrator()) }
    }
    router.post("/v1/reload") { _, context in
      let report = await control.reload(by: context.administrator())
      return Self.json(report, report.ok ? .ok : .unprocessableContent)
    }
    router.get("/v1/history") { request, _ in
      try await Self.blocking {
        var parameters: [String: String] = [:]
        for (name, value) in request.uri.queryParameters { parameters[String(name)] = String(value) }
        return try control.history(of: Self.parameter("key", request), parameters)
      }
    }
    router.get("/v1/report") { request, _ in
      try await Self.blocking { try control.report(day: request.uri.queryParameters["day"].map(String.init)) }
    }
    router.get("/v1/suggest") { _, _ in try await Self.blocking { try control.suggestion() } }
    router.get("/metrics") { _, _ in
      Response(
        status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
        body: ResponseBody(byteBuffer: ByteBuffer(string: Metrics.text(control.status()))))
    }
  }

  /// Carries out what a body orders.
  private static func order<Order: Decodable, Answer: Encodable>(
    _ request: Request, _: Order.Type, like example: String, _ work: (Order) async throws -> Answer
  ) async throws -> Response {
    let order: Order
    do {
      order = try JSONCoding.decode(Order.self, from: try await request.body.collect(upTo: largestBody))
    } catch {
      return json(ErrorReport(error: "the body has to be JSON like \(example)"), .badRequest)
    }
    return try await answer { try await work(order) }
  }

  /// One question to the disk at a time: many at once must not take the threads on which alerts are sent.
  private static let questions = DispatchQueue(label: "mailwarden.questions")

  /// A question that waits for a disk, so that no other waits for it.
  private static func blocking(_ body: @escaping @Sendable () throws -> any Encodable & Sendable) async throws
    -> Response
  {
    let result = await withCheckedContinuation { continuation in
      questions.async { continuation.resume(returning: Result { try reply { try Opened(body()) } }) }
    }
    return try result.get()
  }

  /// What stands in for a value whose type is not known here.
  private struct Opened: Encodable {
    let value: any Encodable
    init(_ value: any Encodable) { self.value = value }
    func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
  }

  private static func parameter(_ name: String, _ request: Request) throws -> String {
    guard let value = request.uri.queryParameters[Substring(name)] else {
      throw ErrorReport(error: "the parameter \"\(name)\" is missing, as in ?\(name)=user:alice@example.org")
    }
    return String(value)
  }

  private static func answer(_ body: () async throws -> some Encodable) async throws -> Response {
    do {
      return json(try await body())
    } catch let error as ErrorReport {
      return json(error, .badRequest)
    }
  }

  private static func reply(_ body: () throws -> some Encodable) throws -> Response {
    do {
      return json(try body())
    } catch let error as ErrorReport {
      return json(error, .badRequest)
    }
  }

  static func json(_ value: some Encodable, _ status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: JSONCoding.encode(value)))
  }
}

/// Says in JSON, too, that a path or method is unknown.
struct UnknownPath<Context: RequestContext>: RouterMiddleware {
  func handle(
    _ request: Request, context: Context,
    next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as HTTPError where error.status == .notFound || error.status == .methodNotAllowed {
      return Routes.json(
        ErrorReport(error: "\(request.method) \(request.uri.path) is not part of this API"), error.status)
    }
  }
}
