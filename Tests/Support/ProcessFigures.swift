import Foundation

/// What the kernel says that a process holds.
public struct ProcessFigures: Sendable, CustomStringConvertible {
  public let descriptors: Int
  public let threads: Int
  /// RSS in KiB.
  public let resident: Int

  public init(of pid: Int32) throws {
    descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
    let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
    func number(_ field: String) -> Int {
      let line = status.split(separator: "\n").first { $0.hasPrefix("\(field):") }
      return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }
    threads = number("Threads")
    resident = number("VmRSS")
  }

  public var description: String { "\(descriptors) descriptors, \(threads) threads, \(resident) KiB" }
}
