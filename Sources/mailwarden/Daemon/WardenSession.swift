import Glibc
import Milter
import WardenCore

/// libmilter's callbacks as the core's events, and the core's decisions as answers.
final class WardenSession: MilterSession {
  private let gate: Gate
  private let needs: Needs
  private var session: SMTPSession

  /// Settles with the MTA what the running policy needs, and no more: every round trip costs more than the decision.
  init(_ gate: Gate, _ negotiation: inout Negotiation) {
    self.gate = gate
    let setup = gate.setup()
    needs = setup.needs
    session = SMTPSession(setup)

    negotiation.stages = [.connect, .mail, .endOfMessage]
    negotiation.macros = needs.contains(.refusedRecipients) ? Self.macrosWithRefusals : Self.macros
    if !needs.contains(.connectReply) { negotiation.withoutReply.insert(.connect) }
    if needs.contains(.recipients) {
      negotiation.stages.insert(.recipient)
      if !needs.contains(.recipientReply) { negotiation.withoutReply.insert(.recipient) }
    }
    negotiation.seesRefusedRecipients = needs.contains(.refusedRecipients)
    if needs.contains(.data) { negotiation.stages.insert(.data) }
    if needs.contains(.unknownCommands) { negotiation.stages.insert(.unknown) }
    if needs.contains(.content) {
      negotiation.stages.formUnion([.header, .body])
      negotiation.withoutReply.formUnion([.header, .body])
    }
  }

  private static let macros: MacroLists = [
    .connect: [.hostName], .mail: [.authUser, .queueID], .recipient: [.queueID], .endOfMessage: [.queueID],
  ]
  private static let macrosWithRefusals: MacroLists = [
    .connect: [.hostName], .mail: [.authUser, .queueID],
    .recipient: [.recipientMailer, .recipientHost, .recipientAddress, .badRecipients, .queueID],
    .endOfMessage: [.queueID, .badRecipients],
  ]

  func connect(host: String, address: PeerAddress?, _ context: Context) throws -> Answer {
    try answer(
      session.connect(
        at: gate.clock.now(), address: address.map(IPAddress.init), port: Int(address?.port ?? 0),
        host: context.value(.hostName)), context)
  }

  func mail(_ sender: EnvelopeArguments, _ context: Context) throws -> Answer {
    try answer(session.mail(at: gate.clock.now(), sender: sender.path, login: context.value(.authUser)), context)
  }

  func recipient(_ recipient: EnvelopeArguments, _ context: Context) throws -> Answer {
    guard needs.contains(.refusedRecipients) else {
      return try answer(session.recipient(at: gate.clock.now(), .accepted, refusals: nil), context)
    }
    let fate: SMTPSession.RecipientFate =
      context.value(.recipientMailer, is: "error")
      ? .refused(
        enhancedCode: context.value(.recipientHost) ?? "", text: context.value(.recipientAddress) ?? "")
      : .accepted
    return try answer(session.recipient(at: gate.clock.now(), fate, refusals: refusals(context)), context)
  }

  func data(_ context: Context) -> Answer {
    session.data()
    return .continue
  }

  func header(_ name: UnsafePointer<CChar>, _ value: UnsafePointer<CChar>, _ context: Context) -> Answer {
    session.content(bytes: strlen(name) + strlen(value) + ": \r\n".utf8.count)
    return .continue
  }

  func body(_ chunk: UnsafeRawBufferPointer, _ context: Context) -> Answer {
    session.content(bytes: chunk.count)
    return .continue
  }

  func endOfMessage(_ context: Context) throws -> Answer {
    try answer(session.endOfMessage(at: gate.clock.now(), refusals: refusals(context)), context)
  }

  func abort(_ context: Context) { session.abort() }

  func close(_ context: Context) throws { _ = try answer(session.close(at: gate.clock.now()), context) }

  func unknown(_ command: String, _ context: Context) throws -> Answer {
    try answer(session.badCommand(at: gate.clock.now()), context)
  }

  // MARK: -

  /// Sendmail's count of the transaction's refused recipients.
  private func refusals(_ context: Context) -> Int? {
    needs.contains(.refusedRecipients) ? context.number(.badRecipients) : nil
  }

  private func answer(_ event: Event?, _ context: Context) throws -> Answer {
    guard let event else { return .continue }
    let decision = gate.decide(event) { context.value(.queueID) }
    session.settle(decision, at: event.step)
    switch decision.verdict {
    case .goOn: return .continue
    case .exempt: return .accept
    case .refuse(let refusal):
      return .refuse(
        try SMTPReply(code: refusal.code.code, enhancedCode: refusal.code.enhanced, lines: refusal.lines))
    }
  }
}

extension IPAddress {
  init(_ peer: PeerAddress) {
    switch peer.family {
    case .ipv4: self.init(v4: UInt32(truncatingIfNeeded: peer.low))
    case .ipv6: self.init(v6High: peer.high, low: peer.low)
    }
  }
}
