import Glibc

/// A program whose standard output is read. It is ended and reaped with this object at the latest.
final class Child {
  let output: Int32
  let errors: Int32
  let pid: pid_t
  private var isReaped = false
  /// The beginning of the line that it complains with now, and the last whole one.
  private var complaint: [UInt8] = []
  private var lastComplaint = ""

  private static let longestComplaint = 500

  /// - Parameters:
  ///   - package: Debian's name of what has the program, for the error where it is missing.
  ///   - input: its standard input; nothing without it.
  init(_ program: String, _ arguments: [String], package: String, input: Int32? = nil) throws(InputProblem) {
    let (output, outputEntrance) = try Self.channel(for: program)
    defer { close(outputEntrance) }
    let errors: Int32
    let errorsEntrance: Int32
    do throws(InputProblem) {
      (errors, errorsEntrance) = try Self.channel(for: program)
    } catch {
      close(output)
      throw error
    }
    defer { close(errorsEntrance) }
    // Whoever complains at length must not wait for a reader.
    _ = fcntl(errorsEntrance, F_SETFL, O_NONBLOCK)
    _ = fcntl(errors, F_SETFL, O_NONBLOCK)

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let input {
      posix_spawn_file_actions_adddup2(&actions, input, 0)
    } else {
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    }
    posix_spawn_file_actions_adddup2(&actions, outputEntrance, 1)
    posix_spawn_file_actions_adddup2(&actions, errorsEntrance, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // What we block or ignore is inherited; it is to end of a signal as usual.
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    let variables: [String] = ["PATH=\(path)", "LC_ALL=C"]
    var environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
    defer { for text in argv + environment { free(text) } }
    var pid: pid_t = 0
    let code = posix_spawnp(&pid, program, &actions, &attributes, &argv, &environment)
    guard code == 0 else {
      close(output)
      close(errors)
      if code == ENOENT {
        throw InputProblem("cannot run \(program): it is not there; the Debian package \(package) has it")
      }
      throw .system(code, doing: "run \(program)")
    }
    self.pid = pid
    self.output = output
    self.errors = errors
  }

  deinit {
    end()
    close(output)
    close(errors)
  }

  /// Sockets, as they can be made so that no other child inherits them.
  private static func channel(for program: String) throws(InputProblem) -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
      throw .system(errno, doing: "make a channel to \(program)")
    }
    return (ends[0], ends[1])
  }

  /// Ends it if it has not ended, and waits for that.
  private func end() {
    guard !isReaped else { return }
    kill(pid, SIGKILL)
    _ = reap()
  }

  private func reap() -> Int32 {
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    isReaped = true
    return status
  }

  /// Once its output is at its end: waits for the program's, too. Nothing where all went well.
  func failure() -> String? {
    if isReaped { return nil }
    let status = reap()
    readErrors()
    keepComplaint()
    guard status != 0 else { return nil }
    let signal = status & 0x7f
    let how = signal == 0 ? "exit status \((status >> 8) & 0xff)" : "signal \(signal)"
    return lastComplaint.isEmpty ? how : "\(lastComplaint); \(how)"
  }

  /// Takes what it has complained of by now: whether there may be more.
  @discardableResult
  func readErrors() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = read(errors, &bytes, bytes.count)
      guard count > 0 else { return count < 0 }
      for byte in bytes[..<count] {
        if byte == 0x0A {
          keepComplaint()
        } else if complaint.count < Self.longestComplaint {
          complaint.append(byte)
        }
      }
    }
  }

  private func keepComplaint() {
    if !complaint.isEmpty { lastComplaint = String(decoding: complaint, as: UTF8.self) }
    complaint = []
  }
}
