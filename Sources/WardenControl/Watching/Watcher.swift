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
    var second = 0
    var quiet = 0
    var decisions = 0
    var skipped = 0
    var isOver = false
  }

  let filter: WatchFilter
  private let state = Locked(State())
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

  /// Whether there is room for another record of that time.
  /// - Parameter isQuiet: whether nothing was decided but to go on.
  func admits(at time: Timestamp, isQuiet: Bool) -> Bool {
    state.withLock { state in
      let second = time.microseconds / 1_000_000
      if second > state.second { (state.second, state.quiet, state.decisions) = (second, 0, 0) }
      let hasRoom =
        isQuiet ? state.quiet < Self.mostPerSecond.quiet : state.decisions < Self.mostPerSecond.decisions
      guard hasRoom else {
        state.skipped += 1
        return false
      }
      if isQuiet { state.quiet += 1 } else { state.decisions += 1 }
      return true
    }
  }

  func skip(_ count: Int) { state.withLock { $0.skipped += count } }

  func takeSkipped() -> Int {
    state.withLock { state in
      defer { state.skipped = 0 }
      return state.skipped
    }
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
