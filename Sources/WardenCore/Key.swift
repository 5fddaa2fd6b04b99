/// What a count or a penalty can be kept for.
public enum KeyKind: UInt8, CaseIterable, Sendable, Hashable {
  case user, ip, network, helo, sender, senderDomain, recipient, recipientDomain, server

  /// As the policy file and the command line write it.
  public var name: String {
    switch self {
    case .user: "user"
    case .ip: "ip"
    case .network: "network"
    case .helo: "helo"
    case .sender: "sender"
    case .senderDomain: "sender-domain"
    case .recipient: "recipient"
    case .recipientDomain: "recipient-domain"
    case .server: "server"
    }
  }

  var isRecipients: Bool { self == .recipient || self == .recipientDomain }

  public init?(name: some StringProtocol) {
    guard let kind = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = kind
  }
}

/// The kinds of a key: one, or a pair, whose order means nothing.
public struct KeyShape: Hashable, Sendable, CustomStringConvertible {
  public let first: KeyKind
  public let second: KeyKind?
  public init(_ first: KeyKind, _ second: KeyKind? = nil) {
    let isInOrder = second.map { first.rawValue <= $0.rawValue } ?? true
    self.first = isInOrder ? first : second!
    self.second = isInOrder ? second : first
  }
  public var kinds: [KeyKind] { second.map { [first, $0] } ?? [first] }
  public var description: String { kinds.map(\.name).joined(separator: ", ") }
  /// Whether the key is known as soon as a client connects.
  public var isKnownAtConnect: Bool { kinds.allSatisfy { $0 == .ip || $0 == .network || $0 == .server } }
  /// Whether a message can have several keys of this shape.
  public var isPerRecipient: Bool { first.isRecipients || second?.isRecipients ?? false }
}

/// One key's value.
public enum KeyPart: Hashable, Sendable, Codable {
  case user(String)
  case ip(IPAddress)
  case network(Network)
  case helo(String)
  case sender(String)
  case senderDomain(String)
  case recipient(String)
  case recipientDomain(String)
  case server

  public var kind: KeyKind {
    switch self {
    case .user: .user
    case .ip: .ip
    case .network: .network
    case .helo: .helo
    case .sender: .sender
    case .senderDomain: .senderDomain
    case .recipient: .recipient
    case .recipientDomain: .recipientDomain
    case .server: .server
    }
  }

  /// The value without its kind; empty for the server.
  public var value: String {
    switch self {
    case .user(let text), .helo(let text), .sender(let text), .senderDomain(let text), .recipient(let text),
      .recipientDomain(let text):
      text
    case .ip(let address): address.description
    case .network(let network): network.description
    case .server: ""
    }
  }
}

/// Whose count it is: `user:alice`, `ip:192.0.2.7`, `network:2001:db8::/64`, `server`, or a pair `user:alice,ip:192.0.2.7`.
public struct Key: Hashable, Sendable, Codable {
  public let first: KeyPart
  public let second: KeyPart?

  public init(_ first: KeyPart, _ second: KeyPart? = nil) {
    let isInOrder = second.map { first.kind.rawValue <= $0.kind.rawValue } ?? true
    self.first = isInOrder ? first : second!
    self.second = isInOrder ? second : first
  }

  public var shape: KeyShape { KeyShape(first.kind, second?.kind) }
  public var parts: [KeyPart] { second.map { [first, $0] } ?? [first] }

  /// For a sentence: `user alice`, `user alice, ip 192.0.2.7`.
  public var phrase: String {
    parts.map { $0 == .server ? "server" : "\($0.kind.name) \($0.value)" }.joined(separator: ", ")
  }
}

extension Key: CustomStringConvertible {
  public var description: String {
    parts.map { $0 == .server ? "server" : "\($0.kind.name):\(Self.escaped($0.value))" }.joined(separator: ",")
  }

  /// Why a text is no key.
  public enum Problem: Error, Equatable, CustomStringConvertible {
    case kind(String)
    case value(kind: KeyKind, text: String)
    case form(String)

    public var description: String {
      switch self {
      case .kind(let text):
        "unknown kind of key \"\(text)\"\(Suggestion.phrase(for: text, among: KeyKind.allCases.map(\.name)))"
      case .value(let kind, let text): "\"\(text)\" is not a value for \(kind.name)"
      case .form(let text):
        "\"\(text)\" is not a key; write user:alice@example.org, ip:192.0.2.7, network:2001:db8::/64 or server"
      }
    }
  }

  /// A comma parts a pair only before another kind: addresses may hold commas. A client's own `,ip:` is written `%2Cip:`,
  /// or whoever logs in under such a name could not be released.
  private static func escaped(_ value: String) -> String {
    guard value.contains(where: { $0 == "," || $0 == "%" }) else { return value }
    let safe = value.replacing("%25", with: "%2525").replacing("%2C", with: "%252C")
    return KeyKind.allCases.reduce(safe) { $0.replacing(",\($1.name):", with: "%2C\($1.name):") }
  }

  private static func unescaped(_ value: String) -> String {
    value.contains("%") ? value.replacing("%2C", with: ",").replacing("%25", with: "%") : value
  }

  /// Reads what `description` writes. Logins are brought to their one form by `realms`.
  public init(_ text: String, realms: LocalRealms) throws(Problem) {
    if let comma = text.indices.first(where: { index in
      text[index] == "," && KeyKind.allCases.contains { text[text.index(after: index)...].hasPrefix("\($0.name):") }
    }) {
      let first = try Self.part(String(text[..<comma]), realms)
      let second = try Self.part(String(text[text.index(after: comma)...]), realms)
      guard first.kind != second.kind, first != .server else { throw .form(text) }
      self.init(first, second)
    } else {
      self.init(try Self.part(text, realms))
    }
  }

  private static func part(_ text: String, _ realms: LocalRealms) throws(Problem) -> KeyPart {
    if text == KeyKind.server.name { return .server }
    guard let colon = text.firstIndex(of: ":") else { throw .form(text) }
    guard let kind = KeyKind(name: text[..<colon]) else { throw .kind(String(text[..<colon])) }
    let value = unescaped(String(text[text.index(after: colon)...]))
    guard !value.isEmpty else { throw .value(kind: kind, text: value) }
    switch kind {
    case .user: return .user(Bounded.text(realms.user(login: value)))
    case .helo: return .helo(Bounded.text(value.lowercased()))
    case .sender, .recipient:
      let address = Mailbox.normalized(value)
      // The null sender is nobody's.
      guard !address.isEmpty else { throw .value(kind: kind, text: value) }
      return kind == .sender ? .sender(Bounded.text(address)) : .recipient(Bounded.text(address))
    case .senderDomain: return .senderDomain(Bounded.text(value.lowercased()))
    case .recipientDomain: return .recipientDomain(Bounded.text(value.lowercased()))
    case .ip:
      guard let address = IPAddress(value) else { throw .value(kind: kind, text: value) }
      return .ip(address)
    case .network:
      guard value.contains("/"), let network = Network(value) else { throw .value(kind: kind, text: value) }
      return .network(network)
    case .server: throw .form(text)
    }
  }
}

/// Client text as a key: bounded in length without merging what differs only beyond the bound.
public enum Bounded {
  /// RFC 5321 allows an address 254 bytes; what is longer is no honest address.
  static let bytes = 256

  /// The text itself up to 256 bytes; beyond that its beginning and a hash of all of it.
  public static func text(_ text: String) -> String {
    guard text.utf8.count > bytes else { return text }
    // FNV-1a, for its fixed value across restarts; a collision would only merge two over-long names.
    let hash = text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    // Bytes, not characters: one character can carry kilobytes of accents.
    return String(decoding: text.utf8.prefix(64), as: UTF8.self) + "…#" + String(hash, radix: 16)
  }
}
