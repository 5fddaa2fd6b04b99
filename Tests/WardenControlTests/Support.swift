import Foundation
import Logging
import Testing
import WardenCore
import WardenTestKit

@testable import WardenControl

/// The page on an engine of its own, on a free port.
final class TestPage: Sendable {
  static let start = Timestamp(microseconds: 1_795_515_245_000_000)

  let engine = Engine(policy: Policy())
  let tokens = WebTokens(keep: { _ in })
  let log = Locked([String]())
  private let time = Locked(TestPage.start)
  private let entered = Locked([AdministratorAction]())

  let watchers: Watchers

  init() {
    watchers = Watchers(now: { [time] in time.withLock { $0 } }, wall: { $0 }) {
      Watchers.Pulse(sessionsOpen: 0, penalties: 0, totals: [])
    }
  }

  var actions: [AdministratorAction] { entered.withLock { $0 } }
  func wait(_ span: TimeSpan) { time.withLock { $0 = $0 + span } }

  /// Something, so that it is noticed who has left.
  /// - Returns: how many watch.
  func tellWatchers() -> Int {
    watchers.tell(AdministratorAction(at: Self.start, who: "root", action: "reload", key: "", detail: ""))
    return watchers.count
  }

  func token(_ name: String = "alice") throws -> String {
    try tokens.make(name: name, for: .days(1), at: time.withLock { $0 }).secret
  }

  var logger: Logger { Logger(label: "page") { _ in LinesHandler(lines: self.log) } }

  var control: Control {
    Control(
      engine: engine, trail: Trail(),
      books: .init(
        enter: { [entered] action in
          entered.withLock { $0.append(action) }
          return nil
        }, read: { _ in throw ErrorReport(error: "no history") }),
      tokens: tokens,
      watchers: watchers, process: .init(version: "1", pid: 1, started: Self.start, policyFile: "p.yaml"),
      now: { [time] in time.withLock { $0 } }, wall: { $0 },
      gauges: {
        .init(
          openSessions: 0, milterFaults: 0, droppedNotices: 0, droppedCommands: 0, droppedHistory: 0, lastReload: nil,
          state: nil, alerts: nil, feeds: [], distress: [])
      },
      figures: {
        Figures(
          decisions: [], passed: [], answerTimes: [], queues: [], notices: [:], summarised: 0,
          reloads: .init(lastSuccess: Self.start))
      },
      reload: { ReloadReport(at: "", ok: true, problems: [], warnings: []) },
      limits: { _, _ throws(ErrorReport) in [] })
  }

  /// Beside other tests a server may wait long for a thread.
  static let patient: WebServer.Bounds = {
    var bounds = WebServer.Bounds()
    bounds.request = .seconds(120)
    return bounds
  }()

  func server(readsWithoutLogin: Bool = false, bounds: WebServer.Bounds = patient) -> WebServer {
    WebServer(
      control: control, tokens: tokens,
      settings: .init(
        host: "127.0.0.1", port: 0, readsWithoutLogin: readsWithoutLogin, names: ["warden.example.org"]),
      bounds: bounds, logger: logger)
  }

  /// Serves while the client does its work, on a thread of its own: a client waits for the server, and must not keep it from
  /// a thread.
  func serve(
    readsWithoutLogin: Bool = false, bounds: WebServer.Bounds = patient,
    _ client: @escaping @Sendable (Int) throws -> Void
  ) async throws {
    let server = server(readsWithoutLogin: readsWithoutLogin, bounds: bounds)
    let (ports, running) = AsyncStream.makeStream(of: Int.self)
    let task = Task { try await server.application { running.yield($0) }.run() }
    var iterator = ports.makeAsyncIterator()
    let first = await iterator.next()
    let port = try #require(first)
    let result = await Task(executorPreference: OwnThreads()) { try client(port) }.result
    task.cancel()
    _ = await task.result
    try result.get()
  }
}

private struct LinesHandler: LogHandler {
  let lines: Locked<[String]>
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.trace

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let line = "\(event.level) \(event.message) \(event.metadata ?? [:]) \(metadata)"
    lines.withLock { $0.append(line) }
  }
}

extension RawHTTPClient {
  /// One request on a connection of its own.
  static func ask(
    _ port: Int, _ method: String, _ target: String, _ fields: [String] = [], body: String = "",
    host: String = "localhost:8025"
  ) throws -> Answer {
    let client = try RawHTTPClient(port)
    let head = ["\(method) \(target) HTTP/1.1", "Host: \(host)", "Content-Length: \(body.utf8.count)"] + fields
    try client.send(head.joined(separator: "\r\n") + "\r\n\r\n" + body)
    return try client.answer(hasBody: method != "HEAD")
  }

  /// Logs in: the fields that a browser's page would send from then on.
  static func login(_ port: Int, _ token: String) throws -> (cookie: String, csrf: String) {
    let answer = try ask(port, "POST", "/v1/session", body: #"{"token":"\#(token)"}"#)
    try #require(answer.status == 200, "\(answer.body)")
    let cookie = try #require(answer.field("Set-Cookie")).prefix { $0 != ";" }
    let fields = try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any]
    return ("Cookie: \(cookie)", "X-CSRF-Token: \(try #require(fields?["csrf"] as? String))")
  }
}
