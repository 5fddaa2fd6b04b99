import Foundation
import Testing
import WardenCore
import WardenTestKit

@testable import WardenFeeds

@Suite("Logs of the past")
struct InputPastLogTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func write(_ text: String, to name: String, at seconds: Int) throws {
    try folder.write(text, to: name)
    var times = [timespec(tv_sec: seconds, tv_nsec: 0), timespec(tv_sec: seconds, tv_nsec: 0)]
    utimensat(AT_FDCWD, folder.file(name), &times, 0)
  }

  private func names(_ arguments: String...) throws -> [String] {
    try PastLog.find(arguments.map { $0 == "-" ? $0 : folder.file($0) }).map {
      String($0.path.dropFirst(folder.path.count + 1))
    }
  }

  private func problem(_ arguments: String...) -> String? {
    do {
      _ = try PastLog.find(arguments)
      return nil
    } catch {
      return error.description.replacing(folder.path, with: "DIR")
    }
  }

  private func lines(_ log: PastLog) throws -> [String] {
    var lines: [String] = []
    try log.forEachLine { lines.append($0.text) }
    return lines
  }

  private func lines(_ name: String) throws -> [String] { try lines(PastLog.find([folder.file(name)])[0]) }

  // MARK: - Finding

  @Test("The oldest comes first: by time, and within a rotated set by name")
  func order() throws {
    try write("", to: "mail.log", at: 400)
    try write("", to: "mail.log.1", at: 300)
    try write("", to: "mail.log.2.gz", at: 200)
    try write("", to: "mail.log.10.gz", at: 100)
    try write("", to: "auth.log.1", at: 250)
    #expect(try names("*") == ["mail.log.10.gz", "mail.log.2.gz", "auth.log.1", "mail.log.1", "mail.log"])
  }

  @Test("Copies with the times of the copying come in the order of their names")
  func copies() throws {
    for (index, name) in ["mail.log", "mail.log.1", "mail.log.10.gz", "mail.log.2.xz", "mail.log.3.zst"].enumerated() {
      try write("", to: name, at: 100 + index)
    }
    #expect(try names("*") == ["mail.log.10.gz", "mail.log.3.zst", "mail.log.2.xz", "mail.log.1", "mail.log"])
    for name in ["m.log-20261101", "m.log-20261031.gz", "m.log", "m.log-20251231"] { try write("", to: name, at: 100) }
    #expect(try names("m.log*") == ["m.log-20251231", "m.log-20261031.gz", "m.log-20261101", "m.log"])
  }

  @Test(
    "Names of rotated logs are read as their makers mean them",
    arguments: [
      ("mail.log", "mail.log", Rotation.Mark.live), ("mail.log.1", "mail.log", .number(1)),
      ("mail.log.12.gz", "mail.log", .number(12)), ("maillog-20261101", "maillog", .date("20261101")),
      ("mail.log-20261101.xz", "mail.log", .date("20261101")), ("mail-20261101.log", "mail.log", .date("20261101")),
      ("mail.1.log", "mail.log", .number(1)), ("mail.log-2026-11-01", "mail.log", .date("20261101")),
      ("mail.log.2026-11-01", "mail.log", .date("20261101")),
      ("mail.log-20261101-1793491200", "mail.log", .date("202611011793491200")),
      ("mail-log", "mail-log", .live), ("mx-1.log", "mx-1.log", .live), ("1", "1", .live), ("", "", .live),
      ("-20261101", "-20261101", .live), ("mail.log.gz", "mail.log", .live),
      ("mail.log.99999999999999999999", "mail.log", .date("99999999999999999999")),
    ])
  func rotation(name: String, base: String, mark: Rotation.Mark) {
    #expect(Rotation(name).base == base)
    #expect(Rotation(name).mark == mark)
  }

  @Test("What cannot be read is told with what to do")
  func problems() throws {
    try folder.write("x\n", to: "mail.log")
    mkdir(folder.file("mail"), 0o755)
    symlink("mail.log", folder.file("link"))
    let path = folder.path
    #expect(
      problem("\(path)/mial.log") == #"cannot read DIR/mial.log: there is no such file (did you mean "mail.log"?)"#)
    #expect(problem("\(path)/nowhere/x") == "cannot read DIR/nowhere/x: there is no folder DIR/nowhere/")
    #expect(problem("\(path)/x*") == "cannot read DIR/x*: no file has such a name")
    #expect(problem(path + "/") == "cannot read DIR/: it is a folder; name the logs in it, for example 'DIR/mail.log*'")
    #expect(
      problem("\(path)/mail.log", "\(path)/mail*")
        == "cannot read the same lines twice: DIR/mail.log is named twice")
    #expect(
      problem("\(path)/link", "\(path)/mail.log")
        == "cannot read the same lines twice: DIR/link and DIR/mail.log are one file")
    #expect(problem("-", "-") == "cannot read the same lines twice: standard input is named twice")
    #expect(problem("") == "cannot read : there is no such file")
    #expect(try names("mail*") == ["mail.log"])
  }

  // MARK: - Reading

  @Test("A log is the same packed or not, whatever it is called", arguments: ["cat", "gzip -c", "xz -c", "zstd -cq"])
  func packed(packer: String) throws {
    let text = (0..<30_000).map { "line \($0)\r\n" }.joined() + "\0x\u{0}y\n\nthe last"
    try folder.write(text, to: "plain")
    try run("sh", "-c", "\(packer) <'\(folder.file("plain"))' >'\(folder.file("mail log; x"))'")
    let log = try PastLog.find([folder.file("mail log; x")])[0]
    #expect((log.compression == .plain) == (packer == "cat"))
    #expect(try lines(log) == (0..<30_000).map { "line \($0)" } + ["x\u{0}y", "", "the last"])
    #expect(log.bytesRead == log.size)
    // It can be read again.
    #expect(try lines(log).count == 30_003)
    #expect(log.bytesRead == log.size)
  }

  @Test("An empty log has no lines")
  func empty() throws {
    try folder.write("", to: "mail.log")
    #expect(try lines("mail.log") == [])
  }

  @Test("Overlong lines are cut and counted")
  func cut() throws {
    try folder.write(String(repeating: "x", count: 1_000_000) + "\nshort\n", to: "mail.log")
    let log = try PastLog.find([folder.file("mail.log")])[0]
    #expect(try lines(log) == [String(repeating: "x", count: 16_384), "short"])
    #expect(log.cutLines == 1)
  }

  @Test("A damaged log gives what can be read, and then tells of it", arguments: ["gzip", "xz", "zstd -q"])
  func damaged(packer: String) throws {
    var dice = InputDice(3)
    let all = (0..<50_000).map { "line \($0) \(dice.next())" }
    try folder.write(all.joined(separator: "\n") + "\n", to: "mail.log")
    try run("sh", "-c", "\(packer) -c <'\(folder.file("mail.log"))' >'\(folder.file("packed"))'")
    let size = try #require(try PastLog.find([folder.file("packed")])[0].size)
    truncate(folder.file("packed"), off_t(size * 3 / 4))
    var found: [String] = []
    let error = #expect(throws: InputProblem.self) {
      try PastLog.find([folder.file("packed")])[0].forEachLine { found.append($0.text) }
    }
    #expect(!found.isEmpty)
    #expect(found.dropLast() == all.prefix(found.count - 1))
    let start = "cannot unpack \(folder.file("packed")) to its end: it is damaged, or cut short ("
    #expect(error?.description.hasPrefix(start) == true, "\(String(describing: error))")
    #expect(error?.description.hasSuffix("; exit status 1)") == true)
  }

  @Test("Whoever has had enough stops, and need not read on", arguments: ["cat", "gzip -c"])
  func stopped(packer: String) throws {
    struct Enough: Error {}
    try folder.write(String(repeating: "line\n", count: 1_000_000), to: "plain")
    try run("sh", "-c", "\(packer) <'\(folder.file("plain"))' >'\(folder.file("mail.log"))'")
    let log = try PastLog.find([folder.file("mail.log")])[0]
    var count = 0
    #expect(throws: Enough.self) {
      try log.forEachLine { _ in
        count += 1
        if count == 3 { throw Enough() }
      }
    }
    #expect(count == 3)
  }

  @Test("A child that nobody reads any more is ended and reaped")
  func reaped() throws {
    var child: Child? = try Child("yes", [], package: "coreutils")
    let pid = try #require(child).pid
    #expect(kill(pid, 0) == 0)
    child = nil
    #expect(kill(pid, 0) != 0 && errno == ESRCH)
  }

  @Test("A stream is read as it comes; a packed one is refused with the way to read it")
  func stream() throws {
    let path = folder.file("fifo")
    mkfifo(path, 0o600)
    func feed(_ bytes: [UInt8]) throws -> [String] {
      // Both ends, so that nobody waits for the other.
      let end = open(path, O_RDWR)
      _ = bytes.withUnsafeBytes { Glibc.write(end, $0.baseAddress, $0.count) }
      let log = try PastLog.find([path])[0]
      #expect(log.size == nil && log.modified == nil)
      var lines: [String] = []
      defer { close(end) }
      struct End: Error {}
      do {
        try log.forEachLine {
          lines.append($0.text)
          if $0.text == "end" { throw End() }
        }
      } catch is End {}
      return lines
    }
    #expect(try feed(Array("one\r\ntwo\nend\n".utf8)) == ["one", "two", "end"])
    let error = #expect(throws: InputProblem.self) { _ = try feed([0x1F, 0x8B, 8, 0]) }
    #expect(
      error?.description
        == "cannot read \(path): it is packed; name the file itself, or unpack it on the way (gzip -dc)")
  }

  @Test("A missing unpacker is told of with its package")
  func noUnpacker() {
    let error = #expect(throws: InputProblem.self) { _ = try Child("no-such-unpacker", [], package: "zstd") }
    #expect(
      error?.description == "cannot run no-such-unpacker: it is not there; the Debian package zstd has it")
  }
}
