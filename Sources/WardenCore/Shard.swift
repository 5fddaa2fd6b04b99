import Glibc

/// A part of the table of keys, with its share of the memory: an index over records that lie in segments.
///
/// A record is a key's name and its cells, side by side, so that a key costs one place in the index and little more
/// than its name; it grows with what is counted. Records are written one after the other; a hand goes round the segments,
/// drops what no longer counts, and where room is short evicts: the memory never grows beyond the bound, and no pause is
/// longer than the work on a segment.
package struct Shard {
  /// What the hand has to know of the meters.
  package struct Layout {
    /// By id; nothing for one that no policy has any more.
    package var meters: [Meter?] = []

    package init(meters: [Meter?] = []) { self.meters = meters }

    /// Whether the meter is of a policy that came after this one: other threads may count by it already.
    func isNewer(_ id: UInt16) -> Bool { Int(id) >= meters.count }
  }

  /// `hash, touched (seconds), name's length, cells, room for cells, state`, then the name, filled up to four bytes, then
  /// the cells.
  private static let headerSize = 16
  private static let segmentSize = 32 * 1024
  /// What is written leaves room behind elsewhere: for each segment begun so many are gone through.
  private static let sweptPerSegment = 4
  /// In a full shard, how many segments are gone through before keys near a limit are evicted, too.
  private static let gentleSegments = 8
  /// The share of a limit from which on a key is spared.
  private static let nearLimit = 0.25

  private struct Segment {
    var base: UnsafeMutableRawPointer
    var size: Int
    var used = 0
    /// Bytes of records that are in the index.
    var live = 0

    /// Everything that was written so far, one after the other.
    func records(_ id: Int) -> UnfoldSequence<(record: Record, handle: UInt32), Int> {
      sequence(state: 0) { [base, used] offset in
        guard offset < used else { return nil }
        let record = Record(base: base + offset)
        defer { offset += record.size }
        return (record, UInt32(id) << 13 | UInt32(offset / 4))
      }
    }
  }

  /// Hash in the upper half, in the lower where the record is: segment and offset. 0 is free.
  private var index: UnsafeMutablePointer<UInt64>
  private var mask: Int
  private(set) var count = 0
  private var segments: [Segment?] = [nil]
  private var freeSegments: [Int] = []
  /// Segments in use, oldest first; records are written into the last.
  private var order: [Int] = []
  /// The turn that is gone through next.
  private var hand = 0

  private let bound: Int
  private(set) var bytes = 0
  /// Keys dropped while they still counted.
  private(set) var evicted = 0
  /// The latest time seen: a thread that comes late counts as if it came now, so that no window holds more than it should.
  private(set) var now = Timestamp(microseconds: 0)
  /// The hashes of records that have changed since they were stored, some twice; kept only where there is a store.
  private var changed: [UInt32] = []
  private let keepsChanges: Bool

  init(bound: Int, keepsChanges: Bool = false) {
    self.bound = bound
    self.keepsChanges = keepsChanges
    mask = 15
    index = .allocate(capacity: mask + 1)
    index.initialize(repeating: 0, count: mask + 1)
    bytes = (mask + 1) * 8
  }

  func deallocate() {
    for segment in segments { segment?.base.deallocate() }
    index.deallocate()
  }

  mutating func advance(to time: Timestamp) { now = max(now, time) }

  // MARK: - Records

  /// A key's record. Valid until something is made or removed in the shard.
  package struct Record {
    fileprivate let base: UnsafeMutableRawPointer

    fileprivate var hash: UInt32 { base.load(as: UInt32.self) }
    /// The second in which it was last changed.
    fileprivate(set) var touched: UInt32 {
      get { base.load(fromByteOffset: 4, as: UInt32.self) }
      nonmutating set { base.storeBytes(of: newValue, toByteOffset: 4, as: UInt32.self) }
    }
    private var nameLength: Int { Int(base.load(fromByteOffset: 8, as: UInt16.self)) }
    private(set) var used: Int {
      get { Int(base.load(fromByteOffset: 10, as: UInt16.self)) }
      nonmutating set { base.storeBytes(of: UInt16(newValue), toByteOffset: 10, as: UInt16.self) }
    }
    fileprivate var capacity: Int { Int(base.load(fromByteOffset: 12, as: UInt16.self)) }
    fileprivate var isDead: Bool {
      get { state & 1 != 0 }
      nonmutating set { state = newValue ? state | 1 : state & ~1 }
    }
    fileprivate var hasChanged: Bool {
      get { state & 2 != 0 }
      nonmutating set { state = newValue ? state | 2 : state & ~2 }
    }
    private var state: UInt16 {
      get { base.load(fromByteOffset: 14, as: UInt16.self) }
      nonmutating set { base.storeBytes(of: newValue, toByteOffset: 14, as: UInt16.self) }
    }
    var name: UnsafeRawBufferPointer {
      UnsafeRawBufferPointer(start: base + Shard.headerSize, count: nameLength)
    }
    fileprivate var size: Int { Shard.size(name: nameLength, cells: capacity) }

    package var cells: Cells {
      get { Cells(base: cellBase, count: used, capacity: capacity) }
      nonmutating set { used = newValue.count }
    }
    fileprivate func take(_ others: Cells) {
      cellBase.update(from: others.base, count: others.count)
      used = others.count
    }
    fileprivate func take(raw cells: UnsafeRawBufferPointer, count: Int) {
      UnsafeMutableRawPointer(cellBase).copyMemory(from: cells.baseAddress!, byteCount: cells.count)
      used = count
    }
    /// As they are stored.
    var rawCells: UnsafeRawBufferPointer {
      UnsafeRawBufferPointer(start: cellBase, count: used * MemoryLayout<Cell>.stride)
    }
    private var cellBase: UnsafeMutablePointer<Cell> {
      (base + Shard.headerSize + (nameLength + 3) & ~3).assumingMemoryBound(to: Cell.self)
    }
  }

  private static func size(name: Int, cells: Int) -> Int {
    headerSize + (name + 3) & ~3 + cells * MemoryLayout<Cell>.stride
  }

  // Mutating only so that nothing is copied to ask.
  mutating func find(_ name: UnsafeRawBufferPointer, _ hash: UInt32) -> Record? {
    place(of: name, hash).map { record(at: index[$0]) }
  }

  /// The key's record, to be changed, with room for some cells more; made if need be.
  /// - Returns: nothing where the record would be larger than can be.
  mutating func record(
    for name: UnsafeRawBufferPointer, _ hash: UInt32, roomFor more: Int, _ layout: borrowing Layout
  ) -> Record? {
    let record = found(name, hash, roomFor: more, layout)
    if keepsChanges, let record { noteChange(of: record) }
    return record
  }

  private mutating func found(
    _ name: UnsafeRawBufferPointer, _ hash: UInt32, roomFor more: Int, _ layout: borrowing Layout
  ) -> Record? {
    if let place = place(of: name, hash) {
      let record = record(at: index[place])
      record.touched = seconds
      if record.used + more <= record.capacity { return record }
      return grow(record, at: place, by: more, layout)
    }
    return make(name, hash, cells: more, layout)
  }

  mutating func remove(_ name: UnsafeRawBufferPointer, _ hash: UInt32) {
    if let place = place(of: name, hash) { remove(at: place) }
  }

  /// Takes away what counts against the key; what was learned of it stays.
  mutating func forgetCounts(_ name: UnsafeRawBufferPointer, _ hash: UInt32, _ layout: borrowing Layout) {
    guard let place = place(of: name, hash) else { return }
    let record = record(at: index[place])
    var cells = record.cells
    var kept = 0
    for index in 0..<cells.count {
      let id = cells[index].meter
      guard !layout.isNewer(id), layout.meters[Int(id)]?.kind.isLearned ?? false else { continue }
      cells[kept] = cells[index]
      kept += 1
    }
    cells.remove(kept..<cells.count)
    record.cells = cells
    if keepsChanges {
      // Stays until it is stored that nothing is left of it.
      noteChange(of: record)
    } else if kept == 0 {
      remove(at: place)
    }
  }

  /// The record at a place of the index, for walks over all keys.
  func record(atPlace place: Int) -> Record? { index[place] == 0 ? nil : record(at: index[place]) }
  /// How many places the index has.
  var extent: Int { mask + 1 }

  private var seconds: UInt32 { UInt32(truncatingIfNeeded: now.microseconds / 1_000_000) }

  private mutating func grow(
    _ record: Record, at place: Int, by more: Int, _ layout: borrowing Layout
  ) -> Record? {
    prune(record, layout)
    if record.used + more <= record.capacity { return record }
    let needed = record.used + more
    // A key that comes back gets room to grow, one that was seen once does not.
    let capacity = min(Int(UInt16.max), max(4, needed + needed / 4))
    guard needed <= capacity else { return nil }
    let (name, hash) = (record.name, record.hash)
    if let handle = append(Self.size(name: name.count, cells: capacity)) {
      let larger = write(name, hash, cells: capacity, at: handle)
      larger.take(record.cells)
      bury(record, UInt32(truncatingIfNeeded: index[place]))
      index[place] = UInt64(hash) << 32 | UInt64(handle)
      return larger
    }
    // Making room can move any record: what is needed of this one is taken out first.
    return withUnsafeTemporaryAllocation(byteCount: record.size, alignment: 8) { copy in
      copy.copyMemory(from: UnsafeRawBufferPointer(start: record.base, count: record.size))
      let old = Record(base: copy.baseAddress!)
      remove(at: place)
      guard let larger = make(old.name, hash, cells: capacity, layout) else {
        // What was counted must not be lost for want of room for more.
        if let same = make(old.name, hash, cells: old.capacity, layout) { same.take(old.cells) } else { evicted += 1 }
        return nil
      }
      larger.take(old.cells)
      return larger
    }
  }

  /// Takes out what no longer counts.
  private func prune(_ record: Record, _ layout: borrowing Layout) {
    var cells = record.cells
    var kept = 0
    for index in 0..<cells.count {
      let id = cells[index].meter
      let isIdle =
        !layout.isNewer(id) && layout.meters[Int(id)]?.isIdle(index..<index + 1, cells, at: now) ?? true
      if isIdle { continue }
      if kept != index { cells[kept] = cells[index] }
      kept += 1
    }
    cells.remove(kept..<cells.count)
    record.cells = cells
  }

  private mutating func make(
    _ name: UnsafeRawBufferPointer, _ hash: UInt32, cells: Int, _ layout: borrowing Layout
  ) -> Record? {
    guard cells <= Int(UInt16.max), name.count <= KeyNames.largest else { return nil }
    if (count + 1) * 5 > (mask + 1) * 4 { growIndex(layout) }
    guard (count + 1) * 8 <= (mask + 1) * 7 else { return nil }
    let size = Self.size(name: name.count, cells: cells)
    guard let handle = append(size) ?? append(size, makingRoom: layout) else { return nil }
    insert(UInt64(hash) << 32 | UInt64(handle))
    count += 1
    return write(name, hash, cells: cells, at: handle)
  }

  private func write(
    _ name: UnsafeRawBufferPointer, _ hash: UInt32, cells: Int, at handle: UInt32
  ) -> Record {
    let base = address(handle)
    base.storeBytes(of: hash, as: UInt32.self)
    base.storeBytes(of: seconds, toByteOffset: 4, as: UInt32.self)
    base.storeBytes(of: UInt16(name.count), toByteOffset: 8, as: UInt16.self)
    base.storeBytes(of: 0, toByteOffset: 10, as: UInt16.self)
    base.storeBytes(of: UInt16(cells), toByteOffset: 12, as: UInt16.self)
    base.storeBytes(of: 0, toByteOffset: 14, as: UInt16.self)
    (base + Self.headerSize).copyMemory(from: name.baseAddress!, byteCount: name.count)
    return Record(base: base)
  }

  // MARK: - Storing

  private mutating func noteChange(of record: Record) {
    guard !record.hasChanged else { return }
    record.hasChanged = true
    // Where nothing can be stored for long, what was evicted meanwhile must not fill the list.
    if changed.count > 2 * count + 1_024 { gatherChanges() }
    changed.append(record.hash)
  }

  mutating func forgetStored() {
    for place in 0...mask where index[place] != 0 { noteChange(of: record(at: index[place])) }
  }

  private mutating func gatherChanges() {
    changed = []
    for place in 0...mask where index[place] != 0 {
      let record = record(at: index[place])
      if record.hasChanged { changed.append(record.hash) }
    }
  }

  var hasChanges: Bool { !changed.isEmpty }
  var changesListed: Int { changed.count }

  /// Some of the records that have changed, which from now on count as stored.
  /// - Parameter body: is given each with the second up to which it can matter.
  /// - Returns: their hashes, to give back what could not be stored.
  mutating func takeChanges(
    atMost most: Int, _ layout: borrowing Layout, _ body: (Record, UInt32) -> Void
  ) -> ArraySlice<UInt32> {
    let taken = changed.suffix(most)
    changed.removeLast(taken.count)
    for hash in taken {
      forEach(hash) { record in
        guard record.hasChanged else { return }
        record.hasChanged = false
        body(record, lastSecond(of: record, layout))
      }
    }
    return taken
  }

  mutating func giveBack(_ hashes: some Sequence<UInt32>) {
    for hash in hashes {
      var found: [Record] = []
      forEach(hash) { found.append($0) }
      for record in found { noteChange(of: record) }
    }
  }

  private func forEach(_ hash: UInt32, _ body: (Record) -> Void) {
    var place = Int(hash) & mask
    while index[place] != 0 {
      if UInt32(truncatingIfNeeded: index[place] >> 32) == hash { body(record(at: index[place])) }
      place = (place + 1) & mask
    }
  }

  private func lastSecond(of record: Record, _ layout: borrowing Layout) -> UInt32 {
    var keep = TimeSpan.seconds(0)
    _ = hasRun(record, layout) { meter, _, _ in
      keep = max(keep, meter.keep)
      return false
    }
    return record.touched &+ UInt32(keep.microseconds / 1_000_000 + 1)
  }

  /// Takes back a record that was stored, unless the key has been counted anew since.
  /// - Parameter cells: sorted by meter.
  /// - Returns: whether it is there now as it was.
  mutating func restore(
    _ name: UnsafeRawBufferPointer, _ hash: UInt32, touched: UInt32, cells: UnsafeRawBufferPointer,
    _ layout: borrowing Layout
  ) -> Bool {
    let count = cells.count / MemoryLayout<Cell>.stride
    guard place(of: name, hash) == nil, let record = make(name, hash, cells: count, layout) else { return false }
    record.take(raw: cells, count: count)
    record.touched = touched
    return true
  }

  // MARK: - The index: open addressing, linear probing

  private mutating func place(of name: UnsafeRawBufferPointer, _ hash: UInt32) -> Int? {
    var place = Int(hash) & mask
    while index[place] != 0 {
      if UInt32(truncatingIfNeeded: index[place] >> 32) == hash {
        let record = record(at: index[place])
        if record.name.count == name.count, memcmp(record.name.baseAddress!, name.baseAddress!, name.count) == 0 {
          return place
        }
      }
      place = (place + 1) & mask
    }
    return nil
  }

  private func place(of handle: UInt32, _ hash: UInt32) -> Int {
    var place = Int(hash) & mask
    while UInt32(truncatingIfNeeded: index[place]) != handle { place = (place + 1) & mask }
    return place
  }

  private mutating func insert(_ entry: UInt64) {
    var place = Int(entry >> 32) & mask
    while index[place] != 0 { place = (place + 1) & mask }
    index[place] = entry
  }

  private mutating func remove(at place: Int) {
    bury(record(at: index[place]), UInt32(truncatingIfNeeded: index[place]))
    count -= 1
    // What was pushed on by the one that goes moves back.
    var (hole, next) = (place, (place + 1) & mask)
    while index[next] != 0 {
      let home = Int(index[next] >> 32) & mask
      if (next - home) & mask >= (next - hole) & mask {
        index[hole] = index[next]
        hole = next
      }
      next = (next + 1) & mask
    }
    index[hole] = 0
  }

  private mutating func bury(_ record: Record, _ handle: UInt32) {
    record.isDead = true
    segments[Self.segment(of: handle)]!.live -= record.size
  }

  private mutating func growIndex(_ layout: borrowing Layout) {
    let old = (index: index, size: mask + 1)
    // A doubled index has to fit as well; where it does not, keys have to go instead.
    guard makeRoom(old.size * 8, layout) else {
      pass(evicting: .anything, layout)
      return
    }
    mask = old.size * 2 - 1
    index = .allocate(capacity: mask + 1)
    index.initialize(repeating: 0, count: mask + 1)
    for place in 0..<old.size where old.index[place] != 0 { insert(old.index[place]) }
    old.index.deallocate()
    bytes += old.size * 8
  }

  // MARK: - Segments

  private static func segment(of handle: UInt32) -> Int { Int(handle >> 13) }
  private func address(_ handle: UInt32) -> UnsafeMutableRawPointer {
    segments[Self.segment(of: handle)]!.base + Int(handle & 0x1fff) * 4
  }
  private func record(at entry: UInt64) -> Record { Record(base: address(UInt32(truncatingIfNeeded: entry))) }

  /// Room in the last segment, where there is some.
  private mutating func append(_ size: Int) -> UInt32? {
    guard let last = order.last, segments[last]!.used + size <= segments[last]!.size else { return nil }
    return append(size, to: last)
  }

  /// - Returns: nothing where even evicting makes no room, as for a huge record in a tiny shard.
  private mutating func append(_ size: Int, makingRoom layout: borrowing Layout) -> UInt32? {
    for _ in 0..<Self.sweptPerSegment { pass(evicting: nil, layout) }
    let wanted = max(size, Self.segmentSize)
    let fits = makeRoom(wanted, layout)
    // What was left of other segments may have been packed into a fresh one.
    return append(size) ?? (fits ? append(size, to: addSegment(wanted)) : nil)
  }

  private mutating func append(_ size: Int, to id: Int) -> UInt32 {
    let offset = segments[id]!.used
    segments[id]!.used += size
    segments[id]!.live += size
    return UInt32(id) << 13 | UInt32(offset / 4)
  }

  private mutating func addSegment(_ size: Int) -> Int {
    let id = freeSegments.popLast() ?? segments.count
    if id == segments.count { segments.append(nil) }
    segments[id] = Segment(base: .allocate(byteCount: size, alignment: 8), size: size)
    order.append(id)
    bytes += size
    return id
  }

  private mutating func free(turn: Int) {
    let id = order.remove(at: turn)
    let segment = segments[id]!
    segment.base.deallocate()
    bytes -= segment.size
    segments[id] = nil
    freeSegments.append(id)
    if hand > turn { hand -= 1 }
  }

  // MARK: - The hand

  private enum Eviction { case gentle, anything }

  /// Goes through a segment; gives it back if little or nothing is left of it. The last, which is being written, is let
  /// alone.
  private mutating func pass(evicting: Eviction?, _ layout: borrowing Layout) {
    guard order.count > 1 else { return }
    if hand >= order.count - 1 { hand = 0 }
    let id = order[hand]
    let segment = segments[id]!
    for (record, handle) in segment.records(id) where !record.isDead {
      // That nothing is left of a released key has to be stored first.
      if record.hasChanged, record.used == 0 { continue }
      if isIdle(record, layout) {
        remove(at: place(of: handle, record.hash))
      } else if let evicting, evicting == .anything || !isSpared(record, layout) {
        remove(at: place(of: handle, record.hash))
        evicted += 1
      }
    }
    let live = segments[id]!.live
    if live == 0 {
      free(turn: hand)
    } else if live * 4 <= segment.used * 3, segment.size == Self.segmentSize {
      pack(turn: hand)
    } else {
      hand += 1
    }
  }

  /// Whether nothing of the record matters any more.
  private func isIdle(_ record: Record, _ layout: borrowing Layout) -> Bool {
    let untouched = TimeSpan.seconds(max(0, Int(Int32(bitPattern: seconds &- record.touched))))
    return !hasRun(record, layout) { meter, run, cells in
      !meter.isIdle(run, cells, at: now) && untouched <= meter.keep
    }
  }

  /// Whether a key has used so much of a limit, or learned so much, that others go first. A key that was seen once is
  /// not spared, unless one is all that a limit allows.
  private func isSpared(_ record: Record, _ layout: borrowing Layout) -> Bool {
    hasRun(record, layout) { meter, run, cells in
      !meter.isIdle(run, cells, at: now) && meter.weight(run, cells) >= Self.nearLimit
    }
  }

  private func hasRun(
    _ record: Record, _ layout: borrowing Layout, where isThere: (Meter, Range<Int>, Cells) -> Bool
  ) -> Bool {
    let cells = record.cells
    var start = 0
    while start < cells.count {
      let id = cells[start].meter
      var end = start + 1
      while end < cells.count, cells[end].meter == id { end += 1 }
      if layout.isNewer(id) { return true }
      if let meter = layout.meters[Int(id)], isThere(meter, start..<end, cells) { return true }
      start = end
    }
    return false
  }

  /// Writes what is left of a segment after the last record, and gives the segment back.
  private mutating func pack(turn: Int) {
    let id = order[turn]
    for (record, handle) in segments[id]!.records(id) where !record.isDead {
      let moved = append(record.size) ?? append(record.size, to: addSegment(Self.segmentSize))
      address(moved).copyMemory(from: record.base, byteCount: record.size)
      index[place(of: handle, record.hash)] = UInt64(record.hash) << 32 | UInt64(moved)
    }
    segments[id]!.live = 0
    free(turn: turn)
  }

  /// Evicts until so many bytes more fit.
  /// - Returns: whether they do.
  private mutating func makeRoom(_ size: Int, _ layout: borrowing Layout) -> Bool {
    var tries = 0
    let gentle = Self.gentleSegments + 2 * size / Self.segmentSize
    // One segment is kept back for packing.
    while bytes + size + Self.segmentSize > bound, order.count > 1, tries < gentle + order.count {
      pass(evicting: tries < gentle ? .gentle : .anything, layout)
      tries += 1
    }
    return bytes + size <= bound
  }
}
