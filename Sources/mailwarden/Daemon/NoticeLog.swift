import Logging
import ServiceLifecycle
import WardenControl
import WardenCore

/// Writes what the engine decided into the log: a line a decision, and sums where there are too many.
final class NoticeLog: Service {
  private let logger: Logger
  private let clock: LiveClock
  private let throttle = Locked(LogThrottle())
  private let counts = Locked<[Figures.Notices: Int]>([:])
  /// Decisions that had no room on the way here, or lines that the writer had no room for.
  private let dropped: @Sendable () -> Int
  private let toldDropped = Locked(0)

  private static let pause = Duration.seconds(1)

  init(logger: Logger, clock: LiveClock, dropped: @escaping @Sendable () -> Int) {
    self.logger = logger
    self.clock = clock
    self.dropped = dropped
  }

  /// Decisions that were told in sums alone.
  var summarised: Int { throttle.withLock { $0.summarised } }
  /// How often what was told, logged or not.
  var told: [Figures.Notices: Int] { counts.withLock { $0 } }

  /// - Parameter isStored: whether what was decided survives a restart, where that was asked for.
  func tell(_ notice: Notice, queueID: String?, isStored: Bool = true) {
    let reason = notice.reason
    counts.withLock { $0[Figures.Notices(rule: reason.rule, kind: notice.kind.name), default: 0] += 1 }
    let level = notice.kind.level
    guard logger.logLevel <= level else { return }
    let item = LogThrottle.Item(kind: notice.kind, rule: reason.rule, key: "\(reason.key)")
    guard throttle.withLock({ $0.admits(item, at: clock.now()) }) else { return }
    var metadata: Logger.Metadata = [
      "rule": "\(reason.rule)", "key": "\(reason.key)", "reason": "\(reason.sentence)",
      "stage": "\(notice.step.name)", "until": "\(clock.wall(reason.until).rfc3339)",
    ]
    metadata["queue_id"] = queueID.map { "\($0)" }
    let subject = notice.subject
    metadata["ip"] = subject.address.map { "\($0)" }
    metadata["user"] = subject.user.map { "\($0)" }
    metadata["sender"] = subject.sender.map { "\($0)" }
    if case .run(let command) = notice.kind { metadata["command"] = "\(command)" }
    if !isStored { metadata["stored"] = "no" }
    logger.log(level: level, "\(notice.kind.words)", metadata: metadata)
  }

  func run() async {
    // It ends by being cancelled, when there is nothing more to tell.
    await cancelWhenGracefulShutdown {
      while (try? await Task.sleep(for: Self.pause)) != nil {
        self.tell(self.throttle.withLock { $0.sums(at: self.clock.now()) })
        self.tellDropped()
      }
    }
  }

  /// What was counted and not told yet.
  func finish() {
    tell(throttle.withLock { $0.rest(at: clock.now()) })
    tellDropped()
  }

  private func tell(_ sums: [LogThrottle.Sum]) {
    for sum in sums {
      var metadata: Logger.Metadata = [
        "rule": "\(sum.rule)", "times": .stringConvertible(sum.times),
        "in": "\(TimeSpan.seconds(sum.span.microseconds / 1_000_000))",
      ]
      if let key = sum.key { metadata["key"] = "\(key)" } else { metadata["keys"] = .stringConvertible(sum.keys) }
      if case .run(let command) = sum.kind { metadata["command"] = "\(command)" }
      logger.log(level: sum.kind.level, "\(sum.kind.name) again", metadata: metadata)
    }
  }

  private func tellDropped() {
    let all = dropped()
    let new = toldDropped.withLock { told in
      defer { told = all }
      return all - told
    }
    guard new > 0 else { return }
    logger.error(
      "there was no room for what was to be logged; mail was not affected", metadata: ["times": .stringConvertible(new)]
    )
  }
}

extension Notice.Kind {
  fileprivate var level: Logger.Level {
    switch self {
    case .alert, .blocked: .warning
    case .observed, .refused, .held, .run: .notice
    case .delayed: .info
    }
  }

  fileprivate var words: String { self == .observed ? "observed, not enforced" : name }
}
