import WardenCore

/// Plays a script as an SMTP client of a real MTA that has a running daemon as its milter.
public final class SMTPDriver: SessionDriver {
  private let mta: MTA
  private let daemon: TestDaemon
  private var client: SMTPClient?

  public init(_ mta: MTA, _ daemon: TestDaemon) {
    self.mta = mta
    self.daemon = daemon
  }

  public func perform(_ action: SessionScript.Action, fate: SMTPSession.RecipientFate) throws -> SessionOutcome {
    switch action {
    case .from(let address):
      client = try SMTPClient(port: mta.port, from: address)
      guard client!.banner.code == 220 else { return outcome(client!.banner) }
      return outcome(try client!.command("EHLO client.test"))
    case .login(let user):
      try client!.authenticate(user)
      return .goOn
    case .mail(let sender): return outcome(try client!.command("MAIL FROM:<\(sender)>"))
    case .recipient(let address):
      let reply = try client!.command("RCPT TO:<\(address)>")
      return reply.code == 550 && reply.text.contains("5.1.1") ? .unknownRecipient : outcome(reply)
    case .message(let bytes): return outcome(try client!.message(bytes: bytes))
    case .cutOff:
      try client!.command("DATA")
      try client!.sendBytes("Subject: half\r\n\r\nhal")
      return try end()
    case .command(let text):
      try client!.command(text)
      return .goOn
    case .reset: return outcome(try client!.command("RSET"))
    case .quit:
      _ = try? client!.command("QUIT")
      return try end()
    case .drop: return try end()
    case .release, .blocked, .free: return try daemon.administer(action)
    }
  }

  private func end() throws -> SessionOutcome {
    client?.drop()
    client = nil
    try daemon.awaitNoSessions()
    return .goOn
  }

  private func outcome(_ reply: SMTPClient.Reply) -> SessionOutcome {
    reply.code < 400 ? .goOn : .refused(code: reply.code, text: reply.text)
  }
}
