import Foundation
import Logging
import WardenControl
import WardenCore
import WardenFeeds

/// A log that is followed, on a thread of its own: its lines become events, in blocks, each with the position after it.
final class LogFeed: Sendable {
  /// What is older counts no more: to count what happened in a night as if it happened now would block who did nothing now.
  static let lateness = TimeSpan.minutes(5)

  struct Figures {
    var lines = 0
    var told = 0
    var notUnderstood = 0
    var repeated = 0
    /// Events that came too late to count.
    var late = 0
    var lastHeard: Timestamp?
    /// What is wrong with the log itself, and with the latest lines' time.
    var problem: String?
    var skew: String?
  }

  let log: FeedSettings.Log
  private let gate: Gate
  private let hearing: Hearing
  private let positions: FeedPositions
  private let zone: TimeZone
  private let logger: Logger
  private let figures = Locked(Figures())
  private let stop = StopSignal()
  private let done = DispatchSemaphore(value: 0)
  private static let stopSeconds = 2.0
  private static let beginSeconds = 1.0

  init(
    _ log: FeedSettings.Log, zone: TimeZone, gate: Gate, hearing: Hearing, positions: FeedPositions, logger: Logger
  ) {
    self.log = log
    self.zone = zone
    self.gate = gate
    self.hearing = hearing
    self.positions = positions
    self.logger = logger
  }

  /// Goes on where it was when the state was last stored, or begins at the log's end: as it is once this returns.
  func start() {
    let hasBegun = DispatchSemaphore(value: 0)
    Thread.detachNewThread { [self] in
      let listener = Listener(self)
      switch log {
      case .file(let path):
        let follower = LogFollower(
          path: path, resume: stored(LogPosition.self),
          handle: { lines, position in
            self.positions.advance(self.log.name, to: Self.text(position)) { listener.hear(lines) }
          },
          notice: { self.note($0.description, isTrouble: $0.isTrouble) })
        _ = follower.step()
        hasBegun.signal()
        follower.run(until: stop)
      case .journal(let folder):
        let follower = JournalFollower(
          folder: folder, resume: stored(String.self),
          handle: { lines, cursor in
            self.positions.advance(self.log.name, to: Self.text(cursor)) { listener.hear(lines) }
          },
          notice: { self.note($0, isTrouble: true) })
        hasBegun.signal()
        follower.run(until: stop)
      }
      done.signal()
    }
    // A disk that does not answer must not keep the MTA waiting.
    _ = hasBegun.wait(timeout: .now() + Self.beginSeconds)
  }

  func end() {
    stop.raise()
    if done.wait(timeout: .now() + Self.stopSeconds) == .timedOut {
      logger.warning("a feed has not come to its end; leaving it", metadata: ["feed": "\(log.name)"])
    }
  }

  // MARK: - Asked by others

  /// Why the log cannot be followed; late lines alone are none, after a pause they come with catching up.
  var problem: String? { figures.withLock { $0.problem } }

  var report: FeedReport {
    let clock = gate.clock
    return figures.withLock { figures in
      FeedReport(
        name: log.name, last_heard: figures.lastHeard.map { clock.wall($0).rfc3339 }, heard: figures.lines,
        told: figures.told, not_understood: figures.notUnderstood, repeated: figures.repeated, late: figures.late,
        problem: figures.problem ?? figures.skew)
    }
  }

  // MARK: - Positions

  private func stored<Position: Decodable>(_: Position.Type) -> Position? {
    guard let text = positions.position(of: log.name) else { return nil }
    return try? JSONDecoder().decode([Position].self, from: Data(text.utf8)).first
  }

  // In a list: a cursor alone is no document.
  private static func text(_ position: some Encodable) -> String {
    String(decoding: try! JSONEncoder().encode([position]), as: UTF8.self)
  }

  private func note(_ words: String, isTrouble: Bool) {
    figures.withLock { $0.problem = isTrouble ? words : nil }
    logger.log(level: isTrouble ? .warning : .notice, "\(words)", metadata: ["feed": "\(log.name)"])
  }

  // MARK: - Lines

  /// What reads the lines; of the feed's thread alone.
  private final class Listener {
    private let feed: LogFeed
    private var header: LogHeaderReader
    private var joiner: LogJoiner
    /// Since the block began.
    private var block = Figures()

    init(_ feed: LogFeed) {
      self.feed = feed
      header = LogHeaderReader(zone: feed.zone, newest: feed.gate.clock.wall(feed.gate.clock.now()))
      joiner = LogJoiner(.live, feed.gate.setup())
    }

    func hear(_ lines: Lines) {
      // The MTA's realms are learned as its sessions come, and a reload changes others.
      joiner.setup = feed.gate.setup()
      header.newest = feed.gate.clock.wall(feed.gate.clock.now())
      lines.forEach(hear)
      settle()
    }

    private func hear(_ line: UnsafeRawBufferPointer) {
      block.lines += 1
      guard let header = header.read(line) else { return block.notUnderstood += 1 }
      guard let fact = LogGrammar.read(header) else {
        if LogGrammar.knows(header) { block.notUnderstood += 1 }
        return
      }
      joiner.join(header, fact) { event, teller in
        tell(event, teller)
        return true
      }
    }

    private func tell(_ event: Event, _ teller: Teller) {
      let clock = feed.gate.clock
      let now = clock.now()
      block.told += 1
      block.lastHeard = now
      // Lines are dated by the wall's clock.
      let age = clock.wall(now) - event.at
      block.skew =
        age.microseconds < -LogFeed.lateness.microseconds
        ? "its lines are dated \(TimeSpan(microseconds: -age.microseconds).rounded) ahead; see feeds.mail-log.time-zone"
        : nil
      guard age <= LogFeed.lateness else {
        block.late += 1
        block.skew = "its lines are \(age.rounded) old, too old to count; if it is not just catching up, see time-zone"
        return
      }
      var event = event
      event.at = now
      let new = feed.hearing.sift(event, from: teller)
      if new.isEmpty { block.repeated += 1 }
      for event in new { _ = feed.gate.decide(event) { nil } }
    }

    private func settle() {
      let block = self.block
      feed.figures.withLock { figures in
        figures.lines += block.lines
        figures.told += block.told
        figures.notUnderstood += block.notUnderstood
        figures.repeated += block.repeated
        figures.late += block.late
        figures.lastHeard = block.lastHeard ?? figures.lastHeard
        if block.told > 0 { figures.skew = block.skew }
        // Followed again: of the journal only troubles are told, never their end.
        if block.lines > 0 { figures.problem = nil }
      }
      self.block = Figures()
    }
  }
}
