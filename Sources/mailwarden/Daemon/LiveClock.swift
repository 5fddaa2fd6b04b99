import Glibc
import Synchronization
import WardenCore

/// Time for the live server: the wall clock as it was at the start, carried on by a clock that nobody sets.
///
/// A step of the wall clock (NTP after boot, an administrator, a leap) then neither empties windows nor freezes them.
final class LiveClock: Sendable {
  /// Microseconds between the boot clock and the wall clock at the start.
  private let offset: Atomic<Int>

  init() { offset = Atomic(Self.read(CLOCK_REALTIME) - Self.read(CLOCK_BOOTTIME)) }

  /// For events.
  func now() -> Timestamp {
    Timestamp(microseconds: Self.read(CLOCK_BOOTTIME) + offset.load(ordering: .relaxed))
  }

  /// Goes on from a moment that an earlier process has seen: if the wall clock was set back meanwhile, what was counted must
  /// not lie in the future.
  func advance(to moment: Timestamp) {
    let behind = moment.microseconds - now().microseconds
    if behind > 0 { offset.add(behind, ordering: .relaxed) }
  }

  /// What the wall clock, as it is set now, shows at that moment; for people.
  func wall(_ moment: Timestamp) -> Timestamp {
    // Two clocks are not read at one moment: without rounding, a date of whole seconds shows as the second before.
    let ahead = Self.read(CLOCK_REALTIME) - now().microseconds
    return moment + TimeSpan(microseconds: Int((Double(ahead) / 10_000).rounded()) * 10_000)
  }

  private static func read(_ clock: clockid_t) -> Int {
    var time = timespec()
    clock_gettime(clock, &time)
    return time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
  }
}
