/// A key that is stopped for a while.
public struct Penalty: Sendable, Equatable {
  public let key: Key
  public let reason: Reason
  public let code: ReplyCode
  public let reply: ReplyTemplate?
  public let since: Timestamp
  public var until: Timestamp
  /// How often it has been refused since.
  public var attempts = 0
}

/// Who is blocked, why, until when.
struct PenaltyBox {
  private(set) var penalties: [Key: Penalty] = [:]
  /// How many penalties there are of each shape, so that a lookup tries no shape in vain.
  private var shapes: [KeyShape: Int] = [:]
  /// How many there are of each prefix length: blocks can name networks of any size.
  private var prefixes: [PrefixLength: Int] = [:]
  /// Penalties that had no room.
  private(set) var dropped = 0
  let capacity: Int

  private struct PrefixLength: Hashable {
    let isV4: Bool
    let length: Int
  }

  init(capacity: Int) { self.capacity = capacity }

  var count: Int { penalties.count }
  var isEmpty: Bool { penalties.isEmpty }
  /// Whether any penalty could stop a client as it connects.
  var stopsAtConnect: Bool { shapes.contains { $0.key.isKnownAtConnect } }

  /// Whether there was room. An existing penalty is only ever prolonged.
  mutating func insert(_ penalty: Penalty, now: Timestamp) -> Bool {
    if let old = penalties[penalty.key] {
      if old.until >= penalty.until { return true }
      var longer = penalty
      longer.attempts = old.attempts
      penalties[penalty.key] = longer
      return true
    }
    if penalties.count >= capacity { removeExpired(now: now) }
    guard penalties.count < capacity else {
      dropped += 1
      return false
    }
    penalties[penalty.key] = penalty
    note(penalty.key, 1)
    return true
  }

  @discardableResult
  mutating func remove(_ key: Key) -> Penalty? {
    guard let penalty = penalties.removeValue(forKey: key) else { return nil }
    note(key, -1)
    return penalty
  }

  mutating func removeExpired(now: Timestamp) {
    for (key, penalty) in penalties where penalty.until <= now { remove(key) }
  }

  /// The penalty in force on the subject that lasts longest; counts the attempt.
  mutating func attempt(by subject: Subject, now: Timestamp) -> Penalty? {
    guard !penalties.isEmpty, let longest = inForce(on: subject, now: now).max(by: { $0.until < $1.until }) else {
      return nil
    }
    penalties[longest.key]!.attempts += 1
    return longest
  }

  private func inForce(on subject: Subject, now: Timestamp) -> [Penalty] {
    var found: [Penalty] = []
    for shape in shapes.keys {
      if shape == KeyShape(.network) {
        guard let ip = subject.ip else { continue }
        for prefix in prefixes.keys where prefix.isV4 == ip.isV4 {
          if let penalty = penalties[Key(.network(Network(of: ip, prefix: prefix.length)))] { found.append(penalty) }
        }
      } else if let key = subject.key(shape), let penalty = penalties[key] {
        found.append(penalty)
      }
    }
    return found.filter { $0.until > now }
  }

  private mutating func note(_ key: Key, _ change: Int) {
    shapes[key.shape, default: 0] += change
    if shapes[key.shape] == 0 { shapes[key.shape] = nil }
    if key.second == nil, case .network(let network) = key.first {
      let prefix = PrefixLength(isV4: network.address.isV4, length: network.prefix)
      prefixes[prefix, default: 0] += change
      if prefixes[prefix] == 0 { prefixes[prefix] = nil }
    }
  }
}
