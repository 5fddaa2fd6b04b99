import ArgumentParser
import WardenControl
import WardenCore
import WardenScreen

struct Top: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "A screen to leave open: rates, busiest keys, tripped rules, blocks, as they happen.",
    discussion: """
      `?` shows the keys. `b` blocks and `r` releases the chosen key, after a confirmation. Without a terminal it prints a
      line every few seconds, and trips and blocks as they happen.
      """)

  @Option(name: .long, help: ArgumentHelp("How often to ask the daemon, 1s to 1m.", valueName: "time"))
  var delay = "2s"
  @OptionGroup var daemon: DaemonOptions

  func validate() throws {
    guard let span = TimeSpan(delay), (TopState.shortestDelay...TopState.longestDelay).contains(span) else {
      throw ValidationError("--delay \"\(delay)\" is not a time span from 1s to 1m")
    }
  }

  func run() throws {
    let span = TimeSpan(delay)!
    if !daemon.output.json && Terminal.isScreen {
      var loop = TopLoop(daemon.client, delay: span)
      loop.run()
    } else {
      TopLines(daemon.client, delay: span, isJSON: daemon.output.json).run()
    }
  }
}
