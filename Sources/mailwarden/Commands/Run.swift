import ArgumentParser
import Foundation
import Logging

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

  func run() throws {
    // Before any thread exists.
    Signals.block()
    let file = PolicyFile(path: config.config)
    let read = file.read()
    for diagnostic in read.diagnostics { printError(diagnostic.description) }
    guard let configuration = read.configuration else {
      printError(
        "mailwarden: not started: the policy has \(read.errors.count) error\(read.errors.count == 1 ? "" : "s")")
      throw ExitCode(78)  // EX_CONFIG of sysexits(3)
    }
    let logger = Logger(label: "mailwarden") { _ in LineLogHandler() }
    defer { LogWriter.shared.flush(milliseconds: 1_000) }
    do {
      try Daemon(file: file, configuration: configuration, recording: record, logger: logger).run()
    } catch {
      logger.critical("\(error)")
      throw ExitCode.failure
    }
  }
}

func printError(_ text: String) {
  FileHandle.standardError.write(Data("\(Quoted.control(text))\n".utf8))
}
