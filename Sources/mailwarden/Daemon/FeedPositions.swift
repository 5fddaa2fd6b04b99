import Foundation

/// Where the followed logs have come to: stored in one transaction with what their lines have counted, so that after a crash
/// no line counts twice and none is left out.
final class FeedPositions: Sendable {
  private static let prefix = "feed "
  private let documents = Documents()
  /// Held while a block of lines is counted, and while what has changed is gathered to be stored.
  private let lock = NSLock()

  func position(of feed: String) -> String? { documents.all[Self.prefix + feed] }

  /// Counts a block of lines and moves on.
  func advance(_ feed: String, to position: String, counting body: () -> Void) {
    lock.withLock {
      body()
      documents.put([Self.prefix + feed: position])
    }
  }

  // MARK: - Storing

  /// Holds the feeds up until it is released, or let go.
  final class Hold {
    private var lock: NSLock?
    fileprivate init(_ lock: NSLock) {
      lock.lock()
      self.lock = lock
    }
    func release() {
      lock?.unlock()
      lock = nil
    }
    deinit { release() }
  }

  func hold() -> Hold { Hold(lock) }

  /// Whether a stored document is a position.
  static func isOne(_ name: String) -> Bool { name.hasPrefix(prefix) }

  func take() -> [String: String?] { documents.take() }
  func giveBack(_ changes: [String: String?]) { documents.giveBack(changes.filter { Self.isOne($0.key) }) }
  func forgetStored() { documents.forgetStored() }
  func restore(_ stored: [String: String]) {
    documents.restore(stored.filter { Self.isOne($0.key) })
  }
}
