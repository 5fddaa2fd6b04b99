import Foundation
import Hummingbird
import Logging
import WardenCore
import WardenHTTP

/// The control socket: HTTP with JSON over a UNIX socket. Who may talk to it is the file's mode.
public struct ControlServer {
  /// Its group's programs are trusted with orders, not with every descriptor of the process, which mail needs. An answer may
  /// wait for the disk.
  private static let bounds = ConnectionGuard.Bounds(connections: 256, request: .seconds(10), answer: .seconds(60))

  private let control: Control
  private let path: String
  private let logger: Logger

  public init(control: Control, path: String, logger: Logger) {
    self.control = control
    self.path = path
    self.logger = logger
  }

  /// - Parameter onRunning: called once the socket is there.
  public func application(onRunning: @escaping @Sendable () -> Void) -> some ApplicationProtocol {
    let (open, idle, turnedAway) = (Locked(0), IdleConnections(), control.turnedAway)
    let line = RepeatedLine("connections to the control socket closed: there are too many", logger: logger)
    return Application(
      router: router,
      server: .http1(
        configuration: .init(
          additionalChannelHandlers: [
            ConnectionGuard(open, Self.bounds, idle: idle) {
              turnedAway.withLock { $0 += 1 }
              line.note()
            }
          ])),
      configuration: ApplicationConfiguration(address: .unixDomainSocket(path: path), serverName: "mailwarden"),
      onServerRunning: { _ in onRunning() },
      logger: logger)
  }

  var router: Router<ControlContext> {
    let router = Router(context: ControlContext.self)
    Routes(control: control).add(to: router)
    WebTokenRoutes(control: control).add(to: router)
    router.add(middleware: UnknownPath(of: router))
    return router
  }
}
