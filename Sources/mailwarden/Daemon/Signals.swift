import Foundation

/// The signals of the daemon, taken one by one on its main thread.
///
/// libmilter waits for SIGHUP and SIGTERM on a thread of its own and takes either as an order to stop. The kernel prefers
/// a process's main thread among those that wait, so they are blocked before any thread starts and the main thread waits.
enum Signals {
  static let handled = [SIGHUP, SIGTERM, SIGINT]

  /// Call first of all, on the main thread.
  static func block() {
    var set = sigset()
    pthread_sigmask(SIG_BLOCK, &set, nil)
    signal(SIGPIPE, SIG_IGN)
  }

  static func wait() -> Int32 {
    var set = sigset()
    var number: Int32 = 0
    while sigwait(&set, &number) != 0 {}
    return number
  }

  /// Whether another order to stop arrives within the time.
  static func stopArrives(withinMilliseconds wait: Int) -> Bool {
    var set = sigset()
    var time = timespec(tv_sec: wait / 1000, tv_nsec: wait % 1000 * 1_000_000)
    let number = sigtimedwait(&set, nil, &time)
    return number == SIGTERM || number == SIGINT
  }

  private static func sigset() -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in handled { sigaddset(&set, number) }
    return set
  }
}
