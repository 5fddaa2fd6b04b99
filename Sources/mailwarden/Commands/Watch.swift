import ArgumentParser
import Foundation
import WardenControl
import WardenCore
import WardenScreen

struct Watch: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows events and decisions as they happen.",
    discussion: """
      Ends by Ctrl-C, or when nobody reads its output any more. When the daemon goes away, for a restart perhaps, it tries
      again for a minute.
      """)

  @Argument(help: "Only what concerns this key, for example user:alice@example.org or network:203.0.113.0/24.")
  var key: String?
  @Option(name: .long, help: ArgumentHelp("Only where this rule has acted or would have.", valueName: "name"))
  var rule: String?
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Only these, with commas between: go-on, exempt, refused, held, delayed; blocked, observed, alert, run.",
      valueName: "list"))
  var decision: String?
  @OptionGroup var daemon: DaemonOptions

  /// A restart with many open sessions takes less.
  private static let patience = 60

  func run() throws {
    Output.endWithReader()
    let query = [("key", key), ("rule", rule), ("decision", decision)].compactMap { name, value in
      value.map { (name, $0) }
    }
    let client = daemon.client
    let isJSON = daemon.output.json
    try waiting { try await Self.follow(client, query, isJSON: isJSON) }
  }

  private static func follow(_ client: ControlClient, _ query: [(String, String)], isJSON: Bool) async throws {
    let (isTerminal, isColoured) = (isatty(STDOUT_FILENO) == 1, Terminal.isColoured)
    let attempts = Attempts()
    while true {
      let why: String
      do {
        try await client.follow("/v1/events", query: query, opened: { attempts.succeeded() }) { message in
          if isJSON {
            Output.line(JSONLine.text(message.data))
          } else if let record = StreamRecord(message) {
            Output.line(
              RecordText.line(record).text { isTerminal ? ANSI.text($0, $1, isColoured: isColoured) : $0 })
          }
        }
        why = "it has ended the stream"
      } catch ControlClient.Problem.unreachable(_, let words) where attempts.hasSucceeded {
        why = words
      }
      guard attempts.failed(why, atMost: patience) else {
        throw ErrorReport(error: "the daemon at \(client.path) has not come back within \(patience) s: \(why)")
      }
      try await Task.sleep(for: .seconds(1))
    }
  }

  /// Tells on standard error, once each, that the daemon has gone and that it is back.
  private final class Attempts: Sendable {
    /// Failures since it was last heard; nothing before it ever was.
    private let failures = Locked<Int?>(nil)

    var hasSucceeded: Bool { failures.withLock { $0 != nil } }

    func succeeded() {
      let before = failures.withLock { failures in
        defer { failures = 0 }
        return failures
      }
      if let before, before > 0 { Self.say("the daemon is back") }
    }

    func failed(_ why: String, atMost most: Int) -> Bool {
      let count = failures.withLock { failures in
        failures = (failures ?? 0) + 1
        return failures!
      }
      if count == 1 { Self.say("the daemon has gone away: \(why); trying again for \(most) s") }
      return count <= most
    }

    private static func say(_ words: String) {
      FileHandle.standardError.write(Data("mailwarden watch: \(words)\n".utf8))
    }
  }
}
