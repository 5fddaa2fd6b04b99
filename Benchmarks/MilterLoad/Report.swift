import FoundationEssentials
import Glibc

/// The figures, as a text table and as JSON.
struct Report: Codable {
  /// By name; the one under test comes first.
  let filters: [String]
  /// The one that negotiates what the one under test does, and must have answered as often.
  let twin: String?
  var entries: [Entry] = []

  init(filters: [String], twin: String?) {
    self.filters = filters
    self.twin = twin
  }

  private var tested: String { filters[0] }

  /// One scenario. What follows is by filter, then by round; at the same index all had the same traffic, each as much
  /// of it as it played.
  struct Entry: Codable {
    let scenario: Scenario
    let messagesARound: [Int]
    var rounds: [[Round]]

    var hasFaults: Bool { rounds.joined().contains { !$0.faults.isEmpty } }
  }

  private typealias Figure = KeyPath<Round.Figures, Double>

  private static var columns: [(title: String, figure: Figure)] {
    [
      ("CPU µs/msg", \.cpuPerMessage), ("messages/s", \.messagesPerSecond), ("p50 µs", \.median),
      ("p99 µs", \.percentile99), ("max µs", \.slowest),
    ]
  }

  func printHead() {
    print("\(filters.joined(separator: ", ")): medians of the rounds; max: of all rounds")
    print("/ OTHER: \(tested) / OTHER, median of the rounds' ratios (least..greatest)\n")
  }

  mutating func add(_ entry: Entry) {
    entries.append(entry)
    let messages = entry.messagesARound
    let counts = Set(messages).count == 1 ? "\(messages[0])" : messages.map(String.init).joined(separator: ", ")
    print("\(entry.scenario): \(counts) messages a round, rounds \(entry.rounds[0].count)")
    printRow("", Self.columns.map(\.title))
    for (name, rounds) in zip(filters, entry.rounds) {
      printRow(name, Self.columns.map { fixed(Self.summary($0.figure, rounds), digits: 1) })
    }
    for (name, rounds) in zip(filters, entry.rounds).dropFirst() {
      printRow("/ \(name)", Self.columns.map { Self.ratio($0.figure, entry.rounds[0], rounds) })
    }
    for (name, rounds) in zip(filters, entry.rounds) { printVerdicts(name, rounds) }
    print("")
    fflush(nil)  // A file is to show it too while the rest runs.
  }

  /// The last block: what more connections cost.
  func printFall() {
    for few in entries where few.scenario.connections == 8 {
      let shape = few.scenario
      let many = entries.first {
        $0.scenario.connections == 256 && $0.scenario.recipients == shape.recipients
          && $0.scenario.messages == shape.messages
      }
      guard let many else { continue }
      print("messages/s at 8 -> 256 connections (recipients \(shape.recipients), messages a session \(shape.messages))")
      for (index, name) in filters.enumerated() {
        let from = Self.summary(\.messagesPerSecond, few.rounds[index])
        let to = Self.summary(\.messagesPerSecond, many.rounds[index])
        let change = fixed((to / from - 1) * 100, digits: 1)
        print("  \(padded(name, width)) \(fixed(from, digits: 0)) -> \(fixed(to, digits: 0)) (\(change) %)")
      }
    }
  }

  /// The last block beside peers, in Markdown: CPU of all filters as ratios to those named.
  func printSummary(references: [String], absent: [String]) {
    let bases = references.compactMap { filters.firstIndex(of: $0) }
    let heads =
      ["", "CPU µs/msg"] + bases.map { "CPU / \(filters[$0])" } + ["messages/s"]
      + bases.map { "messages/s / \(filters[$0])" }
    for entry in entries {
      print("\(entry.scenario)\n")
      printLine(heads)
      printLine(heads.map { _ in "---" })
      for (name, rounds) in zip(filters, entry.rounds) {
        let cells = [(\Round.Figures.cpuPerMessage, 1), (\.messagesPerSecond, 0)].flatMap { figure, digits in
          [fixed(Self.summary(figure, rounds), digits: digits)]
            + bases.map { Self.ratio(figure, rounds, entry.rounds[$0]) }
        }
        printLine([name] + cells)
      }
      for text in absent {
        let words = text.split(separator: " ", maxSplits: 1).map(String.init)
        printLine(words + heads.dropFirst(words.count).map { _ in "" })
      }
      print("")
    }
  }

  /// What makes the figures worthless.
  func problems(allowRefusals: Bool) -> [String] {
    entries.flatMap { entry in
      var problems: [String] = []
      for (name, rounds) in zip(filters, entry.rounds) {
        if let fault = rounds.flatMap(\.faults).first { problems.append("\(entry.scenario): \(name): \(fault)") }
        let refusals = rounds.reduce(0) { $0 + $1.verdicts.refused + $1.verdicts.discarded }
        if refusals > 0, !allowRefusals {
          problems.append("\(entry.scenario): \(name) has refused or discarded \(refusals) times")
        }
        guard name == twin else { continue }
        if rounds.map(\.messages) != entry.rounds[0].map(\.messages) {
          problems.append("\(entry.scenario): \(tested) and \(name) have seen different numbers of messages")
        } else if !allowRefusals, rounds.map(\.verdicts.all) != entry.rounds[0].map(\.verdicts.all) {
          problems.append("\(entry.scenario): \(tested) and \(name) have not answered equally often (early accepts?)")
        }
      }
      return problems
    }
  }

  func writeJSON(to file: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try encoder.encode(self).write(to: URL(filePath: file))
  }

  // MARK: Parts of the table

  /// The median over the rounds; of the slowest round trips the slowest.
  private static func summary(_ figure: Figure, _ rounds: [Round]) -> Double {
    let all = rounds.map { $0.figures[keyPath: figure] }.sorted()
    return figure == \.slowest ? all.last! : median(all)
  }

  private static func ratio(_ figure: Figure, _ rounds: [Round], _ others: [Round]) -> String {
    let ratios = zip(rounds, others).map { $0.figures[keyPath: figure] / $1.figures[keyPath: figure] }.sorted()
    let ends = [median(ratios), ratios.first!, ratios.last!].map { fixed($0, digits: 2) }
    return "\(ends[0]) (\(ends[1])..\(ends[2]))"
  }

  private static func median(_ sorted: [Double]) -> Double {
    (sorted[sorted.count / 2] + sorted[(sorted.count - 1) / 2]) / 2
  }

  /// Of the first column.
  private var width: Int { 2 + max(12, filters.map(\.count).max()!) }

  private func printLine(_ cells: [String]) { print("| \(cells.joined(separator: " | ")) |") }

  private func printRow(_ name: String, _ cells: [String]) {
    print("  \(padded(name, width))" + cells.map { padded($0, -24) }.joined())
  }

  private func printVerdicts(_ name: String, _ rounds: [Round]) {
    var verdicts = Tally.Verdicts()
    for round in rounds { verdicts.add(round.verdicts) }
    let stopped = rounds.reduce(0) { $0 + $1.stoppedMessages }
    let messages = rounds.reduce(0) { $0 + $1.messages }
    print(
      "  \(padded(name, width)) \(verdicts.all) answers, other than continue \(verdicts.all - verdicts.continued)"
        + " (refused \(verdicts.refused), discarded \(verdicts.discarded), accepted \(verdicts.accepted),"
        + " skipped \(verdicts.skipped)); messages stopped \(stopped) of \(messages)")
  }
}

/// Left-aligned in a positive width, right-aligned in a negative one.
private func padded(_ text: String, _ width: Int) -> String {
  let space = String(repeating: " ", count: max(0, abs(width) - text.count))
  return width > 0 ? text + space : space + text
}

private func fixed(_ number: Double, digits: Int) -> String {
  guard number.isFinite else { return "-" }
  let scale = digits == 0 ? 1 : digits == 1 ? 10 : 100
  let scaled = Int((number.magnitude * Double(scale)).rounded())
  let sign = number < 0 && scaled > 0 ? "-" : ""
  let fraction = digits == 0 ? "" : "." + String(String(scale + scaled % scale).dropFirst())
  return "\(sign)\(scaled / scale)\(fraction)"
}
