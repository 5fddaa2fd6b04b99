/// One SMTP session as the MTA shows it: turns what comes in into events with the right counts.
///
/// Holds what belongs to the connection and to the transaction in hand, and nothing else; a fresh transaction begins at
/// MAIL, an aborted one vanishes. Pure: the caller brings the time and carries the events to the engine.
public struct SMTPSession: Sendable {
  /// What the session takes from the policy when it begins, and keeps to its end.
  public struct Setup: Sendable {
    public var realms: LocalRealms
    public var networkPrefix: NetworkPrefix
    public var needs: Needs

    public init(realms: LocalRealms = LocalRealms(), networkPrefix: NetworkPrefix = NetworkPrefix(), needs: Needs = [])
    {
      self.realms = realms
      self.networkPrefix = networkPrefix
      self.needs = needs
    }
  }

  /// What the MTA makes of a recipient.
  public enum RecipientFate: Sendable, Equatable {
    case accepted
    /// Refused by the MTA: its enhanced code and its text, as libmilter's `{rcpt_host}` and `{rcpt_addr}` have them.
    case refused(enhancedCode: String, text: String)
  }

  /// A stage came without the one that must precede it.
  public struct OutOfOrder: Error, CustomStringConvertible {
    public let description: String
  }

  /// No MTA lets a transaction come near; keeps sums of what it claims from overflowing.
  private static let mostRefusals = 1_000_000
  /// Far above any MTA's own limit of recipients; what comes after is counted, but not by name.
  private static let mostNames = 10_000

  private enum Watch { case notConnected, watching, notWatched }

  private struct Transaction: Sendable {
    var recipients = 0
    var bytes = 0
    var isMismatch: Bool
    var kind: MailKind
    var isSpam = false
    /// Of accepted recipients, where the policy needs them; else of the first.
    var names: [Recipient] = []
    var known: Set<Recipient> = []
    /// How many had no room there.
    var unnamed = 0
    /// Where the last recipient went, in case that it is refused.
    var last = Place.nowhere
    enum Place { case nowhere, names, unnamed }

    mutating func add(_ name: Recipient) {
      if known.contains(name) {
        last = .nowhere
      } else if names.count < SMTPSession.mostNames {
        names.append(name)
        known.insert(name)
        last = .names
      } else {
        unnamed += 1
        last = .unnamed
      }
    }

    mutating func takeBackLast() {
      switch last {
      case .nowhere: break
      case .names: known.remove(names.removeLast())
      case .unnamed: unnamed -= 1
      }
      last = .nowhere
    }
    var hasData = false
    /// Refused recipients that were shown, and Sendmail's own count of all of them.
    var shownRefusals = 0
    var countedRefusals = 0
  }

  private var setup: Setup
  private var watch = Watch.notConnected
  private var subject = Subject()
  private var hadMail = false
  private var hasLoggedIn = false
  private var transaction: Transaction?
  private var cutOff = false

  public init(_ setup: Setup) { self.setup = setup }

  // MARK: - What the MTA shows

  /// - Parameters:
  ///   - at: now.
  ///   - address: nothing where the MTA knows none.
  ///   - port: 0 for mail that the MTA takes from its own machine's programs.
  ///   - host: the MTA's own name.
  ///   - daemon: the MTA's name of the service that took the connection.
  public mutating func connect(
    at: Timestamp, address: IPAddress?, port: Int, host: String?, daemon: String? = nil
  ) -> Event {
    self = SMTPSession(setup)
    watch = .watching
    subject.address = address
    subject.daemon = daemon
    // A proxy (XCLIENT) may not know the port of a client from elsewhere.
    if let address, port != 0 || !address.isLoopback {
      subject.ip = address
      subject.network = setup.networkPrefix.network(of: address)
    }
    if let host { setup.realms.learn(host: host) }
    return Event(
      at: at, step: .connect, subject: subject, happened: [.connections: 1], host: host,
      isAnswered: answers(at: .connect))
  }

  /// HELO or EHLO; again after STARTTLS.
  public mutating func helo(_ name: String) { subject.helo = name.isEmpty ? nil : Bounded.text(name.lowercased()) }

  /// - Parameters:
  ///   - at: now.
  ///   - sender: the path as typed.
  ///   - login: the authenticated name as the MTA gives it; nothing without AUTH.
  public mutating func mail(at: Timestamp, sender: String, login: String?) throws -> Event {
    guard watch == .watching else { throw OutOfOrder(description: "MAIL came without CONNECT") }
    hadMail = true
    cutOff = false
    let sender = Mailbox.normalized(sender)
    subject.sender = Bounded.text(sender)
    subject.senderDomain = Mailbox.domain(of: sender).map(Bounded.text)
    subject.recipient = nil
    let kind: MailKind = sender.isEmpty ? .bounce : Mailbox.isForwarded(sender) ? .forward : []
    var happened = Tally()
    if let login, !login.isEmpty {
      let user = setup.realms.user(login: login)
      subject.user = Bounded.text(user)
      transaction = Transaction(isMismatch: !Mailbox.belongs(sender: sender, to: user), kind: kind)
      if !hasLoggedIn { happened[.logins] = 1 }
      hasLoggedIn = true
    } else {
      subject.user = nil
      transaction = Transaction(isMismatch: false, kind: kind)
    }
    return Event(
      at: at, step: .mail, subject: subject, happened: happened, wants: wanted(recipients: 1),
      kind: transaction!.kind)
  }

  /// - Parameters:
  ///   - at: now.
  ///   - fate: what the MTA itself makes of it.
  ///   - path: as typed; of all but the first looked at only where the policy needs it.
  ///   - refusals: Sendmail's `{nbadrcpts}`, which also counts the recipients that it refused without showing.
  /// - Returns: nothing where nothing has to be counted or decided yet.
  public mutating func recipient(
    at: Timestamp, _ fate: RecipientFate, path: @autoclosure () -> String, refusals: Int?
  ) throws -> Event? {
    guard transaction != nil else { throw OutOfOrder(description: "RCPT came without MAIL") }
    if setup.needs.contains(.recipientNames) { subject.recipient = Recipient(path: path()) }
    switch fate {
    case .accepted:
      transaction!.recipients += 1
      if let name = subject.recipient {
        transaction!.add(name)
      } else if transaction!.recipients == 1 {
        // For people, who ask where somebody's mail goes.
        transaction!.names = [Recipient(path: path())]
      }
      var happened = Tally()
      note(refusals: refusals, in: &happened)
      guard setup.needs.contains(.recipientReply) || !happened.isEmpty else { return nil }
      return Event(
        at: at, step: .recipient, subject: subject, happened: happened, wants: wanted(recipients: 1),
        kind: transaction!.kind)
    case .refused(let enhancedCode, let text):
      transaction!.shownRefusals += 1
      var happened = Tally()
      // A refusal for now (greylisting, a full disk) says nothing about the recipient.
      if !enhancedCode.hasPrefix("4") {
        happened[.badRecipients] = 1
        if let cause = Self.cause(enhancedCode: enhancedCode, text: text) { happened[cause] = 1 }
      }
      let hidden = note(refusals: refusals, in: &happened)
      guard !happened.isEmpty else { return nil }
      return Event(
        at: at, step: .refusedRecipient, subject: subject, happened: happened, kind: transaction!.kind, hidden: hidden)
    }
  }

  /// DATA.
  public mutating func data() { transaction?.hasData = true }

  /// A field of the message's header; looked at for the marks of lists and of filters before us.
  public mutating func header(_ name: String, _ value: String) {
    let value = value.drop { $0 == " " || $0 == "\t" }.lowercased()
    switch name.lowercased() {
    case "list-id", "list-post": transaction?.kind.insert(.list)
    case "precedence" where value == "list" || value == "bulk": transaction?.kind.insert(.list)
    // SpamAssassin's two, and rspamd's.
    case "x-spam-flag" where value == "yes", "x-spam" where value == "yes",
      "x-spam-status" where value.hasPrefix("yes"):
      transaction?.isSpam = true
    default: break
    }
  }

  /// Part of the message's header or body, in bytes.
  public mutating func content(bytes: Int) { transaction?.bytes += bytes }

  /// The message is complete; `refusals` is as in ``recipient(at:_:path:refusals:)``.
  public mutating func endOfMessage(at: Timestamp, refusals: Int?) throws -> Event {
    guard let ending = transaction else { throw OutOfOrder(description: "the end of a message came without MAIL") }
    var happened = Tally()
    note(refusals: refusals, in: &happened)
    // Every message has one; a session that began before a reload asked for recipients knows of none.
    let wants = wanted(recipients: max(1, ending.recipients))
    transaction = nil
    subject.recipient = nil
    return Event(
      at: at, step: .endOfMessage, subject: subject, happened: happened, wants: wants, kind: ending.kind,
      recipients: ending.names, unnamed: ending.unnamed)
  }

  /// The transaction is given up. Can come without one.
  public mutating func abort() {
    // libmilter can tell of one end twice.
    if let transaction { cutOff = transaction.hasData }
    transaction = nil
  }

  /// A command that the MTA does not know; nothing where nobody watches the session.
  public mutating func badCommand(at: Timestamp) -> Event? {
    cutOff = false
    guard watch == .watching else { return nil }
    return Event(at: at, step: .command, subject: subject, happened: [.badCommands: 1])
  }

  /// The connection ended. Can come without CONNECT.
  /// - Returns: nothing for a session that is not counted.
  public mutating func close(at: Timestamp) -> Event? {
    guard watch == .watching else { return nil }
    watch = .notWatched
    // The MTA may be gone without having said so.
    abort()
    var happened = Tally()
    // Port 0 and a missing address are this machine's own programs: they never probe us.
    if !hadMail, subject.ip != nil { happened[.brokenConnections] = 1 }
    // Only a connection that ends right after was cut off. A filter before us that refuses the message also makes the MTA
    // abort after DATA; that looks the same if the client then leaves at once, and does not if it goes on.
    if cutOff { happened[.cutOffMessages] = 1 }
    return Event(at: at, step: .close, subject: subject, happened: happened)
  }

  // MARK: - What was decided

  /// Whether the MTA waits for a decision here; where it does not, none can be given.
  public func answers(at step: Step) -> Bool {
    switch step {
    case .connect: setup.needs.contains(.connectReply)
    case .recipient: setup.needs.contains(.recipientReply)
    case .mail, .endOfMessage: true
    case .refusedRecipient, .command, .close, .login, .heard: false
    }
  }

  /// Takes note of what was decided: the MTA shows nothing more of what was refused.
  public mutating func settle(_ decision: Decision, at step: Step) {
    guard answers(at: step) else { return }
    switch (decision.verdict, step) {
    case (.exempt, .connect): watch = .notWatched
    // Turned away by us, so not broken by the client.
    case (.refuse, .connect): watch = .notWatched
    case (.refuse, .mail): transaction = nil
    // The MTA takes the refused recipient off the message, and Sendmail counts our refusal with its own.
    case (.refuse, .recipient):
      transaction?.recipients -= 1
      if subject.recipient != nil { transaction?.takeBackLast() }
      transaction?.shownRefusals += 1
    default: break
    }
  }

  // MARK: -

  private func wanted(recipients: Int) -> Tally {
    var wants = Tally()
    wants[.messages] = 1
    if subject.user != nil { wants[.submissions] = 1 }
    wants[.recipients] = recipients
    wants[.bytes] = transaction?.bytes ?? 0
    if transaction?.isMismatch ?? false { wants[.senderMismatch] = 1 }
    if transaction?.isSpam ?? false { wants[.spam] = 1 }
    return wants
  }

  /// Sendmail shows no recipient that its rulesets (relaying, access_db, too many, greylisting) refuse; only its count
  /// grows, for refusals for now as well. So they are bad recipients without a cause.
  /// - Returns: how many were hidden.
  @discardableResult
  private mutating func note(refusals: Int?, in happened: inout Tally) -> Int {
    guard let refusals, transaction != nil else { return 0 }
    transaction!.countedRefusals = max(transaction!.countedRefusals, min(refusals, Self.mostRefusals))
    let hidden = transaction!.countedRefusals - transaction!.shownRefusals
    guard hidden > 0 else { return 0 }
    // What is counted now counts as shown, so that it counts once.
    transaction!.shownRefusals += hidden
    happened[.badRecipients] += hidden
    return hidden
  }

  /// The cause, where the MTA's words tell it. Postfix drops the first word of the text when no address stands there,
  /// and may append what the client said, so only the beginning counts.
  static func cause(enhancedCode: String, text: String) -> Signal? {
    if enhancedCode == "5.1.1" || enhancedCode == "5.1.10" { return .unknownRecipients }
    if text.hasPrefix("Relay access denied") { return .relayAttempts }
    return isDNSBLRefusal(text) ? .dnsblRejections : nil
  }

  /// `unavailable; Client host [192.0.2.7] blocked using dnsbl.example; …`
  private static func isDNSBLRefusal(_ text: String) -> Bool {
    let beginning = "unavailable; Client host ["
    guard text.hasPrefix(beginning) else { return false }
    let rest = text.dropFirst(beginning.count)
    guard let end = rest.firstIndex(of: "]"), IPAddress(rest[..<end]) != nil else { return false }
    return rest[end...].hasPrefix("] blocked using ")
  }
}
