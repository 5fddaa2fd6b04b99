import Foundation

/// What a process has at a moment, as the kernel tells.
struct ProcessFigures {
  let residentKilobytes: Int
  let descriptors: Int
  let threads: Int

  /// Nothing where there is no such process.
  init?(_ pid: Int32) {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
      let files = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")
    else { return nil }
    func number(_ name: String) -> Int? {
      status.split(separator: "\n").first { $0.hasPrefix("\(name):") }
        .flatMap { Int($0.split(whereSeparator: { " \t".contains($0) })[1]) }
    }
    guard let resident = number("VmRSS"), let threads = number("Threads") else { return nil }
    (residentKilobytes, descriptors, self.threads) = (resident, files.count, threads)
  }
}
