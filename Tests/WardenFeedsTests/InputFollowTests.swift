import Foundation
import Testing
import WardenTestKit

@testable import WardenFeeds

/// A follower step by step, beside the log's folder.
private final class Rig {
  let folder: TemporaryFolder
  let path: String
  var lines: [String] = []
  var position: LogPosition?
  var notices: [LogNotice] = []
  private(set) var follower: LogFollower?

  init(_ name: String = "mail.log") throws {
    folder = try TemporaryFolder()
    path = folder.file(name)
  }

  /// As after a crash: all that is left is what was stored.
  func start() {
    follower = LogFollower(
      path: path, resume: position,
      handle: { [unowned self] lines, position in
        lines.forEach { self.lines.append($0.text) }
        // What is stored has been written and read.
        self.position = try! JSONDecoder().decode(LogPosition.self, from: JSONEncoder().encode(position))
      }, notice: { [unowned self] in notices.append($0) })
  }

  func stop() { follower = nil }

  func catchUp() {
    // One look to see that an old log is quiet, one to leave it, for as many as there may be.
    for _ in 0..<12 { while follower!.step() {} }
  }

  func taken() -> [String] {
    catchUp()
    defer { lines = [] }
    return lines
  }

  func append(_ text: String, to name: String = "mail.log") throws {
    let file = open(folder.file(name), O_WRONLY | O_CREAT | O_APPEND, 0o644)
    defer { close(file) }
    try #require(
      text.utf8.withContiguousStorageIfAvailable { write(file, $0.baseAddress, $0.count) }! == text.utf8.count)
  }

  func rename(_ old: String, _ new: String) { Glibc.rename(folder.file(old), folder.file(new)) }
}

/// Long enough to tell a file by.
private func line(_ number: Int) -> String { "Nov 21 02:34:04 mx postfix/smtpd[108]: line \(number)" }
private func lines(_ numbers: some Sequence<Int>) -> [String] { numbers.map(line) }
private func text(_ numbers: some Sequence<Int>) -> String { numbers.map { line($0) + "\n" }.joined() }

@Suite("Following a log")
struct InputFollowTests {
  private let rig: Rig
  init() throws { rig = try Rig() }

  @Test("A log that is replaced by a copy of itself, as editors do, is gone on with where it was")
  func replacedByCopy() throws {
    let rig = try Rig()
    try rig.append("")
    rig.start()
    _ = rig.taken()
    try rig.append(text(1...5))
    #expect(rig.taken() == lines(1...5))
    try FileManager.default.copyItem(atPath: rig.path, toPath: rig.folder.file("copy"))
    rig.rename("copy", "mail.log")
    try rig.append(text(6...7))
    #expect(rig.taken() == lines(6...7))
  }

  @Test("Without a place it begins at the end, before a line that is being written")
  func atEnd() throws {
    try rig.append(text(1...2) + "half")
    rig.start()
    #expect(rig.taken() == [])
    #expect(rig.position?.offset == text(1...2).utf8.count)
    try rig.append(" a line\n" + text(3...3))
    #expect(rig.taken() == ["half a line", line(3)])
  }

  @Test("A log that comes later is read from its beginning, and its coming is told once")
  func later() throws {
    rig.start()
    rig.catchUp()
    try rig.append(text(1...2))
    #expect(rig.taken() == lines(1...2))
    #expect(rig.notices == [.missing(path: rig.path), .appeared(path: rig.path)])
  }

  @Test("A line comes when it is whole, and the place stays before it")
  func partial() throws {
    try rig.append("")
    rig.start()
    rig.catchUp()
    try rig.append(text(1...1) + "sec")
    #expect(rig.taken() == [line(1)])
    let before = rig.position
    #expect(before?.offset == text(1...1).utf8.count)
    rig.start()
    try rig.append("ond")
    #expect(rig.taken() == [])
    try rig.append("\r\n")
    #expect(rig.taken() == ["second"])
  }

  @Test("A burst comes in blocks, each with its place")
  func burst() throws {
    try rig.append("")
    rig.start()
    rig.catchUp()
    let all = text(0..<20_000)
    try rig.append(all)
    var steps = 0
    while rig.follower!.step() {
      steps += 1
      #expect(all.utf8.prefix(rig.position!.offset).count { $0 == 0x0A } == rig.lines.count)
    }
    #expect(rig.lines == lines(0..<20_000))
    #expect(steps >= all.utf8.count / LineSplitter.blockSize)
  }

  @Test("An overlong line is cut, counted, and does not hide the next one")
  func overlong() throws {
    try rig.append("")
    rig.start()
    rig.catchUp()
    try rig.append(String(repeating: "x", count: 300_000))
    #expect(rig.taken() == [])
    try rig.append("\n" + text(1...1))
    #expect(rig.taken() == [String(repeating: "x", count: 16_384), line(1)])
    #expect(rig.follower?.cutLines == 1)
  }

  // MARK: - Rotation

  @Test("The old log is read until the new one is written to, and then to its end")
  func renamed() throws {
    try rig.append(text(1...1))
    rig.start()
    rig.catchUp()
    rig.rename("mail.log", "mail.log.1")
    try rig.append(text(2...2), to: "mail.log.1")
    #expect(rig.taken() == [line(2)])
    try rig.append("")
    try rig.append(text(3...3) + "unfinished", to: "mail.log.1")
    #expect(rig.taken() == [line(3)])
    try rig.append(text(4...4))
    // One look that finds it quiet, and one more.
    #expect(!rig.follower!.step())
    try rig.append(" business\n", to: "mail.log.1")
    #expect(rig.taken() == ["unfinished business", line(4)])
    #expect(rig.notices == [.missing(path: rig.path), .rotated(path: rig.path), .appeared(path: rig.path)])
  }

  @Test("A last line without a newline is one when its log is done with")
  func unfinished() throws {
    try rig.append(text(1...1))
    rig.start()
    rig.catchUp()
    try rig.append("the end")
    rig.rename("mail.log", "mail.log-20261101")
    try rig.append(text(2...2))
    #expect(rig.taken() == ["the end", line(2)])
  }

  @Test(
    "After a stop the rest of the rotated log is read, then all that came after it",
    arguments: [
      ["mail.log.1", "mail.log.2", "mail.log.3"], ["mail.log-20261103", "mail.log-20261102", "mail.log-20261101"],
    ],
    [[], ["gzip"], ["xz"], ["zstd", "-q", "--rm"]])
  func resumed(names: [String], packer: [String]) throws {
    try rig.append(text(0...0))
    rig.start()
    rig.catchUp()
    try rig.append(text(1...100))
    #expect(rig.taken() == lines(1...100))
    rig.stop()
    try rig.append(text(101...200) + "unfinished")
    rig.rename("mail.log", names[2])
    try rig.append(text(201...300), to: names[1])
    try rig.append(text(301...400), to: names[0])
    try rig.append(text(401...500))
    for name in names.dropFirst() where !packer.isEmpty {
      try #require(ChildProcess(packer + [rig.folder.file(name)], output: "/dev/null").wait() == 0)
    }
    // It may be stopped again at any moment.
    for _ in 0..<30 {
      rig.start()
      _ = rig.follower!.step()
      _ = rig.follower!.step()
    }
    rig.start()
    #expect(rig.taken() == lines(101...200) + ["unfinished"] + lines(201...500))
    #expect(rig.notices.allSatisfy { $0 == .rotated(path: rig.path) })
  }

  @Test("A log that is packed while it is read leads to what came after it", arguments: [1, 2])
  func packedMeanwhile(rotations: Int) throws {
    try rig.append(text(1...1))
    rig.start()
    rig.catchUp()
    try rig.append(text(2...2))
    rig.rename("mail.log", "mail.log.\(rotations)")
    try run("gzip", rig.folder.file("mail.log.\(rotations)"))
    if rotations == 2 { try rig.append(text(3...3), to: "mail.log.1") }
    try rig.append(text(4...4))
    #expect(rig.taken() == lines(rotations == 2 ? [2, 3, 4] : [2, 4]))
  }

  @Test(
    "Where a clock goes back between rotations, no log is read again that its name makes newer",
    arguments: [false, true])
  func clockBack(isStopped: Bool) throws {
    try rig.append(text(1...1))
    rig.start()
    rig.catchUp()
    // The hour before the end of summer time, and the hour after it.
    for (number, name) in [(2, "mail.log.20261025-025930"), (3, "mail.log.20261025-020030")] {
      try rig.append(text(number...number))
      rig.rename("mail.log", name)
      try run("gzip", rig.folder.file(name))
      try rig.append(text(number * 10...number * 10))
      if isStopped { rig.start() }
      #expect(rig.taken() == lines([number, number * 10]))
    }
  }

  @Test("Of a log that is just being packed the plain file is read, and only that")
  func packing() throws {
    try rig.append(text(1...1))
    rig.start()
    rig.catchUp()
    rig.stop()
    rig.rename("mail.log", "mail.log.2")
    try rig.append(text(2...9), to: "mail.log.1")
    try rig.append("\u{1F}\u{8}", to: "mail.log.1.gz")
    try rig.append(text(10...10))
    rig.start()
    #expect(rig.taken() == lines(2...10))
    #expect(rig.notices == [.rotated(path: rig.path)])
  }

  @Test("Where the old log is gone, that is told, and the new one is read from its beginning")
  func gone() throws {
    try rig.append(text(1...1))
    rig.start()
    rig.catchUp()
    rig.stop()
    rig.rename("mail.log", "elsewhere")
    unlink(rig.folder.file("elsewhere"))
    try rig.append(text(7...7), to: "mail.log.1")
    try rig.append(text(2...2))
    rig.start()
    #expect(rig.taken() == [line(2)])
    #expect(rig.notices == [.lost(path: rig.path)])
  }

  @Test("A log that is removed is read to its end; the next one is told of")
  func removed() throws {
    try rig.append(text(1...1))
    rig.start()
    rig.catchUp()
    try rig.append(text(2...2))
    unlink(rig.path)
    #expect(rig.taken() == [line(2)])
    try rig.append(text(3...3))
    #expect(rig.taken() == [line(3)])
    #expect(rig.notices == [.missing(path: rig.path), .rotated(path: rig.path), .appeared(path: rig.path)])
  }

  @Test("A damaged packed log is told of, after what could be read; the rest follows")
  func damaged() throws {
    try rig.append(text(0...0))
    rig.start()
    rig.catchUp()
    rig.stop()
    var dice = InputDice(1)
    // So much that what is cut off is not all.
    let long = (1...20_000).map { "\(line($0)) \(dice.next())\n" }
    try rig.append(long.joined())
    rig.rename("mail.log", "mail.log.1")
    try run("gzip", rig.folder.file("mail.log.1"))
    truncate(rig.folder.file("mail.log.1.gz"), 100_000)
    try rig.append(text(1...1))
    rig.start()
    let taken = rig.taken()
    #expect(taken.count > 1_000)
    #expect(taken.last == line(1))
    #expect(zip(taken.dropLast(2), long).allSatisfy { $0 + "\n" == $1 })
    guard case .damaged(rig.folder.file("mail.log.1.gz"), let why) = rig.notices.first else {
      Issue.record("\(rig.notices)")
      return
    }
    #expect(why.contains("unexpected end of file"))
  }

  // MARK: - Truncation

  @Test("A log that was copied and truncated is read from its beginning, after what only the copy has")
  func copied() throws {
    try rig.append(text(1...2))
    rig.start()
    rig.catchUp()
    try rig.append(text(3...3))
    try run("cp", rig.path, rig.folder.file("mail.log.1"))
    truncate(rig.path, 0)
    try rig.append(text(4...4))
    #expect(rig.taken() == [line(3), line(4)])
    truncate(rig.path, 0)
    try rig.append("5\n")
    #expect(rig.taken() == ["5"])
    #expect(rig.notices == [.truncated(path: rig.path), .truncated(path: rig.path)])
  }

  @Test("A log that was truncated and is as long again is known by its beginning")
  func replaced() throws {
    try rig.append(text(1...2))
    rig.start()
    rig.catchUp()
    truncate(rig.path, 0)
    try rig.append(text(3...9))
    #expect(rig.taken() == lines(3...9))
    #expect(rig.notices == [.truncated(path: rig.path)])
  }

  @Test("The hole that a truncation leaves is no line", arguments: [true, false])
  func hole(isWatched: Bool) throws {
    try rig.append(text(0..<5_000))
    rig.start()
    rig.catchUp()
    let size = rig.position!.offset
    truncate(rig.path, 0)
    if isWatched { rig.catchUp() }
    truncate(rig.path, off_t(size))
    try rig.append(text(5...6))
    #expect(rig.taken() == lines(5...6))
    #expect(rig.notices == [.truncated(path: rig.path)])
  }

  @Test("After a stop a truncated log is read from its beginning")
  func truncatedMeanwhile() throws {
    try rig.append(text(1...5))
    rig.start()
    rig.catchUp()
    rig.stop()
    truncate(rig.path, 0)
    try rig.append(text(6...6))
    rig.start()
    #expect(rig.taken() == [line(6)])
    #expect(rig.notices == [.truncated(path: rig.path)])
  }

  // MARK: - Oddities

  @Test("What cannot be read is told of once, and read as soon as it can be")
  func unreadable() throws {
    mkdir(rig.path, 0o755)
    rig.start()
    rig.catchUp()
    #expect(rig.notices == [.unreadable(path: rig.path, why: "it is no file")])
    rmdir(rig.path)
    mkfifo(rig.path, 0o644)
    rig.catchUp()
    unlink(rig.path)
    rig.catchUp()
    try rig.append(text(1...1))
    #expect(rig.taken() == [line(1)])
    #expect(rig.notices.dropFirst() == [.missing(path: rig.path), .appeared(path: rig.path)])
  }

  @Test("A link's log is followed where it is, and where it is rotated")
  func linked() throws {
    let logs = rig.folder.file("logs")
    mkdir(logs, 0o755)
    try rig.append(text(1...1), to: "logs/real.log")
    symlink("logs/real.log", rig.path)
    rig.start()
    rig.catchUp()
    rig.stop()
    try rig.append(text(2...2), to: "logs/real.log")
    rig.rename("logs/real.log", "logs/real.log.2")
    try rig.append(text(3...3), to: "logs/real.log.1")
    try rig.append(text(4...4), to: "logs/real.log")
    rig.start()
    #expect(rig.taken() == lines(2...4))
  }

  @Test("It wakes when the log is written to or replaced, and stops when it is told to")
  func running() throws {
    try rig.append("")
    let found = DispatchSemaphore(value: 0)
    let stop = StopSignal()
    let ended = DispatchSemaphore(value: 0)
    let ready = DispatchSemaphore(value: 0)
    let path = rig.path
    Thread.detachNewThread {
      let follower = LogFollower(
        path: path, resume: nil,
        handle: { lines, _ in
          ready.signal()
          lines.forEach { _ in found.signal() }
        }, notice: { _ in })
      follower.run(until: stop)
      ended.signal()
    }
    #expect(ready.wait(timeout: .now() + 60) == .success)
    try rig.append(text(1...1))
    #expect(found.wait(timeout: .now() + 60) == .success)
    rig.rename("mail.log", "mail.log.1")
    try rig.append(text(2...2))
    #expect(found.wait(timeout: .now() + 60) == .success)
    stop.raise()
    #expect(ended.wait(timeout: .now() + 60) == .success)
  }

  // MARK: - At random

  @Test("Whatever a writer, a rotation and a crash do, each line comes once and in order", arguments: 0..<150)
  func random(seed: Int) throws {
    var world = try World(seed: seed)
    for _ in 0..<120 { try world.act() }
    try world.finish()
    #expect(world.rig.lines == world.written, "seed \(seed)")
    #expect(!world.rig.notices.contains { $0 == .lost(path: world.rig.path) }, "seed \(seed)")
  }
}

/// A daemon that writes, somebody who rotates, and a follower that crashes.
private struct World {
  let rig: Rig
  var written: [String] = []
  private var dice: InputDice
  private let hasDates: Bool
  private let createsAtOnce: Bool
  private var day = 10_000_001
  private var file: Int32 = -1
  /// What of a line has been written.
  private var begun: String?
  /// Rotated files, newest first, as they are named without `.gz`.
  private var rotated: [String] = []
  private var packed: Set<String> = []

  init(seed: Int) throws {
    rig = try Rig()
    dice = InputDice(seed)
    hasDates = seed % 2 == 0
    createsAtOnce = seed % 3 != 0
    try reopen()
    rig.start()
    // A log that nothing is known of cannot be found again.
    rig.catchUp()
    writeLine()
    rig.catchUp()
  }

  private mutating func reopen() throws {
    if begun != nil { writeLine() }
    if file >= 0 { close(file) }
    file = open(rig.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
  }

  private func put(_ text: some StringProtocol) {
    let bytes = Array(text.utf8)
    precondition(write(file, bytes, bytes.count) == bytes.count)
  }

  private mutating func writeLine() {
    let all = line(written.count)
    put(all.dropFirst(begun?.count ?? 0) + "\n")
    written.append(all)
    begun = nil
  }

  private mutating func writePart() {
    let all = line(written.count)
    let so = begun?.count ?? 0
    let more = all.dropFirst(so).prefix(1 + dice.below(40))
    put(more)
    begun = String(all.prefix(so + more.count))
  }

  /// Files that the writer has left may be packed.
  private mutating func pack() throws {
    guard let name = rotated.filter({ !packed.contains($0) }).randomElement(using: &dice) else { return }
    try run("gzip", rig.folder.file(name))
    packed.insert(name)
  }

  private mutating func rotate() throws {
    var new: String
    if hasDates {
      new = "mail.log-\(day)"
      day += 1
    } else {
      new = "mail.log.1"
      for (index, name) in rotated.enumerated().reversed() {
        let end = packed.contains(name) ? ".gz" : ""
        let next = "mail.log.\(index + 2)"
        rig.rename(name + end, next + end)
        if packed.remove(name) != nil { packed.insert(next) }
        rotated[index] = next
      }
    }
    rig.rename("mail.log", new)
    if createsAtOnce { try rig.append("") }
    // The writer has not heard of it yet.
    while dice.chance(2) { try meanwhile() }
    try reopen()
    if dice.chance(2) { try meanwhile() }
    writeLine()
    rotated.insert(new, at: 0)
  }

  private mutating func meanwhile() throws {
    switch dice.below(4) {
    case 0: writeLine()
    case 1: writePart()
    case 2: crash()
    default: step()
    }
  }

  private mutating func step() { for _ in 0...dice.below(3) { _ = rig.follower!.step() } }
  private func crash() { rig.start() }

  private mutating func truncate() {
    if begun != nil { writeLine() }
    rig.catchUp()
    Glibc.truncate(rig.path, 0)
    writeLine()
    rig.catchUp()
  }

  mutating func act() throws {
    switch dice.below(20) {
    case 0...6: writeLine()
    case 7...9: writePart()
    case 10...13: step()
    case 14...15: crash()
    case 16: try pack()
    case 17: truncate()
    case 18: try rotate()
    default: rig.catchUp()
    }
  }

  mutating func finish() throws {
    if begun != nil { writeLine() }
    rig.catchUp()
    close(file)
  }
}
