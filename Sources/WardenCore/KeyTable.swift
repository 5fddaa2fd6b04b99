/// Every key's record, of whatever shape, in shards that are locked one by one.
///
/// Not a Swift dictionary: see docs/decisions/0006.
package final class KeyTable: @unchecked Sendable {
  /// What the smallest sensible shard takes; a smaller table has fewer shards.
  private static let leastPerShard = 256 * 1024
  private static let mostShards = 64

  /// In bytes, for everything.
  let bound: Int
  let shardCount: Int
  private let shards: UnsafeMutablePointer<Shard>
  private let locks: UnsafeMutablePointer<Mutex>

  package init(bound: Int, keepsChanges: Bool = false) {
    self.bound = bound
    var count = Self.mostShards
    while count > 1, bound / count < Self.leastPerShard { count /= 2 }
    shardCount = count
    shards = .allocate(capacity: count)
    locks = .allocate(capacity: count)
    for shard in 0..<count {
      (shards + shard).initialize(to: Shard(bound: bound / count, keepsChanges: keepsChanges))
      (locks + shard).initialize(to: Mutex())
    }
  }

  deinit {
    for shard in 0..<shardCount {
      shards[shard].deallocate()
      locks[shard].destroy()
    }
    shards.deinitialize(count: shardCount)
    shards.deallocate()
    locks.deallocate()
  }

  /// A key's shard: by the upper half of its hash, since the shard's index uses the lower.
  func shard(of hash: UInt64) -> Int { Int(truncatingIfNeeded: hash >> 32) & (shardCount - 1) }

  /// Some shards, held together, always in the same order.
  package struct Held {
    fileprivate let shards: UnsafeMutablePointer<Shard>
    fileprivate let table: KeyTable
    /// Never before any time that one of the shards has seen.
    package let now: Timestamp

    func find(_ name: KeyNames.Name, in names: borrowing KeyNames) -> Shard.Record? {
      names.bytes.withUnsafeBytes {
        shards[table.shard(of: name.hash)].find(
          UnsafeRawBufferPointer(rebasing: $0[name.range]), UInt32(truncatingIfNeeded: name.hash))
      }
    }

    package func record(
      for name: KeyNames.Name, in names: borrowing KeyNames, roomFor more: Int, _ layout: borrowing Shard.Layout
    ) -> Shard.Record? {
      names.bytes.withUnsafeBytes {
        shards[table.shard(of: name.hash)].record(
          for: UnsafeRawBufferPointer(rebasing: $0[name.range]), UInt32(truncatingIfNeeded: name.hash),
          roomFor: more, layout)
      }
    }

    func forgetCounts(
      of name: KeyNames.Name, in names: borrowing KeyNames, _ layout: borrowing Shard.Layout
    ) {
      names.bytes.withUnsafeBytes {
        shards[table.shard(of: name.hash)].forgetCounts(
          UnsafeRawBufferPointer(rebasing: $0[name.range]), UInt32(truncatingIfNeeded: name.hash), layout)
      }
    }
  }

  /// - Parameter which: bit n: shard n.
  func withShards<Result>(_ which: UInt64, at time: Timestamp, _ body: (Held) -> Result) -> Result {
    var now = time
    forEach(which) {
      locks[$0].lock()
      now = max(now, shards[$0].now)
    }
    forEach(which) { shards[$0].advance(to: now) }
    defer { forEach(which) { locks[$0].unlock() } }
    return body(Held(shards: shards, table: self, now: now))
  }

  package func with<Result>(_ key: Key, at time: Timestamp, _ body: (Held, KeyNames.Name, KeyNames) -> Result) -> Result
  {
    var names = KeyNames()
    let name = names.append(key)
    return withShards(1 << UInt64(shard(of: name.hash)), at: time) { body($0, name, names) }
  }

  private func forEach(_ which: UInt64, _ body: (Int) -> Void) {
    var rest = which
    while rest != 0 {
      body(rest.trailingZeroBitCount)
      rest &= rest - 1
    }
  }

  // MARK: - Walks

  /// Part of all records, so that no walk holds up anybody's mail.
  /// - Returns: where to go on; nothing at the end.
  func walk(
    from cursor: KeyCursor, atMost count: Int, at time: Timestamp, _ body: (Shard.Record, Timestamp) -> Void
  ) -> KeyCursor? {
    guard cursor.shard < shardCount else { return nil }
    return withShards(1 << UInt64(cursor.shard), at: time) { held in
      let shard = shards + cursor.shard
      let end = min(shard.pointee.extent, cursor.place + count)
      for place in cursor.place..<max(cursor.place, end) {
        if let record = shard.pointee.record(atPlace: place) { body(record, held.now) }
      }
      if end < shard.pointee.extent { return KeyCursor(shard: cursor.shard, place: end) }
      return cursor.shard + 1 < shardCount ? KeyCursor(shard: cursor.shard + 1, place: 0) : nil
    }
  }

  // MARK: - Storing

  /// Part of what has changed in a shard, so that no mail waits long.
  /// - Returns: the hashes of what was taken, and whether there is more.
  func takeChanges(
    ofShard number: Int, atMost most: Int, at time: Timestamp, _ layout: borrowing Shard.Layout,
    _ body: (Shard.Record, UInt32) -> Void
  ) -> (taken: [UInt32], hasMore: Bool) {
    withShards(1 << UInt64(number), at: time) { _ in
      let taken = Array(shards[number].takeChanges(atMost: most, layout, body))
      return (taken, shards[number].hasChanges)
    }
  }

  var hasChanges: Bool {
    (0..<shardCount).contains { number in
      locks[number].lock()
      defer { locks[number].unlock() }
      return shards[number].hasChanges
    }
  }

  func giveBack(_ hashes: [UInt32], ofShard number: Int) {
    locks[number].lock()
    shards[number].giveBack(hashes)
    locks[number].unlock()
  }

  func forgetStored() {
    for number in 0..<shardCount {
      locks[number].lock()
      shards[number].forgetStored()
      locks[number].unlock()
    }
  }

  func restore(
    _ name: UnsafeRawBufferPointer, touched: UInt32, cells: UnsafeRawBufferPointer, at time: Timestamp,
    _ layout: borrowing Shard.Layout
  ) -> Bool {
    let hash = KeyNames.hash(name)
    let number = shard(of: hash)
    return withShards(1 << UInt64(number), at: time) { _ in
      shards[number].restore(name, UInt32(truncatingIfNeeded: hash), touched: touched, cells: cells, layout)
    }
  }

  func has(_ name: UnsafeRawBufferPointer) -> Bool {
    let hash = KeyNames.hash(name)
    let number = shard(of: hash)
    locks[number].lock()
    defer { locks[number].unlock() }
    return shards[number].find(name, UInt32(truncatingIfNeeded: hash)) != nil
  }

  package struct Figures {
    package var keys = 0
    package var bytes = 0
    package var evicted = 0
  }

  package func figures() -> Figures {
    var figures = Figures()
    for shard in 0..<shardCount {
      locks[shard].lock()
      figures.keys += shards[shard].count
      figures.bytes += shards[shard].bytes
      figures.evicted += shards[shard].evicted
      locks[shard].unlock()
    }
    return figures
  }
}

/// Where a walk over all keys stands.
public struct KeyCursor: Sendable {
  var shard = 0
  var place = 0
  public init() {}
  init(shard: Int, place: Int) {
    self.shard = shard
    self.place = place
  }
}
