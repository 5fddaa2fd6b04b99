import Dispatch
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

@testable import WardenControl
@testable import WardenCore
@testable import WardenPolicy

/// Bytes as they come to the page's listener: HTTP's own parser, then the page's guard and the API.
///
/// Nobody gets in without the token, and nothing is answered that is not HTTP and, but for the page's files, JSON.
let httpTarget = FuzzTarget(name: "http") { input in
  let page = Page()
  // Whoever does not write it cannot have it.
  let mayBeKnown = String(decoding: input, as: UTF8.self).contains(Page.token)
  for (head, body) in requests(in: input).prefix(4) {
    let answer = page.answer(to: head, body)
    let (status, type) = (answer.status.code, answer.headers[.contentType] ?? "")
    let what = "\(head.method) \(head.path ?? "")"
    try require((200...599).contains(status), "\(what) is answered with \(status)")
    try require(
      answer.headers.allSatisfy { field in field.value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f } },
      "\(what) is answered with \(answer.headers)")
    if type == "application/json", head.method != .head {
      let isJSON = (try? JSONSerialization.jsonObject(with: Data(buffer: answer.body))) != nil
      try require(isJSON, "\(what) is answered with \(String(buffer: answer.body))")
    }
    guard !mayBeKnown, status < 400 else { continue }
    let path = String((head.path ?? "").prefix { $0 != "?" })
    try require(
      PageFiles.holds(path) || path == WebSessionRoutes.path && head.method == .get, "\(what) needs no token: \(status)"
    )
  }
  let engine = page.engine.engine
  try require(
    mayBeKnown || engine.penalties(at: Fixture.start).isEmpty && engine.overrides(at: Fixture.start).count == 2,
    "an order without the token")
  try page.engine.checkState(at: Fixture.start)
}

private func requests(in input: UnsafeRawBufferPointer) -> [(HTTPRequest, ByteBuffer)] {
  let channel = EmbeddedChannel()
  defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
  let pipeline = channel.pipeline.syncOperations
  do {
    try pipeline.addHandlers([
      ByteToMessageHandler(HTTPRequestDecoder()), AbsoluteTargets(), HTTP1ToHTTPServerCodec(secure: false),
    ])
    try channel.writeInbound(ByteBuffer(bytes: input))
  } catch {
    // What came before the fault was asked all the same.
  }
  var requests: [(HTTPRequest, ByteBuffer)] = []
  while let part = try? channel.readInbound(as: HTTPRequestPart.self) {
    switch part {
    case .head(let head): requests.append((head, ByteBuffer()))
    case .body(let body): if !requests.isEmpty { requests[requests.count - 1].1.writeImmutableBuffer(body) }
    case .end: break
    }
  }
  return requests
}

/// The page without its listener.
private final class Page: Sendable {
  static let token = "a-token-that-somebody-has"

  struct Answer: Sendable {
    var status = HTTPResponse.Status.ok
    var headers = HTTPFields()
    var body = ByteBuffer()
  }

  let engine = CheckedEngine(Fixture.engine())
  private let responder: any HTTPResponder<WebContext>

  init() {
    let tokens = WebTokens(keep: { _ in })
    let digest = WebSecret.Digest(of: Self.token).hex
    let (made, until) = (Fixture.start.microseconds, (Fixture.start + .days(1)).microseconds)
    tokens.restore(["web-token/alice": #"{"digest":"\#(digest)","made":\#(made),"until":\#(until)}"#])
    let watchers = Watchers(now: { Fixture.start }, wall: { $0 }) { .init(sessionsOpen: 0, penalties: 0, totals: []) }
    let control = Control(
      engine: engine.engine, trail: Trail(),
      books: .init(enter: { _ in nil }, read: { _ in throw ErrorReport(error: "no history") }), tokens: tokens,
      watchers: watchers, process: .init(version: "1", pid: 1, started: Fixture.start, policyFile: "p.yaml"),
      now: { Fixture.start }, wall: { $0 },
      gauges: {
        .init(
          openSessions: 0, milterFaults: 0, droppedNotices: 0, droppedCommands: 0, droppedHistory: 0, lastReload: nil,
          state: nil, alerts: nil, feeds: [], distress: [])
      },
      figures: {
        Figures(
          decisions: [], passed: [], answerTimes: [], queues: [], notices: [:], summarised: 0,
          reloads: .init(lastSuccess: Fixture.start))
      }, reload: { ReloadReport(at: "", ok: true, problems: [], warnings: []) },
      limits: { text, quantity throws(ErrorReport) in
        do throws(PolicyReader.LimitProblem) {
          return try PolicyReader.limits(text, of: quantity)
        } catch { throw ErrorReport(error: error.message) }
      })
    let server = WebServer(
      control: control, tokens: tokens,
      settings: .init(host: "127.0.0.1", port: 8025, readsWithoutLogin: false, names: ["warden.test"]),
      logger: Logger(label: "page") { _ in SwiftLogNoOpLogHandler() })
    responder = server.router.buildResponder()
  }

  func answer(to head: HTTPRequest, _ body: ByteBuffer) -> Answer {
    let answer = Locked(Answer())
    let done = DispatchSemaphore(value: 0)
    Task<Void, Never> { [responder] in
      let channel = EmbeddedChannel()
      let context = WebContext(source: ApplicationRequestContextSource(channel: channel, logger: Logger(label: "page")))
      do {
        let response = try await responder.respond(to: Request(head: head, body: .init(buffer: body)), context: context)
        answer.withLock { ($0.status, $0.headers) = (response.status, response.headers) }
        // A stream has no end.
        if response.headers[.contentType] != "text/event-stream" {
          try await response.body.write(
            Collector { bytes in answer.withLock { _ = $0.body.writeImmutableBuffer(bytes) } })
        }
      } catch {
        answer.withLock { $0.status = .init(code: 999, reasonPhrase: "\(error)") }
      }
      done.signal()
    }
    done.wait()
    return answer.withLock { $0 }
  }
}

private struct Collector: ResponseBodyWriter {
  let take: @Sendable (ByteBuffer) -> Void
  func write(_ buffer: ByteBuffer) async throws { take(buffer) }
  consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
