import WardenCore

/// Sendmail: each connection has a process of its own, of which no line tells the end; a message is its queue id. The line
/// that names the sender (`from=`) comes after those about its recipients, and before what filters say at the end.
extension LogJoiner {
  /// Sendmail's own bound of silence (`Timeout.command`).
  private static var silence: TimeSpan { .hours(1) }

  mutating func joinSendmail(_ header: LogHeader, _ fact: LogFact, _ host: UInt32, _ tell: Tell) {
    let process = ProcessID(header.pid, program: 0, host: host)
    let id = QueueID(fact.queueID, host: host)
    switch fact.kind {
    case .queued(let size, let recipients, let isAuthenticated):
      guard let id else { return }
      queued(id, process, fact, size, recipients, isAuthenticated, tell)
    case .delivery(let outcome, let recipients): delivered(id, outcome, recipients, fact, tell)
    case .removed:
      guard let id, let place = messages.find(id) else { return }
      view.settle(&messages[place], tell)
      messages.remove(id)
    case .filterRejected: rejected(id, process, fact, tell)
    case .connected: connect(fact, process)
    case .connectionRefused(let cause):
      view.hearRefusedConnection(cause, client: fact.client, .sendmail, tell)
      // Refused by a ruleset, before any filter.
      sessions.remove(process)
    case .brokenConnection:
      let session = session(process, fact, tell)
      view.showClose(session, hadMail: false, tell)
      sessions.remove(process)
    default:
      var session = session(process, fact, tell)
      joinSession(&session, id, fact, tell)
      sessions.set(process, session, at: now)
    }
  }

  // MARK: - Sessions

  /// The process's session: the one that is known, if it can be that, or a new one.
  private mutating func session(_ process: ProcessID, _ fact: LogFact, _ tell: Tell) -> JoinedSession {
    var session: JoinedSession
    if let place = sessions.find(process), now < sessions[place].lastHeard + Self.silence,
      fact.client == nil || sessions[place].client == nil || fact.client == sessions[place].client
    {
      session = sessions[place]
      session.client = session.client ?? fact.client
      session.lastHeard = now
    } else {
      session = self.session(client: fact.client, isWhole: true)
    }
    // Some lines do not say whose they are; another will.
    if session.client != nil || isLast(fact) { view.showConnect(&session, tell) }
    return session
  }

  private func isLast(_ fact: LogFact) -> Bool {
    if case .brokenConnection = fact.kind { true } else { false }
  }

  private mutating func joinSession(_ session: inout JoinedSession, _ id: QueueID?, _ fact: LogFact, _ tell: Tell) {
    switch fact.kind {
    case .loginFailed(let attempts, let failure):
      hearFailures(attempts, failure, fact, client: session.client, .sendmail, tell)
    case .loggedIn:
      session.user = user(fact.user)
      view.hear([.authSuccesses: 1], client: session.client, user: session.user, .sendmail, tell)
    case .recipientRefused(let cause) where fact.isPermanent:
      if let heard = Self.heard(cause) {
        view.hear(heard, client: session.client, user: session.user, recipient: fact.recipient, .sendmail, tell)
      }
      if session.refused.message != id { session.refused = RefusedRecipients(message: id) }
      session.refused.count &+= 1
      if cause == .unknownRecipient { session.refused.unknown &+= 1 }
    case .recipientFlood: view.hear([.rcptFloods: 1], client: session.client, user: session.user, .sendmail, tell)
    case .cutOff: session.isCutOff = true
    default: break
    }
  }

  /// The cause that Sendmail does not show a filter.
  private static func heard(_ cause: LogFact.Cause) -> Tally? {
    switch cause {
    case .relay: [.relayAttempts: 1]
    case .dnsbl: [.dnsblRejections: 1]
    case .unknownRecipient, .rate, .access, .other: nil
    }
  }

  // MARK: - Messages

  private mutating func queued(
    _ id: QueueID, _ process: ProcessID, _ fact: LogFact, _ size: Int, _ recipients: Int, _ isAuthenticated: Bool,
    _ tell: Tell
  ) {
    var message = JoinedMessage(client: fact.client, sender: sender(fact.sender))
    defer { messages.set(id, message, at: now) }
    // Of a program of this machine, which no filter has seen.
    guard fact.client != nil else { return }
    var session = session(process, fact, tell)
    message.isHidden = session.isHidden
    session.sender = message.sender
    // A login's line names no message, so the session's is the message's only if it says that it has one.
    if isAuthenticated { message.user = session.user }
    if message.user != nil, !session.hasCountedLogin {
      session.hasCountedLogin = true
      message.bringsLogin = true
    }
    view.showMail(&message, tell)
    if session.refused.message == id {
      if !message.isHidden {
        view.showRefused(
          [.badRecipients: Int(session.refused.count), .unknownRecipients: Int(session.refused.unknown)],
          client: message.client, user: message.user, sender: message.sender, tell)
      }
      session.refused = RefusedRecipients()
    }
    if session.isCutOff {
      message.isSettled = true
      view.showClose(session, hadMail: true, tell)
      sessions.remove(process)
      return
    }
    if recipients > 0, size > 0 {
      message.ending = (Int32(clamping: recipients), Int32(clamping: size))
      expectEnd(of: id)
    }
    sessions.set(process, session, at: now)
  }

  private mutating func delivered(
    _ id: QueueID?, _ outcome: LogFact.Outcome, _ recipients: Int, _ fact: LogFact, _ tell: Tell
  ) {
    guard let id, let place = messages.find(id) else {
      return view.hearDelivery(
        outcome, recipients: recipients, of: JoinedMessage(), recipient: fact.recipient, .sendmail, tell)
    }
    // What a filter has refused is told of its recipients as well.
    guard !messages[place].isRejected else { return }
    view.settle(&messages[place], tell)
    view.hearDelivery(
      outcome, recipients: recipients, of: messages[place], recipient: fact.recipient, .sendmail, tell)
  }

  private mutating func rejected(_ id: QueueID?, _ process: ProcessID, _ fact: LogFact, _ tell: Tell) {
    guard let id, let place = messages.find(id) else {
      return view.hear([.filterRejections: 1], client: fact.client, .sendmail, tell)
    }
    guard !messages[place].isRejected else { return }
    messages[place].isRejected = true
    messages[place].isSettled = true
    messages[place].ending = nil
    let message = messages[place]
    view.hear(
      [.filterRejections: 1], client: message.client, user: message.user, sender: message.sender, .sendmail, tell)
  }
}
