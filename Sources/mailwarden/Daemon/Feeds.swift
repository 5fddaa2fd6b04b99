import Foundation
import Logging
import ServiceLifecycle
import WardenAlerts
import WardenControl
import WardenCore
import WardenFeeds

/// Who tells what a milter cannot see: Dovecot and logs, as the policy's `feeds` says.
final class Feeds: Sendable {
  /// What Dovecot's feed is called in status and metrics.
  private static let dovecotName = "dovecot-policy"

  private let settings: FeedSettings
  private let clock: LiveClock
  private let logger: Logger
  private let dovecot: DovecotFeed?
  private let logs: [LogFeed]
  /// By teller, what Dovecot told that was known already.
  private let repeated: SharedCount

  /// - Parameter token: what Dovecot's requests must bring along.
  init(_ settings: FeedSettings, token: String?, gate: Gate, hearing: Hearing, positions: FeedPositions, logger: Logger)
  {
    self.settings = settings
    self.logger = logger
    clock = gate.clock
    let repeated = SharedCount()
    self.repeated = repeated
    dovecot = settings.dovecot.map { _ in
      DovecotFeed(
        token: token, setup: gate.setup, now: gate.clock.now,
        decide: { event in
          let decision = gate.decide(event) { nil }
          if decision.isRefused { hearing.expectFailure(of: event) }
          return decision
        },
        hear: { event, teller in
          let new = hearing.sift(event, from: Teller(teller))
          if new.isEmpty { repeated.add() }
          for event in new { _ = gate.decide(event) { nil } }
        },
        reset: { _ = gate.engine.release($0, at: gate.clock.now()) })
    }
    let zone = settings.timeZone.flatMap(TimeZone.init(identifier:)) ?? .current
    logs = Self.different(settings.logs, logger).map {
      LogFeed($0, zone: zone, gate: gate, hearing: hearing, positions: positions, logger: logger)
    }
  }

  /// Without those that are another's file under another name: each line would count twice.
  private static func different(_ logs: [FeedSettings.Log], _ logger: Logger) -> [FeedSettings.Log] {
    var seen: [[UInt64]: String] = [:]
    return logs.filter { log in
      var status = stat()
      guard case .file(let path) = log, stat(path, &status) == 0 else { return true }
      if let other = seen[[UInt64(status.st_dev), UInt64(status.st_ino)]] {
        logger.warning("\(path) is the same file as \(other): it is followed once", metadata: ["feed": "\(path)"])
        return false
      }
      seen[[UInt64(status.st_dev), UInt64(status.st_ino)]] = path
      return true
    }
  }

  /// - Parameters:
  ///   - onRunning: called once Dovecot can connect; at once where it is not to.
  /// - Returns: what is to run beside all else.
  func services(onRunning: @escaping @Sendable () -> Void) -> [any Service] {
    guard let dovecot, let place = settings.dovecot else {
      onRunning()
      return []
    }
    return [
      DovecotFeedServer(feed: dovecot, host: place.host, port: place.port, logger: logger).application { _ in
        onRunning()
      }
    ]
  }

  func follow() { for log in logs { log.start() } }

  func end() { for log in logs { log.end() } }

  // MARK: - Asked by others

  var reports: [FeedReport] { (dovecot.map { [report(of: $0)] } ?? []) + logs.map(\.report) }

  private func report(of dovecot: DovecotFeed) -> FeedReport {
    let figures = dovecot.figures
    let told = figures.told + figures.events - figures.ignored
    return FeedReport(
      name: Self.dovecotName, last_heard: figures.lastHeard.map { clock.wall($0).rfc3339 },
      heard: figures.asked + figures.told + figures.resets + figures.pings + figures.events, told: told,
      not_understood: figures.unreadable + figures.unauthorised + figures.turnedAway, repeated: repeated.value, late: 0,
      problem: nil)
  }

  /// Logs that cannot be followed.
  var distress: [Distress.ID: String] {
    var distress: [Distress.ID: String] = [:]
    for log in logs {
      if let problem = log.problem { distress[Distress.ID(.feed, source: log.log.name)] = problem }
    }
    return distress
  }
}

extension Teller {
  fileprivate init(_ teller: DovecotFeed.Teller) {
    switch teller {
    case .policy: self = .policy
    case .events: self = .events
    }
  }
}
