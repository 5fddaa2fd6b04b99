import Logging
import ServiceLifecycle
import Synchronization
import WardenCore

/// What the engine has to tell, on its way to the log: bounded, and never waited for by mail.
final class Outbox: Service {
  /// Notices that may wait; beyond that they are dropped and counted.
  static let bound = 8_192

  private struct Entry: Sendable {
    let notice: Notice
    let queueID: String?
  }

  private let entries: AsyncStream<Entry>
  private let entrance: AsyncStream<Entry>.Continuation
  private let drops = Atomic<Int>(0)
  private let logger: Logger

  init(logger: Logger) {
    self.logger = logger
    (entries, entrance) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.bound))
  }

  var dropped: Int { drops.load(ordering: .relaxed) }

  func post(_ notices: [Notice], queueID: String?) {
    for notice in notices {
      if case .dropped = entrance.yield(Entry(notice: notice, queueID: queueID)) { drops.add(1, ordering: .relaxed) }
    }
  }

  func run() async {
    await withGracefulShutdownHandler {
      for await entry in entries { log(entry.notice, queueID: entry.queueID) }
    } onGracefulShutdown: {
      self.entrance.finish()
    }
  }

  private func log(_ notice: Notice, queueID: String?) {
    var metadata: Logger.Metadata = [
      "rule": "\(notice.reason.rule)", "key": "\(notice.reason.key)", "reason": "\(notice.reason.sentence)",
      "stage": "\(notice.step.name)", "until": "\(notice.reason.until.rfc3339)",
    ]
    let subject = notice.subject
    metadata["ip"] = subject.address.map { "\($0)" }
    metadata["user"] = subject.user.map { "\($0)" }
    metadata["sender"] = subject.sender.map { "\($0)" }
    let queueID = queueID.map { "\($0): " } ?? ""
    switch notice.kind {
    case .alert: logger.warning("\(queueID)alert", metadata: metadata)
    case .blocked: logger.warning("\(queueID)blocked", metadata: metadata)
    case .observed: logger.notice("\(queueID)observed, not enforced", metadata: metadata)
    case .refused: logger.notice("\(queueID)refused", metadata: metadata)
    }
  }
}
