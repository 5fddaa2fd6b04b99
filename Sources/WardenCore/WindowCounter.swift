/// How much was counted within the last window, never less than the truth: one meter's cells by themselves.
public struct WindowCounter: Sendable {
  private let meter: Meter
  private var cells: [Cell] = []
  private var used = 0

  public init(window: TimeSpan) {
    meter = .count(window: window, limit: 1)
    cells = Array(repeating: Cell(meter: 0, number: 0, slot: 0), count: Meter.slotsPerWindow + 2)
  }

  /// The count within `(now - window, now]`, with at most a sixtieth of the window before it.
  public mutating func count(at now: Timestamp) -> Int { withCells { $0.count($1, at: now) } }

  /// - Precondition: `now` is never before an earlier call's.
  public mutating func add(_ count: Int, at now: Timestamp) { withCells { $0.add(count, to: &$1, at: now) } }

  /// The first moment at which at most `rest` is counted, if nothing is added until then.
  public mutating func time(untilAtMost rest: Int, now: Timestamp) -> Timestamp {
    withCells { $0.time(untilAtMost: rest, $1, at: now) }
  }

  private mutating func withCells<Result>(_ body: (Meter, inout Cells) -> Result) -> Result {
    cells.withUnsafeMutableBufferPointer { buffer in
      var view = Cells(base: buffer.baseAddress!, count: used, capacity: buffer.count)
      defer { used = view.count }
      return body(meter, &view)
    }
  }
}
