/// What has changed since it was last asked for: the small things, which are stored at once.
public struct StateChanges: Sendable {
  /// Nothing where the key is free.
  public var penalties: [Key: Penalty?] = [:]
  /// All overrides given at run time, where any has changed.
  public var orders: [Override]?
  /// Nothing where it is forgotten.
  public var episodes: [Episode.ID: Episode?] = [:]

  public init() {}
  public var isEmpty: Bool { penalties.isEmpty && orders == nil && episodes.isEmpty }
}

/// What an administrator did, for the books.
public struct AdministratorAction: Sendable, Equatable {
  public let at: Timestamp
  /// The local user: `root (uid 0)`.
  public let who: String
  /// `block`, `release`, `allow`, `revoke`, `reload`.
  public let action: String
  /// The key's text; empty for none.
  public let key: String
  /// What was ordered, and how it ended.
  public let detail: String

  public init(at: Timestamp, who: String, action: String, key: String, detail: String) {
    self.at = at
    self.who = who
    self.action = action
    self.key = key
    self.detail = detail
  }
}

extension Engine {
  // MARK: - Storing

  /// What of the small things has changed since it was last asked for.
  /// - Parameter attempts: whether penalties of which only the attempts have changed are among them.
  public func takeChanges(attempts: Bool) -> StateChanges {
    var changes = StateChanges()
    changes.penalties = box.withLock { $0.takeChanges(attempts: attempts) }
    changes.episodes = episodes.withLock { $0.takeChanges() }
    changes.orders = rules.withLock { rules in
      defer { rules.ordersChanged = false }
      return rules.ordersChanged ? rules.orders : nil
    }
    return changes
  }

  /// What could not be stored is to be taken again.
  public func giveBack(_ changes: StateChanges) {
    box.withLock { $0.giveBack(changes.penalties.keys) }
    episodes.withLock { $0.giveBack(changes.episodes.keys) }
    if changes.orders != nil { rules.withLock { $0.ordersChanged = true } }
  }

  public var shardCount: Int { rules.withLock { $0.table.shardCount } }

  /// A key's counts as they are stored. The bytes are valid during the call only.
  public struct StoredRecord {
    /// `Key.bytes`
    public let name: UnsafeRawBufferPointer
    /// The second in which it was last changed, and up to which it can matter.
    public let touched: UInt32
    public let last: UInt32
    /// Empty: the key is to be forgotten.
    public let cells: UnsafeRawBufferPointer
  }

  /// What of a shard's counts has changed.
  /// `body` holds up nobody's mail, however long it takes: what it is given are copies.
  /// - Returns: what to give back if it could not be stored.
  public func takeChangedRecords(
    ofShard number: Int, at now: Timestamp, _ body: (StoredRecord) -> Void
  ) -> [UInt32] {
    let (book, table) = rules.withLock { ($0.book, $0.table) }
    var all: [UInt32] = []
    var copies = RecordCopies()
    var hasMore = true
    while hasMore {
      let part = table.takeChanges(ofShard: number, atMost: 500, at: now, book.layout) { copies.add($0, last: $1) }
      copies.forEach(body)
      copies.removeAll()
      all += part.taken
      hasMore = part.hasMore
    }
    return all
  }

  public var hasChangedRecords: Bool { rules.withLock { $0.table }.hasChanges }

  /// Marks records as changed again that could not be stored.
  public func giveBack(records: [UInt32], ofShard number: Int) {
    rules.withLock { $0.table }.giveBack(records, ofShard: number)
  }

  /// Whether anything is counted of a key, by its `Key.bytes`.
  public func counts(_ name: UnsafeRawBufferPointer) -> Bool { rules.withLock { $0.table }.has(name) }

  /// What a later engine needs to read what this one has stored.
  public var roots: Roots { rules.withLock { Roots(seed: $0.book.seed, meters: $0.book.ids) } }

  /// Grows when counting has begun anew: what was stored before is then without meaning.
  public var tableNumber: Int { rules.withLock { $0.tableNumber } }

  /// Has everything taken anew: the store that held it is gone.
  public func forgetStored() {
    box.withLock { $0.giveBack(Array($0.penalties.keys)) }
    episodes.withLock { $0.giveBack(Array($0.episodes.keys)) }
    let table = rules.withLock { rules in
      rules.ordersChanged = true
      return rules.table
    }
    table.forgetStored()
  }

  // MARK: - Taking back

  /// Goes on under the roots of what is stored. Counting begins anew: what was counted under other roots has no meaning.
  public func adopt(_ roots: Roots) {
    change { rules in
      rules.table = KeyTable(bound: rules.book.policy.memory, keepsChanges: true)
      rules.book = Rulebook(rules.book.policy, orders: rules.orders, ids: roots.meters, seed: roots.seed)
      return rules.book.policy
    }
  }

  /// Takes what was stored, at the start.
  public func restore(penalties: [Penalty], orders: [Override], episodes: [Episode], at now: Timestamp) {
    box.withLock { $0.restore(penalties, now: now) }
    if !penalties.isEmpty { hasPenalties.store(true, ordering: .relaxed) }
    self.episodes.withLock { $0.restore(episodes) }
    guard !orders.isEmpty else { return }
    change { rules in
      let before = orders.filter { order in order.holds(at: now) && !rules.orders.contains { $0.isAbout(order) } }
      rules.orders = before + rules.orders
      return rules.book.policy
    }
  }

  /// Takes back a key's counts, unless it has been counted anew since.
  /// - Returns: false where the bytes are no record, or there is no room.
  public func restore(
    name: UnsafeRawBufferPointer, touched: UInt32, cells: UnsafeRawBufferPointer, at now: Timestamp
  ) -> Bool {
    let (book, table) = rules.withLock { ($0.book, $0.table) }
    guard KeyNames.isSound(name), Cells.areSound(cells, meters: book.layout.meters.count) else { return false }
    return table.restore(name, touched: touched, cells: cells, at: now, book.layout)
  }

  // MARK: - Episodes

  public var openEpisodes: [Episode] { episodes.withLock { Array($0.episodes.values) } }

  /// What there is to tell of episodes. Those that are over and need no telling are forgotten.
  /// Of what goes on somebody is reminded after `again`.
  public func news(at now: Timestamp, again: TimeSpan) -> [(episode: Episode, news: Episode.News)] {
    episodes.withLock { $0.news(at: now, again: again) }.map { (episode: $0.0, news: $0.1) }
  }

  /// Somebody has been told, or will be: of the episode as it was then.
  public func tell(_ episode: Episode, _ news: Episode.News, at now: Timestamp) {
    episodes.withLock { $0.tell(episode.id, news, level: episode.level, at: now) }
  }
}

/// Records one after the other, as they were when their shard was locked.
private struct RecordCopies {
  private var bytes: [UInt8] = []
  private var records: [(name: Range<Int>, cells: Range<Int>, touched: UInt32, last: UInt32)] = []

  mutating func add(_ record: Shard.Record, last: UInt32) {
    let start = bytes.count
    bytes.append(contentsOf: record.name)
    let end = bytes.count
    bytes.append(contentsOf: record.rawCells)
    records.append((start..<end, end..<bytes.count, record.touched, last))
  }

  func forEach(_ body: (Engine.StoredRecord) -> Void) {
    bytes.withUnsafeBytes { bytes in
      for record in records {
        body(
          Engine.StoredRecord(
            name: UnsafeRawBufferPointer(rebasing: bytes[record.name]), touched: record.touched, last: record.last,
            cells: UnsafeRawBufferPointer(rebasing: bytes[record.cells])))
      }
    }
  }

  mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    records.removeAll(keepingCapacity: true)
  }
}
