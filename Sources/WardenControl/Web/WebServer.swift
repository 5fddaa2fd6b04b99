import Hummingbird
import Logging
import NIOCore
import WardenCore
import WardenHTTP

/// The page over HTTP on TCP, with the control socket's API. Who may ask is the token's matter: anybody may connect.
public struct WebServer {
  public struct Settings: Sendable {
    let host: String
    let port: Int
    let readsWithoutLogin: Bool
    let names: [String]

    public init(host: String, port: Int, readsWithoutLogin: Bool, names: [String]) {
      self.host = host
      self.port = port
      self.readsWithoutLogin = readsWithoutLogin
      self.names = names
    }
  }

  /// How much clients may take.
  struct Bounds {
    var connections = 256
    /// For a request; an order is small.
    var request = TimeAmount.seconds(10)
    /// For its answer: a question to the disk may wait for others.
    var answer = TimeAmount.seconds(60)
    /// Between two requests.
    var idle = TimeAmount.seconds(20)
  }

  private let control: Control
  private let settings: Settings
  private let access: WebAccess
  private let bounds: Bounds
  private let logger: Logger

  /// - Parameter logger: for what administrators should know; the server's own words go there from level notice.
  public init(control: Control, tokens: WebTokens, settings: Settings, logger: Logger) {
    self.init(control: control, tokens: tokens, settings: settings, bounds: Bounds(), logger: logger)
  }

  init(control: Control, tokens: WebTokens, settings: Settings, bounds: Bounds, logger: Logger) {
    self.control = control
    self.settings = settings
    self.bounds = bounds
    self.logger = logger
    access = WebAccess(
      tokens: tokens, readsWithoutLogin: settings.readsWithoutLogin, now: control.now, wall: control.wall,
      logger: logger)
  }

  /// - Parameter onRunning: called with the port once connections are taken.
  public func application(onRunning: @escaping @Sendable (Int) -> Void) -> some ApplicationProtocol {
    let (bounds, port, turnedAway) = (bounds, settings.port, control.turnedAway)
    let (open, idle) = (Locked(0), IdleConnections())
    let line = RepeatedLine("page connections closed: there are too many", logger: logger)
    return Application(
      router: router,
      server: .http1(
        configuration: .init(
          additionalChannelHandlers: [
            ConnectionGuard(
              open, .init(connections: bounds.connections, request: bounds.request, answer: bounds.answer),
              idle: idle
            ) {
              turnedAway.withLock { $0 += 1 }
              line.note()
            },
            AnswerHeaders(), AbsoluteTargets.Installer(),
          ],
          idleTimeout: bounds.idle,
          httpDecoderConfiguration: .init(
            maxHeaderFieldSize: 8_192, maxHeaderListSize: 16_384, maxHeaderFieldCount: 100))),
      configuration: ApplicationConfiguration(address: .hostname(settings.host, port: port), serverName: "mailwarden"),
      onServerRunning: { onRunning($0.localAddress?.port ?? port) }, logger: logger)
  }

  var router: Router<WebContext> {
    let router = Router(context: WebContext.self)
    let hosts = WebHosts(host: settings.host, port: settings.port, names: settings.names)
    router.add(middleware: RequestGuard(hosts: hosts, access: access))
    PageFiles.add(to: router)
    WebSessionRoutes(access: access).add(to: router)
    Routes(control: control).add(to: router)
    router.add(middleware: UnknownPath(of: router))
    return router
  }
}
