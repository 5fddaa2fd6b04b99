import WardenCore
import WardenScript

/// Plays a script as an SMTP client of a real MTA that has a running daemon as its milter.
public final class SMTPDriver: SessionDriver {
  private let mta: MTA
  private let daemon: TestDaemon
  private var client: SMTPClient?
  private var headers = ""

  public init(_ mta: MTA, _ daemon: TestDaemon) {
    self.mta = mta
    self.daemon = daemon
  }

  public func perform(_ line: SessionScript.Line) throws -> SessionOutcome {
    switch line.action {
    case .from(let address, let daemonName):
      guard let port = [nil: mta.port, "submission": mta.submissionPort][daemonName] else {
        throw SessionFault("the MTA has no service \(daemonName!)")
      }
      client = try SMTPClient(port: port, from: address)
      guard client!.banner.code == 220 else { return outcome(client!.banner) }
      return outcome(try client!.command("EHLO client.test"))
    case .helo(let name): return outcome(try client!.command("EHLO \(name)"))
    case .login(let user):
      try client!.authenticate(user)
      return .goOn
    case .mail(let sender):
      headers = ""
      return outcome(try client!.command("MAIL FROM:<\(sender)>"))
    case .recipient(let address): return outcome(try client!.command("RCPT TO:<\(address)>"))
    case .header(let name, let value):
      headers += "\(name): \(value)\r\n"
      return .goOn
    case .message(let bytes):
      let reply = try client!.message(bytes: bytes, headers: headers)
      // No MTA tells its client what it holds.
      if reply.code < 400, let id = mta.queueID(in: reply.text), mta.isHeld(id) {
        return SessionOutcome(.held(text: try daemon.logLine("\(id): held")))
      }
      return outcome(reply)
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
    case .heard, .attempt: throw SessionFault("what feeds tell is played in memory alone")
    case .block, .release, .allow, .blocked, .free, .time: return try daemon.administer(line.action)
    }
  }

  private func end() throws -> SessionOutcome {
    client?.drop()
    client = nil
    try daemon.awaitNoSessions()
    return .goOn
  }

  private func outcome(_ reply: SMTPClient.Reply) -> SessionOutcome {
    if reply.code < 400 { return .goOn }
    if reply.code == 550, reply.text.contains("5.1.1") { return SessionOutcome(.refusedByMTA(.unknown)) }
    if reply.text.contains("Relay access denied") { return SessionOutcome(.refusedByMTA(.relayDenied)) }
    if reply.text.contains("] blocked using ") { return SessionOutcome(.refusedByMTA(.listed)) }
    return .refused(code: reply.code, text: reply.text)
  }
}
