import Glibc

/// Nanoseconds of a clock.
func nanoseconds(_ clock: clockid_t = CLOCK_MONOTONIC) -> UInt64 {
  var time = timespec()
  clock_gettime(clock, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Until that many nanoseconds of the monotonic clock; not at all where they are over.
func sleep(until moment: UInt64) {
  let now = nanoseconds()
  if now < moment { usleep(UInt32((moment - now) / 1000)) }
}
