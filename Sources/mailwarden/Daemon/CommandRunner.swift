import Glibc
import Logging
import ServiceLifecycle
import Subprocess
import Synchronization
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
  }

  private static let bound = 256
  private static let atOnce = 4
  private static let limit = Duration.seconds(30)

  private let logger: Logger
  private let commands: Locked<[String: [String]]>
  private let entries: AsyncStream<Episode>
  private let entrance: AsyncStream<Episode>.Continuation
  private let drops = SharedCount()

  init(commands: [String: [String]], logger: Logger) {
    self.logger = logger
    self.commands = Locked(commands)
    (entries, entrance) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.bound))
  }

  var dropped: Int { drops.value }

  func replace(commands new: [String: [String]]) { commands.withLock { $0 = new } }

  /// - Returns: whether there was room.
  func post(_ episode: Episode) -> Bool {
    guard case .dropped = entrance.yield(episode) else { return true }
    drops.add()
    return false
  }

  func run() async {
    await withGracefulShutdownHandler {
      await withTaskGroup(of: Void.self) { group in
        var running = 0
        for await episode in entries {
          if running == Self.atOnce {
            await group.next()
            running -= 1
          }
          group.addTask { await execute(episode) }
          running += 1
        }
      }
    } onGracefulShutdown: {
      entrance.finish()
    }
  }

  private func execute(_ episode: Episode) async {
    // A reload may have taken it away meanwhile.
    guard let command = commands.withLock({ $0[episode.command] }), let program = command.first else { return }
    var metadata: Logger.Metadata = ["command": "\(episode.command)", "key": "\(episode.key)"]
    do {
      let status = try await status(of: program, Array(command.dropFirst()), JSONCoding.text(episode) + "\n")
      guard status != .exited(0) else { return logger.info("command ended", metadata: metadata) }
      metadata["status"] = "\(status)"
      logger.error("a command failed", metadata: metadata)
    } catch is CancellationError {
      metadata["limit"] = "\(Self.limit)"
      logger.error("a command took too long and was stopped", metadata: metadata)
    } catch {
      metadata["why"] = "\(error)"
      logger.error("a command could not be run", metadata: metadata)
    }
  }

  /// - Throws: `CancellationError` when the time is over.
  private func status(
    of program: String, _ arguments: [String], _ input: String
  ) async throws -> TerminationStatus {
    var options = PlatformOptions()
    options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(2))]
    return try await withThrowingTaskGroup(of: TerminationStatus?.self) { group in
      group.addTask { [options] in
        let pipe = try Self.pipe(holding: input)
        defer { close(pipe) }
        return try await Subprocess.run(
          .path(.init(program)), arguments: Arguments(arguments), platformOptions: options,
          input: .fileDescriptor(.init(rawValue: pipe), closeAfterSpawningProcess: false), output: .discarded,
          error: .discarded
        ).terminationStatus
      }
      group.addTask {
        try await Task.sleep(for: Self.limit)
        return nil
      }
      let first = try await group.next() ?? nil
      group.cancelAll()
      guard let first else { throw CancellationError() }
      return first
    }
  }
}

/// The system would not do something.
private struct SystemProblem: Error, CustomStringConvertible {
  let description: String
  init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
}

extension CommandRunner {
  /// A pipe that holds the text and then ends: far less than a pipe takes. Were it written as the command reads, a command
  /// that does not read would end the daemon: https://github.com/swiftlang/swift-subprocess/issues/367
  private static func pipe(holding text: String) throws -> Int32 {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { throw SystemProblem("cannot make its standard input") }
    defer { close(ends[1]) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    var text = text
    guard text.withUTF8({ write(ends[1], $0.baseAddress, $0.count) == $0.count }) else {
      let problem = SystemProblem("cannot write its standard input")
      close(ends[0])
      throw problem
    }
    return ends[0]
  }
}

/// A count that any thread adds to.
final class SharedCount: Sendable {
  private let count = Atomic(0)
  func add() { count.add(1, ordering: .relaxed) }
  var value: Int { count.load(ordering: .relaxed) }
}
