import MilterClient
import WardenCore

/// Plays a script to a running daemon in the milter protocol, as an MTA would.
public final class MilterDriver: SessionDriver {
  /// SMFIP_RCPT_REJ
  private static let showsRefusedRecipients: UInt32 = 0x800

  private let daemon: TestDaemon
  private var client: MilterClient?
  private var login: String?

  public init(_ daemon: TestDaemon) { self.daemon = daemon }

  public func perform(_ action: SessionScript.Action, fate: SMTPSession.RecipientFate) throws -> SessionOutcome {
    switch action {
    case .from(let address):
      login = nil
      client = try MilterClient(.unix(daemon.milterSocket))
      try client!.negotiate()
      return outcome(
        try client!.connect(host: "[\(address)]", address: .ipv4(address, port: 40_000), macros: [("j", "mx.test")]))
    case .login(let user):
      login = user
      return .goOn
    case .mail(let sender):
      let macros = login.map { [("{auth_authen}", $0), ("{auth_type}", "PLAIN")] } ?? []
      return outcome(try client!.mail("<\(sender)>", macros: macros))
    case .recipient(let address):
      guard case .refused(let code, let text) = fate else {
        return outcome(try client!.recipient("<\(address)>", macros: [("{rcpt_mailer}", "smtp"), ("i", "Q1")]))
      }
      // Recipients that it refuses itself an MTA shows only to a milter that asked for them.
      guard client!.negotiated!.steps & Self.showsRefusedRecipients != 0 else { return .unknownRecipient }
      _ = try client!.recipient(
        "<\(address)>", macros: [("{rcpt_mailer}", "error"), ("{rcpt_host}", code), ("{rcpt_addr}", text), ("i", "Q1")])
      return .unknownRecipient
    case .message(let bytes):
      try data(bytes: bytes)
      return outcome(try client!.endOfMessage(macros: [("i", "Q1")]))
    case .cutOff:
      try data(bytes: 100)
      return try end()
    case .command(let text): return outcome(try client!.unknown(text))
    case .reset:
      try client!.abort()
      return .goOn
    case .quit, .drop: return try end()
    case .release, .blocked, .free: return try daemon.administer(action)
    }
  }

  private func data(bytes: Int) throws {
    _ = try client!.data()
    _ = try client!.header("Subject", "test")
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
