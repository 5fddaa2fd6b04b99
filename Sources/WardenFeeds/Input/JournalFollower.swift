import Foundation
import WardenCore

/// Follows systemd's journal through `journalctl`: each record is a line of JSON.
///
/// Where one has come to is told by the record's cursor, `__CURSOR`.
public final class JournalFollower {
  private let program: String
  private let folder: String?
  private let handle: (Lines, String) -> Void
  private let notice: (String) -> Void
  private var cursor: String?
  private var lines = LineSplitter(longest: longestRecord)
  /// Before it is started again; it doubles as long as nothing comes.
  private let firstPause: TimeSpan
  private static let longestPause: TimeSpan = .seconds(60)

  /// A message of the longest line that journald takes, when it comes as numbers of bytes.
  private static let longestRecord = 256 << 10

  /// - Parameters:
  ///   - folder: a journal other than the system's.
  ///   - cursor: where to go on; without it, only what comes from now on is read.
  ///   - handle: takes lines, and the cursor after them.
  ///   - notice: takes what went wrong, and what happens next.
  public convenience init(
    program: String = "/usr/bin/journalctl", folder: String? = nil, resume cursor: String?,
    handle: @escaping (Lines, String) -> Void, notice: @escaping (String) -> Void
  ) {
    self.init(
      program: program, folder: folder, resume: cursor, firstPause: .seconds(1), handle: handle, notice: notice)
  }

  init(
    program: String, folder: String?, resume cursor: String?, firstPause: TimeSpan,
    handle: @escaping (Lines, String) -> Void, notice: @escaping (String) -> Void
  ) {
    self.program = program
    self.folder = folder
    self.cursor = cursor
    self.firstPause = firstPause
    self.handle = handle
    self.notice = notice
  }

  private var arguments: [String] {
    // Without --merge, following means this boot's records only, and those after a cursor of an earlier boot would be
    // missing; without --no-tail, all but the last ten after the cursor would be.
    ["--follow", "--merge", "--quiet", "--all", "--output=json"]
      + ["--output-fields=MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID"]
      + (cursor.map { ["--no-tail", "--after-cursor=\($0)"] } ?? ["--lines=0"])
      + (folder.map { ["--directory=\($0)"] } ?? [])
  }

  /// Follows the journal until the signal is raised; by then the program has ended.
  public func run(until stop: StopSignal) {
    var pause = firstPause
    while !stop.isRaised {
      do throws(InputProblem) {
        let child = try Child(program, arguments, package: "systemd")
        if follow(child, until: stop) { pause = firstPause }
        if stop.isRaised { return }
        tell(why: child.failure() ?? "exit status 0", pause)
      } catch {
        notice("\(error); it is tried again in \(pause)")
      }
      if stop.wait(pause) { return }
      pause = min(TimeSpan(microseconds: pause.microseconds * 2), Self.longestPause)
    }
  }

  private func tell(why: String, _ pause: TimeSpan) {
    var loss = ""
    if cursor != nil, why.contains("seek to cursor") {
      cursor = nil
      loss = "; what came since the last record read is lost"
    }
    notice("\(program) has ended: \(why)\(loss); it is started again in \(pause)")
  }

  /// Until it ends or the signal is raised: whether records came.
  private func follow(_ child: Child, until stop: StopSignal) -> Bool {
    lines.reset()
    var hasRecords = false
    var errors = child.errors
    _ = fcntl(child.output, F_SETFL, O_NONBLOCK)
    while !stop.wait(Self.longestPause, or: child.output, errors) {
      if !child.readErrors() { errors = -1 }
      let count = read(child.output, lines.room.baseAddress, LineSplitter.blockSize)
      if count < 0, errno == EAGAIN || errno == EINTR { continue }
      guard count > 0 else { break }
      if take(count) { hasRecords = true }
    }
    return hasRecords
  }

  /// Whether there were whole records in the block.
  private func take(_ count: Int) -> Bool {
    guard let last = lines.last(count) else {
      lines.split(count) { _ in }
      return false
    }
    if let cursor = Self.cursor(in: last) { self.cursor = cursor }
    guard let cursor else {
      // It is nothing that journalctl says.
      lines.split(count) { _ in }
      return false
    }
    Lines.hand(to: { self.handle($0, cursor) }) { self.lines.split(count, $0) }
    return true
  }

  /// Of a record's fields, the one that tells where it is.
  private struct Place: Decodable { let __CURSOR: String }

  static func cursor(in record: UnsafeRawBufferPointer) -> String? {
    try? JSONDecoder().decode(Place.self, from: Data(record)).__CURSOR
  }
}
