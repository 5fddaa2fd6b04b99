import Foundation
import Synchronization
import WardenCore

/// Writes log lines to standard error on a thread of its own: whoever logs never waits, not even for a journal that stands
/// still. What there is no room for is dropped and counted.
final class LogWriter: Sendable {
  static let shared = LogWriter()
  /// Lines that may wait.
  static let bound = 8_192

  private struct State {
    var waiting: [String] = []
    var isWriting = false
  }

  private let state = Locked(State())
  private let arrived = DispatchSemaphore(value: 0)
  private let drops = Atomic<Int>(0)

  private init() {
    Thread.detachNewThread { [self] in
      while true {
        arrived.wait()
        writeWaiting()
      }
    }
  }

  var dropped: Int { drops.load(ordering: .relaxed) }
  var waiting: Int { state.withLock { $0.waiting.count } }

  func put(_ line: String) {
    let isTaken = state.withLock { state in
      if state.waiting.count >= Self.bound { return false }
      state.waiting.append(line)
      return true
    }
    if isTaken { arrived.signal() } else { drops.add(1, ordering: .relaxed) }
  }

  /// Waits until all is written, at most so long.
  func flush(milliseconds: Int) {
    for _ in 0..<(milliseconds / 5) {
      if state.withLock({ $0.waiting.isEmpty && !$0.isWriting }) { return }
      usleep(5_000)
    }
  }

  private func writeWaiting() {
    let lines = state.withLock { state in
      defer { state.waiting = [] }
      state.isWriting = !state.waiting.isEmpty
      return state.waiting
    }
    // One write a line, so that lines of other processes on the same terminal do not mix in.
    for line in lines { line.withCString { _ = write(STDERR_FILENO, $0, strlen($0)) } }
    state.withLock { $0.isWriting = false }
  }
}
