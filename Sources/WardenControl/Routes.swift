import Foundation
import Hummingbird
import NIOCore
import WardenCore

/// What a listener of the API knows of whoever asks.
protocol AdministratorContext: RequestContext {
  var channel: any Channel { get }
  /// For a stream of events.
  var watcherPlace: Watchers.Place { get }
  /// Who it is, for the log and the book of what was done.
  func administrator() async -> String
}

/// The paths of the API, the same on each listener.
struct Routes {
  let control: Control
  /// The largest order is a key and a sentence.
  private static let largestBody = 16_384

  func add<Context: AdministratorContext>(to router: Router<Context>) {
    let (control, disk, memory) = (control, disk, memory)
    router.get("/v1/status") { request, _ in
      _ = try Query(request)
      return Self.json(control.status())
    }
    router.get("/v1/counters") { request, _ in
      let key = try Query(request, knows: "key").key
      return try await memory.json { try control.counters(of: key) }
    }
    router.get("/v1/keys") { request, _ in
      let query = try Query(request, knows: "order", "per", "limit")
      let (order, kinds) = (query["order"] ?? "limit", try control.kinds(query["per"]))
      let limit = try query.number("limit", in: 1...Control.mostKeys) ?? 20
      return try await memory.json { try control.keys(order: order, of: kinds, atMost: limit) }
    }
    router.get("/v1/trend") { request, _ in
      Self.json(try control.trend(span: Query(request, knows: "span")["span"] ?? "1h"))
    }
    router.get("/v1/episodes") { request, _ in
      _ = try Query(request)
      return try await memory.json { control.episodes() }
    }
    router.get("/v1/portrait") { request, _ in
      let key = try Query(request, knows: "key").key
      return try await memory.json { try control.portrait(of: key) }
    }
    router.get("/v1/events") { request, context in
      try await Self.stream(request, control, context.watcherPlace, context.channel)
    }
    router.get("/v1/explain") { request, _ in
      let key = try Query(request, knows: "key").key
      return try await memory.json { try control.explain(key) }
    }
    router.get("/v1/penalties") { request, _ in
      let limit = try Query(request, knows: "limit").number("limit", in: 1...Control.mostPenalties)
      return try await memory.json { control.penalties(atMost: limit) }
    }
    router.post("/v1/penalties") { request, context in
      try await Self.order(request, BlockOrder.self, like: #"{"key":"user:alice","for":"1h","reason":"…"}"#) {
        try await control.block($0, by: context.administrator())
      }
    }
    router.delete("/v1/penalties") { request, context in
      Self.json(try await control.release(Query(request, knows: "key").key, by: context.administrator()))
    }
    router.get("/v1/overrides") { request, _ in
      _ = try Query(request)
      return Self.json(control.overrides())
    }
    router.post("/v1/overrides") { request, context in
      try await Self.order(
        request, AllowOrder.self, like: #"{"key":"user:alice","for":"1h","rule":"…","limit":"500 per 1d","reason":"…"}"#
      ) {
        try await control.allow($0, by: context.administrator())
      }
    }
    router.delete("/v1/overrides") { request, context in
      Self.json(try await control.revoke(Query(request, knows: "key").key, by: context.administrator()))
    }
    router.post("/v1/reload") { request, context in
      _ = try Query(request)
      let report = await control.reload(by: context.administrator())
      return Self.json(report, report.ok ? .ok : .unprocessableContent)
    }
    router.get("/v1/history") { request, _ in
      let query = try Query(request, knows: "key", "by", "from", "to")
      return try await disk.json { try control.history(of: query.key, query.values) }
    }
    router.get("/v1/report") { request, _ in
      let day = try Query(request, knows: "day")["day"]
      return try await disk.json { try control.report(day: day) }
    }
    router.get("/v1/rule") { request, _ in
      let query = try Query(request, knows: "name", "days")
      let name = try query.required("name", like: "cap")
      let days = try query.number("days", in: Control.daysOfRule) ?? 7
      return try await disk.json { try control.rule(name, days: days) }
    }
    router.get("/v1/suggest") { request, _ in
      _ = try Query(request)
      return try await disk.json { try control.suggestion() }
    }
    router.get("/metrics") { request, _ in
      _ = try Query(request)
      return try await memory.answer {
        Response(
          status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
          body: ResponseBody(byteBuffer: ByteBuffer(string: control.metrics())))
      }
    }
  }

  /// Carries out what a body orders.
  static func order<Order: Decodable, Answer: Encodable>(
    _ request: Request, _: Order.Type, like example: String, _ work: (Order) async throws -> Answer
  ) async throws -> Response {
    json(try await work(await body(of: request, Order.self, upTo: largestBody, like: example)))
  }

  /// A body that stands alone: its path takes no parameters.
  static func body<Order: Decodable>(
    of request: Request, _: Order.Type, upTo largest: Int, like example: String
  ) async throws -> Order {
    _ = try Query(request)
    do {
      return try JSONCoding.decode(Order.self, from: try await request.body.collect(upTo: largest))
    } catch is NIOTooManyBytesError {
      throw ErrorReport(error: "the body is longer than \(largest) bytes", .tooLong)
    } catch {
      throw ErrorReport(error: "the body has to be JSON like \(example)")
    }
  }

  /// Work that takes its time, done one after the other on a thread of its own: many questions at once must not take the
  /// threads on which alerts are sent and decisions told.
  final class Line: Sendable {
    private static let mostWaiting = 32
    private let queue: DispatchQueue
    private let waiting = Locked(0)

    init(_ name: String) { queue = DispatchQueue(label: "mailwarden.\(name)") }

    func json(_ body: @escaping @Sendable () throws -> any Encodable & Sendable) async throws -> Response {
      try await answer { Routes.json(try Opened(body())) }
    }

    func answer(_ body: @escaping @Sendable () throws -> Response) async throws -> Response {
      let hasRoom = waiting.withLock { waiting in
        guard waiting < Self.mostWaiting else { return false }
        waiting += 1
        return true
      }
      guard hasRoom else { throw ErrorReport(error: "too many ask at once; try again later", .unavailable) }
      let result = await withCheckedContinuation { continuation in
        queue.async { continuation.resume(returning: Result { try body() }) }
      }
      waiting.withLock { $0 -= 1 }
      return try result.get()
    }
  }

  /// Each listener has its own, so that nobody at the page keeps an administrator at the control socket waiting.
  private let disk = Line("disk")
  private let memory = Line("memory")

  /// What stands in for a value whose type is not known here.
  private struct Opened: Encodable {
    let value: any Encodable
    init(_ value: any Encodable) { self.value = value }
    func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
  }

  /// Server-sent events until the watcher leaves, or does not read.
  private static func stream(
    _ request: Request, _ control: Control, _ place: Watchers.Place, _ channel: any Channel
  ) async throws -> Response {
    let query = try Query(request, knows: "key", "rule", "decision", "pulse")
    let filter = try control.filter(
      key: query["key"], rule: query["rule"], decisions: query["decision"], pulse: query["pulse"])
    let watchers = control.watchers
    guard watchers.haveRoom(for: place) else {
      throw ErrorReport(error: "too many watch already; try again later", .unavailable)
    }
    return Response(
      status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
      body: ResponseBody { writer in
        // Not before: an answer whose client has left has no body, and would hold its place for ever.
        if let watcher = watchers.watch(filter, from: place, close: { channel.close(promise: nil) }) {
          defer { watchers.leave(watcher) }
          // Says at once that the stream is open.
          try await writer.write(ByteBuffer(string: ": mailwarden\n\n"))
          for await _ in watcher.arrivals { try await writer.write(watcher.take()) }
        }
        try await writer.finish(nil)
      })
  }

  static func json(_ value: some Encodable, _ status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: JSONCoding.encode(value)))
  }
}

/// Says in JSON, too, that a path or method is unknown, and which methods the path has.
struct UnknownPath<Context: RequestContext>: RouterMiddleware {
  private let methods: [String: [String]]

  /// - Parameter router: has all its paths already.
  init(of router: Router<Context>) {
    methods = Dictionary(grouping: router.routes, by: \.path.description).mapValues { $0.map(\.method.rawValue) }
  }

  func handle(
    _ request: Request, context: Context,
    next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as HTTPError where error.status == .notFound {
      let path = request.uri.path
      guard let allowed = methods[path] else {
        return Routes.json(ErrorReport(error: "\(path) is not part of this API"), .notFound)
      }
      let list = allowed.joined(separator: ", ")
      var response = Routes.json(ErrorReport(error: "\(path) knows \(list), not \(request.method)"), .methodNotAllowed)
      response.headers[.allow] = list
      return response
    }
  }
}

/// What was asked for cannot be answered.
extension ErrorReport: HTTPResponseError {
  public var status: HTTPResponse.Status {
    switch kind {
    case .badRequest: .badRequest
    case .notFound: .notFound
    case .tooLong: .contentTooLarge
    case .unavailable: .serviceUnavailable
    }
  }

  public func response(from request: Request, context: some RequestContext) -> Response {
    Routes.json(self, status)
  }
}
