import Glibc
import MilterClient
import Synchronization

/// Filters that are children of this process.
enum Child {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Runs `command` (a shell's words) and waits until its socket answers.
  static func start(name: String, command: String, place: MilterPlace, log: String) throws -> Filter {
    if (try? MilterClient(place)) != nil { throw Failure(description: "something already listens at \(place)") }
    let pid = try spawn(command, log: log)
    running.withLock { _ = $0.insert(pid) }
    let filter = Filter(name: name, place: place, processes: [pid])
    do {
      try filter.waitUntilAnswering(seconds: 15) {
        guard hasEnded(pid) else { return true }
        running.withLock { _ = $0.remove(pid) }
        return false
      }
      return filter
    } catch {
      throw Failure(description: "\(error); its output is in \(log)")
    }
  }

  private static func spawn(_ command: String, log: String) throws -> pid_t {
    var files = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&files)
    defer { posix_spawn_file_actions_destroy(&files) }
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO)

    // The signals that `stopAllOnSignal` blocks here are not to be blocked there.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

    // With `exec` the shell's process becomes the filter's.
    let words = ["/bin/sh", "-c", "exec \(command)"].map { (word: String) in strdup(word) }
    defer { for word in words { free(word) } }
    var pid = pid_t()
    let failure = posix_spawn(&pid, "/bin/sh", &files, &attributes, words + [nil], environ)
    guard failure == 0 else { throw Failure(description: "\(command): \(String(cString: strerror(failure)))") }
    return pid
  }

  // MARK: Nothing is left running

  private static let running = Mutex<Set<pid_t>>([])

  /// Ends all filters; libmilter may take 5 s for that.
  static func stopAll() {
    let pids = running.withLock { $0 }
    for pid in pids { kill(pid, SIGTERM) }
    for pid in pids where !ends(pid, withinSeconds: 10) {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
    running.withLock { $0.subtract(pids) }
  }

  private static func ends(_ pid: pid_t, withinSeconds seconds: Int) -> Bool {
    for _ in 0..<seconds * 50 {
      if hasEnded(pid) { return true }
      usleep(20_000)
    }
    return false
  }

  /// True once, as the process is reaped with it.
  private static func hasEnded(_ pid: pid_t) -> Bool { waitpid(pid, nil, WNOHANG) == pid }

  /// From here on SIGINT and SIGTERM end the children too. To be called before any thread is started.
  static func stopAllOnSignal() {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    sigaddset(&signals, SIGTERM)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    startThread {
      var signals = sigset_t()
      sigemptyset(&signals)
      sigaddset(&signals, SIGINT)
      sigaddset(&signals, SIGTERM)
      var signal: Int32 = 0
      sigwait(&signals, &signal)
      running.withLock { $0.forEach { kill($0, SIGTERM) } }
      exit(128 + signal)
    }
  }
}
