/// Addresses that somebody has lately logged in from: what a line of a log says of them does not suffice to block them.
///
/// Bounded; those that were seen longest ago go first.
struct KnownClients {
  static let recent = TimeSpan.days(1)

  private var lastLogins: [IPAddress: Timestamp] = [:]
  private let capacity: Int

  init(capacity: Int = 50_000) { self.capacity = capacity }

  mutating func note(_ address: IPAddress, at now: Timestamp) {
    lastLogins[address] = max(now, lastLogins[address] ?? now)
    guard lastLogins.count > capacity else { return }
    // The older half, so that making room is rare.
    let middle = lastLogins.values.sorted()[lastLogins.count / 2]
    lastLogins = lastLogins.filter { $0.value > middle }
  }

  func contains(_ address: IPAddress, at now: Timestamp) -> Bool {
    lastLogins[address].map { now < $0 + Self.recent } ?? false
  }

  func contains(oneOf network: Network, at now: Timestamp) -> Bool {
    lastLogins.contains { network.contains($0.key) && now < $0.value + Self.recent }
  }
}
