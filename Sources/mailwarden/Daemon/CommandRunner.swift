import Logging
import ServiceLifecycle
import WardenAlerts
import WardenControl
import WardenCore

/// Runs the administrator's commands (`run NAME`): no shell, what happened as JSON on standard input, a few at a time,
/// each within a time limit. A full queue drops, and counts what it dropped.
struct CommandRunner: Service {
  /// What a command is told. Field names are stable.
  struct Episode: Encodable, Sendable {
    let command: String
    let rule: String
    let key: String
    let reason: String
    let at: String
    let until: String
    let stage: String
    let user: String?
    let ip: String?
    let network: String?
    let sender: String?
    let queue_id: String?
    /// The latest messages of the key within the rule's window that have passed and are not held, newest last.
    let queue_ids: [String]
  }

  static let mostQueueIDs = 500

  static let bound = 256
  private static let atOnce = 4

  private let logger: Logger
  private let commands: Locked<[String: [String]]>
  private struct Entry: Sendable {
    let episode: Episode
    let id: WardenCore.Episode.ID
  }

  private let entries: AsyncStream<Entry>
  private let entrance: AsyncStream<Entry>.Continuation
  private let drops = SharedCount()
  private let waits = SharedCount()
  /// Called once a command has been carried out, however it ended.
  private let ended: @Sendable (_ command: String, WardenCore.Episode.ID) -> Void

  init(
    commands: [String: [String]], logger: Logger,
    ended: @escaping @Sendable (_ command: String, WardenCore.Episode.ID) -> Void
  ) {
    self.ended = ended
    self.logger = logger
    self.commands = Locked(commands)
    (entries, entrance) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.bound))
  }

  var dropped: Int { drops.value }
  var waiting: Int { waits.value }

  func replace(commands new: [String: [String]]) { commands.withLock { $0 = new } }

  /// - Returns: whether there was room.
  func post(_ episode: Episode, of id: WardenCore.Episode.ID) -> Bool {
    waits.add()
    guard case .dropped = entrance.yield(Entry(episode: episode, id: id)) else { return true }
    waits.subtract()
    drops.add()
    return false
  }

  func run() async {
    await withGracefulShutdownHandler {
      await withTaskGroup(of: Void.self) { group in
        var running = 0
        for await entry in entries {
          if running == Self.atOnce {
            await group.next()
            running -= 1
          }
          waits.subtract()
          group.addTask { await execute(entry) }
          running += 1
        }
      }
    } onGracefulShutdown: {
      entrance.finish()
    }
  }

  private func execute(_ entry: Entry) async {
    let episode = entry.episode
    // A reload may have taken it away meanwhile.
    guard let command = commands.withLock({ $0[episode.command] }) else { return ended(episode.command, entry.id) }
    var metadata: Logger.Metadata = ["command": "\(episode.command)", "key": "\(episode.key)"]
    // What a stop has kept from its end is asked for again after the start.
    guard let outcome = try? await ProgramRunner().run(command, input: JSONCoding.text(episode) + "\n") else { return }
    ended(episode.command, entry.id)
    switch outcome {
    case .succeeded: return logger.info("command ended", metadata: metadata)
    case .failed(let status, let complaint):
      metadata["status"] = "\(status)"
      metadata["why"] = complaint.isEmpty ? nil : "\(complaint)"
      logger.error("a command failed", metadata: metadata)
    case .tookTooLong(let limit, let complaint):
      metadata["limit"] = "\(limit)"
      metadata["why"] = complaint.isEmpty ? nil : "\(complaint)"
      logger.error("a command took too long and was stopped", metadata: metadata)
    case .notRun(let why):
      metadata["why"] = "\(why)"
      logger.error("a command could not be run", metadata: metadata)
    }
  }
}
