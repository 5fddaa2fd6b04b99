import ArgumentParser
import Foundation
import WardenCore
import WardenPolicy
import WardenStore

/// What it takes to keep the state: to read all of it at a start, and to write what changes.
@main
struct StateBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "state-bench", abstract: "What it takes to keep the state.",
    subcommands: [FillBench.self, ReadBench.self, StartBench.self, WriteBench.self])

  struct Broken: Error, CustomStringConvertible {
    let description: String
  }
}

/// The policy that the daemon will run under, and the folder that it names.
struct Site: ParsableArguments {
  @Option(name: .customLong("config"), help: "The policy file, with state: FOLDER.")
  var file: String

  func read() throws -> (configuration: Configuration, folder: String) {
    let text = try String(contentsOfFile: file, encoding: .utf8)
    let read = PolicyReader.read(text, file: file)
    guard let configuration = read.configuration, let folder = configuration.state else {
      throw StateBench.Broken(
        description: read.errors.first?.description ?? "\(file) does not say where the state is kept")
    }
    return (configuration, folder)
  }
}

extension Timestamp {
  static var now: Timestamp { Timestamp(microseconds: Int(Date.now.timeIntervalSince1970 * 1e6)) }
}
