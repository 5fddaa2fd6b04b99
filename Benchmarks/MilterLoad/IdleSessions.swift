import Glibc
import MilterClient

/// What open sessions that do nothing cost a running filter.
struct IdleSessions {
  private let place: MilterPlace
  private let pid: Int
  private let count: Int

  init(_ options: Options) throws {
    place = try options.place("socket")
    pid = try options.number("pid")
    count = try options.number("sessions", default: 2000)
  }

  func run() throws {
    allowDescriptors()
    let before = try usage()
    var sessions: [MilterClient] = []
    for number in 0..<count {
      var traffic = Traffic(seed: UInt64(number))
      let macros = SessionMacros(client: traffic.client())
      let client = try MilterClient(place)
      let negotiated = try client.negotiate()
      try client.connect(
        host: macros.client.name, address: .ipv4(macros.client.address, port: macros.client.port),
        macros: macros.values(at: 0, for: negotiated))
      try client.helo(macros.client.name, macros: macros.values(at: 1, for: negotiated))
      sessions.append(client)
    }
    // Replies that nobody waits for may still be on their way.
    usleep(500_000)
    let during = try usage()
    let closed = sessions.count { $0.isClosedByPeer }
    for client in sessions {
      try? client.quit()
      client.close()
    }
    sessions = []
    sleep(1)
    let after = try usage()

    print("\(count) idle sessions, \(closed) of them closed by the filter")
    for (name, usage) in [("before", before), ("during", during), ("after", after)] {
      print("  \(name): VmRSS \(usage.memory) kB, \(usage.descriptors) file descriptors, \(usage.threads) threads")
    }
    print("  a session: \((during.memory - before.memory) * 1024 / count) bytes")
  }

  /// kB, and numbers.
  private func usage() throws -> (memory: Int, threads: Int, descriptors: Int) {
    guard let folder = opendir("/proc/\(pid)/fd") else {
      throw Child.Failure(description: "/proc/\(pid): \(String(cString: strerror(errno)))")
    }
    defer { closedir(folder) }
    var descriptors = -2  // . and ..
    while readdir(folder) != nil { descriptors += 1 }
    return (try statusLine("VmRSS"), try statusLine("Threads"), descriptors)
  }

  private func statusLine(_ name: String) throws -> Int {
    let line = textFile("/proc/\(pid)/status")?.split(separator: "\n").first { $0.hasPrefix("\(name):") }
    guard let number = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) }) else {
      throw Child.Failure(description: "/proc/\(pid)/status has no \(name)")
    }
    return number
  }

  /// The usual limit of 1,024 is too low.
  private func allowDescriptors() {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
