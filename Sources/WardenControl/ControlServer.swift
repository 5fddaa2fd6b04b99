import Foundation
import Hummingbird
import Logging
import WardenCore

/// The control socket: HTTP with JSON over a UNIX socket. Who may talk to it is the file's mode.
public struct ControlServer {
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
    Application(
      router: router,
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
