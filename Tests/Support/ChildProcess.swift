import Foundation

/// A child process that can leave daemons behind.
///
/// Foundation's `Process` waits until a socket closes that the child and all its offspring inherit, so a script that
/// starts a daemon never ends for it.
public final class ChildProcess {
  public let pid: pid_t
  private var status: Int32?

  /// - Parameters:
  ///   - output: the file that takes standard output; made anew.
  ///   - errors: the same for standard error; nothing sends it to `output`.
  ///   - passing: a descriptor that the child gets as its descriptor 3.
  public init(
    _ arguments: [String], environment: [String: String] = [:], output: String, errors: String? = nil,
    passing: Int32? = nil
  ) throws {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600)
    if let errors {
      posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600)
    } else {
      posix_spawn_file_actions_adddup2(&actions, 1, 2)
    }
    // Sockets of tests that run at the same time must not live on in the child; glibc does not mind gaps.
    if let passing { posix_spawn_file_actions_adddup2(&actions, passing, 3) }
    for descriptor in Int32(passing == nil ? 3 : 4)..<512 { posix_spawn_file_actions_addclose(&actions, descriptor) }
    // A parent that waits for signals has them blocked; its children take them.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") } + [nil]
    defer { for text in argv + envp { free(text) } }
    var pid: pid_t = 0
    let code = posix_spawnp(&pid, arguments[0], &actions, &attributes, &argv, &envp)
    guard code == 0 else {
      throw Shell.Failure(description: "cannot start \(arguments[0]): \(String(cString: strerror(code)))")
    }
    self.pid = pid
  }

  public var isRunning: Bool {
    if status == nil { reap(WNOHANG) }
    return status == nil
  }

  /// Waits for the end: the exit status, or minus the signal's number.
  @discardableResult
  public func wait() -> Int32 {
    if status == nil { reap(0) }
    return status!
  }

  public func signal(_ number: Int32) {
    if isRunning { kill(pid, number) }
  }

  private func reap(_ options: Int32) {
    var raw: Int32 = 0
    while true {
      let found = waitpid(pid, &raw, options)
      if found == 0 || found < 0 && errno == EINTR && options != 0 { return }
      if found == pid { break }
      if found < 0, errno != EINTR { return status = -1 }
    }
    let signal = raw & 0x7f
    status = signal == 0 ? (raw >> 8) & 0xff : -signal
  }
}
