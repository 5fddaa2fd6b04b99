import Foundation
import Logging
import WardenCore
import WardenReplay

/// Writes every event with its decision to a file, to be replayed: `mailwarden run --record FILE`.
///
/// Events are decided one after the other while it records, so that the file has them in the order in which they were
/// decided. The writing is on a thread of its own; what a disk cannot keep up with is left out, and said.
final class Recorder: Sendable {
  /// Decisions that may wait to be written.
  private static let bound = 100_000
  private static let pause = 0.1
  private static let stopSeconds = 5.0

  private struct State {
    var waiting: [(event: Event, decision: Decision)] = []
    var dropped = 0
    var isToStop = false
  }

  private let path: String
  private let file: FileHandle
  private let logger: Logger
  private let seed = HashSeed(.random(in: 0 ... .max), .random(in: 0 ... .max))
  private let state = Locked(State())
  private let wake = DispatchSemaphore(value: 0)
  private let done = DispatchSemaphore(value: 0)

  /// - Parameter header: what the file begins with.
  init(path: String, header: EventRecording.Header, logger: Logger) throws {
    self.path = path
    self.logger = logger
    // Who writes to whom is nobody else's business; and what is there already may be a log.
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw Daemon.ExitError(description: "cannot record to \(path): \(String(cString: strerror(errno)))")
    }
    file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    try file.write(contentsOf: Data(EventRecording.line(header).utf8))
  }

  func decide(_ event: Event, on engine: Engine) -> Decision {
    let decision = state.withLock { state in
      let decision = engine.decide(event)
      if state.waiting.count < Self.bound { state.waiting.append((event, decision)) } else { state.dropped += 1 }
      return decision
    }
    return decision
  }

  func start() {
    Thread.detachNewThread { [self] in
      while true {
        _ = wake.wait(timeout: .now() + Self.pause)
        let (waiting, isToStop) = state.withLock { state in
          defer { state.waiting = [] }
          return (state.waiting, state.isToStop)
        }
        guard write(waiting), !isToStop else { break }
      }
      done.signal()
    }
  }

  /// - Returns: whether it goes on.
  private func write(_ entries: [(event: Event, decision: Decision)]) -> Bool {
    do {
      for entry in entries {
        let recorded = RecordedEvent(entry.event, entry.decision, hashing: seed)
        try file.write(contentsOf: Data(EventRecording.line(recorded).utf8))
      }
      return true
    } catch {
      logger.error("recording has ended: \(path) cannot be written", metadata: ["why": "\(error)"])
      return false
    }
  }

  func stop() {
    state.withLock { $0.isToStop = true }
    wake.signal()
    _ = done.wait(timeout: .now() + Self.stopSeconds)
    let dropped = state.withLock { $0.dropped }
    if dropped > 0 { logger.warning("the recording lacks events that had no room", metadata: ["events": "\(dropped)"]) }
  }
}
