import Glibc

/// One thing that is kept for every key of a shape, in a run of cells. Small and without references: it is passed about at
/// every event.
package struct Meter: Sendable {
  enum Kind: Sendable, Hashable {
    /// How much within the window. A cell a slot: its number is the count. 60 slots a window *and the one that is being
    /// left*: a ring of 60 alone would forget a slot's whole content while its youngest part still lies inside, and so admit
    /// up to twice the limit. The sum is never too small; a count stays for at most a sixtieth of the window too long.
    case count
    /// Which different values within the window. A cell a value: its number is the value's hash, its slot that of the last
    /// time. Only the latest seen are kept, one more than any limit needs: so the count is exact up to there.
    case distinct(Attribute)
    /// Which values the key has ever shown. A cell a value: the hash; first and last time in hours, 16 bits each.
    case memory
    /// The key's own usual, per window of the clock. Three cells: the count of the window in hand, what was learned before
    /// it, in 256ths, and the first window of all; the slots are windows since 1970. `free` is how far it may rise at once.
    case usual(free: Int)
    /// How often a rule has blocked the key; counted like all else.
    case offences
    /// Which networks within this one a rule has blocked; kept like all different values.
    case neighbours
    /// When a history of the key began: one cell, its number is the second since 1970.
    case birth

    /// Whether it is what a key is known by, rather than what counts against it.
    var isLearned: Bool {
      switch self {
      case .memory, .usual, .birth: true
      case .count, .distinct, .offences, .neighbours: false
      }
    }
  }

  /// What makes a meter the same over a change of policy.
  enum Identity: Sendable, Hashable {
    case count(Measure, Filter, countsRefused: Bool, window: TimeSpan)
    /// Without `free`, so that another factor or another `at least` does not begin to learn anew.
    case usual(Measure, Filter, window: TimeSpan)
    case distinct(Attribute, Filter, window: TimeSpan)
    case memory(Attribute)
    case offences(rule: String, window: TimeSpan)
    case neighbours(rule: String, window: TimeSpan)
    /// Of a memory, or of what is usual: each is learned from when the policy first asks for it.
    indirect case birth(of: Identity)

    /// The same in every process and version: what was stored is found again by it.
    var text: String {
      switch self {
      case .count(let measure, let filter, let countsRefused, let window):
        "count \(measure.name) \(filter.text)\(countsRefused ? " refused" : "") \(window)"
      case .usual(let measure, let filter, let window): "usual \(measure.name) \(filter.text) \(window)"
      case .distinct(let attribute, let filter, let window): "distinct \(attribute.name) \(filter.text) \(window)"
      case .memory(let attribute): "memory \(attribute.name)"
      case .offences(let rule, let window): "offences \(rule) \(window)"
      case .neighbours(let rule, let window): "neighbours \(rule) \(window)"
      case .birth(let history): "birth of \(history.text)"
      }
    }

    var window: TimeSpan {
      switch self {
      case .count(_, _, _, let window), .usual(_, _, let window), .distinct(_, _, let window), .offences(_, let window),
        .neighbours(_, let window):
        window
      case .memory, .birth: Meter.forgetting
      }
    }
  }

  static let slotsPerWindow = 60
  /// More than so many values at once are looked for in a set: a message can have thousands.
  private static let fewValues = 16
  /// How many values `new` remembers of a key.
  static let remembered = 1_024
  /// How long a key has to be known before anything of it is new or usual.
  static let learning = TimeSpan.days(7)
  /// For so long what is usual rises freely: whoever sends much has done so from the first.
  static let discovery = TimeSpan.days(14)
  /// A key that has shown fewer values than this, a day ago and earlier, has no circle that others could stand outside of.
  static let circle = 30
  /// How long a network stays new to a user: longer than an attacker likes to wait or ramp up.
  static let novelty = TimeSpan.days(14)
  /// What was usual counts half after so long …
  static let halfLife = TimeSpan.days(14)
  /// … and may at most double in so long: an attacker who ramps up slowly must not teach the filter.
  static let doubling = TimeSpan.days(7)
  /// A key that was not seen for so long is not known any more.
  static let forgetting = TimeSpan.days(56)

  let id: UInt16
  let kind: Kind
  let window: TimeSpan
  /// The smallest limit that is set to it: what a key has used of that is its weight when room is short.
  let smallestLimit: Int
  /// How many cells a run may have.
  let capacity: Int

  /// A meter of counts, by itself.
  package static func count(window: TimeSpan, limit: Int) -> Meter {
    Meter(id: 0, kind: .count, window: window, smallestLimit: limit, capacity: .max)
  }

  /// How long after the last touch a run still matters.
  var keep: TimeSpan {
    switch kind {
    case .count, .distinct, .offences, .neighbours:
      TimeSpan(microseconds: window.microseconds + window.microseconds / Self.slotsPerWindow + 1)
    case .memory, .usual: Self.forgetting
    case .birth: .seconds(0)
    }
  }

  // MARK: - Slots

  /// Multiplying first keeps slots exact where the window is no multiple of 60 µs.
  func slot(_ now: Timestamp) -> Int {
    switch kind {
    case .count, .distinct, .offences, .neighbours:
      now.microseconds * Self.slotsPerWindow / window.microseconds
    case .memory: now.microseconds / TimeSpan.hours(1).microseconds
    case .usual: now.microseconds / window.microseconds
    case .birth: 0
    }
  }

  /// How many slots lie between; a cell from the future (a wrap of 32 bits) is as old as can be.
  private func age(of cell: Cell, at slot: Int) -> Int {
    let age = Int(UInt32(truncatingIfNeeded: slot) &- cell.slot)
    return age < 1 << 31 ? age : .max
  }

  private func isGone(_ cell: Cell, at slot: Int) -> Bool { age(of: cell, at: slot) > Self.slotsPerWindow }

  // MARK: - Counting

  /// The count within `(now - window, now]`, with at most a sixtieth of the window before it.
  func count(_ cells: Cells, at now: Timestamp) -> Int {
    let slot = slot(now)
    return cells.run(of: id).reduce(0) { isGone(cells[$1], at: slot) ? $0 : $0 + cells[$1].number }
  }

  /// - Precondition: there is room for a cell; `now` is never before an earlier call's.
  package func add(_ count: Int, to cells: inout Cells, at now: Timestamp) {
    var run = prune(&cells, at: now)
    let slot = UInt32(truncatingIfNeeded: slot(now))
    if let last = run.last, cells[last].slot == slot {
      cells.base[last].add(count)
    } else {
      cells.insert(Cell(meter: id, number: min(count, Cell.largestNumber), slot: slot), at: run.upperBound)
      run = run.lowerBound..<run.upperBound + 1
    }
  }

  /// Drops what has left the window.
  /// - Returns: the run that is left.
  private func prune(_ cells: inout Cells, at now: Timestamp) -> Range<Int> {
    let run = cells.run(of: id)
    let slot = slot(now)
    let gone = run.prefix { isGone(cells[$0], at: slot) }.count
    cells.remove(run.lowerBound..<run.lowerBound + gone)
    return run.lowerBound..<run.upperBound - gone
  }

  /// The first moment at which at most `rest` is counted, if nothing is added until then.
  func time(untilAtMost rest: Int, _ cells: Cells, at now: Timestamp) -> Timestamp {
    let slot = slot(now)
    var alive = cells.run(of: id).map { cells[$0] }.filter { !isGone($0, at: slot) }
    let isCount =
      switch kind {
      case .distinct, .neighbours: false
      default: true
      }
    // A counter's cells are in order already; values are in the order of their first time.
    if !isCount { alive.sort { age(of: $0, at: slot) > age(of: $1, at: slot) } }
    var left = isCount ? alive.reduce(0) { $0 + $1.number } : alive.count
    if left <= rest { return now }
    for cell in alive {
      left -= isCount ? cell.number : 1
      if left <= rest { return max(now, end(ofSlot: slot - age(of: cell, at: slot))) }
    }
    return now
  }

  /// The first moment at which the slot lies outside the window.
  private func end(ofSlot number: Int) -> Timestamp {
    let span = (number + Self.slotsPerWindow + 1) * window.microseconds
    return Timestamp(microseconds: (span + Self.slotsPerWindow - 1) / Self.slotsPerWindow)
  }

  // MARK: - Different values

  /// How many different values lie in the window, of those kept.
  func distinct(_ cells: Cells, at now: Timestamp) -> Int {
    let slot = slot(now)
    return cells.run(of: id).reduce(0) { isGone(cells[$1], at: slot) ? $0 : $0 + 1 }
  }

  /// How many of the values are not in the window yet.
  func unseen(_ values: [ValueHash], _ cells: Cells, at now: Timestamp) -> Int {
    let slot = slot(now)
    let run = cells.run(of: id)
    if values.count > Self.fewValues {
      let seen = Set(run.lazy.filter { !isGone(cells[$0], at: slot) }.map { cells[$0].number })
      return values.count { !seen.contains($0.number) }
    }
    return values.count { value in !run.contains { cells[$0].holds(value) && !isGone(cells[$0], at: slot) } }
  }

  /// - Precondition: there is room for as many cells as are unseen, up to the run's bound.
  func add(_ values: [ValueHash], to cells: inout Cells, at now: Timestamp) {
    let slot = slot(now)
    keep(values, in: &cells, touch: { $0.slot = UInt32(truncatingIfNeeded: slot) }) { cell in
      isGone(cell, at: slot) ? .max : age(of: cell, at: slot)
    }
  }

  func add(_ value: ValueHash, to cells: inout Cells, at now: Timestamp) { add([value], to: &cells, at: now) }

  /// Touches the cells of the values, and makes those that are missing: in the places of gone ones, at the end, or, where
  /// the run is full, in the places of the oldest.
  /// - Parameter age: `.max` for a cell whose place is free.
  private func keep(
    _ values: [ValueHash], in cells: inout Cells, touch: (inout Cell) -> Void, age: (Cell) -> Int
  ) {
    let run = cells.run(of: id)
    var missing: [ValueHash] = []
    if values.count > Self.fewValues {
      let places = Dictionary(run.map { (cells[$0].number, $0) }, uniquingKeysWith: { first, _ in first })
      for value in values {
        if let place = places[value.number] { touch(&cells.base[place]) } else { missing.append(value) }
      }
    } else {
      for value in values {
        if let place = run.first(where: { cells[$0].holds(value) }) {
          touch(&cells.base[place])
        } else {
          missing.append(value)
        }
      }
    }
    guard !missing.isEmpty else { return }
    missing = missing.suffix(capacity)
    // Without these the run is what it was; only as many go as have to.
    let mustGo = run.count + missing.count - capacity
    let ages = run.map { (place: $0, age: age(cells[$0])) }
    let free = ages.filter { $0.age == .max }.map(\.place)
    var places = free[...]
    if mustGo > free.count { places = ages.sorted { $0.age > $1.age }.prefix(mustGo).map(\.place)[...] }
    var end = run.upperBound
    for value in missing {
      var cell = Cell(meter: id, number: value.number, slot: 0)
      touch(&cell)
      if let place = places.popFirst() {
        cells[place] = cell
      } else {
        cells.insert(cell, at: end)
        end += 1
      }
    }
  }

  // MARK: - New values

  /// How many of the values the key has never shown.
  ///
  /// None while the key itself is being learned: then everything would be.
  /// - Parameter born: when the history began.
  func unknown(_ values: [ValueHash], _ cells: Cells, born: Timestamp?, at now: Timestamp) -> Int {
    guard let born, now >= born + Self.learning else { return 0 }
    return absent(values, cells)
  }

  /// How many of the values have no cell.
  func absent(_ values: [ValueHash], _ cells: Cells) -> Int {
    let run = cells.run(of: id)
    if values.count > Self.fewValues {
      let known = Set(run.lazy.map { cells[$0].number })
      return values.count { !known.contains($0.number) }
    }
    return values.count { value in !run.contains { cells[$0].holds(value) } }
  }

  /// Whether the key had shown enough values by yesterday for others to be strangers. What comes in a flood must not be
  /// its own circle.
  func hasCircle(_ cells: Cells, at now: Timestamp) -> Bool {
    let hour = slot(now)
    return cells.run(of: id).count { firstAge(cells[$0], at: hour) >= 24 } >= Self.circle
  }

  /// Whether the key has shown the value for the first time within the last two weeks, or not yet.
  func isNew(_ value: ValueHash, _ cells: Cells, born: Timestamp?, at now: Timestamp) -> Bool {
    guard let born, now >= born + Self.learning else { return false }
    let (known, hour) = (slot(born + Self.learning), slot(now))
    guard let index = cells.run(of: id).first(where: { cells[$0].holds(value) }) else { return true }
    let age = firstAge(cells[index], at: hour)
    return age <= slot(Timestamp(microseconds: Self.novelty.microseconds)) && hour - age >= known
  }

  /// - Precondition: there is room for as many cells as are unknown, up to the run's bound.
  func remember(_ values: [ValueHash], in cells: inout Cells, at now: Timestamp) {
    let hour = UInt32(truncatingIfNeeded: slot(now)) & 0xffff
    keep(
      values, in: &cells,
      touch: { cell in cell.slot = (cell.slot == 0 ? hour << 16 : cell.slot & 0xffff_0000) | hour },
      age: { Int(lastAge($0, hour)) })
  }

  func remember(_ value: ValueHash, in cells: inout Cells, at now: Timestamp) {
    remember([value], in: &cells, at: now)
  }

  /// In hours. 16 bits of hours go round in seven years, and a key is forgotten long before.
  private func firstAge(_ cell: Cell, at hour: Int) -> Int {
    Int(UInt16(truncatingIfNeeded: hour) &- UInt16(cell.slot >> 16))
  }
  private func lastAge(_ cell: Cell, _ hour: UInt32) -> UInt16 {
    UInt16(hour) &- UInt16(truncatingIfNeeded: cell.slot)
  }

  // MARK: - The usual

  /// What is usual in a window of the clock, as learned up to the one in hand.
  func usual(_ cells: Cells, at now: Timestamp) -> Double {
    let run = cells.run(of: id)
    guard run.count == 3 else { return 0 }
    let (inHand, learned, first) = (cells[run.lowerBound], cells[run.lowerBound + 1], cells[run.lowerBound + 2])
    let past = Int(UInt32(truncatingIfNeeded: slot(now)) &- inHand.slot)
    if past == 0 { return decayed(Double(learned.number) / 256, windows: windows(from: learned, to: inHand)) }
    return decayed(learn(inHand, learned, since: first), windows: past)
  }

  /// - Precondition: there is room for three cells.
  func learn(_ count: Int, in cells: inout Cells, at now: Timestamp) {
    let run = cells.run(of: id)
    let slot = UInt32(truncatingIfNeeded: slot(now))
    guard run.count == 3 else {
      cells.insert(Cell(meter: id, number: min(count, Cell.largestNumber), slot: slot), at: run.lowerBound)
      cells.insert(Cell(meter: id, number: 0, slot: slot), at: run.lowerBound + 1)
      cells.insert(Cell(meter: id, number: 0, slot: slot), at: run.lowerBound + 2)
      return
    }
    let (first, second) = (run.lowerBound, run.lowerBound + 1)
    if cells[first].slot == slot {
      cells.base[first].add(count)
    } else {
      let learned = learn(cells[first], cells[second], since: cells[second + 1])
      let usual = min(Int(learned * 256), Cell.largestNumber)
      cells[second] = Cell(meter: id, number: usual, slot: cells[first].slot)
      cells[first] = Cell(meter: id, number: min(count, Cell.largestNumber), slot: slot)
    }
  }

  /// A high-water mark that sinks by half in two weeks. It rises to what a window held: freely while the key is being
  /// discovered, then no faster than by doubling in a week; silence builds nothing up.
  private func learn(_ inHand: Cell, _ learned: Cell, since first: Cell) -> Double {
    guard case .usual(let free) = kind else { return 0 }
    let before = Double(learned.number) / 256
    let passed = windows(from: learned, to: inHand)
    let weeks = min(1, Double(passed) * Double(window.microseconds) / Double(Self.doubling.microseconds))
    let isDiscovered = windows(from: first, to: inHand) * window.microseconds >= Self.discovery.microseconds
    let ceiling = isDiscovered ? max(before * exp2(weeks), Double(free)) : .infinity
    return max(decayed(before, windows: passed), min(Double(inHand.number), ceiling))
  }

  private func windows(from: Cell, to: Cell) -> Int { Int(to.slot &- from.slot) }

  private func decayed(_ usual: Double, windows: Int) -> Double {
    usual * exp2(-Double(windows) * Double(window.microseconds) / Double(Self.halfLife.microseconds))
  }

  // MARK: - Birth

  func born(_ cells: Cells) -> Timestamp? {
    cells.run(of: id).first.map { Timestamp(microseconds: cells[$0].number * 1_000_000) }
  }

  func bear(_ cells: inout Cells, at now: Timestamp) {
    let run = cells.run(of: id)
    if run.isEmpty { cells.insert(Cell(meter: id, number: now.microseconds / 1_000_000, slot: 0), at: run.lowerBound) }
  }

  // MARK: - Room

  /// The share of its smallest limit that the run has used.
  func weight(_ run: Range<Int>, _ cells: Cells) -> Double {
    switch kind {
    case .count: weight(of: run.reduce(0) { $0 + cells[$1].number })
    case .distinct, .neighbours: weight(of: run.count)
    // An offence is not forgotten before its time.
    case .offences: 1
    // What was learned over weeks is worth keeping; what was seen in one window of the clock is not learned yet.
    case .memory: run.count >= 4 ? 0.5 : 0
    case .usual: run.count == 3 && cells[run.lowerBound + 1].number > 0 ? 0.5 : 0
    case .birth: 0
    }
  }

  /// What was seen once weighs nothing, unless one is all that is allowed: sprays are made of that.
  private func weight(of count: Int) -> Double {
    count == 1 && smallestLimit > 1 ? 0 : Double(count) / Double(max(1, smallestLimit))
  }

  /// Whether the run holds nothing that matters any more.
  func isIdle(_ run: Range<Int>, _ cells: Cells, at now: Timestamp) -> Bool {
    switch kind {
    case .count, .distinct, .offences, .neighbours:
      let slot = slot(now)
      return run.allSatisfy { isGone(cells[$0], at: slot) }
    // These go with the key.
    case .memory, .usual, .birth: return false
    }
  }
}

/// A value whose sameness counts, not its text: 48 bits of a keyed hash. Of a thousand values two are the same by chance
/// once in 500 million times. The key is stored with the counts: values are known again after a restart.
struct ValueHash: Hashable, Sendable {
  let number: Int

  init(_ value: String, _ seed: HashSeed) {
    var value = value
    number = value.withUTF8 { Self.number(UnsafeRawBufferPointer($0), seed) }
  }

  init(_ address: IPAddress, _ seed: HashSeed) { self.init(address, prefix: 0, seed) }
  init(_ network: Network, _ seed: HashSeed) { self.init(network.address, prefix: network.prefix, seed) }

  private init(_ address: IPAddress, prefix: Int, _ seed: HashSeed) {
    let words = (address.high.littleEndian, address.low.littleEndian, UInt64(prefix).littleEndian)
    number = withUnsafeBytes(of: words) { Self.number($0, seed) }
  }

  private static func number(_ bytes: UnsafeRawBufferPointer, _ seed: HashSeed) -> Int {
    Int(truncatingIfNeeded: seed.hash(bytes)) & Cell.largestNumber
  }
}
