import NIOCore
import NIOHTTP1

/// What `GET http://evil.example/` asks is evil.example, whatever `Host` says (RFC 9112, 3.2.2). What comes behind sees
/// the path alone.
final class AbsoluteTargets: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard case .head(var head) = unwrapInboundIn(data), let authority = Self.authority(of: head.uri),
      // Two are refused later.
      head.headers["Host"].count < 2
    else { return context.fireChannelRead(data) }
    head.headers.replaceOrAdd(name: "Host", value: authority)
    context.fireChannelRead(wrapInboundOut(.head(head)))
  }

  /// - Returns: nothing for a path; for what is neither a path nor of HTTP, the name of nobody.
  private static func authority(of target: String) -> String? {
    guard let colon = target.firstIndex(of: ":"), !target[..<colon].contains("/") else { return nil }
    let rest = target[colon...].dropFirst()
    guard ["http", "https"].contains(target[..<colon].lowercased()), rest.hasPrefix("//") else { return "" }
    return String(rest.dropFirst(2).prefix { !"/?#".contains($0) })
  }

  /// Hummingbird lets handlers in only behind what takes the target apart.
  final class Installer: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    func handlerAdded(context: ChannelHandlerContext) {
      let pipeline = context.pipeline.syncOperations
      do {
        let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
        try pipeline.addHandler(AbsoluteTargets(), position: .after(decoder))
      } catch {
        context.close(promise: nil)
      }
    }
  }
}
