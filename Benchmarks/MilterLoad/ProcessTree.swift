import Glibc

/// Processes, and all that descend from them.
struct ProcessTree: Sendable {
  let roots: [pid_t]

  /// User and system time so far, of ended threads and processes too; nanoseconds. Does not quite grow evenly where
  /// processes end, as these then count in the kernel's ticks (10 ms).
  var cpuTime: UInt64 {
    let all = Self.processes()
    var children: [pid_t: [pid_t]] = [:]
    for (pid, process) in all { children[process.parent, default: []].append(pid) }
    var sum: UInt64 = 0
    var left = roots
    while let pid = left.popLast() {
      left += children[pid] ?? []
      var clock = clockid_t()
      if clock_getcpuclockid(pid, &clock) == 0 { sum += nanoseconds(clock) }
      sum += (all[pid]?.endedChildren ?? 0) * (1_000_000_000 / UInt64(sysconf(Int32(_SC_CLK_TCK))))
    }
    return sum
  }

  private struct Process {
    let parent: pid_t
    /// Ticks of the children that have ended, and of theirs.
    let endedChildren: UInt64
  }

  private static func processes() -> [pid_t: Process] {
    var found: [pid_t: Process] = [:]
    guard let folder = opendir("/proc") else { return found }
    defer { closedir(folder) }
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if let pid = pid_t(name), let process = read("/proc/\(pid)/stat") { found[pid] = process }
    }
    return found
  }

  private static func read(_ path: String) -> Process? {
    guard let text = textFile(path) else { return nil }
    // The second field, the program's name in parentheses, may contain anything; the third is the state.
    guard let end = text.lastIndex(of: ")") else { return nil }
    let fields = text[end...].dropFirst().split(separator: " ")
    guard fields.count > 14, let parent = pid_t(fields[1]), let user = UInt64(fields[13]),
      let system = UInt64(fields[14])
    else { return nil }
    return Process(parent: parent, endedChildren: user + system)
  }
}

/// A small file's text; nil where it cannot be read.
func textFile(_ path: String) -> String? {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return nil }
  defer { close(file) }
  var bytes = [UInt8](repeating: 0, count: 8192)
  let length = read(file, &bytes, bytes.count)
  return length < 0 ? nil : String(decoding: bytes.prefix(length), as: UTF8.self)
}
