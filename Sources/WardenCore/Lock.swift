import Glibc

/// A `pthread_mutex`: the one lock of the project.
///
/// `Synchronization.Mutex` falls to a sixth of this one's throughput with 64 threads waiting (measured), and
/// ThreadSanitizer does not understand it.
struct Mutex {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>

  init() {
    mutex = .allocate(capacity: 1)
    // The lock is held for a microsecond: spin that long before sleeping, which costs two context switches.
    var attributes = pthread_mutexattr_t()
    pthread_mutexattr_init(&attributes)
    pthread_mutexattr_settype(&attributes, 3)  // PTHREAD_MUTEX_ADAPTIVE_NP, hidden behind _GNU_SOURCE
    pthread_mutex_init(mutex, &attributes)
    pthread_mutexattr_destroy(&attributes)
  }

  /// By its owner, once nobody can hold it.
  func destroy() {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func lock() { pthread_mutex_lock(mutex) }
  func unlock() { pthread_mutex_unlock(mutex) }
}

/// A value behind a lock. Where there is none to guard, any number will do: Swift places an empty value (`Void`) over the
/// object's header, and ThreadSanitizer reports its readers.
public final class Locked<Value>: @unchecked Sendable {
  private let mutex = Mutex()
  private var value: Value

  public init(_ value: consuming sending Value) { self.value = value }

  deinit { mutex.destroy() }

  /// Calls `body` with the value while nobody else can. Never call it again from within.
  public func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    mutex.lock()
    defer { mutex.unlock() }
    return try body(&value)
  }
}
