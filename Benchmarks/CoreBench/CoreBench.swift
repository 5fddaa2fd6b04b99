import ArgumentParser

/// What counting costs, without any MTA.
@main
struct CoreBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "core-bench", abstract: "What counting costs, without any MTA.",
    subcommands: [TableBench.self, EngineBench.self, SprayBench.self])

  static func time(_ work: () -> Void) -> Double { nanoseconds(work) }
}
