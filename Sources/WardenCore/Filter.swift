/// Which mail a rule looks at.
///
/// In `only`, conditions of one kind are alternatives, and every kind named has to hold. Of `except`, one is enough to
/// spare.
public struct Filter: Sendable, Hashable, Codable {
  public var only: [Match]
  public var except: [Match]

  public init(only: [Match] = [], except: [Match] = []) {
    self.only = only
    self.except = except
  }

  public var isEmpty: Bool { only.isEmpty && except.isEmpty }
  public var matches: [Match] { only + except }
}

/// One condition of a filter.
public enum Match: Sendable, Hashable, Codable {
  case authenticated, anonymous
  /// Mail of the null sender, of a sender that a forwarder rewrote (SRS), and of mailing lists (`List-Id`, `Precedence`).
  case bounces, forwards, lists
  /// From a network that the user first used within the last two weeks; never while the user itself is being learned.
  case newNetwork
  /// Logins that failed, as feeds tell of them.
  case failedLogins
  /// The MTA's name of the service that took the connection (`{daemon_name}`).
  case daemon(String)
  case network(Network)
  case user(String)
  case group(String)
  case senderDomain(String)

  /// Matches of one kind are alternatives.
  public enum Kind: Sendable, Hashable { case authentication, login, mail, network, daemon, who, senderDomain }

  public var kind: Kind {
    switch self {
    case .authenticated, .anonymous: .authentication
    case .failedLogins: .login
    case .bounces, .forwards, .lists: .mail
    case .newNetwork, .network: .network
    case .daemon: .daemon
    case .user, .group: .who
    case .senderDomain: .senderDomain
    }
  }

  /// The conditions that are one word, and those that need a value.
  public static let words: [(name: String, match: Match)] = [
    ("authenticated", .authenticated), ("anonymous", .anonymous), ("bounces", .bounces), ("forwards", .forwards),
    ("lists", .lists), ("new-network", .newNetwork), ("failed-logins", .failedLogins),
  ]

  /// Whether it is known only once the client has had the chance to log in.
  var isAboutLogin: Bool {
    switch self {
    case .authenticated, .anonymous, .user, .group: true
    default: false
    }
  }

  /// Whether it is about the client rather than about a message.
  var isAboutSession: Bool {
    switch self {
    case .authenticated, .anonymous, .user, .group, .daemon, .network: true
    case .bounces, .forwards, .lists, .newNetwork, .senderDomain, .failedLogins: false
    }
  }

  /// What the MTA must show us for it.
  public var needs: Needs {
    switch self {
    case .lists: .headers
    case .daemon: .daemonName
    default: []
    }
  }
}

extension Match: CustomStringConvertible {
  /// As the policy file writes it.
  public var description: String {
    switch self {
    case .authenticated: "authenticated"
    case .anonymous: "anonymous"
    case .bounces: "bounces"
    case .forwards: "forwards"
    case .lists: "lists"
    case .newNetwork: "new-network"
    case .failedLogins: "failed-logins"
    case .daemon(let name): "daemon \(name)"
    case .network(let network): "network \(network)"
    case .user(let user): "user \(user)"
    case .group(let group): "group \(group)"
    case .senderDomain(let domain): "sender-domain \(domain)"
    }
  }
}

extension Filter {
  /// Whether the rule looks at this event. What is not known yet is taken as not so.
  func covers(
    _ event: borrowing Event, realms: LocalRealms, groups: [String: Set<String>], isNewNetwork: Bool
  ) -> Bool {
    func holds(_ match: Match) -> Bool {
      switch match {
      case .authenticated: return event.isAuthenticated
      case .anonymous: return !event.isAuthenticated
      case .bounces: return event.kind.contains(.bounce)
      case .forwards: return event.kind.contains(.forward)
      case .lists: return event.kind.contains(.list)
      case .newNetwork: return isNewNetwork
      // Who asks whether a login may be tried is asked about those that failed.
      case .failedLogins: return event.step == .login || event.isFailedLogin
      case .daemon(let name): return event.subject.daemon == name
      case .network(let network): return event.subject.address.map(network.contains) ?? false
      case .user(let name): return event.subject.user.map { realms.isName(name, of: $0) } ?? false
      case .group(let group): return event.subject.user.map { realms.isMember($0, of: groups[group] ?? []) } ?? false
      case .senderDomain(let domain): return event.subject.senderDomain == domain
      }
    }
    if except.contains(where: holds) { return false }
    return only.allSatisfy { match in holds(match) || only.contains { $0.kind == match.kind && holds($0) } }
  }

  /// The same wherever the client is. What is new or usual is so for the key, not for its mail from new networks.
  var anyNetwork: Filter {
    Filter(only: only.filter { $0 != .newNetwork }, except: except.filter { $0 != .newNetwork })
  }

  /// What of it is about the client: a block spares whom its rule spares.
  var ofSession: Filter { Filter(only: only.filter(\.isAboutSession), except: except.filter(\.isAboutSession)) }

  var isAboutLogin: Bool { matches.contains(where: \.isAboutLogin) }

  /// One text for each filter: `only ["user \"a, b\""] except []`.
  var text: String { "only \(only.map(\.description)) except \(except.map(\.description))" }
}

/// What tells that a filter does not hold, without looking at its words: a value that `only` demands, as a hash.
struct FilterGate: Sendable {
  private enum Demand: Sendable {
    case nothing
    case authenticated(Bool)
    case daemon(Int)
    case senderDomain(Int)
  }
  private let demand: Demand

  init(_ filter: Filter) {
    let alone = filter.only.first { match in filter.only.filter { $0.kind == match.kind }.count == 1 }
    demand =
      switch alone {
      case .authenticated, .user, .group: .authenticated(true)
      case .anonymous: .authenticated(false)
      case .daemon(let name): .daemon(name.hashValue)
      case .senderDomain(let domain): .senderDomain(domain.hashValue)
      default: .nothing
      }
  }

  /// The values of an event that gates look at.
  struct Values {
    let isAuthenticated: Bool
    let daemon: Int?
    let senderDomain: Int?

    init(_ event: borrowing Event) {
      isAuthenticated = event.isAuthenticated
      daemon = event.subject.daemon?.hashValue
      senderDomain = event.subject.senderDomain?.hashValue
    }
  }

  func isShut(to values: Values) -> Bool {
    switch demand {
    case .nothing: false
    case .authenticated(let wanted): wanted != values.isAuthenticated
    case .daemon(let name): name != values.daemon
    case .senderDomain(let domain): domain != values.senderDomain
    }
  }
}
