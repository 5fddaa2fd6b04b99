import Glibc
import Synchronization

/// Starts a thread with a small stack, so that hundreds cost little.
@discardableResult
func startThread(_ work: @escaping @Sendable () -> Void) -> pthread_t {
  final class Box {
    let work: @Sendable () -> Void
    init(_ work: @escaping @Sendable () -> Void) { self.work = work }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  pthread_attr_setstacksize(&attributes, 512 * 1024)
  var thread = pthread_t()
  let box = Unmanaged.passRetained(Box(work)).toOpaque()
  let failure = pthread_create(
    &thread, &attributes,
    {
      Unmanaged<Box>.fromOpaque($0!).takeRetainedValue().work()
      return nil
    }, box)
  precondition(failure == 0, "no thread can be started")
  return thread
}

private final class Together<T: Sendable>: Sendable {
  let results = Mutex<[T]>([])
  let ready = Atomic(0)
  let isOpen = Atomic(false)
}

/// Runs `work` on that many threads at once; the time (nanoseconds) counts from when all of them are ready.
func runTogether<T: Sendable>(_ count: Int, _ work: @escaping @Sendable () -> T) -> (results: [T], time: UInt64) {
  let shared = Together<T>()
  let threads = (0..<count).map { _ in
    startThread {
      shared.ready.add(1, ordering: .relaxed)
      while !shared.isOpen.load(ordering: .acquiring) { usleep(500) }
      let result = work()
      shared.results.withLock { $0.append(result) }
    }
  }
  while shared.ready.load(ordering: .relaxed) < count { usleep(500) }
  let start = nanoseconds()
  shared.isOpen.store(true, ordering: .releasing)
  for thread in threads { pthread_join(thread, nil) }
  return (shared.results.withLock { $0 }, nanoseconds() - start)
}
