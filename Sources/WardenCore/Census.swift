/// What holds now, by rule.
public struct Census: Sendable {
  /// Blocks of one rule on one kind of key.
  public struct PenaltyGroup: Hashable, Sendable {
    /// Or `administrator`.
    public let rule: String
    public let shape: KeyShape
  }
  public let penalties: [PenaltyGroup: Int]
  /// Open episodes.
  public let episodes: [String: Int]
}

extension Engine {
  /// Counts what holds at that time.
  public func census(at now: Timestamp) -> Census {
    Census(
      penalties: box.withLock { box in
        box.removeExpired(now: now)
        return box.groups
      },
      episodes: episodes.withLock { log in
        log.episodes.values.reduce(into: [:]) { if !$1.isOver(at: now) { $0[$1.id.rule, default: 0] += 1 } }
      })
  }
}
