import ArgumentParser
import WardenControl
import WardenCore

struct Explain: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Why a key is or is not limited: by which rule, until when, what is left.")

  @Argument(help: "For example user:alice@example.org or ip:192.0.2.7.")
  var key: String
  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    let key = key
    _ = try daemon.ask({ try await $0.ask("/v1/explain", query: ["key": key], as: ExplainReport.self) }) { answer in
      var text = Quoted.control(answer.key) + "\n"
      text += answer.sentences.map { "  " + Quoted.control($0) }.joined(separator: "\n")
      if !answer.counters.isEmpty { text += "\n\n" + Counters.table(answer.counters) }
      return text
    }
  }
}
