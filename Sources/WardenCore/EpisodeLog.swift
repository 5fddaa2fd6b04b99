/// Which rules are tripped on which keys: an episode lasts from the first trip until the rule has been quiet.
struct EpisodeLog: Sendable {
  private struct Episode: Hashable {
    let rule: String
    let key: Key
  }

  /// When each falls quiet, if nothing more happens.
  private var quietAt: [Episode: Timestamp] = [:]
  /// Episodes that were forgotten for want of room, and so can be told of again.
  private(set) var dropped = 0
  let capacity: Int
  /// The next moment to look for ended episodes: a full log must not be searched at each trip.
  private var sweepAt = Timestamp(microseconds: 0)

  init(capacity: Int) { self.capacity = capacity }

  /// Notes a trip.
  /// - Returns: whether it opens an episode.
  mutating func trip(rule: String, key: Key, at now: Timestamp, quiet: TimeSpan) -> Bool {
    let episode = Episode(rule: rule, key: key)
    if let until = quietAt[episode] {
      quietAt[episode] = now + quiet
      return until <= now
    }
    if quietAt.count >= capacity, sweepAt <= now {
      quietAt = quietAt.filter { $0.value > now }
      sweepAt = max(now + .seconds(1), quietAt.values.min() ?? now)
    }
    // Whoever fills the log must not silence what comes after: rather is another episode told of twice.
    if quietAt.count >= capacity, let other = quietAt.keys.first {
      quietAt[other] = nil
      dropped += 1
    }
    quietAt[episode] = now + quiet
    sweepAt = min(sweepAt, now + quiet)
    return true
  }

  mutating func end(rule: String, key: Key) { quietAt[Episode(rule: rule, key: key)] = nil }

  mutating func end(key: Key) {
    guard quietAt.contains(where: { $0.key.key == key }) else { return }
    quietAt = quietAt.filter { $0.key.key != key }
  }
}
