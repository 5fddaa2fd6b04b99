/// The unit of all counting: twelve bytes that say which meter, how much or what, and when.
///
/// A key's cells lie side by side, sorted by meter; those of one meter are its run. What the number and the slot mean is the
/// meter's business: see `Meter`.
struct Cell: Sendable, Equatable {
  let meter: UInt16
  private var high: UInt16
  private var low: UInt32
  /// A stretch of time, counted from 1970 and cut to 32 bits: see `age(of:at:)`.
  var slot: UInt32

  static let largestNumber = (1 << 48) - 1

  init(meter: UInt16, number: Int, slot: UInt32) {
    self.meter = meter
    high = UInt16(truncatingIfNeeded: number >> 32)
    low = UInt32(truncatingIfNeeded: number)
    self.slot = slot
  }

  /// 0 to 2⁴⁸ − 1.
  var number: Int {
    get { Int(high) << 32 | Int(low) }
    set {
      high = UInt16(truncatingIfNeeded: newValue >> 32)
      low = UInt32(truncatingIfNeeded: newValue)
    }
  }

  /// Whether the number is this one, told by its lower half first.
  func holds(_ value: ValueHash) -> Bool { low == UInt32(truncatingIfNeeded: value.number) && number == value.number }

  /// Saturates.
  mutating func add(_ more: Int) { number = min(Self.largestNumber, number + min(more, Self.largestNumber)) }
}

/// Where the cells of one key lie. Valid only while the shard is locked and nothing is made in it.
package struct Cells {
  let base: UnsafeMutablePointer<Cell>
  private(set) var count: Int
  let capacity: Int

  init(base: UnsafeMutablePointer<Cell>, count: Int, capacity: Int) {
    self.base = base
    self.count = count
    self.capacity = capacity
  }

  subscript(index: Int) -> Cell {
    get { base[index] }
    nonmutating set { base[index] = newValue }
  }

  /// The meter's run; where it is empty, the place for its first cell.
  func run(of meter: UInt16) -> Range<Int> {
    let start = firstIndex(from: 0) { $0 >= meter }
    var end = start
    // Most runs are short; a long one is worth halving.
    while end < count, base[end].meter == meter {
      end += 1
      if end - start == 16 {
        end = firstIndex(from: end) { $0 > meter }
        break
      }
    }
    return start..<end
  }

  private func firstIndex(from start: Int, where isThere: (UInt16) -> Bool) -> Int {
    var (low, high) = (start, count)
    while low < high {
      let middle = (low + high) >> 1
      if isThere(base[middle].meter) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// - Precondition: there is room.
  mutating func insert(_ cell: Cell, at index: Int) {
    precondition(count < capacity, "a record was not given the room that it needs")
    (base + index + 1).update(from: base + index, count: count - index)
    base[index] = cell
    count += 1
  }

  mutating func remove(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    (base + range.lowerBound).update(from: base + range.upperBound, count: count - range.upperBound)
    count -= range.count
  }
}

extension Cells {
  /// Whether bytes from a file that anything may have happened to are a record's cells: sorted by meter, each known.
  static func areSound(_ bytes: UnsafeRawBufferPointer, meters: Int) -> Bool {
    let stride = MemoryLayout<Cell>.stride
    guard bytes.count > 0, bytes.count % stride == 0, bytes.count / stride < Int(UInt16.max) else { return false }
    var last: UInt16 = 0
    for offset in Swift.stride(from: 0, to: bytes.count, by: stride) {
      let meter = bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
      guard meter >= last, Int(meter) < meters else { return false }
      last = meter
    }
    return true
  }
}
