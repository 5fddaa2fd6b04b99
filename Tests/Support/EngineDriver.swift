import WardenCore

/// Plays a script on an engine in memory: no process, no socket, no clock.
public final class EngineDriver: SessionDriver {
  private var engine: Engine
  private var session: SMTPSession?
  private var login: String?
  /// The MTA shows nothing more of a connection that was accepted as a whole.
  private var isExempt = false
  private var now = Timestamp(microseconds: 1_800_000_000_000_000)

  public init(policy: Policy) { engine = Engine(policy: policy) }

  public func perform(_ action: SessionScript.Action, fate: SMTPSession.RecipientFate) throws -> SessionOutcome {
    now = now + .seconds(1)
    switch action {
    case .mail, .recipient, .message, .command, .reset:
      if isExempt { return .goOn }
    default: break
    }
    switch action {
    case .from(let address):
      login = nil
      isExempt = false
      session = SMTPSession(
        SMTPSession.Setup(realms: engine.realms, networkPrefix: engine.policy.networkPrefix, needs: engine.needs))
      return decide(session!.connect(at: now, address: IPAddress(address), port: 40_000, host: "mx.test"))
    case .login(let user):
      login = user
      return .goOn
    case .mail(let sender):
      return decide(try session!.mail(at: now, sender: "<\(sender)>", login: login))
    case .recipient:
      let outcome = decide(try session!.recipient(at: now, fate, refusals: nil))
      return fate == .accepted ? outcome : .unknownRecipient
    case .message(let bytes):
      session!.data()
      session!.content(bytes: bytes)
      return decide(try session!.endOfMessage(at: now, refusals: nil))
    case .cutOff:
      session!.data()
      session!.abort()
      return end()
    case .command: return decide(session!.badCommand(at: now))
    case .reset:
      session!.abort()
      return .goOn
    case .quit, .drop:
      session!.abort()
      return end()
    case .release(let key):
      _ = engine.release(try Key(key, realms: engine.realms), at: now)
      return .goOn
    case .blocked, .free:
      return .box(engine.penalties(at: now).map(\.key.description))
    }
  }

  private func end() -> SessionOutcome {
    defer { session = nil }
    return decide(session?.close(at: now))
  }

  private func decide(_ event: Event?) -> SessionOutcome {
    guard let event else { return .goOn }
    let decision = engine.decide(event)
    session!.settle(decision, at: event.step)
    if case .exempt = decision.verdict { isExempt = session!.answers(at: event.step) }
    guard case .refuse(let refusal) = decision.verdict, session!.answers(at: event.step) else { return .goOn }
    return .refused(code: refusal.code.code, text: refusal.lines.joined(separator: "\n"))
  }
}
