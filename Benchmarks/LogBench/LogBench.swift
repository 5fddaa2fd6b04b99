import ArgumentParser

/// What reading a mail log costs, without any engine.
@main
struct LogBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log-bench", abstract: "What reading a mail log costs, without any engine.",
    subcommands: [Generate.self, Parse.self, Join.self])
}
