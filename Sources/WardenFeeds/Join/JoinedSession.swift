import WardenCore

/// What the log has shown so far of one connection to the MTA.
struct JoinedSession {
  /// Tells the uses of one process apart.
  let number: Int
  var client: IPAddress?
  var lastHeard: Timestamp
  /// Whether its beginning was seen.
  let isWhole: Bool
  /// Whether the connection has been told of; one that began before the log did never is.
  var isConnectTold: Bool
  /// Nothing is shown of it: the MTA turned it away before any filter saw it, or it was refused or exempt at connect.
  var isHidden = false
  /// A filter refused it, or was not there: an AUTH that failed then says nothing about the client.
  var isFiltered = false
  /// How many failed logins had lines of their own.
  var failedLogins: Int32 = 0
  var user: String?
  var hasToldLogin = false
  /// Whether the login counts already, which it does at MAIL.
  var hasCountedLogin = false
  /// Of the last MAIL, where the log names it.
  var sender: EnvelopeSender?
  /// A MAIL that was told when its first recipient was refused, until it brings a message.
  var mail: ToldMail?
  /// The last message accepted, of which it is not known yet whether it came to its end.
  var message: QueueID?
  /// The connection ended in the middle of a message.
  var isCutOff = false
  var refused = RefusedRecipients()

  struct ToldMail {
    let sender: EnvelopeSender
    let isMismatch: Bool
    let isRefused: Bool
  }
}

/// Recipients that Sendmail has refused of an envelope of which only the id is known: its sender comes last.
struct RefusedRecipients {
  var message: QueueID?
  var count: Int32 = 0
  var unknown: Int32 = 0
}

/// What the log has shown so far of one message.
struct JoinedMessage {
  var client: IPAddress?
  var user: String?
  var sender: EnvelopeSender?
  /// Nothing is shown of its MAIL and its end: it did not come by SMTP, it came back from a filter, its session is hidden,
  /// or its MAIL was refused.
  var isHidden = true
  /// Whether its MAIL counts as the session's login.
  var bringsLogin = false
  /// Whether the sender is not the user.
  var isMismatch = false
  var isMailTold = false
  /// Under which id a filter had it that has handed it back.
  var origin: QueueID?
  /// Whether it is known what has become of it at its end.
  var isSettled = false
  /// Another filter refused it at its end.
  var isRejected = false
  /// Sendmail: what is asked for at its end, until it is known that no filter refuses it.
  var ending: (recipients: Int32, size: Int32)?

  /// Whether one of this machine's own programs has sent it, as a filter does that hands back what it has looked at.
  var isOfThisMachine: Bool { user == nil && client?.isLoopback ?? false }

  /// The sender is certain. What was told of another sender was of another MAIL.
  mutating func becomes(_ certain: EnvelopeSender?) {
    if isMailTold, !(sender?.equals(certain) ?? (certain == nil)) { isMailTold = false }
    sender = certain
  }

  /// A filter has handed it back under another id: what becomes of it is its first client's, who has sent it once.
  mutating func comeBack(from first: JoinedMessage, _ id: QueueID) {
    (client, user, sender, origin) = (first.client, first.user, first.sender, id)
    isHidden = true
  }
}

/// The envelope sender, in its one form.
final class EnvelopeSender: Sendable {
  let address: String
  let domain: String?
  let kind: MailKind

  init(path: String) {
    let normalized = Mailbox.normalized(path)
    address = Bounded.text(normalized)
    domain = Mailbox.domain(of: normalized).map(Bounded.text)
    kind = normalized.isEmpty ? .bounce : Mailbox.isForwarded(normalized) ? .forward : []
  }

  func equals(_ other: EnvelopeSender?) -> Bool { self === other || address == other?.address }
}
