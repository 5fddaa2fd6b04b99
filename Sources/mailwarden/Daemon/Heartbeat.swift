import Foundation

/// Tells the service manager again and again what the daemon does, which is also the sign that it lives. Asks engine and
/// milter each time: while one of them does not answer there is no sign, and the manager starts the daemon anew.
final class Heartbeat: Sendable {
  /// How often where the manager does not watch: `systemctl status` is not older than that.
  private static let unwatchedSeconds = 10.0
  /// However short the manager's patience is.
  private static let leastSeconds = 0.1

  private let end = DispatchSemaphore(value: 0)

  /// - Parameters:
  ///   - isAnswered: whether the milter answers; may wait for some seconds.
  ///   - status: asks the engine; waits for its locks.
  init(
    _ notifier: Notifier, isAnswered: @escaping @Sendable () -> Bool, status: @escaping @Sendable () -> String
  ) {
    // Several within the time, so that one answer that comes late is no death sentence.
    let seconds = notifier.watchdogSeconds.map { max($0 / 4, Self.leastSeconds) } ?? Self.unwatchedSeconds
    notifier.tell("READY=1", "STATUS=\(status())")
    Thread.detachNewThread { [end] in
      Signals.block()
      while end.wait(timeout: .now() + seconds) == .timedOut {
        let status = status()
        if isAnswered() { notifier.tell("WATCHDOG=1", "STATUS=\(status)") }
      }
    }
  }

  func stop() { end.signal() }
}
