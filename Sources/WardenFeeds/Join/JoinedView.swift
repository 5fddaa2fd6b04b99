import WardenCore

/// Makes the events: what the log itself tells, and in a replay what the milter would have shown.
struct JoinedView {
  let mode: LogJoiner.Mode
  var setup: SMTPSession.Setup
  /// The time of the latest line.
  var now = Timestamp(microseconds: .min)
  /// What events are dated: live the line's own time, so that a late one shows as late, and one that is ahead makes no other
  /// seem so; in a replay time does not go back.
  var at = Timestamp(microseconds: .min)

  private func subject(_ client: IPAddress?, _ user: String?, _ sender: EnvelopeSender?, _ recipient: Text?) -> Subject
  {
    var subject = Subject()
    if let client {
      subject.address = client
      subject.ip = client
      subject.network = setup.networkPrefix.network(of: client)
    }
    subject.user = user
    if let sender {
      subject.sender = sender.address
      subject.senderDomain = sender.domain
    }
    if let recipient, setup.needs.contains(.recipientNames) { subject.recipient = Recipient(path: recipient.string) }
    return subject
  }

  // MARK: - What the milter cannot see

  func hear(
    _ happened: Tally, client: IPAddress?, user: String? = nil, sender: EnvelopeSender? = nil, recipient: Text? = nil,
    _ teller: Teller, _ tell: LogJoiner.Tell
  ) {
    let subject = subject(client, user, sender, recipient)
    _ = tell(Event(at: at, step: .heard, subject: subject, happened: happened, source: .log), teller)
  }

  func hearRefusedConnection(_ cause: LogFact.Cause, client: IPAddress?, _ teller: Teller, _ tell: LogJoiner.Tell) {
    var happened: Tally = [.refusedConnections: 1]
    if cause == .dnsbl { happened[.dnsblRejections] = 1 }
    hear(happened, client: client, teller, tell)
  }

  func hearDelivery(
    _ outcome: LogFact.Outcome, recipients: Int, of message: borrowing JoinedMessage, recipient: Text?,
    _ teller: Teller, _ tell: LogJoiner.Tell
  ) {
    var happened = Tally()
    switch outcome {
    case .delivered: happened[.delivered] = recipients
    case .deferred: happened[.deferred] = recipients
    case .bounced: happened[.bounced] = recipients
    }
    hear(
      happened, client: message.client, user: message.user, sender: message.sender,
      recipient: recipients == 1 ? recipient : nil, teller, tell)
  }

  // MARK: - What the milter would have shown

  func showConnect(_ session: inout JoinedSession, _ tell: LogJoiner.Tell) {
    guard mode == .replay, !session.isConnectTold else { return }
    session.isConnectTold = true
    let event = Event(
      at: now, step: .connect, subject: subject(session.client, nil, nil, nil), happened: [.connections: 1],
      isAnswered: setup.needs.contains(.connectReply))
    if !tell(event, .milter) { session.isHidden = true }
  }

  /// A MAIL that brought no message so far, known by a recipient that was refused.
  func showMail(_ session: inout JoinedSession, _ sender: EnvelopeSender, user: String?, _ tell: LogJoiner.Tell) {
    if let mail = session.mail, mail.sender.equals(sender) { return }
    let bringsLogin = user != nil && !session.hasCountedLogin
    if bringsLogin { session.hasCountedLogin = true }
    (session.user, session.sender) = (user, sender)
    session.isCutOff = false
    let isMismatch = isMismatch(user, sender)
    let goesOn = showMail(session.client, user, sender, isMismatch: isMismatch, bringsLogin: bringsLogin, tell)
    session.mail = JoinedSession.ToldMail(sender: sender, isMismatch: isMismatch, isRefused: !goesOn)
  }

  func showMail(_ message: inout JoinedMessage, _ tell: LogJoiner.Tell) {
    guard mode == .replay, !message.isHidden, !message.isMailTold else { return }
    message.isMailTold = true
    message.isMismatch = isMismatch(message.user, message.sender)
    let goesOn = showMail(
      message.client, message.user, message.sender, isMismatch: message.isMismatch, bringsLogin: message.bringsLogin,
      tell)
    if !goesOn { message.isHidden = true }
    message.bringsLogin = false
  }

  private func showMail(
    _ client: IPAddress?, _ user: String?, _ sender: EnvelopeSender?, isMismatch: Bool, bringsLogin: Bool,
    _ tell: LogJoiner.Tell
  ) -> Bool {
    let event = Event(
      at: now, step: .mail, subject: subject(client, user, sender, nil),
      happened: bringsLogin ? [.logins: 1] : Tally(), wants: wanted(recipients: 1, bytes: 0, user, isMismatch),
      kind: sender?.kind ?? [])
    return tell(event, .milter)
  }

  func showRefused(
    _ happened: Tally, client: IPAddress?, user: String?, sender: EnvelopeSender?, recipient: Text? = nil,
    _ tell: LogJoiner.Tell
  ) {
    guard mode == .replay else { return }
    let event = Event(
      at: now, step: .refusedRecipient, subject: subject(client, user, sender, recipient), happened: happened,
      kind: sender?.kind ?? [])
    _ = tell(event, .milter)
  }

  func showEnd(_ message: borrowing JoinedMessage, recipients: Int, size: Int, _ tell: LogJoiner.Tell) {
    guard mode == .replay, !message.isHidden else { return }
    let event = Event(
      at: now, step: .endOfMessage, subject: subject(message.client, message.user, message.sender, nil),
      wants: wanted(recipients: max(1, recipients), bytes: size, message.user, message.isMismatch),
      kind: message.sender?.kind ?? [])
    _ = tell(event, .milter)
  }

  /// What can be said of a message against which nothing has come up: at its end it has passed. Of one that did not come
  /// to its end only MAIL is known, without the sender.
  func settle(_ message: inout JoinedMessage, _ tell: LogJoiner.Tell) {
    guard !message.isSettled else { return }
    guard let ending = message.ending else { return showMail(&message, tell) }
    message.ending = nil
    message.isSettled = true
    showEnd(message, recipients: Int(ending.recipients), size: Int(ending.size), tell)
  }

  /// The end of a session, where that counts for anything.
  func showClose(_ session: borrowing JoinedSession, hadMail: Bool, _ tell: LogJoiner.Tell) {
    guard mode == .replay, !session.isHidden else { return }
    var happened = Tally()
    if !hadMail, session.client != nil { happened[.brokenConnections] = 1 }
    if session.isCutOff { happened[.cutOffMessages] = 1 }
    guard !happened.isEmpty else { return }
    // Who logs in and does not go on to MAIL is shown to no filter.
    let subject = subject(session.client, hadMail ? session.user : nil, hadMail ? session.sender : nil, nil)
    _ = tell(Event(at: now, step: .close, subject: subject, happened: happened), .milter)
  }

  private func wanted(recipients: Int, bytes: Int, _ user: String?, _ isMismatch: Bool) -> Tally {
    var wants = Tally()
    wants[.messages] = 1
    if user != nil { wants[.submissions] = 1 }
    wants[.recipients] = recipients
    wants[.bytes] = bytes
    if isMismatch { wants[.senderMismatch] = 1 }
    return wants
  }

  private func isMismatch(_ user: String?, _ sender: EnvelopeSender?) -> Bool {
    guard let user, let sender else { return false }
    return !Mailbox.belongs(sender: sender.address, to: user)
  }
}
