/// The highest that each key came to of each limit, be the limit reached or not: for looking back over old logs. A live
/// server has none.
///
/// Bounded; beyond that the half that stayed furthest from its limits goes, and is counted.
public final class Peaks: Sendable {
  /// How near a key came to one limit.
  public struct Peak: Sendable, Equatable {
    public let key: Key
    public let rule: String
    /// Which of the rule's parts, from 0.
    public let part: Int
    public let quantity: Quantity
    /// The key's own, where an override gives it one.
    public let limit: Limit
    /// With what was asked for; of a share the percentage.
    public let count: Int
    /// What the limit was for the key then.
    public let allowed: Int
    public let at: Timestamp
    /// Whether the rule has tripped on the key, then or at any other time.
    public let hasTripped: Bool

    /// The count as a share of the limit.
    public var share: Double { Peaks.share(count, of: allowed) }
  }

  /// What is read: a limit of a part of a rule of a shelf.
  struct Place {
    let shelf: Int
    let rule: Int
    var part = 0
    var limit = 0
  }

  private let state: Locked<State>
  private let least: Double

  /// - Parameters:
  ///   - least: from which share of a limit on a key is of interest.
  ///   - capacity: how many counts are kept, of 32 bytes each, with the keys' names.
  public init(atLeast least: Double = 0, capacity: Int = 3_000_000) {
    self.least = least
    state = Locked(State(capacity: capacity))
  }

  /// How many keys were forgotten for want of room. One that comes again begins anew.
  public var dropped: Int { state.withLock { $0.dropped } }

  /// All that is known, in no order.
  public func forEach(_ body: (Peak) -> Void) {
    state.withLock { state in
      for table in state.tables { table.forEach(body) }
    }
  }

  static func share(_ count: Int, of allowed: Int) -> Double {
    allowed == 0 ? Double(count) : Double(count) / Double(allowed)
  }

  // MARK: - Noting

  /// Begins anew with what the rulebook has.
  func begin(_ book: Rulebook) {
    state.withLock { $0.tables = book.shelves.map(Table.init) }
  }

  func note(
    _ reading: MeteredLimit.Reading, of limit: Limit, _ place: Place, _ name: KeyNames.Name,
    in names: borrowing KeyNames, at now: Timestamp
  ) {
    guard reading.count > 0, Self.share(reading.count, of: reading.allowed) >= least else { return }
    let cell = Cell(count: reading.count, allowed: reading.allowed, at: now)
    state.withLock { $0.note(cell, limit, place, name, in: names) }
  }

  /// The rule has tripped on the key.
  func trip(_ place: Place, _ name: KeyNames.Name) {
    state.withLock { state in
      if state.tables.indices.contains(place.shelf) { state.tables[place.shelf].trip(rule: place.rule, name.hash) }
    }
  }

  private struct Cell {
    var count: Int
    var allowed: Int
    var at: Timestamp
    /// 0: the column's own limit; n: number n - 1 of the others.
    var limit: Int32 = 0
    var hasTripped = false

    /// 0 where the limit was never read.
    var share: Double { count == 0 ? 0 : Peaks.share(count, of: allowed) }

    static let empty = Cell(count: 0, allowed: 0, at: Timestamp(microseconds: 0))
  }

  private struct State {
    var tables: [Table] = []
    var dropped = 0
    let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    mutating func note(
      _ cell: Cell, _ limit: Limit, _ place: Place, _ name: KeyNames.Name, in names: borrowing KeyNames
    ) {
      guard tables.indices.contains(place.shelf) else { return }
      if tables[place.shelf].isNew(name.hash),
        tables.reduce(0, { $0 + $1.cells.count }) + tables[place.shelf].columns.count > capacity,
        let largest = tables.indices.max(by: { tables[$0].cells.count < tables[$1].cells.count })
      {
        dropped += tables[largest].dropHalf()
      }
      tables[place.shelf].note(cell, limit, place, name, in: names)
    }
  }

  /// The keys of one shelf, each with a cell for every limit of the shelf's rules.
  private struct Table {
    struct Column {
      let rule: String
      let part: Int
      let quantity: Quantity
      let limit: Limit
    }

    let columns: [Column]
    /// For each rule the columns of each of its parts.
    private let parts: [[Range<Int>]]
    private var slots: [UInt64: Int32] = [:]
    /// One name after the other, and where each ends.
    private var names: [UInt8] = []
    private var ends: [Int] = []
    private(set) var cells: [Cell] = []
    /// Limits of overrides.
    private var others: [Limit] = []

    init(_ shelf: Shelf) {
      var columns: [Column] = []
      parts = shelf.rules.map { rule in
        rule.parts.enumerated().map { place, part in
          let start = columns.count
          columns += part.limits.map {
            Column(rule: rule.name, part: place, quantity: part.quantity, limit: $0.limit)
          }
          return start..<columns.count
        }
      }
      self.columns = columns
    }

    func isNew(_ hash: UInt64) -> Bool { slots[hash] == nil }

    /// An override can have more limits than the rule: they share the last column, and the nearest counts.
    mutating func note(
      _ cell: Cell, _ limit: Limit, _ place: Place, _ name: KeyNames.Name, in names: borrowing KeyNames
    ) {
      guard parts.indices.contains(place.rule), parts[place.rule].indices.contains(place.part) else { return }
      let range = parts[place.rule][place.part]
      guard !range.isEmpty else { return }
      let column = min(range.lowerBound + place.limit, range.upperBound - 1)
      let index = slot(name, in: names) * columns.count + column
      guard cell.share > cells[index].share else { return }
      let hasTripped = cells[index].hasTripped
      cells[index] = cell
      cells[index].hasTripped = hasTripped
      if limit != columns[column].limit { cells[index].limit = Int32(number(of: limit) + 1) }
    }

    private mutating func number(of limit: Limit) -> Int {
      if let number = others.firstIndex(of: limit) { return number }
      others.append(limit)
      return others.count - 1
    }

    private mutating func slot(_ name: KeyNames.Name, in names: borrowing KeyNames) -> Int {
      if let slot = slots[name.hash] { return Int(slot) }
      let slot = ends.count
      slots[name.hash] = Int32(slot)
      self.names += names.bytes[name.range]
      ends.append(self.names.count)
      cells += repeatElement(Cell.empty, count: columns.count)
      return slot
    }

    mutating func trip(rule: Int, _ hash: UInt64) {
      guard let slot = slots[hash], parts.indices.contains(rule) else { return }
      for range in parts[rule] {
        for column in range { cells[Int(slot) * columns.count + column].hasTripped = true }
      }
    }

    private func name(_ slot: Int) -> Range<Int> { (slot == 0 ? 0 : ends[slot - 1])..<ends[slot] }

    private func cells(_ slot: Int) -> ArraySlice<Cell> { cells[slot * columns.count..<(slot + 1) * columns.count] }

    /// - Returns: how many keys are gone.
    mutating func dropHalf() -> Int {
      let shares = ends.indices.map { cells($0).lazy.map(\.share).max() ?? 0 }
      let middle = shares.sorted()[shares.count / 2]
      let old = self
      (slots, names, ends, cells) = ([:], [], [], [])
      for (hash, slot) in old.slots where shares[Int(slot)] > middle {
        slots[hash] = Int32(ends.count)
        names += old.names[old.name(Int(slot))]
        ends.append(names.count)
        cells += old.cells(Int(slot))
      }
      return old.ends.count - ends.count
    }

    func forEach(_ body: (Peak) -> Void) {
      for slot in ends.indices {
        let key = names.withUnsafeBytes { KeyNames.key(of: UnsafeRawBufferPointer(rebasing: $0[name(slot)])) }
        for (column, cell) in zip(columns, cells(slot)) {
          guard cell.count > 0 else { continue }
          body(
            Peak(
              key: key, rule: column.rule, part: column.part, quantity: column.quantity,
              limit: cell.limit == 0 ? column.limit : others[Int(cell.limit) - 1], count: cell.count,
              allowed: cell.allowed, at: cell.at, hasTripped: cell.hasTripped))
        }
      }
    }
  }
}
