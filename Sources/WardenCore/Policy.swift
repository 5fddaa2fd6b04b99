/// What is allowed, checked as a whole before it is used.
public struct Policy: Sendable, Equatable {
  public var rules: [Rule]
  public var exempt: Exemptions
  /// How much of an address is its network.
  public var networkPrefix: NetworkPrefix
  /// Realms that a login may carry without being another user; nothing lets them be learned from the MTAs' names.
  public var realms: [String]?

  public init(
    rules: [Rule] = [], exempt: Exemptions = Exemptions(), networkPrefix: NetworkPrefix = NetworkPrefix(),
    realms: [String]? = nil
  ) {
    self.rules = rules
    self.exempt = exempt
    self.networkPrefix = networkPrefix
    self.realms = realms
  }
}

public struct NetworkPrefix: Sendable, Equatable {
  public var v4: Int
  public var v6: Int
  /// /24, and the /64 that one household or server gets.
  public init(v4: Int = 24, v6: Int = 64) {
    self.v4 = v4
    self.v6 = v6
  }

  public func network(of address: IPAddress) -> Network {
    Network(of: address, prefix: address.isV4 ? v4 : v6)
  }
}

/// Who is never refused, whatever a rule or a penalty says, and never counted by a rule.
public struct Exemptions: Sendable, Equatable {
  public var networks: [Network]
  /// As written in the policy, in lower case.
  public var users: Set<String>

  public init(networks: [Network] = [], users: Set<String> = []) {
    self.networks = networks
    self.users = users
  }

  public func covers(_ address: IPAddress) -> Network? { networks.first { $0.contains(address) } }

  /// - Parameter user: in its one form; the policy may write it with a realm of the server's own.
  public func covers(user: String, realms: LocalRealms) -> Bool {
    if users.isEmpty { return false }
    return users.contains(user) || realms.names.contains { users.contains("\(user)@\($0)") }
  }
}

public struct Rule: Sendable, Equatable {
  public enum Mode: String, Sendable, CaseIterable {
    /// Says what it would have done.
    case observe
    case enforce
  }

  public var name: String
  public var description: String
  public var count: Signal
  public var per: KeyShape
  /// Every one holds.
  public var limits: [Limit]
  public var then: Consequences
  public var reply: ReplyTemplate?
  public var mode: Mode

  public init(
    name: String, description: String = "", count: Signal, per: KeyShape, limits: [Limit], then: Consequences,
    reply: ReplyTemplate? = nil, mode: Mode = .enforce
  ) {
    self.name = name
    self.description = description
    self.count = count
    self.per = per
    self.limits = limits
    self.then = then
    self.reply = reply
    self.mode = mode
  }

  /// Whether this rule can stand in the way of mail at once, without a penalty.
  var refuses: Bool { mode == .enforce && then.refusal != nil }
  var blocks: Bool { mode == .enforce && then.block != nil }

  /// The code of its refusals: the reply's own, else by what `then` says. A block alone tempfails: a wrong one must not
  /// cost anybody a message.
  var code: ReplyCode { reply?.code ?? (then.refusal == .reject ? .reject : .tempfail) }
}

/// At most `count` in every window of length `window`.
public struct Limit: Sendable, Hashable, CustomStringConvertible {
  public let count: Int
  public let window: TimeSpan

  /// Far beyond any mail server, far below where sums saturate.
  public static let largestCount = 1_000_000_000_000_000
  public static let longestWindow = TimeSpan.days(31)

  public init(count: Int, window: TimeSpan) {
    self.count = count
    self.window = window
  }

  public var description: String { "\(count) per \(window)" }
}

/// What a tripped rule does.
public struct Consequences: Sendable, Equatable {
  public enum Refusal: String, Sendable { case tempfail, reject }
  /// Tell the administrator, once an episode.
  public var alert: Bool
  /// Refuse what goes over the limit.
  public var refusal: Refusal?
  /// Refuse everything of the key for this long.
  public var block: TimeSpan?

  public init(alert: Bool = false, refusal: Refusal? = nil, block: TimeSpan? = nil) {
    self.alert = alert
    self.refusal = refusal
    self.block = block
  }
}

/// The numbers of an SMTP refusal.
public struct ReplyCode: Sendable, Hashable {
  /// 400…599.
  public let code: Int
  /// RFC 3463.
  public let enhanced: String
  public init(code: Int, enhanced: String) {
    self.code = code
    self.enhanced = enhanced
  }
  public var isTemporary: Bool { code < 500 }

  static let tempfail = ReplyCode(code: 450, enhanced: "4.7.1")
  static let reject = ReplyCode(code: 550, enhanced: "5.7.1")
  static let closing = ReplyCode(code: 421, enhanced: "4.7.1")
}

/// A rule's own reply: `450 4.7.1 {user}: {count} messages in {window}`.
public struct ReplyTemplate: Sendable, Equatable {
  public enum Piece: Sendable, Equatable {
    case text(String)
    case field(Field)
  }

  /// What can stand in braces.
  public enum Field: Sendable, Equatable, Hashable {
    case key, rule, signal, count, limit, window, retry, until
    /// The key's own part.
    case part(KeyKind)

    public static let named: [(name: String, field: Field)] = [
      ("key", .key), ("rule", .rule), ("signal", .signal), ("count", .count), ("limit", .limit),
      ("window", .window), ("retry", .retry), ("until", .until),
    ]
  }

  public let code: ReplyCode
  public let pieces: [Piece]

  public init(code: ReplyCode, pieces: [Piece]) {
    self.code = code
    self.pieces = pieces
  }
}
