/// How much was counted within the last `window`, never less than the truth.
///
/// A ring of 60 slots would forget a slot's whole content while its youngest part is still inside the window, and so
/// admit up to twice the limit. This keeps 60 slots *and the one that is being left*: the sum over the window that ends
/// now is never too small, and a count stays for at most `window / 60` too long. Only slots that hold something take
/// memory, so a key that was seen once costs one.
public struct WindowCounter: Sendable, Equatable {
  public static let slotsPerWindow = 60

  private struct Slot: Sendable, Equatable {
    let number: Int
    var count: Int
  }

  /// Ascending by number.
  private var slots: [Slot] = []
  /// Counted so far and not known to be gone; saturates.
  private var sum = 0
  /// What is counted, with what may have left the window since the last call.
  var total: Int { sum }

  public init() {}

  /// A slot's number. Multiplying first keeps slots exact where the window is no multiple of 60 µs; no date before the
  /// year 6000 overflows.
  private static func slot(_ time: Timestamp, _ window: TimeSpan) -> Int {
    time.microseconds * slotsPerWindow / window.microseconds
  }

  /// The first moment at which the slot lies outside the window.
  private static func end(ofSlot number: Int, _ window: TimeSpan) -> Timestamp {
    let span = (number + slotsPerWindow + 1) * window.microseconds
    return Timestamp(microseconds: (span + slotsPerWindow - 1) / slotsPerWindow)
  }

  public var isEmpty: Bool { slots.isEmpty }

  /// The count within `(now - window, now]`, with at most `window / 60` of what came before.
  public mutating func count(at now: Timestamp, window: TimeSpan) -> Int {
    let oldest = Self.slot(now, window) - Self.slotsPerWindow
    if let first = slots.first, first.number < oldest {
      let gone = slots.prefix { $0.number < oldest }
      slots.removeFirst(gone.count)
      // Summed anew rather than subtracted: saturated sums do not subtract.
      sum = slots.reduce(0) { Self.adding($0, $1.count) }
    }
    return sum
  }

  /// - Precondition: `now` is never before an earlier call's; the engine sees to it.
  public mutating func add(_ count: Int, at now: Timestamp, window: TimeSpan) {
    _ = self.count(at: now, window: window)
    let number = Self.slot(now, window)
    if slots.last?.number == number {
      slots[slots.count - 1].count = Self.adding(slots[slots.count - 1].count, count)
    } else {
      slots.append(Slot(number: number, count: count))
    }
    sum = Self.adding(sum, count)
  }

  /// The first moment at which at most `rest` is counted, if nothing is added until then.
  public func time(untilAtMost rest: Int, window: TimeSpan, now: Timestamp) -> Timestamp {
    var left = sum
    if left <= rest { return now }
    for slot in slots {
      left -= slot.count
      if left <= rest { return max(now, Self.end(ofSlot: slot.number, window)) }
    }
    return now
  }

  private static func adding(_ a: Int, _ b: Int) -> Int {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
  }
}
