import NIOCore
import WardenCore

/// Closes connections beyond the bound, and such as send a request too slowly.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = Any
  typealias OutboundIn = Any

  /// Shared by all connections.
  private let open: Locked<Int>
  private let most: Int
  private let deadline: TimeAmount
  private let feed: DovecotFeed
  private var closing: Scheduled<Void>?

  init(_ open: Locked<Int>, atMost most: Int, within deadline: TimeAmount, _ feed: DovecotFeed) {
    self.open = open
    self.most = most
    self.deadline = deadline
    self.feed = feed
  }

  func handlerAdded(context: ChannelHandlerContext) { open.withLock { $0 += 1 } }

  func handlerRemoved(context: ChannelHandlerContext) {
    open.withLock { $0 -= 1 }
    closing?.cancel()
  }

  func channelActive(context: ChannelHandlerContext) {
    if open.withLock({ $0 > most }) {
      feed.turnedAway()
      context.close(promise: nil)
    } else {
      // Whoever only connects holds a place for no longer than one request may take.
      closeLater(context)
      context.fireChannelActive()
    }
  }

  private func closeLater(_ context: ChannelHandlerContext) {
    closing = context.eventLoop.assumeIsolated().scheduleTask(in: deadline) { context.close(promise: nil) }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if closing == nil { closeLater(context) }
    context.fireChannelRead(data)
  }

  /// An answer: the request is over.
  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    closing?.cancel()
    closing = nil
    context.write(data, promise: promise)
  }
}
