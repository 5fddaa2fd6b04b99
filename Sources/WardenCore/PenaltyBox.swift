/// A key that is stopped for a while.
public struct Penalty: Sendable, Equatable {
  public let key: Key
  public let reason: Reason
  public let code: ReplyCode
  public let reply: ReplyTemplate?
  /// Whom it concerns.
  public let filter: Filter
  public private(set) var since: Timestamp
  public let until: Timestamp
  /// How often it has been refused since.
  public internal(set) var attempts: Int

  public init(
    key: Key, reason: Reason, code: ReplyCode, reply: ReplyTemplate?, filter: Filter = Filter(), since: Timestamp,
    until: Timestamp, attempts: Int = 0
  ) {
    self.attempts = attempts
    self.key = key
    self.reason = reason
    self.code = code
    self.reply = reply
    self.filter = filter
    self.since = since
    self.until = until
  }

  var isAdministrators: Bool { if case .administrator = reason.cause { true } else { false } }

  /// Whether it can be told before anybody could log in.
  var stopsAtConnect: Bool { key.shape.isKnownAtConnect && !filter.isAboutLogin }

  /// This penalty as the sequel of one that is still in force.
  func continuing(_ old: Penalty) -> Penalty {
    var penalty = self
    penalty.since = old.since
    penalty.attempts = old.attempts
    return penalty
  }
}

/// Who is blocked, why, until when.
struct PenaltyBox {
  private(set) var penalties: [Key: Penalty] = [:]
  /// How many penalties there are of each shape, so that a lookup tries no shape in vain.
  private var shapes: [KeyShape: Int] = [:]
  /// How many there are of each prefix length: blocks can name networks of any size.
  private var prefixes: [PrefixLength: Int] = [:]
  /// How many there are by rule and shape.
  private(set) var groups: [Census.PenaltyGroup: Int] = [:]
  /// Penalties that had no room.
  private(set) var dropped = 0
  let capacity: Int
  /// Keys whose penalties have changed since they were stored, and those that were only tried; kept only where there is a
  /// store.
  private var changed: Set<Key> = []
  private var tried: Set<Key> = []
  private let keepsChanges: Bool
  /// The next moment to look for ended penalties: a full box must not be searched at each trip.
  private var sweepAt = Timestamp(microseconds: 0)

  private struct PrefixLength: Hashable {
    let isV4: Bool
    let length: Int
  }

  init(capacity: Int, keepsChanges: Bool = false) {
    self.capacity = capacity
    self.keepsChanges = keepsChanges
  }

  var count: Int { penalties.count }
  /// How many could stop a client as it connects.
  private var connectStops = 0
  var stopsAtConnect: Bool { connectStops > 0 }

  enum Insertion {
    case new
    /// The key was in the box; a penalty is only ever prolonged.
    case prolonged
    /// A penalty that lasts at least as long was there already.
    case unchanged
    case noRoom
  }

  mutating func insert(_ penalty: Penalty, now: Timestamp) -> Insertion {
    if let old = penalties[penalty.key], old.until > now {
      if old.until >= penalty.until { return .unchanged }
      note(old, -1)
      note(penalty, 1)
      penalties[penalty.key] = penalty.continuing(old)
      if keepsChanges { changed.insert(penalty.key) }
      return .prolonged
    }
    remove(penalty.key)
    if penalties.count >= capacity, sweepAt <= now { removeExpired(now: now) }
    if penalties.count >= capacity, penalty.reason.rule == Reason.administrator { dropFirstAutomatic() }
    guard penalties.count < capacity else {
      dropped += 1
      return .noRoom
    }
    penalties[penalty.key] = penalty
    if keepsChanges { changed.insert(penalty.key) }
    sweepAt = min(sweepAt, penalty.until)
    note(penalty, 1)
    return .new
  }

  /// An attacker who fills the box with addresses of his own must not keep the administrator out of it.
  private mutating func dropFirstAutomatic() {
    let automatic = penalties.values.filter { $0.reason.rule != Reason.administrator }
    guard let first = automatic.min(by: { $0.until < $1.until }) else { return }
    remove(first.key)
    dropped += 1
  }

  @discardableResult
  mutating func remove(_ key: Key) -> Penalty? {
    guard let penalty = penalties.removeValue(forKey: key) else { return nil }
    if keepsChanges { changed.insert(key) }
    tried.remove(key)
    note(penalty, -1)
    return penalty
  }

  mutating func removeExpired(now: Timestamp) {
    // Gathered first: removing while walking would copy the whole box.
    for key in penalties.values.filter({ $0.until <= now }).map(\.key) {
      remove(key)
      // What is over the store drops by itself: where it cannot, the list must not grow.
      changed.remove(key)
    }
    sweepAt = max(now + .seconds(1), penalties.values.lazy.map(\.until).min() ?? now)
  }

  /// The penalty in force on the subject that lasts longest.
  func longest(on subject: Subject, now: Timestamp, where concerns: (Penalty) -> Bool) -> Penalty? {
    if penalties.isEmpty { return nil }
    return inForce(on: subject, now: now).filter(concerns).max { $0.until < $1.until }
  }

  /// The same, and counts the attempt.
  mutating func attempt(by subject: Subject, now: Timestamp, where concerns: (Penalty) -> Bool) -> Penalty? {
    guard let longest = longest(on: subject, now: now, where: concerns) else { return nil }
    penalties[longest.key]!.attempts += 1
    if keepsChanges { tried.insert(longest.key) }
    return longest
  }

  // MARK: - Storing

  /// - Parameter attempts: whether penalties that were only tried are among them.
  mutating func takeChanges(attempts: Bool) -> [Key: Penalty?] {
    if attempts {
      changed.formUnion(tried)
      tried = []
    }
    defer { changed = [] }
    return Dictionary(uniqueKeysWithValues: changed.map { ($0, penalties[$0]) })
  }

  mutating func giveBack(_ keys: some Sequence<Key>) { changed.formUnion(keys) }

  /// Takes back what was stored; what has come since is newer.
  mutating func restore(_ stored: [Penalty], now: Timestamp) {
    penalties.reserveCapacity(min(capacity, penalties.count + stored.count))
    for penalty in stored where penalty.until > now && penalties[penalty.key] == nil && penalties.count < capacity {
      penalties[penalty.key] = penalty
      sweepAt = min(sweepAt, penalty.until)
      note(penalty, 1)
    }
  }

  private func inForce(on subject: Subject, now: Timestamp) -> [Penalty] {
    var found: [Penalty] = []
    for shape in shapes.keys {
      if shape.kinds.contains(.network) {
        guard let ip = subject.ip else { continue }
        var inNetwork = subject
        for prefix in prefixes.keys where prefix.isV4 == ip.isV4 {
          inNetwork.network = Network(of: ip, prefix: prefix.length)
          if let key = inNetwork.key(shape), let penalty = penalties[key] { found.append(penalty) }
        }
      } else if let key = subject.key(shape), let penalty = penalties[key] {
        found.append(penalty)
      }
    }
    return found.filter { $0.until > now }
  }

  private mutating func note(_ penalty: Penalty, _ change: Int) {
    let key = penalty.key
    if penalty.stopsAtConnect { connectStops += change }
    let group = Census.PenaltyGroup(rule: penalty.reason.rule, shape: key.shape)
    groups[group, default: 0] += change
    if groups[group] == 0 { groups[group] = nil }
    shapes[key.shape, default: 0] += change
    if shapes[key.shape] == 0 { shapes[key.shape] = nil }
    for case .network(let network) in key.parts {
      let prefix = PrefixLength(isV4: network.address.isV4, length: network.prefix)
      prefixes[prefix, default: 0] += change
      if prefixes[prefix] == 0 { prefixes[prefix] = nil }
    }
  }
}
