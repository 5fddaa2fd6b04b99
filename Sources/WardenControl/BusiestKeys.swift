import WardenCore

/// The keys nearest to their limits, looked for once for all who ask at about the same time: to look through millions of
/// keys for each open screen would take the mail's cores.
final class BusiestKeys: Sendable {
  private struct Found {
    let keys: [Standing]
    let count: Int
    let at: Timestamp
    /// How long it holds: ten times as long as it took to find, so that looking takes a tenth of a core at most.
    let holds: TimeSpan
  }

  private static let shortest = TimeSpan.seconds(1)
  /// So that a screen with more room than another does not have everything looked through again.
  private static let usualCount = 100
  private let found = Locked<[String: Found]>([:])

  /// - Parameter search: finds so many.
  func keys(
    order: String, atLeast count: Int, clock: () -> Timestamp, _ search: (Int) -> [Standing]
  ) -> [Standing] {
    let now = clock()
    if let found = found.withLock({ $0[order] }), found.count >= count, now < found.at + found.holds, now >= found.at {
      return found.keys
    }
    let count = max(count, Self.usualCount)
    let keys = search(count)
    let took = clock() - now
    found.withLock {
      $0[order] = Found(
        keys: keys, count: count, at: now, holds: max(Self.shortest, TimeSpan(microseconds: took.microseconds * 10)))
    }
    return keys
  }
}
