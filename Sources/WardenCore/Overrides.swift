/// Who has other limits than the rules', or none, for a while or for ever.
struct Overrides: Sendable {
  /// Some of the overrides, by whom they mean: hosters have one for each of thousands of users, and a message has one user.
  private struct Group: Sendable {
    private var users: [String: [Int]] = [:]
    private var others: [Int] = []

    mutating func add(_ place: Int, _ target: Override.Target) {
      if case .user(let name) = target { users[name, default: []].append(place) } else { others.append(place) }
    }

    /// Those that can mean the user or anybody else, in the order in which they were written.
    func places(for user: String?, _ realms: LocalRealms) -> [Int] {
      guard let user, !users.isEmpty else { return others }
      let own = realms.names(of: user).flatMap { users[$0] ?? [] }
      return own.isEmpty ? others : (own + others).sorted()
    }
  }

  private let all: [Override]
  private let groups: [String: Set<String>]
  /// For each override of limits, what they are read from.
  private let metered: [Int: [MeteredLimit]]
  private let byRule: [String: Group]
  private let exemptions: Group
  let exempts: Bool

  init(_ all: [Override], groups: [String: Set<String>], rules: [MeteredRule], builder: inout Builder) {
    self.all = all
    self.groups = groups
    var metered: [Int: [MeteredLimit]] = [:]
    var byRule: [String: Group] = [:]
    var exemptions = Group()
    for (place, override) in all.enumerated() {
      switch override.effect {
      case .exempt: exemptions.add(place, override.target)
      case .off(let rule): byRule[rule, default: Group()].add(place, override.target)
      case .limits(let name, let limits):
        guard let rule = rules.first(where: { $0.name == name })?.rule, let first = rule.parts.first else { continue }
        byRule[name, default: Group()].add(place, override.target)
        metered[place] = limits.map { builder.metered($0, first.quantity, rule) }
      }
    }
    (self.metered, self.byRule, self.exemptions) = (metered, byRule, exemptions)
    exempts = all.contains { $0.effect == .exempt }
  }

  func concern(_ rule: String) -> Bool { byRule[rule] != nil }

  /// What holds for the key instead of the rule's limits: nothing where the rule's own hold, an empty list where none do.
  /// Of several the first written wins.
  func limits(of rule: String, for key: Key, realms: LocalRealms, at now: Timestamp)
    -> (limits: [MeteredLimit], origin: String)?
  {
    guard let group = byRule[rule] else { return nil }
    let user = key.parts.lazy.compactMap { if case .user(let user) = $0 { user } else { nil } }.first
    for place in group.places(for: user, realms) where all[place].holds(at: now) {
      if key.parts.contains(where: { covers(all[place].target, $0, key, realms) }) {
        return (metered[place] ?? [], all[place].origin)
      }
    }
    return nil
  }

  /// The override that exempts the client, its user or one of its keys.
  func exemption(of subject: borrowing Subject, realms: LocalRealms, at now: Timestamp) -> Override? {
    for place in exemptions.places(for: subject.user, realms) where all[place].holds(at: now) {
      let isMeant =
        switch all[place].target {
        // Anybody can write a sender of that domain; only a login proves it.
        case .user, .group, .domain: subject.user.map { covers(all[place].target, .user($0), nil, realms) } ?? false
        case .network(let network): subject.address.map(network.contains) ?? false
        case .key(let key): subject.key(key.shape) == key
        }
      if isMeant { return all[place] }
    }
    return nil
  }

  /// All that concern the key.
  func about(_ key: Key, realms: LocalRealms, at now: Timestamp) -> [Override] {
    all.filter { override in
      override.holds(at: now) && key.parts.contains { covers(override.target, $0, key, realms) }
    }
  }

  private func covers(_ target: Override.Target, _ part: KeyPart, _ key: Key?, _ realms: LocalRealms) -> Bool {
    switch (target, part) {
    case (.user(let name), .user(let user)): realms.isName(name, of: user)
    case (.group(let group), .user(let user)): realms.isMember(user, of: groups[group] ?? [])
    case (.domain(let domain), .user(let user)): realms.domains(of: user).contains(domain)
    case (.domain(let domain), .sender(let address)), (.domain(let domain), .recipient(let address)):
      Mailbox.domain(of: address) == domain
    case (.domain(let domain), .senderDomain(let other)), (.domain(let domain), .recipientDomain(let other)):
      domain == other
    case (.network(let network), .ip(let address)): network.contains(address)
    case (.network(let outer), .network(let inner)): outer.prefix <= inner.prefix && outer.contains(inner.address)
    case (.key(let other), _): other == key
    default: false
    }
  }
}

extension Override {
  func holds(at now: Timestamp) -> Bool { until.map { now < $0 } ?? true }
}

extension Override {
  /// Whether its limits can be set to what the rule counts.
  public func fits(_ rules: [Rule]) -> Bool {
    guard case .limits(let name, let limits) = effect, let part = rules.first(where: { $0.name == name })?.parts.first
    else { return true }
    return limits.allSatisfy { limit in
      switch (limit.bound, part.quantity) {
      case (.count, .measure), (.usual, .measure(.signal)), (.usual, .measure(.new)), (.share, .share): true
      default: false
      }
    }
  }
}

extension Override.Target {
  /// Whether it can mean a key of the shape at all.
  public func canMean(_ shape: KeyShape) -> Bool {
    let kinds = shape.kinds
    switch self {
    case .user, .group: return kinds.contains(.user)
    case .domain:
      return kinds.contains { [.user, .sender, .senderDomain, .recipient, .recipientDomain].contains($0) }
    case .network: return kinds.contains { $0 == .ip || $0 == .network }
    case .key(let key): return key.shape == shape
    }
  }
}

extension LocalRealms {
  /// Whether a policy's name means the user in its one form.
  func isName(_ name: String, of user: String) -> Bool {
    if name == user { return true }
    guard name.utf8.count > user.utf8.count + 1, name.hasPrefix(user), !user.utf8.contains(UInt8(ascii: "@")) else {
      return false
    }
    let rest = name.utf8.dropFirst(user.utf8.count)
    return rest.first == UInt8(ascii: "@") && names.contains(String(Substring(rest.dropFirst())))
  }

  /// What a user in its one form can be called in a policy.
  func names(of user: String) -> [String] {
    user.utf8.contains(UInt8(ascii: "@")) ? [user] : [user] + names.map { "\(user)@\($0)" }
  }

  /// The user's realm, or all of the server's own.
  func domains(of user: String) -> [String] { Mailbox.domain(of: user).map { [$0] } ?? Array(names) }

  /// - Parameter group: users, and realms as `@example.org`.
  func isMember(_ user: String, of group: Set<String>) -> Bool {
    names(of: user).contains(where: group.contains) || domains(of: user).contains { group.contains("@\($0)") }
  }
}

extension Override.Target {
  public init(_ key: Key) {
    switch (key.first, key.second) {
    case (.user(let user), nil): self = .user(user)
    case (.network(let network), nil): self = .network(network)
    default: self = .key(key)
    }
  }
}

extension Override.Target: CustomStringConvertible {
  public var description: String {
    switch self {
    case .user(let user): Key(.user(user)).description
    case .domain(let domain): "domain:\(domain)"
    case .network(let network): Key(.network(network)).description
    case .group(let group): "group:\(group)"
    case .key(let key): key.description
    }
  }
}

extension Override.Effect {
  /// `exempt`, `account-cap off`, `account-cap 5000 per 1d`.
  public var phrase: String {
    switch self {
    case .exempt: "exempt"
    case .off(let rule): "\(rule) off"
    case .limits(let rule, let limits): "\(rule) \(limits.map(\.description).joined(separator: ", "))"
    }
  }
}
