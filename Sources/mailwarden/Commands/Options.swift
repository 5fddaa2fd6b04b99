import ArgumentParser
import Foundation
import WardenControl
import WardenCore
import WardenPolicy
import WardenScreen

struct ConfigOption: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("The policy file.", valueName: "file"))
  var config = Configuration.defaultFile
}

struct JSONFlag: ParsableArguments {
  @Flag(name: .long, help: "Print JSON with stable field names.")
  var json = false
}

/// What every command needs that talks to the daemon.
struct DaemonOptions: ParsableArguments {
  @OptionGroup var config: ConfigOption
  @Option(
    name: .long,
    help: ArgumentHelp("The daemon's control socket. (default: the policy file's listen.control)", valueName: "path"))
  var socket: String?
  @OptionGroup var output: JSONFlag

  var client: ControlClient {
    ControlClient(path: socket ?? PolicyFile(path: config.config).read().controlSocket)
  }

  /// Asks the daemon and prints its answer, as JSON or as the command puts it.
  func ask<Answer: Codable & Sendable>(
    _ question: @escaping @Sendable (ControlClient) async throws -> Answer, print text: (Answer) -> String
  ) throws -> Answer {
    let client = client
    let answer = try waiting { try await question(client) }
    print(output.json ? JSONLine.ascii(JSONCoding.text(answer, pretty: true)) : text(answer))
    return answer
  }
}

/// Waits for asynchronous work on a thread that may block.
func waiting<Answer: Sendable>(_ work: @escaping @Sendable () async throws -> Answer) throws -> Answer {
  let result = Locked<Result<Answer, any Error>?>(nil)
  let done = DispatchSemaphore(value: 0)
  Task.detached {
    let outcome: Result<Answer, any Error>
    do { outcome = .success(try await work()) } catch { outcome = .failure(error) }
    result.withLock { $0 = outcome }
    done.signal()
  }
  done.wait()
  return try result.withLock { $0 }!.get()
}
