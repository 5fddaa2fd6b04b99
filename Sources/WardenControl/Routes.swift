import Foundation
import Hummingbird
import NIOCore
import WardenCore

/// What a listener of the API knows of whoever asks.
protocol AdministratorContext: RequestContext {
  var channel: any Channel { get }
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
      Self.json(try control.counters(of: Self.parameter("key", request)))
    }
    router.get("/v1/keys") { request, _ in
      let order = request.uri.queryParameters["order"].map(String.init) ?? "limit"
      let limit = try Self.limit(request)
      return try await Self.blocking(Self.walks) { try control.keys(order: order, limit: limit ?? 20) }
    }
    router.get("/v1/trend") { request, _ in
      Self.json(try control.trend(span: request.uri.queryParameters["span"].map(String.init) ?? "1h"))
    }
    router.get("/v1/episodes") { _, _ in Self.json(control.episodes()) }
    router.get("/v1/portrait") { request, _ in
      let key = try Self.parameter("key", request)
      return try await Self.blocking(Self.walks) { try control.portrait(of: key) }
    }
    router.get("/v1/events") { request, context in
      try await Self.stream(request, control, context.channel)
    }
    router.get("/v1/explain") { request, _ in
      Self.json(try control.explain(Self.parameter("key", request)))
    }
    router.get("/v1/penalties") { request, _ in
      let limit = try Self.limit(request)
      return Self.json(control.penalties(atMost: limit))
    }
    router.post("/v1/penalties") { request, context in
      try await Self.order(request, BlockOrder.self, like: #"{"key":"user:alice","for":"1h","reason":"…"}"#) {
        try await control.block($0, by: context.administrator())
      }
    }
    router.delete("/v1/penalties") { request, context in
      Self.json(try await control.release(Self.parameter("key", request), by: context.administrator()))
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
      Self.json(try await control.revoke(Self.parameter("key", request), by: context.administrator()))
    }
    router.post("/v1/reload") { _, context in
      let report = await control.reload(by: context.administrator())
      return Self.json(report, report.ok ? .ok : .unprocessableContent)
    }
    router.get("/v1/history") { request, _ in
      try await Self.blocking(Self.questions) {
        var parameters: [String: String] = [:]
        for (name, value) in request.uri.queryParameters { parameters[String(name)] = String(value) }
        return try control.history(of: Self.parameter("key", request), parameters)
      }
    }
    router.get("/v1/report") { request, _ in
      try await Self.blocking(Self.questions) {
        try control.report(day: request.uri.queryParameters["day"].map(String.init))
      }
    }
    router.get("/v1/suggest") { _, _ in try await Self.blocking(Self.questions) { try control.suggestion() } }
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
    return json(try await work(order))
  }

  /// One question to the disk at a time: many at once must not take the threads on which alerts are sent.
  private static let questions = DispatchQueue(label: "mailwarden.questions")

  /// One look through all keys or messages at a time, for the same reason.
  private static let walks = DispatchQueue(label: "mailwarden.walks")

  /// A question that takes its time, so that no other waits for it.
  private static func blocking(
    _ queue: DispatchQueue, _ body: @escaping @Sendable () throws -> any Encodable & Sendable
  ) async throws -> Response {
    let result = await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: Result { json(try Opened(body())) }) }
    }
    return try result.get()
  }

  /// What stands in for a value whose type is not known here.
  private struct Opened: Encodable {
    let value: any Encodable
    init(_ value: any Encodable) { self.value = value }
    func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
  }

  private static func limit(_ request: Request) throws -> Int? {
    guard let text = request.uri.queryParameters["limit"] else { return nil }
    guard let limit = Int(text) else { throw ErrorReport(error: "limit has to be a number") }
    return limit
  }

  private static func parameter(_ name: String, _ request: Request) throws -> String {
    guard let value = request.uri.queryParameters[Substring(name)] else {
      throw ErrorReport(error: "the parameter \"\(name)\" is missing, as in ?\(name)=user:alice@example.org")
    }
    return String(value)
  }

  /// Server-sent events until the watcher leaves, or does not read.
  private static func stream(_ request: Request, _ control: Control, _ channel: any Channel) async throws -> Response {
    let query = request.uri.queryParameters
    let filter = try control.filter(
      key: query["key"].map(String.init), rule: query["rule"].map(String.init),
      decisions: query["decision"].map(String.init), pulse: query["pulse"].map(String.init))
    let watchers = control.watchers
    guard let watcher = watchers.watch(filter, close: { channel.close(promise: nil) }) else {
      return json(ErrorReport(error: "too many watch already (\(Watchers.most)); try again later"), .serviceUnavailable)
    }
    return Response(
      status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
      body: ResponseBody { writer in
        defer { watchers.leave(watcher) }
        // Says at once that the stream is open.
        try await writer.write(ByteBuffer(string: ": mailwarden\n\n"))
        for await _ in watcher.arrivals { try await writer.write(watcher.take()) }
        try await writer.finish(nil)
      })
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

/// What was asked for cannot be answered.
extension ErrorReport: HTTPResponseError {
  public var status: HTTPResponse.Status { .badRequest }

  public func response(from request: Request, context: some RequestContext) -> Response {
    Routes.json(self, status)
  }
}
