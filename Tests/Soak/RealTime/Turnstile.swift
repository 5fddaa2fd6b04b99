import Foundation

/// Where players pass one by one to play a session, and are held up until it is opened again.
final class Turnstile: @unchecked Sendable {
  private let condition = NSCondition()
  private var closings = 0
  private var inside = 0

  func pass(_ body: () throws -> Void) rethrows {
    condition.lock()
    while closings > 0 { condition.wait() }
    inside += 1
    condition.unlock()
    defer {
      condition.lock()
      inside -= 1
      condition.broadcast()
      condition.unlock()
    }
    try body()
  }

  /// Lets nobody in any more, and waits until all are out.
  func close() {
    condition.lock()
    closings += 1
    while inside > 0 { condition.wait() }
    condition.unlock()
  }

  func open() {
    condition.lock()
    closings -= 1
    condition.broadcast()
    condition.unlock()
  }
}
