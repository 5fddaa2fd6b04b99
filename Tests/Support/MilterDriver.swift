import MilterClient
import WardenCore
import WardenScript

/// Plays a script to a running daemon in the milter protocol, as an MTA would.
public final class MilterDriver: SessionDriver {
  /// SMFIP_RCPT_REJ
  private static let showsRefusedRecipients: UInt32 = 0x800

  private let daemon: TestDaemon
  private var client: MilterClient?
  private var login: String?
  private var headers: [(name: String, value: String)] = []

  public init(_ daemon: TestDaemon) { self.daemon = daemon }

  public func perform(_ line: SessionScript.Line) throws -> SessionOutcome {
    switch line.action {
    case .from(let address, let daemonName):
      (login, headers) = (nil, [])
      client = try MilterClient(.unix(daemon.milterSocket))
      try client!.negotiate()
      return outcome(
        try client!.connect(
          host: "[\(address)]",
          address: address.contains(":") ? .ipv6(address, port: 40_000) : .ipv4(address, port: 40_000),
          macros: [("j", "mx.test")] + (daemonName.map { [("{daemon_name}", $0)] } ?? [])))
    case .helo(let name): return outcome(try client!.helo(name))
    case .login(let user):
      login = user
      return .goOn
    case .mail(let sender):
      headers = []
      let macros = login.map { [("{auth_authen}", $0), ("{auth_type}", "PLAIN")] } ?? []
      return outcome(try client!.mail("<\(sender)>", macros: macros))
    case .recipient(let address):
      guard case .refused(let code, let text) = line.fate else {
        return outcome(try client!.recipient("<\(address)>", macros: [("{rcpt_mailer}", "smtp"), ("i", "Q1")]))
      }
      // Recipients that it refuses itself an MTA shows only to a milter that asked for them.
      if client!.negotiated!.steps & Self.showsRefusedRecipients != 0 {
        _ = try client!.recipient(
          "<\(address)>",
          macros: [("{rcpt_mailer}", "error"), ("{rcpt_host}", code), ("{rcpt_addr}", text), ("i", "Q1")])
      }
      return SessionOutcome(line.expectation.verdict)
    case .header(let name, let value):
      headers.append((name, value))
      return .goOn
    case .message(let bytes):
      try data(bytes: bytes)
      let response = try client!.endOfMessage(macros: [("i", "Q1")])
      for case .quarantine(let reason) in client!.changes { return SessionOutcome(.held(text: reason)) }
      return outcome(response)
    case .cutOff:
      try data(bytes: 100)
      return try end()
    case .command(let text): return outcome(try client!.unknown(text))
    case .reset:
      try client!.abort()
      return .goOn
    case .quit, .drop: return try end()
    case .heard, .attempt: throw SessionFault("what feeds tell is played in memory alone")
    case .block, .release, .allow, .blocked, .free, .time: return try daemon.administer(line.action)
    }
  }

  private func data(bytes: Int) throws {
    _ = try client!.data()
    for (name, value) in [("Subject", "test")] + headers { _ = try client!.header(name, value) }
    _ = try client!.endOfHeaders()
    _ = try client!.body([UInt8](repeating: UInt8(ascii: "x"), count: bytes))
  }

  private func end() throws -> SessionOutcome {
    try client!.abort()
    try client!.quit()
    client = nil
    try daemon.awaitNoSessions()
    return .goOn
  }

  private func outcome(_ response: MilterClient.Response) -> SessionOutcome {
    switch response {
    case .reply(let lines):
      .refused(
        code: Int(lines[0].prefix(3)) ?? 0,
        text: lines.map { $0.dropFirst(4).replacing("%%", with: "%") }.joined(separator: "\n"))
    case .reject: .refused(code: 550, text: "")
    case .tempfail: .refused(code: 451, text: "")
    default: .goOn
    }
  }
}
