import WardenCore

/// Postfix: a session is what one smtpd process does between `connect` and `disconnect`, one after the other; a message is
/// its queue id, until `removed`.
extension LogJoiner {
  mutating func joinPostfix(_ header: LogHeader, _ fact: LogFact, _ host: UInt32, _ tell: Tell) {
    switch fact.kind {
    case .queued(let size, let recipients, _):
      if let id = QueueID(fact.queueID, host: host) { queued(id, fact, size, recipients, tell) }
    case .delivery(let outcome, let recipients): delivered(outcome, recipients, header, fact, host, tell)
    case .removed:
      if let id = QueueID(fact.queueID, host: host) { messages.remove(id) }
    case .filterRejected: rejected(fact, host, tell)
    case .connected: connect(fact, process(header, host))
    case .ended(let failedLogins, let hadMail):
      let process = process(header, host)
      end(place(process, fact), failedLogins, hadMail, tell)
      sessions.remove(process)
    case .connectionFiltered:
      if let place = known(process(header, host), fact) { sessions[place].isFiltered = true }
    case .connectionRefused(let cause):
      view.hearRefusedConnection(cause, client: fact.client, .postfix, tell)
      // Whom its own limits turn away is shown to no filter.
      if cause == .rate, let place = known(process(header, host), fact), !sessions[place].isConnectTold {
        sessions[place].isConnectTold = true
        sessions[place].isHidden = true
      }
    default:
      // It speaks with many at once, and before any filter.
      if fact.service?.bytes.ends("postscreen") ?? false { return }
      let place = place(process(header, host), fact)
      view.showConnect(&sessions[place], tell)
      joinSession(place, header, fact, host, tell)
    }
  }

  // MARK: - Sessions

  /// The process's session, if it is this client's: lines can be lost.
  private mutating func known(_ process: ProcessID, _ fact: LogFact) -> Int? {
    guard let place = sessions.find(process), fact.client == nil || sessions[place].client == fact.client else {
      return nil
    }
    return place
  }

  /// Where the process's session is; one that is not known began before the log did.
  private mutating func place(_ process: ProcessID, _ fact: LogFact) -> Int {
    known(process, fact) ?? sessions.set(process, session(client: fact.client, isWhole: false), at: now)
  }

  private mutating func joinSession(
    _ place: Int, _ header: LogHeader, _ fact: LogFact, _ host: UInt32, _ tell: Tell
  ) {
    switch fact.kind {
    case .loginFailed(let attempts, let failure):
      sessions[place].failedLogins &+= Int32(clamping: attempts)
      hearFailures(attempts, failure, fact, client: sessions[place].client, .postfix, tell)
    case .accepted: accepted(place, header, fact, host, tell)
    case .recipientRefused(let cause):
      // Asked for by itself, no filter hears of it.
      guard !header.message.bytes.begins("NOQUEUE: reject: VRFY ") else { return }
      refused(place, cause, fact, host, tell)
    case .recipientFlood:
      view.hear(
        [.rcptFloods: 1], client: sessions[place].client, user: user(fact.user) ?? sessions[place].user, .postfix, tell)
    case .cutOff: sessions[place].isCutOff = true
    default: break
    }
  }

  private mutating func end(_ place: Int, _ failedLogins: Int, _ hadMail: Bool, _ tell: Tell) {
    view.showConnect(&sessions[place], tell)
    // Exchanges that the client broke off have no line of their own. Of a session whose beginning was not seen, lines may
    // have been counted by a process before this one.
    let untold = failedLogins - Int(sessions[place].failedLogins)
    if untold > 0, sessions[place].isWhole, !sessions[place].isFiltered {
      view.hear([.authFailures: untold], client: sessions[place].client, .postfix, tell)
    }
    if let message = sessions[place].message { expectEnd(of: message) }
    view.showClose(sessions[place], hadMail: hadMail, tell)
  }

  private mutating func refused(
    _ place: Int, _ cause: LogFact.Cause, _ fact: LogFact, _ host: UInt32, _ tell: Tell
  ) {
    var happened = Tally()
    if fact.isPermanent {
      switch cause {
      case .unknownRecipient: happened[.unknownRecipients] = 1
      case .relay: happened[.relayAttempts] = 1
      case .dnsbl: happened[.dnsblRejections] = 1
      case .rate, .access, .other: break
      }
    }
    guard view.mode == .replay else {
      happened[.unknownRecipients] = 0
      guard !happened.isEmpty else { return }
      let (user, sender) = (user(fact.user) ?? sessions[place].user, sender(fact.sender))
      return view.hear(
        happened, client: sessions[place].client, user: user, sender: sender, recipient: fact.recipient, .postfix, tell)
    }
    guard !sessions[place].isHidden else { return }
    let sender = sender(fact.sender)
    if let id = QueueID(fact.queueID, host: host), let message = messages.find(id) {
      if messages[message].sender == nil { messages[message].sender = sender }
      view.showMail(&messages[message], tell)
      guard !messages[message].isHidden else { return }
    } else if let sender {
      view.showMail(&sessions[place], sender, user: user(fact.user) ?? sessions[place].user, tell)
      guard sessions[place].mail?.isRefused == false else { return }
    }
    guard fact.isPermanent else { return }
    happened[.badRecipients] = 1
    view.showRefused(
      happened, client: sessions[place].client, user: sessions[place].user, sender: sender, recipient: fact.recipient,
      tell)
  }

  // MARK: - Messages

  private mutating func accepted(
    _ place: Int, _ header: LogHeader, _ fact: LogFact, _ host: UInt32, _ tell: Tell
  ) {
    let user = user(fact.user)
    if user != nil, !sessions[place].hasToldLogin {
      sessions[place].hasToldLogin = true
      view.hear([.authSuccesses: 1], client: sessions[place].client, user: user, .postfix, tell)
    }
    guard let id = QueueID(fact.queueID, host: host) else { return }
    if let before = sessions[place].message { expectEnd(of: before) }
    var message = JoinedMessage(client: sessions[place].client, user: user)
    message.isHidden = sessions[place].isHidden
    if let mail = sessions[place].mail, sessions[place].user == user {
      // Of the same MAIL, as far as can be seen.
      message.sender = mail.sender
      message.isMismatch = mail.isMismatch
      message.isMailTold = true
      message.isHidden = sessions[place].isHidden || mail.isRefused
    } else if user != nil, !sessions[place].hasCountedLogin {
      sessions[place].hasCountedLogin = true
      message.bringsLogin = true
    }
    if message.isOfThisMachine, let first = Requeuing.origin(header.message, host: host),
      let before = messages.find(first)
    {
      message.comeBack(from: messages[before], first)
    }
    (sessions[place].user, sessions[place].sender) = (user, message.sender)
    sessions[place].mail = nil
    sessions[place].isCutOff = false
    sessions[place].message = id
    messages.set(id, message, at: now)
  }

  private mutating func queued(_ id: QueueID, _ fact: LogFact, _ size: Int, _ recipients: Int, _ tell: Tell) {
    let sender = sender(fact.sender)
    guard let place = messages.find(id) else {
      // This machine's own, or accepted before the log began.
      var message = JoinedMessage(sender: sender)
      message.isSettled = true
      messages.set(id, message, at: now)
      return
    }
    // The queue manager takes what was deferred up again and again.
    guard !messages[place].isSettled else { return }
    messages[place].isSettled = true
    messages[place].becomes(sender)
    view.showMail(&messages[place], tell)
    view.showEnd(messages[place], recipients: recipients, size: size, tell)
  }

  private mutating func rejected(_ fact: LogFact, _ host: UInt32, _ tell: Tell) {
    var message = JoinedMessage(client: fact.client, user: user(fact.user), sender: sender(fact.sender))
    if let id = QueueID(fact.queueID, host: host), let place = messages.find(id) {
      guard !messages[place].isRejected else { return }
      messages[place].isRejected = true
      messages[place].isSettled = true
      messages[place].becomes(message.sender)
      view.showMail(&messages[place], tell)
      message = messages[place]
    }
    view.hear(
      [.filterRejections: 1], client: message.client, user: message.user, sender: message.sender, .postfix, tell)
  }

  private mutating func delivered(
    _ outcome: LogFact.Outcome, _ recipients: Int, _ header: LogHeader, _ fact: LogFact, _ host: UInt32, _ tell: Tell
  ) {
    guard let id = QueueID(fact.queueID, host: host) else { return }
    guard let message = messages.find(id) else {
      return view.hearDelivery(
        outcome, recipients: recipients, of: JoinedMessage(), recipient: fact.recipient, .postfix, tell)
    }
    if case .delivered = outcome, let next = Requeuing.successor(header.message, host: host),
      let place = messages.find(next)
    {
      // Handed to a filter that gave it back: on its way under another id. Any server can answer with any id, though.
      if messages[place].origin == id { return }
      if messages[place].isOfThisMachine { return messages[place].comeBack(from: messages[message], id) }
    }
    view.hearDelivery(
      outcome, recipients: recipients, of: messages[message], recipient: fact.recipient, .postfix, tell)
  }
}
