import Glibc
import WardenCore

/// Tells a thread that waits for lines to come back. Once raised it stays so.
public final class StopSignal: Sendable {
  /// A socket rather than a pipe: nothing else makes one that no child inherits, in one step.
  private let ends: (Int32, Int32)

  public init() {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    precondition(socketpair(AF_UNIX, kind, 0, &ends) == 0, "cannot make a pair of sockets")
    self.ends = (ends[0], ends[1])
  }

  deinit {
    close(ends.0)
    close(ends.1)
  }

  public func raise() { shutdown(ends.1, Int32(SHUT_RDWR)) }

  public var isRaised: Bool { wait(.seconds(0)) }

  /// Waits so long, or until one of the files has something to read: whether it was raised.
  func wait(_ most: TimeSpan, or files: Int32...) -> Bool {
    var waiting = ([ends.0] + files).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    poll(&waiting, nfds_t(waiting.count), Int32(clamping: most.microseconds / 1_000))
    return waiting[0].revents != 0
  }
}
