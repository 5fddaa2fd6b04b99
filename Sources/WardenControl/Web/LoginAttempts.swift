import WardenCore

/// How often clients may be wrong: some times at once, then once in a while; each network, and all together.
///
/// Only wrong tokens count, and a right one is never turned away: whoever sends wrong ones, perhaps as another user of this
/// machine, must not keep administrators out. Of 256 random bits nobody guesses one, however often they may try.
struct LoginAttempts {
  /// A bucket that empties evenly. What is kept is when it will be empty.
  private struct Bucket {
    let size: Int
    let interval: TimeSpan
    var empty: Timestamp = Timestamp(microseconds: 0)

    /// How long to wait until there is room.
    func wait(at now: Timestamp) -> TimeSpan? {
      let excess = empty.microseconds - now.microseconds - interval.microseconds * (size - 1)
      return excess > 0 ? TimeSpan(microseconds: excess) : nil
    }

    mutating func add(at now: Timestamp) { empty = max(empty, now) + interval }
  }

  static let mostNetworks = 1_000

  private var networks: [Network: Bucket] = [:]
  private var all = Bucket(size: 100, interval: .seconds(1))

  /// Takes note of a wrong token.
  /// - Returns: how long to wait, where there have been too many.
  mutating func refuse(from client: IPAddress?, at now: Timestamp) -> TimeSpan? {
    let network = client.map { Network(of: $0, prefix: $0.isV4 ? 32 : 64) }
    if let network, networks[network] == nil { makeRoom(at: now) }
    var bucket = network.flatMap { networks[$0] } ?? Bucket(size: 10, interval: .seconds(6))
    if let wait = [bucket.wait(at: now), all.wait(at: now)].compactMap(\.self).max() { return wait }
    bucket.add(at: now)
    all.add(at: now)
    if let network { networks[network] = bucket }
    return nil
  }

  /// Those that are empty say nothing; without any, the one that is empty soonest goes.
  private mutating func makeRoom(at now: Timestamp) {
    guard networks.count >= Self.mostNetworks else { return }
    networks = networks.filter { now < $0.value.empty }
    if networks.count >= Self.mostNetworks, let next = networks.min(by: { $0.value.empty < $1.value.empty })?.key {
      networks[next] = nil
    }
  }

  var knownNetworks: Int { networks.count }
}
