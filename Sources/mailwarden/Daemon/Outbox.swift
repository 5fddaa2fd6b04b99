import Logging
import ServiceLifecycle
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
  private let drops = SharedCount()
  private let logger: Logger
  private let runner: CommandRunner
  /// Lets a rule's next trip on a key tell again.
  private let retry: @Sendable (String, Key) -> Void

  init(logger: Logger, runner: CommandRunner, retry: @escaping @Sendable (String, Key) -> Void) {
    self.logger = logger
    self.runner = runner
    self.retry = retry
    (entries, entrance) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.bound))
  }

  var dropped: Int { drops.value }

  func post(_ notices: [Notice], queueID: String?) {
    for notice in notices {
      if case .dropped = entrance.yield(Entry(notice: notice, queueID: queueID)) { drops.add() }
    }
  }

  func run() async {
    await withGracefulShutdownHandler {
      for await entry in entries { tell(entry) }
    } onGracefulShutdown: {
      self.entrance.finish()
    }
  }

  private func tell(_ entry: Entry) {
    let notice = entry.notice
    var metadata: Logger.Metadata = [
      "rule": "\(notice.reason.rule)", "key": "\(notice.reason.key)", "reason": "\(notice.reason.sentence)",
      "stage": "\(notice.step.name)", "until": "\(notice.reason.until.rfc3339)",
    ]
    let subject = notice.subject
    metadata["ip"] = subject.address.map { "\($0)" }
    metadata["user"] = subject.user.map { "\($0)" }
    metadata["sender"] = subject.sender.map { "\($0)" }
    let queueID = entry.queueID.map { "\($0): " } ?? ""
    switch notice.kind {
    case .alert: logger.warning("\(queueID)alert", metadata: metadata)
    case .blocked: logger.warning("\(queueID)blocked", metadata: metadata)
    case .observed: logger.notice("\(queueID)observed, not enforced", metadata: metadata)
    case .refused: logger.notice("\(queueID)refused", metadata: metadata)
    case .held: logger.notice("\(queueID)held", metadata: metadata)
    case .run(let command):
      metadata["command"] = "\(command)"
      logger.notice("\(queueID)run", metadata: metadata)
      let hasRoom = runner.post(
        CommandRunner.Episode(
          command: command, rule: notice.reason.rule, key: "\(notice.reason.key)", reason: notice.reason.sentence,
          at: notice.at.rfc3339, until: notice.reason.until.rfc3339, stage: notice.step.name, user: subject.user,
          ip: subject.ip.map { "\($0)" }, network: subject.network.map { "\($0)" }, sender: subject.sender,
          queue_id: entry.queueID))
      // The account that goes on must not go on because others were busy.
      if !hasRoom { retry(notice.reason.rule, notice.reason.key) }
    }
  }
}
