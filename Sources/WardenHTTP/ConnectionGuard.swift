import NIOCore
import NIOHTTPTypes
import WardenCore

/// Closes connections beyond a bound, such as take too long over a request or its answer, and such as were told so.
///
/// A stream of events may last: once it has begun, its connection has no deadline until it ends.
public final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
  public typealias InboundIn = HTTPRequestPart
  public typealias OutboundIn = HTTPResponsePart

  /// How much the clients of one listener may take.
  public struct Bounds: Sendable {
    let connections: Int
    let request: TimeAmount
    let answer: TimeAmount

    /// - Parameters:
    ///   - connections: open at one time.
    ///   - request: from the connection, or a further request's header, to the request's end.
    ///   - answer: from there until the client has taken the answer.
    public init(connections: Int, request: TimeAmount, answer: TimeAmount) {
      self.connections = connections
      self.request = request
      self.answer = answer
    }
  }

  /// Requests that a client may send before it takes an answer.
  private static let mostUnanswered = 8
  /// After a last answer: closed at once, what the client is still sending could take the answer from it.
  private static let lingering = TimeAmount.seconds(1)

  /// Shared by all connections of a listener.
  private let open: Locked<Int>
  private let idle: IdleConnections?
  private let bounds: Bounds
  private let turnedAway: @Sendable () -> Void
  private var closing: Scheduled<Void>?
  /// Requests without the end of their answer: clients may send the next before it.
  private var unanswered = 0
  /// Whether a request has begun and not ended; it may be answered before.
  private var isReading = false
  /// Whether the answer is under way that says `Connection: close`; nothing is read after it.
  private var isLast = false

  /// - Parameters:
  ///   - idle: where one that is idle has to make room for a newcomer; otherwise the newcomer is closed.
  ///   - turnedAway: called for each that is closed because there are too many.
  public init(
    _ open: Locked<Int>, _ bounds: Bounds, idle: IdleConnections? = nil, turnedAway: @escaping @Sendable () -> Void
  ) {
    self.open = open
    self.idle = idle
    self.bounds = bounds
    self.turnedAway = turnedAway
  }

  public func handlerAdded(context: ChannelHandlerContext) { open.withLock { $0 += 1 } }

  public func handlerRemoved(context: ChannelHandlerContext) {
    open.withLock { $0 -= 1 }
    idle?.remove(context.channel)
    closing?.cancel()
  }

  public func channelActive(context: ChannelHandlerContext) {
    if open.withLock({ $0 > bounds.connections }) {
      turnedAway()
      guard idle?.closeLongest() == true else { return context.close(promise: nil) }
    }
    idle?.add(context.channel)
    // Whoever only connects holds a place for no longer than one request may take.
    close(context, in: bounds.request)
    context.fireChannelActive()
  }

  public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isLast, unanswered <= Self.mostUnanswered else { return }
    switch unwrapInboundIn(data) {
    case .head:
      idle?.remove(context.channel)
      isReading = true
      unanswered += 1
      if unanswered > Self.mostUnanswered { return context.close(promise: nil) }
      if unanswered == 1, closing == nil { close(context, in: bounds.request) }
    case .body: break
    case .end:
      isReading = false
      if unanswered == 0 { rest(context) } else if unanswered == 1 { close(context, in: bounds.answer) }
    }
    context.fireChannelRead(data)
  }

  public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(let head):
      if head.headerFields[.contentType]?.hasPrefix("text/event-stream") == true { stay() }
      isLast = head.headerFields[.connection]?.lowercased() == "close"
      context.write(data, promise: promise)
    case .body:
      context.write(data, promise: promise)
    case .end:
      let taken = promise ?? context.eventLoop.makePromise()
      taken.futureResult.assumeIsolated().whenSuccess { self.answered(context) }
      context.write(data, promise: taken)
    }
  }

  private func answered(_ context: ChannelHandlerContext) {
    unanswered = max(0, unanswered - 1)
    if isLast {
      context.close(mode: .output, promise: nil)
      return close(context, in: Self.lingering)
    }
    // A body that nobody reads must not go on for ever.
    guard !isReading else { return }
    if unanswered == 0 { rest(context) } else { close(context, in: bounds.answer) }
  }

  /// Between two requests.
  private func rest(_ context: ChannelHandlerContext) {
    stay()
    idle?.add(context.channel)
  }

  private func close(_ context: ChannelHandlerContext, in time: TimeAmount) {
    stay()
    closing = context.eventLoop.assumeIsolated().scheduleTask(in: time) { context.close(promise: nil) }
  }

  private func stay() {
    closing?.cancel()
    closing = nil
  }
}
