import WardenCore

/// What takes long to find, found once for all who ask at about the same time: to look through millions of keys for each
/// open screen would take the mail's cores.
final class Kept<Value: Sendable>: Sendable {
  private struct Found {
    let value: Value
    let at: Timestamp
    /// How long it holds: ten times as long as it took to find, so that looking takes a tenth of a core at most.
    let holds: TimeSpan
  }

  private let shortest = TimeSpan.seconds(1)
  /// Questions that are remembered.
  private let most = 64
  private let found = Locked<[[String]: Found]>([:])

  func value(of question: [String], clock: () -> Timestamp, _ find: () -> Value) -> Value {
    let now = clock()
    if let found = found.withLock({ $0[question] }), now >= found.at, now < found.at + found.holds {
      return found.value
    }
    let value = find()
    let took = clock() - now
    found.withLock { found in
      if found.count >= most { found = [:] }
      found[question] = Found(
        value: value, at: now, holds: max(shortest, TimeSpan(microseconds: took.microseconds * 10)))
    }
    return value
  }
}
