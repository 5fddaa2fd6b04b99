import Foundation
import Hummingbird
import Logging
import NIOCore
import WardenCore
import WardenHTTP

/// Dovecot's requests over HTTP on TCP, which is all that it speaks.
public struct DovecotFeedServer {
  /// How much clients may take. Beyond it they are sent away at once: Dovecot then goes on without an answer, and would
  /// wait for two seconds for one that does not come.
  struct Bounds {
    /// Dovecot opens a hundred at most.
    var connections = 256
    /// In bytes. A login can have kilobytes, an event holds it up to three times, and control characters grow sixfold in
    /// JSON; a shorter bound would let whoever tries such logins do so uncounted.
    var body = 131_072
    /// Between two requests, and for a request's header.
    var idle = TimeAmount.seconds(60)
    /// For a request, and again for its answer.
    var request = TimeAmount.seconds(10)
  }

  private let feed: DovecotFeed
  private let host: String
  private let port: Int
  private let bounds: Bounds
  private let logger: Logger

  public init(feed: DovecotFeed, host: String, port: Int, logger: Logger) {
    self.init(feed: feed, host: host, port: port, bounds: Bounds(), logger: logger)
  }

  init(feed: DovecotFeed, host: String, port: Int, bounds: Bounds, logger: Logger) {
    self.feed = feed
    self.host = host
    self.port = port
    self.bounds = bounds
    self.logger = logger
  }

  /// - Parameter onRunning: called with the port once connections are taken.
  public func application(onRunning: @escaping @Sendable (Int) -> Void) -> some ApplicationProtocol {
    let (feed, bounds, port) = (feed, bounds, port)
    let open = Locked(0)
    return Application(
      responder: Responder(feed: feed, largestBody: bounds.body),
      server: .http1(
        configuration: .init(
          additionalChannelHandlers: [
            ConnectionGuard(
              open, .init(connections: bounds.connections, request: bounds.request, answer: bounds.request),
              turnedAway: feed.turnedAway)
          ],
          idleTimeout: bounds.idle,
          httpDecoderConfiguration: .init(
            maxHeaderFieldSize: 8_192, maxHeaderListSize: 16_384, maxHeaderFieldCount: 100))),
      configuration: ApplicationConfiguration(address: .hostname(host, port: port), serverName: "mailwarden"),
      onServerRunning: { onRunning($0.localAddress?.port ?? port) }, logger: logger)
  }

  private struct Responder: HTTPResponder {
    let feed: DovecotFeed
    let largestBody: Int

    func respond(to request: Hummingbird.Request, context: BasicRequestContext) async throws -> Response {
      let answer: DovecotFeed.Answer
      do {
        let body = try await request.body.collect(upTo: largestBody)
        answer = feed.answer(
          DovecotFeed.Request(
            isPost: request.method == .post, path: request.uri.path,
            command: request.uri.queryParameters["command"].map(String.init), tokens: Self.tokens(request.headers),
            body: Array(body.readableBytesView)))
      } catch is NIOTooManyBytesError {
        answer = feed.tooLong()
      }
      var headers: HTTPFields = [.contentType: "application/json"]
      // Whoever has no token keeps no connection, which others may need.
      if answer.status == 401 { headers[.connection] = "close" }
      return Response(
        status: .init(code: answer.status), headers: headers,
        body: ResponseBody(byteBuffer: ByteBuffer(string: answer.json + "\n")))
    }

    /// Dovecot's `auth_policy_server_api_header` can name a field or give the token alone, and its URL can hold a password.
    private static func tokens(_ headers: HTTPFields) -> [String] {
      var tokens = [headers[.init("X-Mailwarden-Token")!], headers[.init("X-API-Key")!]].compactMap(\.self)
      let basic = "basic "
      if let value = headers[.authorization], value.lowercased().hasPrefix(basic),
        let pair = Data(base64Encoded: String(value.dropFirst(basic.count))).map({ String(decoding: $0, as: UTF8.self) }
        ),
        let colon = pair.firstIndex(of: ":")
      {
        tokens.append(String(pair[pair.index(after: colon)...]))
      }
      return tokens
    }
  }
}
