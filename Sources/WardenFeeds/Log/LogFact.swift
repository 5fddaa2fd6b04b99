import WardenCore

/// Bytes of a line that is being looked at: valid until the next one is read. Nothing is copied before it is needed.
public struct Text {
  public let bytes: UnsafeRawBufferPointer
  public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  public var isEmpty: Bool { bytes.isEmpty }
  /// As characters; what is no UTF-8 becomes U+FFFD.
  public var string: String { String(decoding: bytes, as: UTF8.self) }
}

/// What one line of a mail log says: a daemon's own words, with the client's among them cut out.
public struct LogFact {
  public enum Program: Sendable { case postfix, sendmail, dovecot, saslauthd }

  public enum Kind: Sendable, Equatable {
    /// A client has connected.
    case connected
    /// Postfix: a session has ended. How many AUTH commands failed, and whether MAIL came.
    case ended(failedLogins: Int, hadMail: Bool)
    /// Sendmail: a session ended without MAIL.
    case brokenConnection
    /// The client went away, or was too slow, in the middle of a message.
    case cutOff
    /// `attempts`: how many the line stands for.
    case loginFailed(attempts: Int, Failure)
    /// Also such as sends nothing. Postfix tells of it only with `accepted`.
    case loggedIn
    case recipientRefused(Cause)
    case connectionRefused(Cause)
    /// The MTA slows down or ends a session for too many bad recipients.
    case recipientFlood
    /// Another filter has refused a message at its end.
    case filterRejected
    /// Postfix: a filter has refused the connection, or is not there to be asked; until its end commands fail for that, AUTH too.
    case connectionFiltered
    /// Postfix: the message's client is known (`client=`).
    case accepted
    /// The message is in the queue (`from=`): its size in bytes, how many recipients it has.
    case queued(size: Int, recipients: Int, isAuthenticated: Bool)
    /// `recipients`: how many the line names.
    case delivery(Outcome, recipients: Int)
    /// Nothing of the message is left.
    case removed
    case badCommand
    /// The MTA complains of load, of lost input or of a fault of its own.
    case distress
    /// Known, and of no interest.
    case other
  }

  public enum Failure: Sendable {
    /// The name or the password was wrong, or it is not told.
    case refused
    /// The client gave up, or spoke no proper SASL.
    case aborted
    /// The server could not check it: says nothing about the client.
    case server
    /// A policy server refused it: ourselves, or another.
    case policy
  }
  public enum Cause: Sendable { case unknownRecipient, relay, dnsbl, rate, access, other }
  public enum Outcome: Sendable { case delivered, deferred, bounced }

  public var kind: Kind
  public var program: Program
  /// The client; nothing where the line does not name it, or names it in a way that a client could have chosen.
  public var client: IPAddress?
  /// The login, as the daemon has it; nothing where the line has none, or it is not certain where it ends.
  public var user: Text?
  /// A message's, or with Sendmail a session's.
  public var queueID: Text?
  /// Of the envelope, without `<>`.
  public var sender: Text?
  public var recipient: Text?
  /// Whether the refusal is for good (5xx).
  public var isPermanent = false
  /// Postfix: the smtpd service (`smtpd`, `submission/smtpd`); Dovecot: `imap-login` and the like; saslauthd: what asks it (`smtp`).
  public var service: Text?

  public init(_ kind: Kind, _ program: Program) {
    self.kind = kind
    self.program = program
  }
}

/// What stands before a daemon's own words.
public struct LogHeader {
  public var at: Timestamp
  public var host: Text?
  /// As it stands there: `postfix/submission/smtpd`, `sm-mta`.
  public var program: Text
  /// 0 where there is none.
  public var pid: Int
  /// The daemon's own words.
  public var message: Text

  public init(at: Timestamp, host: Text?, program: Text, pid: Int, message: Text) {
    self.at = at
    self.host = host
    self.program = program
    self.pid = pid
    self.message = message
  }
}
