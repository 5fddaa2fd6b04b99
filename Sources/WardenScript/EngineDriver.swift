import WardenCore

/// Plays a script on an engine in memory: no process, no socket, and the time is the script's.
public final class EngineDriver: SessionDriver {
  private let engine: Engine
  private var session: SMTPSession?
  private var login: String?
  private var headers: [(name: String, value: String)] = []
  /// The MTA shows nothing more of a connection that was accepted as a whole.
  private var isExempt = false

  /// Nobody heard of anything, which is more than not to know.
  private static let nothing = SessionOutcome(.goOn, notices: [])

  public init(policy: Policy) { engine = Engine(policy: policy) }

  public func perform(_ line: SessionScript.Line) throws -> SessionOutcome {
    let at = line.at
    switch line.action {
    case .from(let address, let daemon):
      let setup = SMTPSession.Setup(
        realms: engine.realms, networkPrefix: engine.policy.networkPrefix, needs: engine.needs)
      (session, login, headers, isExempt) = (SMTPSession(setup), nil, [], false)
      return try decide {
        $0.connect(at: at, address: IPAddress(address), port: 40_000, host: "mx.test", daemon: daemon)
      }
    case .helo, .mail, .recipient, .header, .message, .command, .reset:
      return isExempt ? Self.nothing : try performInConnection(line)
    case .login(let user):
      login = user
      return Self.nothing
    case .cutOff:
      try inSession { $0.data() }
      return try end(at)
    case .quit, .drop: return try end(at)
    case .block(let key, let span):
      guard engine.block(try self.key(key), for: span, note: "", at: at) != nil else {
        throw SessionFault("the penalty box is full")
      }
      return Self.nothing
    case .release(let key):
      _ = engine.release(try self.key(key), at: at)
      return Self.nothing
    case .allow(let key, let span):
      let order = Override(.key(try self.key(key)), .exempt, until: at + span, origin: "the script")
      guard engine.allow(order, at: at) else { throw SessionFault("\(key) cannot be allowed") }
      return Self.nothing
    case .blocked, .free: return .box(engine.penalties(at: at).map(\.key.description))
    case .heard(let signal, let count, let told):
      return outcome(
        of: engine.decide(
          Event(
            at: at, step: .heard, subject: subject(told), happened: [signal: count], source: told.source,
            password: told.password)))
    case .attempt(let told):
      return outcome(of: engine.decide(Event(at: at, step: .login, subject: subject(told), source: told.source)))
    case .time: return Self.nothing
    }
  }

  private func subject(_ told: SessionScript.Told) -> Subject {
    var subject = Subject()
    subject.address = told.address.flatMap { IPAddress($0) }
    subject.ip = subject.address
    subject.network = subject.ip.map { engine.policy.networkPrefix.network(of: $0) }
    subject.user = told.user.map { engine.realms.user(login: $0) }
    return subject
  }

  private func performInConnection(_ line: SessionScript.Line) throws -> SessionOutcome {
    let at = line.at
    switch line.action {
    case .helo(let name):
      try inSession { $0.helo(name) }
      return Self.nothing
    case .mail(let sender):
      headers = []
      return try decide { try $0.mail(at: at, sender: "<\(sender)>", login: login) }
    case .recipient(let address):
      let fate = line.fate
      var outcome = try decide { try $0.recipient(at: at, fate, path: "<\(address)>", refusals: nil) }
      if fate != .accepted { outcome.verdict = line.expectation.verdict }
      return outcome
    case .header(let name, let value):
      headers.append((name, value))
      return Self.nothing
    case .message(let bytes):
      return try decide { session in
        session.data()
        for (name, value) in headers {
          session.header(name, value)
          session.content(bytes: "\(name): \(value)\r\n".utf8.count)
        }
        session.content(bytes: bytes)
        return try session.endOfMessage(at: at, refusals: nil)
      }
    case .command: return try decide { $0.badCommand(at: at) }
    case .reset:
      try inSession { $0.abort() }
      return Self.nothing
    default: return Self.nothing
    }
  }

  private func key(_ text: String) throws -> Key { try Key(text, realms: engine.realms) }

  private func end(_ at: Timestamp) throws -> SessionOutcome {
    defer { session = nil }
    return try decide { session in
      session.abort()
      return session.close(at: at)
    }
  }

  private func inSession<Result>(_ body: (inout SMTPSession) throws -> Result) throws -> Result {
    guard session != nil else { throw SessionFault("no connection is open") }
    return try body(&session!)
  }

  private func decide(_ event: (inout SMTPSession) throws -> Event?) throws -> SessionOutcome {
    guard let event = try inSession(event) else { return Self.nothing }
    let decision = engine.decide(event)
    let isAnswered = try inSession { session in
      session.settle(decision, at: event.step)
      return session.answers(at: event.step)
    }
    guard isAnswered else { return SessionOutcome(.goOn, notices: decision.notices) }
    if case .exempt = decision.verdict { isExempt = true }
    return outcome(of: decision)
  }

  private func outcome(of decision: Decision) -> SessionOutcome {
    var outcome = SessionOutcome(.goOn, notices: decision.notices)
    switch decision.verdict {
    case .goOn, .exempt: break
    case .delay(let span, let reason): (outcome.verdict, outcome.reason) = (.delayed(span), reason)
    case .hold(let reason): (outcome.verdict, outcome.reason) = (.held(text: reason.sentence), reason)
    case .refuse(let refusal):
      outcome.verdict = .refused(code: refusal.code.code, text: refusal.lines.joined(separator: "\n"))
      outcome.reason = refusal.reason
    }
    return outcome
  }
}
