/// Something of which different values can be counted: `distinct networks`, `new recipients`.
///
/// Everything about an attribute is declared once, in `declaration`.
public enum Attribute: UInt8, CaseIterable, Sendable, Hashable {
  case networks, ips, users, helos
  case senders, senderDomains, recipients, recipientDomains
  case passwords

  /// All that there is to know of an attribute.
  public struct Declaration: Sendable {
    /// As the policy file writes it.
    public let name: String
    /// Half a sentence for people: what differs.
    public let help: String
    /// `occurred`: at MAIL, whatever becomes of the message. `admitted`: when the message passes.
    public let counting: Signal.Counting
    /// What the MTA must show us for it.
    public let needs: Needs
    /// The kind of key that is the same for every value counted, and so makes no sense.
    public let isWithin: Set<KeyKind>
  }

  public var declaration: Declaration {
    switch self {
    case .networks:
      .init(
        name: "networks", help: "networks of clients that went on to MAIL", counting: .occurred, needs: [],
        isWithin: [.network, .ip])
    case .ips:
      .init(
        name: "ips", help: "addresses of clients that went on to MAIL", counting: .occurred, needs: [],
        isWithin: [.ip])
    case .users:
      .init(
        name: "users", help: "users who logged in and went on to MAIL", counting: .occurred, needs: [],
        isWithin: [.user])
    case .helos:
      .init(
        name: "helos", help: "names given with HELO or EHLO by clients that went on to MAIL", counting: .occurred,
        needs: .helo, isWithin: [.helo])
    case .senders:
      .init(
        name: "senders", help: "envelope senders of messages that passed", counting: .admitted, needs: [],
        isWithin: [.sender])
    case .senderDomains:
      .init(
        name: "sender-domains", help: "domains of envelope senders of messages that passed", counting: .admitted,
        needs: [], isWithin: [.sender, .senderDomain])
    case .recipients:
      .init(
        name: "recipients", help: "recipients of messages that passed", counting: .admitted,
        needs: [.recipients, .recipientNames], isWithin: [.recipient, .recipientDomain])
    case .recipientDomains:
      .init(
        name: "recipient-domains", help: "recipients' domains of messages that passed", counting: .admitted,
        needs: [.recipients, .recipientNames], isWithin: [.recipient, .recipientDomain])
    case .passwords:
      .init(
        name: "passwords",
        help: "wrong passwords, each of a login counted once however often it is tried (told by Dovecot alone)",
        counting: .occurred, needs: [], isWithin: [])
    }
  }

  /// Whether a failed login shows a value of it. A failed login speaks against the client and not against the user, whose
  /// name anybody can try; so where it came from counts for the user only where a rule asks for failed logins.
  func isShown(byFailedLoginUnder filter: Filter) -> Bool {
    switch self {
    case .users, .passwords: true
    case .networks, .ips: filter.only.contains(.failedLogins)
    case .helos, .senders, .senderDomains, .recipients, .recipientDomains: false
    }
  }

  /// Whether it is known of a key what it has ever shown of it; wrong passwords do not make anybody known.
  public var isRemembered: Bool { self != .passwords }

  public var name: String { declaration.name }
  public init?(name: some StringProtocol) {
    guard let attribute = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = attribute
  }
}

/// What a rule's limit is set to.
public enum Measure: Hashable, Sendable {
  /// How often it happened within the window.
  case signal(Signal)
  /// How many different values there were within the window.
  case distinct(Attribute)
  /// How many values there were within the window that the key had never shown before it.
  case new(Attribute)

  /// As the policy file writes it.
  public var name: String {
    switch self {
    case .signal(let signal): signal.name
    case .distinct(let attribute): "distinct \(attribute.name)"
    case .new(let attribute): "new \(attribute.name)"
    }
  }

  public init?(name: String) {
    let words = name.split(separator: " ")
    if words.count == 1, let signal = Signal(name: name) {
      self = .signal(signal)
    } else if words.count == 2, let attribute = Attribute(name: words[1]), words[0] == "distinct" {
      self = .distinct(attribute)
    } else if words.count == 2, let attribute = Attribute(name: words[1]), words[0] == "new", attribute.isRemembered {
      self = .new(attribute)
    } else {
      return nil
    }
  }

  /// Every name that `init(name:)` knows.
  public static var allNames: [String] {
    Signal.allCases.map(\.name)
      + Attribute.allCases.map { "distinct \($0.name)" }
      + Attribute.allCases.filter(\.isRemembered).map { "new \($0.name)" }
  }

  public var counting: Signal.Counting {
    switch self {
    case .signal(let signal): signal.declaration.counting
    case .distinct(let attribute), .new(let attribute): attribute.declaration.counting
    }
  }

  public var needs: Needs {
    switch self {
    case .signal(let signal): signal.declaration.needs
    case .distinct(let attribute), .new(let attribute): attribute.declaration.needs
    }
  }

  /// Whether it is counted before anybody has logged in or named a sender.
  public var comesBeforeMail: Bool {
    if case .signal(let signal) = self { signal.declaration.comesBeforeMail } else { false }
  }

  /// Whether failed logins, or what becomes of logins, count in it.
  var isAboutLogins: Bool {
    switch self {
    case .signal(.authFailures), .signal(.authSuccesses), .distinct(.users), .distinct(.passwords): true
    default: false
    }
  }

  /// For a sentence: `broken connections`.
  public var phrase: String {
    if case .signal(let signal) = self { signal.phrase } else { name.replacing("-", with: " ") }
  }
}

/// What a part of a rule looks at: a measure, or one as a share of another (signals, and what is new).
public enum Quantity: Hashable, Sendable, Codable {
  case measure(Measure)
  case share(Measure, of: Measure)

  public var name: String {
    switch self {
    case .measure(let measure): measure.name
    case .share(let part, let whole): "\(part.name) / \(whole.name)"
    }
  }

  public var measures: [Measure] {
    switch self {
    case .measure(let measure): [measure]
    case .share(let part, let whole): [part, whole]
    }
  }

  /// For a sentence: `bad recipients / recipients`.
  public var phrase: String { measures.map(\.phrase).joined(separator: " / ") }
}
