import Glibc

/// A value behind a `pthread_mutex`: the one lock of the project.
///
/// `Synchronization.Mutex` falls to a sixth of this one's throughput with 64 threads waiting (measured), and
/// ThreadSanitizer does not understand it.
public final class Locked<Value>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private var value: Value

  public init(_ value: consuming sending Value) {
    mutex = .allocate(capacity: 1)
    // The lock is held for a microsecond: spin that long before sleeping, which costs two context switches.
    var attributes = pthread_mutexattr_t()
    pthread_mutexattr_init(&attributes)
    pthread_mutexattr_settype(&attributes, 3)  // PTHREAD_MUTEX_ADAPTIVE_NP, hidden behind _GNU_SOURCE
    pthread_mutex_init(mutex, &attributes)
    pthread_mutexattr_destroy(&attributes)
    self.value = value
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  public func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}
