import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// What browsers are told with every answer, also with those that are made before a request is understood.
final class AnswerHeaders: ChannelOutboundHandler, RemovableChannelHandler {
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  /// The page is made of its own files alone, asks nobody else, and stands in nobody else's frame.
  private static let fields: [(HTTPField.Name, String)] = [
    (
      .contentSecurityPolicy,
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
        + " base-uri 'none'; frame-ancestors 'none'"
    ),
    (.xContentTypeOptions, "nosniff"),
    (.init("Referrer-Policy")!, "no-referrer"),
    (.init("X-Frame-Options")!, "DENY"),
    (.init("Cross-Origin-Opener-Policy")!, "same-origin"),
    (.init("Cross-Origin-Resource-Policy")!, "same-origin"),
  ]

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard case .head(var head) = unwrapOutboundIn(data) else { return context.write(data, promise: promise) }
    for (name, value) in Self.fields { head.headerFields[name] = value }
    if head.headerFields[.cacheControl] == nil { head.headerFields[.cacheControl] = "no-store" }
    context.write(wrapOutboundOut(.head(head)), promise: promise)
  }
}
