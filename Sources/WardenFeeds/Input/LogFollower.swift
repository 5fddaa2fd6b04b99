import Glibc
import WardenCore

/// Follows a log as it is written, rotated, truncated and packed: each line once, in order.
///
/// Lines and the place after them come together, so that whoever stores what follows from the lines can store the place
/// with it. One thread makes a follower and runs it.
public final class LogFollower {
  private let path: String
  private let handle: (Lines, LogPosition) -> Void
  private let notice: (LogNotice) -> Void

  /// Lines that were too long to be handed over whole.
  public private(set) var cutLines = 0

  /// The log being read; nothing before it was found.
  private var log: OpenLog?
  /// Of `log`; before it was found, where to go on.
  private var position: LogPosition?
  private var lines = LineSplitter()
  /// Where the log is, past any link, when it was last there.
  private var place: String
  /// Whether what a log has in it when it is first seen was there before us.
  private var startsAtEnd = true
  /// Whether `position` was looked for in vain.
  private var hasSearched = false
  /// Whether a look has found the old log quiet while the new one was written to.
  private var isQuiet = false
  private var hasToldOfRotation = false
  private var trouble: LogNotice?

  /// - Parameters:
  ///   - position: where to go on; without it, the log is read from its end.
  ///   - handle: takes lines, perhaps none, and the place after them.
  public init(
    path: String, resume position: LogPosition?, handle: @escaping (Lines, LogPosition) -> Void,
    notice: @escaping (LogNotice) -> Void
  ) {
    self.path = path
    self.position = position
    self.handle = handle
    self.notice = notice
    place = path
  }

  /// Follows the log until the signal is raised.
  public func run(until stop: StopSignal) {
    let watch = LogWatch()
    while !stop.isRaised {
      if step() { continue }
      if isQuiet {
        // The new log being written to must not cut this short.
        if stop.wait(.seconds(1)) { return }
      } else {
        watch.look(at: log?.descriptor ?? -1, in: LogFamily(of: place).folder)
        // It may have been written to before it was watched.
        if !step(), watch.wait(.seconds(1), or: stop) { return }
      }
    }
  }

  /// Does what can be done now: reads one block, or looks for the log.
  ///
  /// - Returns: whether there may be more to do at once.
  public func step() -> Bool {
    guard let log else { return begin() }
    if isTruncated(log) { return goBack(log) }
    guard let count = log.read(into: lines.room) else { return true }
    if count > 0 {
      isQuiet = false
      take(count, of: log)
      return true
    }
    if count < 0 {
      if errno != EINTR { tell(.unreadable(path: log.path, why: String(cString: strerror(errno)))) }
      return false
    }
    return goOn(after: log)
  }

  private func take(_ count: Int, of log: OpenLog) {
    guard let newline = lines.room[..<count].lastIndex(of: 0x0A) else { return lines.split(count) { _ in } }
    position!.offset = log.offset - (count - newline - 1)
    if position!.fingerprint.length < LogPosition.headSize { position!.fingerprint = log.fingerprint }
    hand { self.lines.split(count, $0) }
  }

  /// Hands over what a call brings, and the place.
  private func hand(_ bring: @escaping ((UnsafeRawBufferPointer) -> Void) -> Void) {
    Lines.hand(to: { self.handle($0, self.position!) }, bring)
    cutLines = lines.cutLines
  }

  // MARK: - Beginning

  private func begin() -> Bool {
    var live: OpenLog?
    switch look() {
    case .file:
      do { live = try OpenLog(path) } catch {
        tell(.unreadable(path: path, why: error.description))
        return false
      }
    case .missing:
      startsAtEnd = false
      tell(.missing(path: path))
    case .other(let why):
      tell(.unreadable(path: path, why: why))
    }
    if let position, live != nil || !hasSearched {
      hasSearched = true
      if let log = LogFamily(of: place).find(position) {
        if live != nil { settle() }
        start(log, at: position.offset)
        return true
      }
      if let live {
        let isSame = live.device == position.device && live.inode == position.inode
        notice(isSame ? .truncated(path: path) : .lost(path: path))
      }
    }
    guard let live else { return false }
    settle()
    start(live, at: position == nil && startsAtEnd ? live.lastLineEnd : 0)
    hand { _ in }
    return true
  }

  private func start(_ log: OpenLog, at offset: Int) {
    log.seek(to: offset)
    self.log = log
    position = LogPosition(
      device: log.device, inode: log.inode, offset: offset, fingerprint: log.fingerprint, done: position?.done ?? [])
    isQuiet = false
  }

  // MARK: - Going on

  /// At the end of what can be read: waits for more, or takes the next file.
  private func goOn(after log: OpenLog) -> Bool {
    if let why = log.failure() { notice(.damaged(path: log.path, why: why)) }
    let live = look()
    if case .file(log.device, log.inode, _) = live {
      settle()
      hasToldOfRotation = false
      return false
    }
    let family = LogFamily(of: place)
    let here = family.path(device: log.device, inode: log.inode)
    if let here, let next = open(after: here, family) { return change(to: next) }
    switch live {
    case .missing:
      tell(.missing(path: path))
      return false
    case .other(let why):
      tell(.unreadable(path: path, why: why))
      return false
    case .file(_, _, let size):
      if !hasToldOfRotation {
        hasToldOfRotation = true
        notice(.rotated(path: path))
      }
      // Until the new one is written to, the old one may be.
      guard size > 0 else { return false }
      guard isQuiet || log.isPacked else {
        isQuiet = true
        return false
      }
      if here == nil, let packed = family.find(position!), let next = open(after: packed.path, family) {
        return change(to: next)
      }
      do {
        let next = try OpenLog(path)
        settle()
        hasToldOfRotation = false
        return change(to: next)
      } catch {
        tell(.unreadable(path: path, why: error.description))
        return false
      }
    }
  }

  /// The rotated log that comes after another; those that cannot be read, or have been, are passed over.
  private func open(after path: String, _ family: LogFamily) -> OpenLog? {
    var path = path
    while let next = family.next(after: path) {
      path = next
      do {
        let log = try OpenLog(next)
        if !isDone(log) { return log }
      } catch {
        notice(.damaged(path: next, why: error.description))
      }
    }
    return nil
  }

  private func isDone(_ log: OpenLog) -> Bool {
    log.withHead { head in position!.done.contains { $0.matches(head) } }
  }

  /// What the old one has at its end without a newline is a line.
  private func change(to next: OpenLog) -> Bool {
    // Replaced by a copy of itself, as editors do: it goes on where it was.
    if let position, position.fingerprint.length >= LogFamily.leastTelling,
      next.holds(position.offset, after: position.fingerprint)
    {
      lines.reset()
      start(next, at: position.offset)
      return true
    }
    if position!.fingerprint.length >= LogFamily.leastTelling {
      position!.done = position!.done.suffix(LogPosition.mostDone - 1) + [position!.fingerprint]
    }
    start(next, at: 0)
    hand { self.lines.finish($0) }
    return true
  }

  // MARK: - Truncation

  private func isTruncated(_ log: OpenLog) -> Bool {
    !log.isPacked && !log.holds(log.offset, after: position!.fingerprint)
  }

  /// What was not read of it before is in its copy, if it has one.
  private func goBack(_ log: OpenLog) -> Bool {
    // A rotated one is being removed; what is there now is no log.
    guard case .file(log.device, log.inode, _) = look() else { return goOn(after: log) }
    notice(.truncated(path: path))
    lines.reset()
    if let copy = LogFamily(of: place).find(position!) {
      hasToldOfRotation = true
      start(copy, at: position!.offset)
    } else {
      start(log, at: 0)
      hand { _ in }
    }
    return true
  }

  // MARK: - Looking

  private func look() -> LogPlace {
    if let resolved = realpath(path, nil) {
      place = String(cString: resolved)
      free(resolved)
    }
    return LogPlace(path)
  }

  /// Each trouble is told of once.
  private func tell(_ trouble: LogNotice) {
    if trouble != self.trouble { notice(trouble) }
    self.trouble = trouble
  }

  private func settle() {
    if trouble != nil { notice(.appeared(path: path)) }
    trouble = nil
  }
}
