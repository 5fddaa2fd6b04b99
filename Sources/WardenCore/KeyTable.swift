/// Per-key counters in a bounded table.
///
/// A hand goes round the slots: each new key moves it on by two and drops what has been idle longer than the longest
/// window, so expiry is spread over the inserts and needs no pause. A full table evicts the key with the least in its
/// counters among the next few under the hand; an attacker who sprays keys mostly evicts their own. Swift seeds its
/// hashing anew in each process, so collisions cannot be chosen.
struct KeyTable: Sendable {
  struct Slot: Sendable {
    let key: Key
    /// One for each meter of the shelf.
    var counters: [WindowCounter]
    var touched: Timestamp
  }

  private var places: [Key: Int] = [:]
  private(set) var slots: [Slot?] = []
  private var free: [Int] = []
  private var hand = 0
  /// Keys dropped while they still counted.
  private(set) var evicted = 0
  let capacity: Int

  private static let sweptPerInsert = 2
  private static let comparedPerEviction = 32

  init(capacity: Int) { self.capacity = capacity }

  var count: Int { places.count }

  func find(_ key: Key) -> Int? { places[key] }

  subscript(place: Int) -> Slot {
    get { slots[place]! }
    _modify { yield &slots[place]! }
  }

  /// The key's place, made if need be.
  /// - Parameters:
  ///   - counters: how many counters a new key gets.
  ///   - keep: how long an idle key still counts.
  mutating func place(for key: Key, counters: Int, now: Timestamp, keep: TimeSpan) -> Int {
    if let place = places[key] {
      slots[place]!.touched = now
      return place
    }
    for _ in 0..<min(Self.sweptPerInsert, slots.count) {
      if let slot = slots[hand], slot.touched + keep <= now { clear(hand) }
      hand = (hand + 1) % slots.count
    }
    if places.count >= capacity { evict() }
    let slot = Slot(key: key, counters: Array(repeating: WindowCounter(), count: counters), touched: now)
    let place: Int
    if let unused = free.popLast() {
      place = unused
      slots[place] = slot
    } else {
      place = slots.count
      slots.append(slot)
    }
    places[key] = place
    return place
  }

  mutating func remove(_ key: Key) {
    if let place = places[key] { clear(place) }
  }

  /// Gives every key's counters a new layout.
  mutating func relayout(_ change: ([WindowCounter]) -> [WindowCounter]) {
    for place in slots.indices where slots[place] != nil { slots[place]!.counters = change(slots[place]!.counters) }
  }

  private mutating func clear(_ place: Int) {
    guard let slot = slots[place] else { return }
    places[slot.key] = nil
    slots[place] = nil
    free.append(place)
  }

  private mutating func evict() {
    var victim: (place: Int, weight: Int)?
    for _ in 0..<Self.comparedPerEviction {
      if let slot = slots[hand] {
        let weight = slot.counters.reduce(0) { max($0, $1.total) }
        if victim == nil || weight < victim!.weight { victim = (hand, weight) }
      }
      hand = (hand + 1) % slots.count
    }
    guard let victim else { return }
    clear(victim.place)
    evicted += 1
  }
}
