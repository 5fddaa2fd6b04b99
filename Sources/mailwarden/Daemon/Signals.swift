import Foundation

/// The signals of the daemon, taken one by one by whoever waits for them.
///
/// libmilter waits for SIGHUP and SIGTERM on a thread of its own and takes either as an order to stop. The kernel gives a
/// process's signal to its main thread first, if that has it unblocked, and only then to a thread that waits. So the main
/// thread handles them, at every moment from `take()` on (a `sigwait` there would leave gaps, in which libmilter's is the
/// only one), and all other threads have them blocked.
enum Signals {
  private static let handled = [SIGHUP, SIGTERM, SIGINT]
  /// The handler writes here what it got; a pipe, because a handler may do little else.
  nonisolated(unsafe) private static var ends: [Int32] = [-1, -1]
  nonisolated(unsafe) private static var entrance: Int32 = -1

  /// For the calling thread and those that it starts. First of all on the main thread, before there are others.
  static func block() {
    var set = sigset()
    pthread_sigmask(SIG_BLOCK, &set, nil)
    signal(SIGPIPE, SIG_IGN)
  }

  /// From here on the main thread handles them; what has come since `block()` comes now.
  static func take() {
    pipe(&ends)
    // A full pipe must not block the handler.
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    entrance = ends[1]
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { number in
      let before = errno
      var byte = UInt8(truncatingIfNeeded: number)
      _ = write(Signals.entrance, &byte, 1)
      errno = before
    }
    // While the handler runs, too, the main thread must not have them blocked.
    action.sa_flags = SA_RESTART | SA_NODEFER
    for number in handled { sigaction(number, &action, nil) }
    var set = sigset()
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  static func wait() -> Int32 {
    var byte: UInt8 = 0
    while read(ends[0], &byte, 1) != 1 {}
    return Int32(byte)
  }

  /// Whether another order to stop arrives within the time.
  static func stopArrives(withinMilliseconds time: Int32) -> Bool {
    var descriptor = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
    return poll(&descriptor, 1, time) == 1 && wait() != SIGHUP
  }

  private static func sigset() -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in handled { sigaddset(&set, number) }
    return set
  }
}
