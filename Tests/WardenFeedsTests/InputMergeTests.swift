import Foundation
import Testing
import WardenCore
import WardenTestKit

@testable import WardenFeeds

@Suite("Logs of the same time")
struct InputMergeTests {
  private static func lines(_ minutes: some Sequence<Int>, host: String) -> String {
    minutes.map {
      "2026-11-24T\(10 + $0 / 60):\($0 % 60 < 10 ? "0" : "")\($0 % 60):00Z \(host) postfix/smtpd[1]: \($0)\n"
    }.joined()
  }

  private static func read(_ folder: TemporaryFolder, _ names: String...) throws -> [String] {
    let merged = MergedLogs(
      try PastLog.find(names.map(folder.file)), zone: TimeZone(identifier: "UTC")!)
    var read: [String] = []
    try merged.forEachLine { line, _ in
      let words = String(decoding: line, as: UTF8.self).split(separator: " ")
      read.append("\(words[1]) \(words[3])")
    }
    return read
  }

  @Test("Lines of several come in the order of their times, those of one rotated log one after the other")
  func order() throws {
    let folder = try TemporaryFolder()
    try folder.write(Self.lines(0..<3, host: "a"), to: "mail.log.1")
    try folder.write(Self.lines(3..<6, host: "a"), to: "mail.log")
    try folder.write(Self.lines(1..<5, host: "b"), to: "auth.log")
    #expect(
      try Self.read(folder, "mail.log.1", "mail.log", "auth.log") == [
        "a 0", "a 1", "b 1", "a 2", "b 2", "a 3", "b 3", "a 4", "b 4", "a 5",
      ])
  }

  @Test("Whatever their lengths, nothing is lost and nothing told twice", arguments: 0..<10)
  func complete(seed: Int) throws {
    var random = SeededGenerator(seed: seed)
    let folder = try TemporaryFolder()
    var expected: [(minute: Int, line: String)] = []
    for host in ["a", "b", "c"] {
      var minutes: [Int] = []
      for _ in 0..<Int.random(in: 0..<2_000, using: &random) { minutes.append(Int.random(in: 0..<600, using: &random)) }
      minutes.sort()
      try folder.write(Self.lines(minutes, host: host), to: "\(host).log")
      expected += minutes.map { ($0, "\(host) \($0)") }
    }
    let read = try Self.read(folder, "a.log", "b.log", "c.log")
    #expect(read.count == expected.count)
    #expect(read.sorted() == expected.map(\.line).sorted())
    let minutes = read.map { Int($0.split(separator: " ")[1])! }
    #expect(minutes == minutes.sorted())
  }

  @Test("A fault of one of them is told, and whoever reads can stop")
  func faults() throws {
    let folder = try TemporaryFolder()
    try folder.write(Self.lines(0..<600, host: "a"), to: "a.log")
    try Data([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]).write(to: URL(fileURLWithPath: folder.file("b.log.gz")))
    #expect(throws: InputProblem.self) { try Self.read(folder, "a.log", "b.log.gz") }
    struct Enough: Error {}
    let merged = MergedLogs(
      try PastLog.find([folder.file("a.log")]), zone: TimeZone(identifier: "UTC")!)
    var count = 0
    #expect(throws: Enough.self) {
      try merged.forEachLine { _, _ in
        count += 1
        if count == 3 { throw Enough() }
      }
    }
    #expect(count == 3)
  }
}
