/// Per-key counters in a bounded table.
///
/// A hand goes round the places: each new key moves it on by two and drops what has been idle longer than the longest
/// window, so expiry is spread over the inserts and needs no pause. A full table evicts, among the next few under the hand,
/// the key that is farthest from any limit; an attacker who sprays keys mostly evicts their own. Swift seeds its
/// hashing anew in each process, so collisions cannot be chosen.
struct KeyTable: Sendable {
  /// What a key's counters are measured by; the same for all keys of the table.
  struct Layout: Sendable {
    /// For each counter the smallest limit that is set to it.
    var smallestLimits: [Int] = []
    /// How long an idle key still counts.
    var keep = TimeSpan.seconds(0)
  }

  let capacity: Int
  private(set) var layout = Layout()
  private var places: [Key: Int] = [:]
  // Side by side, a place in each: keys and times one, counters as many as the layout has.
  private var keys: [Key?] = []
  private var touched: [Timestamp] = []
  private var counters: [WindowCounter] = []
  private var free: [Int] = []
  private var hand = 0
  /// Keys dropped while they still counted.
  private(set) var evicted = 0

  private static let sweptPerInsert = 2
  private static let comparedPerEviction = 32

  init(capacity: Int) { self.capacity = capacity }

  var count: Int { places.count }
  /// Places in use and free.
  var extent: Int { keys.count }

  func find(_ key: Key) -> Int? { places[key] }
  func key(at place: Int) -> Key? { keys[place] }

  /// A key's counter.
  subscript(place: Int, counter: Int) -> WindowCounter {
    get { counters[place * layout.smallestLimits.count + counter] }
    _modify { yield &counters[place * layout.smallestLimits.count + counter] }
  }

  /// The key's place, made if need be.
  mutating func place(for key: Key, now: Timestamp) -> Int {
    if let place = places[key] {
      touched[place] = now
      return place
    }
    for _ in 0..<min(Self.sweptPerInsert, keys.count) {
      if isIdle(hand, now) { clear(hand) }
      hand = (hand + 1) % keys.count
    }
    if places.count >= capacity { evict(now) }
    let place = free.popLast() ?? append()
    keys[place] = key
    touched[place] = now
    places[key] = place
    return place
  }

  mutating func remove(_ key: Key) {
    if let place = places[key] { clear(place) }
  }

  /// Takes another layout.
  /// - Parameter sources: for each counter of the new layout the old one that it continues, if any.
  mutating func relayout(_ new: Layout, sources: [Int?]) {
    let width = layout.smallestLimits.count
    if sources != Array(0..<width) {
      counters = keys.indices.flatMap { place in
        sources.map { source in source.map { counters[place * width + $0] } ?? WindowCounter() }
      }
    }
    layout = new
  }

  private mutating func append() -> Int {
    keys.append(nil)
    touched.append(Timestamp(microseconds: 0))
    for _ in layout.smallestLimits { counters.append(WindowCounter()) }
    return keys.count - 1
  }

  private func isIdle(_ place: Int, _ now: Timestamp) -> Bool {
    keys[place] != nil && touched[place] + layout.keep <= now
  }

  private mutating func clear(_ place: Int) {
    guard let key = keys[place] else { return }
    places[key] = nil
    keys[place] = nil
    for counter in layout.smallestLimits.indices { self[place, counter] = WindowCounter() }
    free.append(place)
  }

  private mutating func evict(_ now: Timestamp) {
    var victim: (place: Int, weight: Double)?
    for _ in 0..<Self.comparedPerEviction {
      defer { hand = (hand + 1) % keys.count }
      guard keys[hand] != nil else { continue }
      if isIdle(hand, now) { return clear(hand) }
      let weight = weight(hand)
      if victim == nil || weight < victim!.weight { victim = (hand, weight) }
    }
    guard let victim else { return }
    clear(victim.place)
    evicted += 1
  }

  /// The largest share of a limit that the key has used.
  private func weight(_ place: Int) -> Double {
    var weight = 0.0
    for (counter, limit) in layout.smallestLimits.enumerated() {
      weight = max(weight, Double(self[place, counter].total) / Double(limit))
    }
    return weight
  }
}
