/// A rule tripped on a key: from the first trip until the rule has been quiet.
public struct Episode: Sendable, Equatable, Codable {
  /// There is one episode at a time of a rule and a key.
  public struct ID: Sendable, Hashable, Codable {
    public let rule: String
    public let key: Key
    public init(rule: String, key: Key) {
      self.rule = rule
      self.key = key
    }
  }

  public let id: ID
  public let opened: Timestamp
  /// The latest trip.
  public internal(set) var last: Timestamp
  /// When it ends, if the rule does not trip again.
  public internal(set) var quietAt: Timestamp
  /// How often the rule was over its limits.
  public internal(set) var trips: Int
  /// The highest count so far.
  public internal(set) var worst: Reason
  /// Whether the rule only said what it would have done.
  public internal(set) var isObserved: Bool
  /// Whether somebody is to be told: the rule says `alert`, and is enforced.
  public internal(set) var isAlert: Bool
  /// What was refused and held by the rule since it opened.
  public internal(set) var refused: Int
  public internal(set) var held: Int
  /// Whom the rule has blocked for it, and until when.
  public internal(set) var block: Block?
  public internal(set) var told: Told?
  /// The rule's commands that have been carried out for it.
  public internal(set) var ran: Set<String> = []

  /// The block that came of it.
  public struct Block: Sendable, Equatable, Codable {
    public let key: Key
    public let since: Timestamp
    public internal(set) var until: Timestamp

    public init(key: Key, since: Timestamp, until: Timestamp) {
      self.key = key
      self.since = since
      self.until = until
    }
  }

  /// What somebody was last told of it.
  public struct Told: Sendable, Equatable, Codable {
    public let at: Timestamp
    public let level: Int

    public init(at: Timestamp, level: Int) {
      self.at = at
      self.level = level
    }
  }

  /// An episode as it was stored.
  public init(
    id: ID, opened: Timestamp, last: Timestamp, quietAt: Timestamp, trips: Int, worst: Reason, isObserved: Bool,
    isAlert: Bool, refused: Int, held: Int, block: Block?, told: Told?, ran: Set<String> = []
  ) {
    self.id = id
    self.opened = opened
    self.last = last
    self.quietAt = quietAt
    self.trips = trips
    self.worst = worst
    self.isObserved = isObserved
    self.isAlert = isAlert
    self.refused = refused
    self.held = held
    self.block = block
    self.told = told
    self.ran = ran
  }

  init(_ id: ID, reason: Reason, at now: Timestamp, quiet: TimeSpan, isObserved: Bool, isAlert: Bool) {
    self.id = id
    (opened, last, quietAt, trips) = (now, now, now + quiet, 1)
    worst = reason
    (self.isObserved, self.isAlert) = (isObserved, isAlert)
    (refused, held) = (0, 0)
  }

  /// Whether the rule has been quiet for long enough.
  public func isOver(at now: Timestamp) -> Bool { quietAt <= now }

  /// How bad it is: one more for each doubling of what the limit allows, and one for a block. A rise is an escalation.
  public var level: Int {
    var level = block == nil ? 0 : 1
    guard case .over(let findings) = worst.cause, let first = findings.first else { return level }
    var bound = max(1, first.limit) * 2
    while first.count >= bound, level < 60 {
      level += 1
      bound *= 2
    }
    return level
  }

  /// What there is to tell of it now, if anything.
  /// - Parameter again: after how long somebody is reminded of what goes on.
  func news(at now: Timestamp, again: TimeSpan) -> News? {
    guard isAlert else { return nil }
    guard let told else { return .opened }
    if isOver(at: now) { return .ended }
    if level > told.level { return .escalated }
    return now >= told.at + again && last > told.at ? .goesOn : nil
  }

  /// What somebody should hear of it.
  public enum News: String, Sendable, Codable {
    case opened, escalated
    case goesOn = "goes-on"
    case ended
  }
}

/// Which rules are tripped on which keys.
struct EpisodeLog: Sendable {
  private(set) var episodes: [Episode.ID: Episode] = [:]
  /// Episodes that were forgotten for want of room, and so can be told of again.
  private(set) var dropped = 0
  /// What has changed since it was last stored; kept only where there is a store.
  private(set) var changed: Set<Episode.ID> = []
  private let keepsChanges: Bool
  /// Commands that were asked for and have not ended. Not stored: after a restart they are asked for again.
  private var underWay: [Episode.ID: Set<String>] = [:]
  /// Those of which there may be something to tell: of all others only time can bring news, and it is asked now and then.
  private var candidates: Set<Episode.ID> = []
  private var askTimeAt = Timestamp(microseconds: 0)
  private static let timePause = TimeSpan.seconds(10)
  let capacity: Int
  /// The next moment to look for ended episodes: a full log must not be searched at each trip.
  private var sweepAt = Timestamp(microseconds: 0)

  init(capacity: Int, keepsChanges: Bool = false) {
    self.capacity = capacity
    self.keepsChanges = keepsChanges
  }

  /// Notes a trip.
  /// - Returns: whether it opens an episode.
  mutating func trip(
    _ reason: Reason, at now: Timestamp, quiet: TimeSpan, isObserved: Bool, isAlert: Bool
  ) -> Bool {
    let id = Episode.ID(rule: reason.rule, key: reason.key)
    note(id)
    if isAlert { candidates.insert(id) }
    if episodes[id]?.isOver(at: now) == false {
      episodes[id]!.trip(reason, at: now, quiet: quiet, isObserved: isObserved, isAlert: isAlert)
      return false
    }
    underWay[id] = nil
    if episodes[id] == nil { makeRoom(at: now) }
    episodes[id] = Episode(id, reason: reason, at: now, quiet: quiet, isObserved: isObserved, isAlert: isAlert)
    sweepAt = min(sweepAt, now + quiet)
    return true
  }

  private mutating func makeRoom(at now: Timestamp) {
    guard episodes.count >= capacity else { return }
    if sweepAt <= now {
      for id in episodes.values.filter({ $0.isOver(at: now) }).map(\.id) { remove(id) }
      sweepAt = max(now + .seconds(1), episodes.values.lazy.map(\.quietAt).min() ?? now)
    }
    // Whoever fills the log must not silence what comes after: rather is another episode told of twice.
    if episodes.count >= capacity, let other = episodes.keys.first {
      remove(other)
      dropped += 1
    }
  }

  mutating func change(_ id: Episode.ID, _ body: (inout Episode) -> Void) {
    guard episodes[id] != nil else { return }
    body(&episodes[id]!)
    note(id)
    if episodes[id]!.isAlert { candidates.insert(id) }
  }

  /// Which of a rule's commands are to be run now: those that have not been, and are not under way.
  mutating func commands(_ names: [String], for id: Episode.ID) -> [String] {
    guard let episode = episodes[id] else { return [] }
    let missing = names.filter { !episode.ran.contains($0) && underWay[id]?.contains($0) != true }
    if !missing.isEmpty { underWay[id, default: []].formUnion(missing) }
    return missing
  }

  /// - Parameter isDone: else it was never begun, and the next trip asks for it again.
  mutating func commandEnded(_ name: String, for id: Episode.ID, isDone: Bool) {
    underWay[id]?.remove(name)
    if underWay[id]?.isEmpty == true { underWay[id] = nil }
    if isDone { change(id) { $0.ran.insert(name) } }
  }

  mutating func end(key: Key) {
    for id in episodes.keys.filter({ $0.key == key }) { remove(id) }
  }

  private mutating func remove(_ id: Episode.ID) {
    if episodes.removeValue(forKey: id) != nil { note(id) }
  }

  private mutating func note(_ id: Episode.ID) {
    guard keepsChanges else { return }
    // Where nothing can be stored for long, what is gone meanwhile must not fill the list.
    if changed.count > 2 * capacity + 1_024 { changed = Set(episodes.keys) }
    changed.insert(id)
  }

  // MARK: - Telling

  /// What there is to tell; forgets what is over and needs no telling. What only time brings comes up to ten seconds late.
  mutating func news(at now: Timestamp, again: TimeSpan) -> [(Episode, Episode.News)] {
    if askTimeAt <= now {
      askTimeAt = now + Self.timePause
      candidates.formUnion(episodes.keys)
    }
    var found: [(Episode, Episode.News)] = []
    for id in candidates {
      let episode = episodes[id]
      if let episode, let news = episode.news(at: now, again: again) {
        found.append((episode, news))
      } else {
        candidates.remove(id)
        if episode?.isOver(at: now) == true { remove(id) }
      }
    }
    return found
  }

  mutating func tell(_ id: Episode.ID, _ news: Episode.News, level: Int, at now: Timestamp) {
    if news == .ended { return remove(id) }
    change(id) { $0.told = Episode.Told(at: now, level: max(level, $0.told?.level ?? 0)) }
  }

  // MARK: - Storing

  mutating func takeChanges() -> [Episode.ID: Episode?] {
    defer { changed = [] }
    return Dictionary(uniqueKeysWithValues: changed.map { ($0, episodes[$0]) })
  }

  mutating func giveBack(_ ids: some Sequence<Episode.ID>) { changed.formUnion(ids) }

  /// Takes back what was stored; what has happened since is newer.
  mutating func restore(_ stored: [Episode]) {
    episodes.reserveCapacity(min(capacity, episodes.count + stored.count))
    for episode in stored where episodes[episode.id] == nil && episodes.count < capacity {
      episodes[episode.id] = episode
    }
  }
}

extension Episode {
  fileprivate mutating func trip(
    _ reason: Reason, at now: Timestamp, quiet: TimeSpan, isObserved: Bool, isAlert: Bool
  ) {
    last = max(last, now)
    quietAt = max(quietAt, now + quiet)
    trips += 1
    if reason.count >= worst.count { worst = reason }
    (self.isObserved, self.isAlert) = (isObserved, isAlert)
  }
}

extension Episode {
  mutating func blocked(_ key: Key, until: Timestamp, at now: Timestamp) {
    if block?.key == key, block!.until > now {
      block!.until = until
    } else {
      block = Block(key: key, since: now, until: until)
    }
  }
}

extension Reason {
  public var episode: Episode.ID { Episode.ID(rule: rule, key: key) }

  /// Of several parts the first's.
  fileprivate var count: Int {
    switch cause {
    case .over(let findings): findings.first?.count ?? 0
    case .neighbours(let count, _): count
    case .administrator: 0
    }
  }
}
