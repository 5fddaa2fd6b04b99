/// A thing that can be counted.
///
/// Everything about a signal is declared once, in `declaration`.
public enum Signal: UInt8, CaseIterable, Sendable, Hashable {
  case connections, brokenConnections, badCommands, logins
  case messages, submissions, recipients, bytes, senderMismatch
  case badRecipients, unknownRecipients, relayAttempts, dnsblRejections
  case cutOffMessages, spam
  // What a milter cannot see; told by feeds.
  case authFailures, authSuccesses
  case refusedConnections, rcptFloods, filterRejections
  case delivered, deferred, bounced
  case mtaDistress

  /// All that there is to know of a signal.
  public struct Declaration: Sendable {
    /// As the policy file writes it.
    public let name: String
    /// One sentence for people.
    public let help: String
    public let counting: Counting
    /// Whether it is counted before anybody has logged in or named a sender.
    public var comesBeforeMail = false
    /// What the MTA must show us for it.
    public let needs: Needs
    /// Which MTA shows it.
    public var shownBy = Signal.bothMTAs
    /// Which feeds tell of it; where `shownBy` is empty, nobody else does.
    public var toldBy: Set<Source> = []
  }

  public static let bothMTAs = "Postfix, Sendmail"

  /// Who tells of it, for people: `Postfix; feeds: log`.
  public var tellers: String {
    let feeds = Source.allCases.filter(declaration.toldBy.contains).map(\.name).joined(separator: ", ")
    return [declaration.shownBy, feeds.isEmpty ? "" : "feeds: \(feeds)"].filter { !$0.isEmpty }.joined(separator: "; ")
  }

  /// When a count is taken.
  public enum Counting: Sendable {
    /// It has happened: it counts, whatever becomes of the session.
    case occurred
    /// It is asked for: it counts only when the message passes us at its end.
    case admitted
  }

  public var declaration: Declaration {
    switch self {
    case .connections:
      .init(
        name: "connections", help: "SMTP connections opened.", counting: .occurred, comesBeforeMail: true,
        needs: .connectReply)
    case .brokenConnections:
      .init(
        name: "broken-connections", help: "Connections closed without a MAIL command that reached us.",
        counting: .occurred, comesBeforeMail: true, needs: .connectReply)
    case .badCommands:
      .init(
        name: "bad-commands", help: "Commands that the MTA does not know.", counting: .occurred,
        needs: .unknownCommands)
    case .logins:
      .init(
        name: "logins", help: "Sessions that authenticated and went on to MAIL.", counting: .occurred, needs: [])
    case .messages:
      .init(name: "messages", help: "Messages that passed us at their end.", counting: .admitted, needs: [])
    case .submissions:
      .init(
        name: "submissions", help: "Messages that passed whose client has logged in.", counting: .admitted, needs: [])
    case .recipients:
      .init(
        name: "recipients", help: "Accepted recipients of messages that passed.", counting: .admitted,
        needs: .recipients)
    case .bytes:
      .init(
        name: "bytes", help: "Bytes (header and body) of messages that passed.", counting: .admitted,
        needs: .content)
    case .senderMismatch:
      .init(
        name: "sender-mismatch", help: "Messages that passed whose sender is not the authenticated user.",
        counting: .admitted, needs: [])
    case .badRecipients:
      .init(
        name: "bad-recipients", help: "Recipients that the MTA refused for good, for any cause.",
        counting: .occurred, needs: .allRecipients)
    case .unknownRecipients:
      .init(
        name: "unknown-recipients", help: "Recipients refused because the mailbox does not exist.",
        counting: .occurred, needs: .allRecipients)
    case .relayAttempts:
      .init(
        name: "relay-attempts",
        help:
          "Recipients refused because relaying was not allowed (without the log feed Sendmail's are only bad recipients).",
        counting: .occurred, needs: .allRecipients, shownBy: "Postfix", toldBy: [.log])
    case .dnsblRejections:
      .init(
        name: "dnsbl-rejections",
        help:
          "Clients refused because they are on a DNS block list (without the log feed only where that is checked at RCPT).",
        counting: .occurred, needs: .allRecipients, shownBy: "Postfix", toldBy: [.log])
    case .cutOffMessages:
      .init(
        name: "cut-off-messages", help: "Messages whose connection ended after DATA, before their end.",
        counting: .occurred, needs: .data)
    case .spam:
      .init(
        name: "spam", help: "Messages that passed although a filter before us has marked them as spam.",
        counting: .admitted, needs: .headers)
    case .authFailures:
      .told("auth-failures", "Failed logins.", by: [.dovecot, .log])
    case .authSuccesses:
      .told("auth-successes", "Successful logins, also such that send nothing.", by: [.dovecot, .log])
    case .refusedConnections:
      .told(
        "refused-connections", "Connections that the MTA refused before it told us of them.", by: [.log],
        comesBeforeMail: true)
    case .rcptFloods:
      .told("rcpt-floods", "Sessions slowed down or cut by the MTA for too many bad recipients.", by: [.log])
    case .filterRejections:
      .told("filter-rejections", "Messages that another filter refused at their end.", by: [.log])
    case .delivered:
      .told("delivered", "Recipients that a message was delivered to.", by: [.log])
    case .deferred:
      .told("deferred", "Deliveries put off, each time.", by: [.log])
    case .bounced:
      .told("bounced", "Recipients that a message could not be delivered to.", by: [.log])
    case .mtaDistress:
      .told(
        "mta-distress", "Lines in which the MTA complains of load, lost input or faults of its own.", by: [.log],
        comesBeforeMail: true)
    }
  }

  public var name: String { declaration.name }
  public init?(name: some StringProtocol) {
    guard let signal = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = signal
  }
}

extension Signal.Declaration {
  fileprivate static func told(
    _ name: String, _ help: String, by feeds: Set<Source>, comesBeforeMail: Bool = false
  ) -> Self {
    .init(
      name: name, help: help, counting: .occurred, comesBeforeMail: comesBeforeMail, needs: [], shownBy: "",
      toldBy: feeds)
  }
}

/// What the running policy needs the MTA to show, and where the MTA must wait for our reply.
///
/// CONNECT, MAIL and the end of a message are always shown, and the latter two always replied to. A stage needs a reply
/// where something may be refused, and also where what it shows must not be lost: Postfix sends stages without a reply
/// together with the next that has one, and libmilter throws away what it has not read yet when a UNIX socket's other end
/// is closed. Of 25 sessions that ended without such a stage it showed 5 (measured).
public struct Needs: OptionSet, Sendable, Hashable {
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  public static let connectReply = Needs(rawValue: 1)
  public static let recipients = Needs(rawValue: 2)
  public static let recipientReply = Needs(rawValue: 4)
  public static let refusedRecipients = Needs(rawValue: 8)
  /// With a reply.
  public static let data = Needs(rawValue: 16)
  /// Header and body; an end of message follows, so they need no reply.
  public static let content = Needs(rawValue: 32)
  /// With a reply.
  public static let unknownCommands = Needs(rawValue: 64)
  /// Header fields, to look at; they need no reply.
  public static let headers = Needs(rawValue: 128)
  /// HELO and EHLO; MAIL follows, so they need no reply.
  public static let helo = Needs(rawValue: 256)
  /// Recipients one by one, rather than how many.
  public static let recipientNames = Needs(rawValue: 512)
  /// The name of the service that took the connection.
  public static let daemonName = Needs(rawValue: 1024)

  /// For people: what is asked of the MTA beside CONNECT, MAIL and the end of a message.
  public var stages: [String] {
    let names: [(Needs, String)] = [
      (.connectReply, "a reply at connect"), (.helo, "HELO"), (.recipients, "RCPT"),
      (.recipientReply, "a reply at RCPT"), (.refusedRecipients, "refused RCPT"), (.data, "DATA"),
      (.headers, "header"), (.content, "header and body"), (.unknownCommands, "unknown commands"),
    ]
    return names.filter { contains($0.0) }.map(\.1)
  }

  static let allRecipients: Needs = [.recipients, .refusedRecipients, .recipientReply]
}

/// How many of each signal.
public struct Tally: Sendable {
  // No vector: one of this size is padded and aligned so that events, which have two, would be three times as large.
  private var counts = InlineArray<24, Int32>(repeating: 0)
  /// Bit n: signal n is not zero.
  private(set) var mask: UInt32 = 0

  public init() {}

  public var isEmpty: Bool { mask == 0 }

  /// Bounded by 2³¹ − 1 in one event.
  public subscript(signal: Signal) -> Int {
    get { Int(counts[Int(signal.rawValue)]) }
    set {
      counts[Int(signal.rawValue)] = Int32(clamping: newValue)
      let bit: UInt32 = 1 << UInt32(signal.rawValue)
      mask = newValue == 0 ? mask & ~bit : mask | bit
    }
  }

  func has(_ signal: Signal) -> Bool { mask & (1 << UInt32(signal.rawValue)) != 0 }
}

extension Tally: Equatable {
  public static func == (a: Tally, b: Tally) -> Bool {
    a.mask == b.mask && a.counts.indices.allSatisfy { a.counts[$0] == b.counts[$0] }
  }
}

extension Tally: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (Signal, Int)...) {
    self.init()
    for (signal, count) in elements { self[signal] = count }
  }
}
