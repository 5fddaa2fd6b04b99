import ArgumentParser
import Foundation
import Logging
import WardenCore

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run the daemon in the foreground, logging to standard error.",
    discussion: """
      SIGHUP checks the policy file and switches to it; a bad file leaves the running policy in force.
      SIGTERM takes no new sessions, waits up to 10 seconds for open ones, and exits 0.
      """)

  @OptionGroup var config: ConfigOption
  @Option(
    name: .long, help: ArgumentHelp("Write every event and decision to a new file, for `replay`.", valueName: "file"))
  var record: String?
  @Option(name: .long, help: "How the log is written: text, or json with one object a line.")
  var logFormat = LogFormat.text
  @Option(
    name: .long,
    help: ArgumentHelp("The least that is logged: debug, info, notice, warning, error.", valueName: "level"))
  var logLevel = LogLevel.info

  /// What people choose among; what is critical is always told.
  enum LogLevel: String, CaseIterable, ExpressibleByArgument {
    case debug, info, notice, warning, error
  }

  func run() throws {
    // Before any thread exists.
    Signals.block()
    let notifier = Notifier.fromEnvironment()
    let file = PolicyFile(path: config.config)
    let read = file.read()
    for diagnostic in read.diagnostics { printError(diagnostic.description) }
    guard let configuration = read.configuration else {
      printError(
        "mailwarden: not started: the policy has \(read.errors.count) error\(read.errors.count == 1 ? "" : "s")")
      throw ExitCode(78)  // EX_CONFIG of sysexits(3)
    }
    let (format, level) = (logFormat, Logger.Level(rawValue: logLevel.rawValue)!)
    let logger = Logger(label: "mailwarden") { _ in LineLogHandler(format: format, level: level) }
    defer { LogWriter.shared.flush(milliseconds: 1_000) }
    do {
      try Daemon(file: file, configuration: configuration, recording: record, notifier: notifier, logger: logger)
        .run()
    } catch {
      logger.critical("\(error)")
      throw ExitCode.failure
    }
  }
}

func printError(_ text: String) {
  FileHandle.standardError.write(Data("\(Quoted.control(text))\n".utf8))
}
