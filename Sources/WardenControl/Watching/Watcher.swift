import NIOCore
import WardenCore

/// One open stream: what waits to be written to it, and how much it may take.
final class Watcher: Sendable {
  /// Bytes that may wait for a watcher that reads slowly; beyond that it is dropped.
  static let mostWaiting = 1 << 20
  /// Records in a second of the events' time: of what just goes on, and of decisions. What there is beyond that is left
  /// out, and how much is told.
  static let mostPerSecond = (quiet: 100, decisions: 500)

  private struct State {
    var waiting = ByteBuffer()
    var isOver = false
  }

  let filter: WatchFilter
  private let state = Locked(State())
  /// What the stream has had in a second. The telling thread's alone: at full speed a lock for each event and watcher would
  /// take the cores that mail needs.
  private struct Quota {
    var second = 0
    var quiet = 0
    var decisions = 0
    var skipped = 0
  }
  nonisolated(unsafe) private var quota = Quota()
  /// Says that something waits; ends with the stream.
  let arrivals: AsyncStream<Void>
  private let arrival: AsyncStream<Void>.Continuation
  /// Closes the connection, on which a write can hang for ever.
  private let close: @Sendable () -> Void

  init(_ filter: WatchFilter, close: @escaping @Sendable () -> Void) {
    self.filter = filter
    self.close = close
    (arrivals, arrival) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Whether there is room for another record of that time. Only for the telling thread, like the next.
  /// - Parameter isQuiet: whether nothing was decided but to go on.
  func admits(at time: Timestamp, isQuiet: Bool) -> Bool {
    let second = time.microseconds / 1_000_000
    if second > quota.second { (quota.second, quota.quiet, quota.decisions) = (second, 0, 0) }
    let hasRoom = isQuiet ? quota.quiet < Self.mostPerSecond.quiet : quota.decisions < Self.mostPerSecond.decisions
    guard hasRoom else {
      quota.skipped += 1
      return false
    }
    if isQuiet { quota.quiet += 1 } else { quota.decisions += 1 }
    return true
  }

  func takeSkipped() -> Int {
    defer { quota.skipped = 0 }
    return quota.skipped
  }

  /// - Returns: false when the watcher does not read, and is given up.
  func put(_ text: ByteBuffer) -> Bool {
    let (isTaken, isOver) = state.withLock { state in
      if state.isOver { return (true, true) }
      guard state.waiting.readableBytes + text.readableBytes <= Self.mostWaiting else { return (false, true) }
      state.waiting.writeImmutableBuffer(text)
      return (true, false)
    }
    if isOver { if !isTaken { end() } } else { arrival.yield() }
    return isTaken
  }

  func take() -> ByteBuffer {
    state.withLock { state in
      defer { state.waiting = ByteBuffer() }
      return state.waiting
    }
  }

  func end() {
    let wasOver = state.withLock { state in
      defer { state.isOver = true }
      return state.isOver
    }
    guard !wasOver else { return }
    arrival.finish()
    close()
  }
}
