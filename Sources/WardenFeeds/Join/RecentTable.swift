import WardenCore

/// A key with a hash of its own: cheaper than Swift's, for keys that no client chooses.
protocol TableKey: Equatable {
  var hash: UInt64 { get }
}

/// What was spoken of lately. Bounded; what nobody speaks of for long is forgotten, at the latest after the table's memory
/// and not before half of it.
struct RecentTable<Key: TableKey, Value> {
  /// Two generations of where in `values` each key's is.
  private var young = PlaceTable<Key>()
  private var old = PlaceTable<Key>()
  private var values: ContiguousArray<Value> = []
  /// Places that nobody has; what is left there is overwritten.
  private var free: [Int32] = []
  private let capacity: Int
  private let memory: TimeSpan
  private var turnsAt = Timestamp(microseconds: .min)
  /// How many went for want of room.
  private(set) var dropped = 0

  init(capacity: Int, memory: TimeSpan) {
    self.capacity = capacity
    self.memory = memory
  }

  var count: Int { young.count + old.count }

  /// The place of the key's value, as long as nothing is set or removed; being asked for makes it young again.
  mutating func find(_ key: Key) -> Int? {
    if let place = young.find(key) { return Int(place) }
    guard old.count > 0, let place = old.remove(key) else { return nil }
    young.set(key, place)
    return Int(place)
  }

  subscript(place: Int) -> Value {
    _read { yield values[place] }
    _modify { yield &values[place] }
  }

  /// - Returns: its place.
  @discardableResult
  mutating func set(_ key: Key, _ value: Value, at now: Timestamp) -> Int {
    if let place = find(key) {
      values[place] = value
      return place
    }
    if now >= turnsAt || young.count >= capacity / 2 { turn(now) }
    let place: Int32
    if let last = free.popLast() {
      place = last
      values[Int(place)] = value
    } else {
      place = Int32(values.count)
      values.append(value)
    }
    young.set(key, place)
    return Int(place)
  }

  mutating func remove(_ key: Key) {
    if let place = young.remove(key) ?? (old.count > 0 ? old.remove(key) : nil) { free.append(place) }
  }

  private mutating func turn(_ now: Timestamp) {
    if now < turnsAt { dropped += old.count }
    old.forEachPlace { free.append($0) }
    swap(&young, &old)
    young.removeAll()
    turnsAt = now + TimeSpan(microseconds: memory.microseconds / 2)
  }
}

/// Where each key's value is. Keys lie where their hash says, or behind it where that is taken.
private struct PlaceTable<Key: TableKey> {
  private struct Slot {
    var key: Key
    var place: Int32
  }

  private var slots: ContiguousArray<Slot?> = []
  private(set) var count = 0

  private func home(_ key: Key) -> Int { Int(truncatingIfNeeded: key.hash) & (slots.count - 1) }

  /// Where the key lies, or the free slot that would be its own.
  private func slot(of key: Key) -> Int {
    var slot = home(key)
    while let taken = slots[slot], taken.key != key { slot = (slot + 1) & (slots.count - 1) }
    return slot
  }

  func find(_ key: Key) -> Int32? {
    count == 0 ? nil : slots[slot(of: key)]?.place
  }

  mutating func set(_ key: Key, _ place: Int32) {
    if 2 * count >= slots.count { grow() }
    let slot = slot(of: key)
    if slots[slot] == nil { count += 1 }
    slots[slot] = Slot(key: key, place: place)
  }

  mutating func remove(_ key: Key) -> Int32? {
    guard count > 0 else { return nil }
    var gap = slot(of: key)
    guard let removed = slots[gap] else { return nil }
    count -= 1
    // What lies behind the gap moves up, unless that would be before its home.
    var next = gap
    while true {
      next = (next + 1) & (slots.count - 1)
      guard let moved = slots[next] else { break }
      let (distance, wanted) = ((next - gap) & (slots.count - 1), (next - home(moved.key)) & (slots.count - 1))
      if wanted >= distance {
        slots[gap] = moved
        gap = next
      }
    }
    slots[gap] = nil
    return removed.place
  }

  mutating func removeAll() {
    for slot in slots.indices { slots[slot] = nil }
    count = 0
  }

  func forEachPlace(_ body: (Int32) -> Void) {
    for case let slot? in slots { body(slot.place) }
  }

  private mutating func grow() {
    let taken = slots
    slots = ContiguousArray(repeating: nil, count: max(64, 2 * taken.count))
    for case let moved? in taken { slots[slot(of: moved.key)] = moved }
  }
}
