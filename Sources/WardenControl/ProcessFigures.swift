import Foundation

/// What the kernel says of this process, as Prometheus's clients name it (proc(5)).
struct ProcessFigures {
  let cpuSeconds: Double
  let threads: Int
  /// Since 1970.
  let startSeconds: Double
  let virtualBytes: Int
  let residentBytes: Int
  let openFiles: Int
  let mostFiles: Int

  /// Nothing where /proc cannot be read.
  init?() {
    // The program's name stands in parentheses and may hold anything; numbers follow, the third field first.
    guard let stat = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
      let end = stat.lastIndex(of: ")")
    else { return nil }
    let fields = stat[end...].dropFirst().split(separator: " ").dropFirst().map { Int($0) ?? 0 }
    guard fields.count > 20 else { return nil }
    func field(_ number: Int) -> Int { fields[number - 4] }
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
    cpuSeconds = Double(field(14) + field(15)) / ticks
    threads = field(20)
    startSeconds = Self.bootSeconds + Double(field(22)) / ticks
    virtualBytes = field(23)
    residentBytes = field(24) * sysconf(Int32(_SC_PAGESIZE))
    // The one that reads the folder is not there any more once it is told.
    openFiles = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))?.count ?? 1) - 1
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    mostFiles = Int(clamping: limit.rlim_cur)
  }

  private static let bootSeconds: Double = {
    let lines = (try? String(contentsOfFile: "/proc/stat", encoding: .utf8))?.split(separator: "\n") ?? []
    return lines.first { $0.hasPrefix("btime ") }.flatMap { Double($0.dropFirst(6)) } ?? 0
  }()
}
