/// The points of a session that the engine hears of.
public enum Step: UInt8, Sendable, CaseIterable {
  case connect, mail, recipient, endOfMessage
  /// A recipient that the MTA itself refuses; nothing is left to decide.
  case refusedRecipient
  /// An unknown command; nothing is decided there.
  case command
  /// The connection ended; nothing is decided there.
  case close
  /// Somebody wants to log in, by any protocol, and a feed asks whether it may try.
  case login
  /// A feed tells of something that has happened; nothing is decided there.
  case heard

  /// Whether a refusal can be given here. Never at DATA: the client can hang for the MTA's whole milter time-out.
  var canRefuse: Bool {
    switch self {
    case .connect, .mail, .recipient, .endOfMessage, .login: true
    case .refusedRecipient, .command, .close, .heard: false
    }
  }

  public var name: String {
    switch self {
    case .connect: "connect"
    case .mail: "mail"
    case .recipient: "recipient"
    case .endOfMessage: "end-of-message"
    case .refusedRecipient: "refused-recipient"
    case .command: "command"
    case .close: "close"
    case .login: "login"
    case .heard: "heard"
    }
  }
}

/// Who tells of an event.
public enum Source: UInt8, Sendable, Codable, CaseIterable {
  /// The MTA itself, field by field.
  case milter
  /// Dovecot's auth policy requests and events, field by field.
  case dovecot
  /// A line of the mail log, where what a client said stands among the MTA's words: less trusted.
  case log

  public var name: String {
    switch self {
    case .milter: "milter"
    case .dovecot: "dovecot"
    case .log: "log"
    }
  }
}

/// Who an event is about, as far as it is known by then.
public struct Subject: Sendable, Equatable {
  /// The client's address; for exemptions even where `ip` is not counted.
  public var address: IPAddress?
  /// Nothing for mail of this machine's own programs: nobody may be penalised for those by address.
  public var ip: IPAddress?
  public var network: Network?
  /// In its one form, see `LocalRealms`.
  public var user: String?
  /// In its one form, see `Mailbox`; empty for the null sender.
  public var sender: String?
  public var senderDomain: String?
  /// As given, in lower case.
  public var helo: String?
  /// The recipient in question, at RCPT and for keys of a recipient.
  public var recipient: Recipient?
  /// The MTA's name of the service that took the connection.
  public var daemon: String?

  public init() {}

  package func part(_ kind: KeyKind) -> KeyPart? {
    switch kind {
    case .user: user.map(KeyPart.user)
    case .ip: ip.map(KeyPart.ip)
    case .network: network.map(KeyPart.network)
    // All the world's bounces share the null sender; it is nobody.
    case .sender: sender.flatMap { $0.isEmpty ? nil : KeyPart.sender($0) }
    case .senderDomain: senderDomain.map(KeyPart.senderDomain)
    case .helo: helo.map(KeyPart.helo)
    case .recipient: (recipient?.address).map(KeyPart.recipient)
    case .recipientDomain: (recipient?.domain).map(KeyPart.recipientDomain)
    case .server: .server
    }
  }

  package func key(_ shape: KeyShape) -> Key? {
    guard let first = part(shape.first) else { return nil }
    guard let kind = shape.second else { return Key(first) }
    guard let second = part(kind) else { return nil }
    return Key(first, second)
  }
}

/// A recipient, in its one form.
public struct Recipient: Sendable, Hashable {
  public let address: String
  public let domain: String?

  /// - Parameter path: as the client typed it.
  public init(path: String) {
    let normalized = Mailbox.normalized(path)
    address = Bounded.text(normalized)
    domain = Mailbox.domain(of: normalized).map(Bounded.text)
  }
}

/// What sort of mail a message is, as far as it shows.
public struct MailKind: OptionSet, Sendable, Hashable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// The null sender.
  public static let bounce = MailKind(rawValue: 1)
  /// A sender that a forwarder has rewritten (SRS).
  public static let forward = MailKind(rawValue: 2)
  /// A mailing list's header fields; known at the end of the message.
  public static let list = MailKind(rawValue: 4)
}

/// One thing that happened in a session, or is asked for.
public struct Event: Sendable {
  public var at: Timestamp
  public var step: Step
  public var subject: Subject
  /// Has happened: counts in any case.
  public var happened: Tally
  /// Is asked for: at MAIL only looked at, at the end of the message counted if it may pass.
  public var wants: Tally
  public var kind: MailKind
  /// At the end of a message: who would get it, each once; the first alone where the policy needs no names.
  public var recipients: [Recipient]
  /// How many recipients more there are, for whose names was no room.
  public var unnamed: Int
  /// How many of the bad recipients in `happened` the MTA has not shown: they are nobody's.
  public var hidden: Int
  /// The MTA's own name, told once a session.
  public var host: String?
  /// Whether the MTA waits for the decision, where one can be given at all.
  public var isAnswered: Bool
  public var source: Source
  /// Of a failed login, the hash of the wrong password as the feed has it. A secret: for counting different ones only.
  public var password: String?

  var canRefuse: Bool { step.canRefuse && isAnswered }

  /// Whether somebody has just logged in, as far as that is known for certain.
  var bringsLogin: Bool { happened.has(.logins) || happened.has(.authSuccesses) && source != .log }

  /// Whether its user has logged in; a name that somebody tries is nobody's login.
  package var isAuthenticated: Bool { subject.user != nil && step != .login && !isFailedLogin }

  /// Whether it is about a login that failed: one that counts, or one that was counted already and now has its password.
  var isFailedLogin: Bool { happened.has(.authFailures) || password != nil }

  // Events are large: made where they are wanted, they are not copied there.
  @inlinable
  public init(
    at: Timestamp, step: Step, subject: Subject, happened: Tally = Tally(), wants: Tally = Tally(),
    kind: MailKind = [], recipients: [Recipient] = [], unnamed: Int = 0, hidden: Int = 0, host: String? = nil,
    isAnswered: Bool = true, source: Source = .milter, password: String? = nil
  ) {
    self.at = at
    self.step = step
    self.subject = subject
    self.happened = happened
    self.wants = wants
    self.kind = kind
    self.recipients = recipients
    self.unnamed = unnamed
    self.hidden = hidden
    self.host = host
    self.isAnswered = isAnswered
    self.source = source
    self.password = password
  }
}

/// What the engine says to an event.
public struct Decision: Sendable {
  /// What becomes of what was asked for.
  public enum Verdict: Sendable {
    case goOn
    /// The whole connection is exempt from everything: nothing more needs to be asked.
    case exempt
    /// At the end of a message: take it, and keep it in the MTA's quarantine.
    case hold(Reason)
    /// At a login: let it wait for so long before it is tried.
    case delay(TimeSpan, Reason)
    case refuse(Refusal)
  }

  public var verdict: Verdict
  /// What somebody should hear of, oldest first.
  public var notices: [Notice]

  public init(verdict: Verdict = .goOn, notices: [Notice] = []) {
    self.verdict = verdict
    self.notices = notices
  }
}

/// A refusal and its reason.
public struct Refusal: Sendable, Equatable {
  public let code: ReplyCode
  /// At least one.
  public let lines: [String]
  public let reason: Reason
  /// Whether a penalty refused, rather than a limit.
  public let isPenalty: Bool
}

/// Something for the log and for alerts; made by the engine, acted on elsewhere.
public struct Notice: Sendable, Equatable {
  /// What there is to hear.
  public enum Kind: Sendable, Hashable {
    /// A rule with `alert` tripped: the first time in this episode.
    case alert
    /// A rule in observe mode tripped: the first time in this episode.
    case observed
    /// A key went into the penalty box.
    case blocked
    /// Mail or a connection was refused.
    case refused
    /// A message was taken into the MTA's quarantine.
    case held
    /// A login was made to wait.
    case delayed
    /// The administrator's command of that name is to be run.
    case run(String)

    public var name: String {
      switch self {
      case .alert: "alert"
      case .observed: "observed"
      case .blocked: "blocked"
      case .refused: "refused"
      case .held: "held"
      case .delayed: "delayed"
      case .run: "run"
      }
    }
  }
  public let kind: Kind
  public let reason: Reason
  public let step: Step
  public let subject: Subject
  public let at: Timestamp
}
