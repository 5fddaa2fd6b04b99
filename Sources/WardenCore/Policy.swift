/// What is allowed, checked as a whole before it is used.
public struct Policy: Sendable, Equatable {
  public var rules: [Rule]
  public var exempt: Exemptions
  /// How much of an address is its network.
  public var networkPrefix: NetworkPrefix
  /// Realms that a login may carry without being another user; nothing lets them be learned from the MTAs' names.
  public var realms: [String]?
  /// Users and, as `@example.org`, realms; in lower case.
  public var groups: [String: Set<String>]
  public var overrides: [Override]
  /// What the counters of all keys may take, in bytes.
  public var memory: Int
  /// Whether lines of the log may block users by name, and addresses that somebody has lately logged in from.
  public var trustsLog: Bool
  /// Who tells beside the milter.
  public var feeds: Set<Source>

  public static let defaultMemory = 256_000_000

  public init(
    rules: [Rule] = [], exempt: Exemptions = Exemptions(), networkPrefix: NetworkPrefix = NetworkPrefix(),
    realms: [String]? = nil, groups: [String: Set<String>] = [:], overrides: [Override] = [],
    memory: Int = Policy.defaultMemory, trustsLog: Bool = false, feeds: Set<Source> = []
  ) {
    self.rules = rules
    self.exempt = exempt
    self.networkPrefix = networkPrefix
    self.realms = realms
    self.groups = groups
    self.overrides = overrides
    self.memory = memory
    self.trustsLog = trustsLog
    self.feeds = feeds
  }
}

/// How much of an address is its network, and how blocks climb.
public struct NetworkPrefix: Sendable, Equatable {
  public var v4: Int
  public var v6: Int
  /// Shorter IPv6 prefixes, longest first, that are blocked too when `climbAfter` blocks lie within one: whoever rents a
  /// server gets a /56 or /48 and can change its /64 at will.
  public var climb: [Int]
  public var climbAfter: Int

  /// /24, and the /64 that one household or server gets.
  public init(v4: Int = 24, v6: Int = 64, climb: [Int] = [56, 48], climbAfter: Int = 4) {
    self.v4 = v4
    self.v6 = v6
    self.climb = climb
    self.climbAfter = climbAfter
  }

  /// The network that an address counts for.
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

  /// The network by which an address is exempt, if it is.
  public func covers(_ address: IPAddress) -> Network? { networks.first { $0.contains(address) } }

  /// Whether the user, in its one form, is exempt; the policy may write it with a realm of the server's own.
  public func covers(user: String, realms: LocalRealms) -> Bool {
    if users.isEmpty { return false }
    return users.contains(user) || realms.names.contains { users.contains("\(user)@\($0)") }
  }
}

/// A condition on counts, and what follows from it.
public struct Rule: Sendable, Equatable {
  /// Whether a rule acts, or only tells what it would have done.
  public enum Mode: String, Sendable, CaseIterable, Codable {
    /// Says what it would have done.
    case observe
    case enforce
  }

  public var name: String
  public var description: String
  public var per: KeyShape
  /// All of them have to be over a limit of theirs; mostly there is one.
  public var parts: [Part]
  public var filter: Filter
  /// Bounces and forwards are not a user's own mail: they count against a user only where the rule says so.
  public var includesBounces: Bool
  public var includesForwards: Bool
  /// Whether what is refused counts as if it had passed, so that whoever goes on trying stays over the limit.
  public var countsRefused: Bool
  public var then: Consequences
  public var reply: ReplyTemplate?
  public var mode: Mode

  public init(
    name: String, description: String = "", per: KeyShape, parts: [Part], filter: Filter = Filter(),
    includesBounces: Bool = false, includesForwards: Bool = false, countsRefused: Bool = false, then: Consequences,
    reply: ReplyTemplate? = nil, mode: Mode = .enforce
  ) {
    self.name = name
    self.description = description
    self.per = per
    self.parts = parts
    self.filter = filter
    self.includesBounces = includesBounces
    self.includesForwards = includesForwards
    self.countsRefused = countsRefused
    self.then = then
    self.reply = reply
    self.mode = mode
  }

  /// A rule of one part that counts a signal.
  public init(
    name: String, description: String = "", count: Signal, per: KeyShape, limits: [Limit], then: Consequences,
    reply: ReplyTemplate? = nil, mode: Mode = .enforce
  ) {
    self.init(
      name: name, description: description, per: per, parts: [Part(.measure(.signal(count)), limits)], then: then,
      reply: reply, mode: mode)
  }

  /// What a part of the rule really looks at: the filter, and for mail that a user sends what is not the user's own.
  public func filter(of measure: Measure) -> Filter {
    guard per.kinds.contains(.user), measure.counting == .admitted else { return filter }
    var filter = filter
    for (match, isIncluded) in [(Match.bounces, includesBounces), (.forwards, includesForwards)]
    where !isIncluded && !filter.matches.contains(match) {
      filter.except.append(match)
    }
    return filter
  }

  /// Whether this rule can stand in the way of mail at once, without a penalty.
  var refuses: Bool { mode == .enforce && then.refusal != nil }
  var blocks: Bool { mode == .enforce && then.block != nil }
  var holds: Bool { mode == .enforce && then.hold }
  var delay: TimeSpan? { mode == .enforce ? then.delay : nil }

  /// The code of its refusals: the reply's own, else by what `then` says. A block alone tempfails: a wrong one must not
  /// cost anybody a message.
  var code: ReplyCode { reply?.code ?? (then.refusal == .reject ? .reject : .tempfail) }

  /// Whether it has a say where somebody wants to log in, by whichever protocol. Other rules leave logins alone: who sends
  /// too much is told so at MAIL, in words, and goes on reading mail.
  public var isAboutLogins: Bool {
    filter.only.contains(.failedLogins) || parts.flatMap(\.quantity.measures).contains(where: \.isAboutLogins)
  }

  /// Whether it counts something that under these feeds the log alone tells.
  public func isHearsay(under policy: Policy) -> Bool {
    guard policy.feeds == [.log], !policy.trustsLog else { return false }
    return filter.only.contains(.failedLogins)
      || parts.flatMap(\.quantity.measures).contains { measure in
        guard case .signal(let signal) = measure else { return false }
        return signal.declaration.shownBy.isEmpty
      }
  }

  /// Whether it counts failed logins: whose name that is, anybody can choose.
  public var countsFailedLogins: Bool {
    filter.only.contains(.failedLogins)
      || parts.flatMap(\.quantity.measures).contains {
        [.signal(.authFailures), .distinct(.passwords)].contains($0)
      }
  }

  /// The shape of the key that it blocks.
  public var blockedShape: KeyShape { then.block?.kind.map { KeyShape($0) } ?? per }
}

/// One of the things that a rule demands.
public struct Part: Sendable, Hashable {
  public var quantity: Quantity
  /// Being over any of them is enough.
  public var limits: [Limit]

  public init(_ quantity: Quantity, _ limits: [Limit]) {
    self.quantity = quantity
    self.limits = limits
  }
}

/// At most so much in every window of length `window`.
public struct Limit: Sendable, Hashable, Codable, CustomStringConvertible {
  /// The forms of a limit.
  public enum Bound: Sendable, Hashable, Codable {
    case count(Int)
    case usual(Usual)
    case share(Share)
  }

  /// So many times what is usual for the key.
  public struct Usual: Sendable, Hashable, Codable {
    /// In tenths: `2.5x` is 25.
    public let tenths: Int
    /// What is allowed in any case, however little is usual.
    public let atLeast: Int
    /// What is allowed to a key that has not been known for a week.
    public let atFirst: Int

    /// `5`, `2.5`.
    public var times: String { tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)" }

    public init(tenths: Int, atLeast: Int, atFirst: Int? = nil) {
      self.tenths = tenths
      self.atLeast = atLeast
      self.atFirst = atFirst ?? atLeast
    }
  }

  /// A percentage, looked at once either of the two signals has been counted so often.
  public struct Share: Sendable, Hashable, Codable {
    public let percent: Int
    public let atLeast: Int

    public init(percent: Int, atLeast: Int) {
      self.percent = percent
      self.atLeast = atLeast
    }
  }

  public let bound: Bound
  public let window: TimeSpan

  /// 100 TB; far beyond any mail server, below where counters saturate.
  public static let largestCount = 100_000_000_000_000
  /// Different values are kept one by one, which is what makes their count exact.
  public static let largestDistinct = 5_000
  public static let longestWindow = TimeSpan.days(31)
  /// Usual is learned per hour, day and week.
  public static let usualWindows: [TimeSpan] = [.hours(1), .days(1), .days(7)]

  public init(_ bound: Bound, window: TimeSpan) {
    self.bound = bound
    self.window = window
  }

  public init(count: Int, window: TimeSpan) { self.init(.count(count), window: window) }

  public var description: String {
    switch bound {
    case .count(let count): return "\(count) per \(window)"
    case .usual(let usual):
      let first = usual.atFirst == usual.atLeast ? "" : ", at first \(usual.atFirst)"
      return "\(usual.times)x usual, at least \(usual.atLeast)\(first) per \(window)"
    case .share(let share): return "\(share.percent)% per \(window), at least \(share.atLeast)"
    }
  }
}

/// What a tripped rule does.
public struct Consequences: Sendable, Equatable {
  /// With 4xx or with 5xx.
  public enum Refusal: String, Sendable { case tempfail, reject }
  /// Tell the administrator, once an episode.
  public var alert: Bool
  /// Refuse what goes over the limit.
  public var refusal: Refusal?
  /// Take the message, but keep it in the MTA's quarantine.
  public var hold: Bool
  /// Let logins wait for so long before they are tried, where a feed asks us.
  public var delay: TimeSpan?
  /// Refuse everything of the key for a while.
  public var block: Block?
  /// Names of the administrator's commands, each run once an episode.
  public var run: [String]

  /// Whether all that it does is to tell.
  var stopsNobody: Bool { refusal == nil && !hold && delay == nil && block == nil }

  public init(
    alert: Bool = false, refusal: Refusal? = nil, hold: Bool = false, delay: TimeSpan? = nil, block: Block? = nil,
    run: [String] = []
  ) {
    self.alert = alert
    self.refusal = refusal
    self.hold = hold
    self.delay = delay
    self.block = block
    self.run = run
  }
}

/// How long a key is blocked, longer each time that it comes back.
public struct Block: Sendable, Equatable {
  /// At least one: for the first offence, the second, …; the last for all that follow.
  public var spans: [TimeSpan]
  /// The part of the key, or its network, that is blocked; nothing blocks the key that was counted.
  public var kind: KeyKind?
  /// After how long an offence is forgotten.
  public var forget: TimeSpan

  public static let defaultForget = TimeSpan.days(30)

  /// The key that it blocks where that one has tripped; nothing where it has no such part.
  func key(from key: Key, _ prefix: NetworkPrefix) -> Key? {
    guard let kind else { return key }
    if let part = key.parts.first(where: { $0.kind == kind }) { return Key(part) }
    guard kind == .network, case .ip(let address)? = key.parts.first(where: { $0.kind == .ip }) else { return nil }
    return Key(.network(prefix.network(of: address)))
  }

  public init(_ spans: [TimeSpan], kind: KeyKind? = nil, forget: TimeSpan = Block.defaultForget) {
    self.spans = spans
    self.kind = kind
    self.forget = forget
  }
}

/// What holds for some instead of the rules' own limits.
public struct Override: Sendable, Equatable, Codable {
  /// Whom it concerns.
  public enum Target: Sendable, Hashable, Codable {
    case user(String)
    /// Users with that realm, and senders, recipients and pairs of that domain.
    case domain(String)
    case network(Network)
    case group(String)
    /// One key as a whole, from the command line.
    case key(Key)
  }

  /// What holds instead.
  public enum Effect: Sendable, Equatable, Codable {
    /// No rule and no penalty concerns it, and nothing of it is counted.
    case exempt
    /// The rule does not concern it.
    case off(rule: String)
    /// The rule's limits are these instead; for a rule of several parts, the first part's.
    case limits(rule: String, [Limit])
  }

  public var target: Target
  public var effect: Effect
  /// The first moment at which it no longer holds; nothing for ever.
  public var until: Timestamp?
  /// Where it was written: `mailwarden.yaml:12`, or who ordered it.
  public var origin: String

  public init(_ target: Target, _ effect: Effect, until: Timestamp? = nil, origin: String) {
    self.target = target
    self.effect = effect
    self.until = until
    self.origin = origin
  }
}

/// The numbers of an SMTP refusal.
public struct ReplyCode: Sendable, Hashable, Codable {
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
public struct ReplyTemplate: Sendable, Hashable, Codable {
  /// Text, or a field that is filled in.
  public enum Piece: Sendable, Hashable, Codable {
    case text(String)
    case field(Field)
  }

  /// What can stand in braces.
  public enum Field: Sendable, Hashable, Codable {
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
