import ServiceLifecycle
import WardenControl
import WardenCore
import WardenStore

/// What the engine has to tell, on its way to the log, the history and the administrator's commands: bounded, and never
/// waited for by mail.
final class Outbox: Service {
  /// Notices that may wait; beyond that they are dropped and counted.
  static let bound = 8_192

  private struct Entry: Sendable {
    let notice: Notice
    let queueID: String?
  }

  /// Where it all goes.
  struct Ways: Sendable {
    let log: NoticeLog
    let clock: LiveClock
    let runner: CommandRunner
    let trail: Trail
    let decisions: DecisionLog
    /// Nothing where nothing survives a restart.
    let keeper: StateKeeper?
    /// Counts what had no room.
    let drops: SharedCount
    /// Has a rule's next trip on a key ask for the command again.
    let retry: @Sendable (_ command: String, Episode.ID) -> Void
  }

  private let entries: AsyncStream<Entry>
  private let entrance: AsyncStream<Entry>.Continuation
  private let waits = SharedCount()
  private let ways: Ways

  init(_ ways: Ways) {
    self.ways = ways
    (entries, entrance) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.bound))
  }

  var dropped: Int { ways.drops.value }
  var waiting: Int { waits.value }

  func post(_ notices: [Notice], queueID: String?) {
    for notice in notices {
      waits.add()
      guard case .dropped = entrance.yield(Entry(notice: notice, queueID: queueID)) else { continue }
      waits.subtract()
      ways.drops.add()
      if case .run(let command) = notice.kind { ways.retry(command, notice.reason.episode) }
    }
  }

  func run() async {
    await withGracefulShutdownHandler {
      await withTaskGroup(of: Void.self) { group in
        for await entry in entries {
          waits.subtract()
          guard let keeper = ways.keeper else {
            tell(entry)
            continue
          }
          ways.decisions.note(entry.notice, queueID: entry.queueID, at: ways.clock.wall(entry.notice.at))
          guard entry.notice.kind == .blocked else {
            tell(entry)
            continue
          }
          // A block is told once it is stored: what was told must not be forgotten.
          if unstored.withLock({ $0.add(entry) }) { group.addTask { await self.tellOnceStored(keeper) } }
        }
      }
    } onGracefulShutdown: {
      self.entrance.finish()
    }
  }

  // MARK: - Blocks

  /// Blocks that wait to be stored: those that come while others are being stored are stored together.
  private struct Unstored {
    var entries: [Entry] = []
    var isStoring = false

    /// - Returns: whether storing has to begin.
    mutating func add(_ entry: Entry) -> Bool {
      entries.append(entry)
      defer { isStoring = true }
      return !isStoring
    }

    mutating func take() -> [Entry] {
      defer { entries = [] }
      if entries.isEmpty { isStoring = false }
      return entries
    }
  }
  private let unstored = Locked(Unstored())
  private static let storingPause = Duration.milliseconds(100)

  private func tellOnceStored(_ keeper: StateKeeper) async {
    while true {
      let entries = unstored.withLock { $0.take() }
      if entries.isEmpty { return }
      let problem = await keeper.store(.penalties)
      for entry in entries { tell(entry, isStored: problem == nil) }
      // Under attack those that come now are stored together: a transaction for each would take the mail's cores.
      try? await Task.sleep(for: Self.storingPause)
    }
  }

  // MARK: - Telling

  private func tell(_ entry: Entry, isStored: Bool = true) {
    ways.log.tell(entry.notice, queueID: entry.queueID, isStored: isStored)
    guard case .run(let command) = entry.notice.kind else { return }
    let id = entry.notice.reason.episode
    // The account that goes on must not go on because others were busy.
    if !ways.runner.post(episode(command, entry), of: id) { ways.retry(command, id) }
  }

  /// What the command is told, with what the key has sent already: that can still be stopped.
  private func episode(_ command: String, _ entry: Entry) -> CommandRunner.Episode {
    let (notice, clock) = (entry.notice, ways.clock)
    let start = notice.at - (notice.reason.window ?? .days(1))
    let sent = ways.trail.sent(by: notice.reason.key, since: start, atMost: CommandRunner.mostQueueIDs)
    let subject = notice.subject
    return CommandRunner.Episode(
      command: command, rule: notice.reason.rule, key: "\(notice.reason.key)", reason: notice.reason.sentence,
      at: clock.wall(notice.at).rfc3339, until: clock.wall(notice.reason.until).rfc3339, stage: notice.step.name,
      user: subject.user, ip: subject.ip.map { "\($0)" }, network: subject.network.map { "\($0)" },
      sender: subject.sender, queue_id: entry.queueID,
      queue_ids: sent.latest.filter { !$0.isHeld }.reversed().map(\.queueID))
  }
}
