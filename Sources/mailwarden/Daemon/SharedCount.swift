import Synchronization

/// A count that any thread adds to.
final class SharedCount: Sendable {
  private let count = Atomic(0)
  func add() { count.add(1, ordering: .relaxed) }
  func subtract() { count.subtract(1, ordering: .relaxed) }
  var value: Int { count.load(ordering: .relaxed) }
}

/// So many of them, by number.
final class SharedCounts: @unchecked Sendable {
  private let counts: UnsafeMutableBufferPointer<Atomic<Int>>

  init(_ size: Int) {
    counts = .allocate(capacity: size)
    for number in 0..<size { counts.initializeElement(at: number, to: Atomic(0)) }
  }

  deinit {
    counts.deinitialize()
    counts.deallocate()
  }

  func add(_ count: Int, to number: Int) { counts[number].add(count, ordering: .relaxed) }
  subscript(number: Int) -> Int { counts[number].load(ordering: .relaxed) }
}
