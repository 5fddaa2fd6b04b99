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
    negotiation.macros = Self.macros[needs.intersection([.refusedRecipients, .daemonName])]!
    negotiation.actions = negotiation.offeredActions.intersection(.quarantine)
    if needs.contains(.helo) {
      negotiation.stages.insert(.helo)
      negotiation.withoutReply.insert(.helo)
    }
    if !needs.contains(.connectReply) { negotiation.withoutReply.insert(.connect) }
    if needs.contains(.recipients) {
      negotiation.stages.insert(.recipient)
      if !needs.contains(.recipientReply) { negotiation.withoutReply.insert(.recipient) }
    }
    negotiation.seesRefusedRecipients = needs.contains(.refusedRecipients)
    if needs.contains(.data) { negotiation.stages.insert(.data) }
    if needs.contains(.unknownCommands) { negotiation.stages.insert(.unknown) }
    if needs.contains(.content) || needs.contains(.headers) {
      negotiation.stages.insert(.header)
      negotiation.withoutReply.insert(.header)
    }
    if needs.contains(.content) {
      negotiation.stages.insert(.body)
      negotiation.withoutReply.insert(.body)
    }
  }

  private static let macros: [Needs: MacroLists] = {
    let all: [Needs] = [[], .refusedRecipients, .daemonName, [.refusedRecipients, .daemonName]]
    return Dictionary(
      uniqueKeysWithValues: all.map { needs in
        let refusals = needs.contains(.refusedRecipients)
        return (
          needs,
          [
            .connect: needs.contains(.daemonName) ? [.hostName, .daemonName] : [.hostName],
            .mail: [.authUser, .queueID],
            .recipient: refusals
              ? [.recipientMailer, .recipientHost, .recipientAddress, .badRecipients, .queueID] : [.queueID],
            .endOfMessage: refusals ? [.queueID, .badRecipients] : [.queueID],
          ]
        )
      })
  }()

  func connect(host: String, address: PeerAddress?, _ context: Context) throws -> Answer {
    try answer(
      session.connect(
        at: gate.clock.now(), address: address.map(IPAddress.init), port: Int(address?.port ?? 0),
        host: context.value(.hostName), daemon: needs.contains(.daemonName) ? context.value(.daemonName) : nil), context
    )
  }

  func helo(_ name: String, _ context: Context) -> Answer {
    session.helo(name)
    return .continue
  }

  func mail(_ sender: EnvelopeArguments, _ context: Context) throws -> Answer {
    try answer(session.mail(at: gate.clock.now(), sender: sender.path, login: context.value(.authUser)), context)
  }

  func recipient(_ recipient: EnvelopeArguments, _ context: Context) throws -> Answer {
    guard needs.contains(.refusedRecipients) else {
      return try answer(
        session.recipient(at: gate.clock.now(), .accepted, path: recipient.path, refusals: nil), context)
    }
    let fate: SMTPSession.RecipientFate =
      context.value(.recipientMailer, is: "error")
      ? .refused(
        enhancedCode: context.value(.recipientHost) ?? "", text: context.value(.recipientAddress) ?? "")
      : .accepted
    return try answer(
      session.recipient(at: gate.clock.now(), fate, path: recipient.path, refusals: refusals(context)), context)
  }

  func data(_ context: Context) -> Answer {
    session.data()
    return .continue
  }

  func header(_ name: UnsafePointer<CChar>, _ value: UnsafePointer<CChar>, _ context: Context) -> Answer {
    session.content(bytes: strlen(name) + strlen(value) + ": \r\n".utf8.count)
    if needs.contains(.headers) { session.header(String(cString: name), String(cString: value)) }
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

  func unknown(_ context: Context) throws -> Answer {
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
    // An MTA never asks whether somebody may log in.
    case .goOn, .delay: return .continue
    case .exempt: return .accept
    case .hold(let reason):
      // The MTA shows the words in its queue; a client's are among them.
      try context.quarantine(reason: Quoted.control("\(reason.rule): \(reason.sentence)"))
      return .continue
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
