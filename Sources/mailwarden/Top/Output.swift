import Foundation

/// Standard output of commands that go on until somebody ends them.
enum Output {
  /// - Returns: false when nobody reads any more.
  static func write(_ text: String) -> Bool {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if count < 0 && errno != EINTR { return false }
      rest = rest.dropFirst(max(0, count))
    }
    return true
  }

  /// Ends the process, well, on Ctrl-C, and as soon as whoever reads the output goes away.
  static func endWithReader() {
    signal(SIGPIPE, SIG_IGN)
    for number in [SIGINT, SIGTERM] { signal(number) { _ in _exit(0) } }
    Thread.detachNewThread {
      // No event is asked for: only the end of the pipe's reader is told.
      var descriptor = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
      while poll(&descriptor, 1, -1) < 0 && errno == EINTR {}
      exit(0)
    }
  }

  static func line(_ text: String) {
    if !write(text + "\n") { exit(0) }
  }
}
