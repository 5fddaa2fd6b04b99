import Foundation
import WardenCore

/// Logs of the past that may speak of the same time, such as those of two hosts or of two facilities: their lines in the
/// order of their times. Those of one rotated log follow each other.
public struct MergedLogs {
  /// Each a log and its rotated files, the oldest first.
  public let streams: [[PastLog]]
  private let zone: TimeZone

  /// - Parameters:
  ///   - logs: as `PastLog.find` has them.
  ///   - zone: of lines that name none.
  public init(_ logs: [PastLog], zone: TimeZone) {
    self.zone = zone
    var families: [String] = []
    var streams: [[PastLog]] = []
    for log in logs {
      let family = Self.family(of: log.path)
      if let place = families.firstIndex(of: family) {
        streams[place].append(log)
      } else {
        families.append(family)
        streams.append([log])
      }
    }
    self.streams = streams
  }

  private static func family(of path: String) -> String {
    let slash = path.lastIndex(of: "/")
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    return (slash.map { String(path[...$0]) } ?? "") + Rotation(name).base
  }

  /// - Parameter body: is given each line, and the moment that no line of its log is later than.
  public func forEachLine(_ body: (UnsafeRawBufferPointer, _ newest: Timestamp?) throws -> Void) throws {
    let sources = streams.map { Stream($0, zone: zone) }
    for source in sources { source.begin() }
    // However this ends, it ends their threads.
    defer { for source in sources { source.end() } }
    while true {
      var first: (source: Stream, at: Timestamp)?
      for source in sources {
        if let at = try source.next(), first == nil || at < first!.at { first = (source, at) }
      }
      guard let first else { return }
      try first.source.take(body)
    }
  }

  /// Lines longer than a line may be.
  public var cutLines: Int { streams.joined().reduce(0) { $0 + $1.cutLines } }
}

/// One log and its rotated files, read ahead on a thread of its own.
private final class Stream: @unchecked Sendable {
  /// Lines that are handed over together.
  private struct Batch {
    var bytes: [UInt8] = []
    /// Where each ends, and its time; that of the one before where it has none.
    var lines: [(end: Int, at: Timestamp)] = []
    var newest: Timestamp?
  }
  private struct Ended: Error {}

  private static let batchSize = 256 * 1_024
  private static let mostWaiting = 4

  // Of the thread that reads.
  private let logs: [PastLog]
  private let zone: TimeZone
  private var filling = Batch()

  // Between the two, behind the lock.
  private let lock = NSCondition()
  private var waiting: [Batch] = []
  private var isRead = false
  private var isEnded = false
  private var problem: (any Error)?

  // Of the thread that takes.
  private var batch = Batch()
  private var line = 0
  private var start = 0

  init(_ logs: [PastLog], zone: TimeZone) {
    self.logs = logs
    self.zone = zone
  }

  func begin() {
    Thread.detachNewThread { [self] in
      var problem: (any Error)?
      do {
        for log in logs { try read(log) }
      } catch {
        if !(error is Ended) { problem = error }
      }
      lock.withLock {
        self.problem = problem
        isRead = true
        lock.signal()
      }
    }
  }

  func end() {
    lock.withLock {
      isEnded = true
      waiting = []
      lock.signal()
    }
  }

  private func read(_ log: PastLog) throws {
    var header = LogHeaderReader(zone: zone, newest: log.modified ?? Self.now)
    filling.newest = log.modified
    var last = Timestamp(microseconds: 0)
    try log.forEachLine { line in
      if let at = header.read(line)?.at { last = at }
      filling.bytes.append(contentsOf: line)
      filling.lines.append((filling.bytes.count, last))
      if filling.bytes.count >= Self.batchSize { try hand(log) }
    }
    if !filling.lines.isEmpty { try hand(log) }
  }

  private static var now: Timestamp { Timestamp(microseconds: Int(Date().timeIntervalSince1970) * 1_000_000) }

  private func hand(_ log: PastLog) throws {
    lock.lock()
    defer { lock.unlock() }
    while waiting.count >= Self.mostWaiting, !isEnded { lock.wait() }
    if isEnded { throw Ended() }
    waiting.append(filling)
    filling = Batch(newest: log.modified)
    lock.signal()
  }

  /// The time of the next line; nothing after the last.
  func next() throws -> Timestamp? {
    if line < batch.lines.count { return batch.lines[line].at }
    lock.lock()
    defer { lock.unlock() }
    while waiting.isEmpty, !isRead { lock.wait() }
    if waiting.isEmpty {
      if let problem { throw problem }
      return nil
    }
    (batch, line, start) = (waiting.removeFirst(), 0, 0)
    lock.signal()
    return batch.lines[0].at
  }

  func take(_ body: (UnsafeRawBufferPointer, Timestamp?) throws -> Void) throws {
    let end = batch.lines[line].end
    try batch.bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[start..<end]), batch.newest) }
    (line, start) = (line + 1, end)
  }
}
