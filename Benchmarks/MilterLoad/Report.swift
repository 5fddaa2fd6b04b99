import FoundationEssentials

/// The figures, as a text table and as JSON.
struct Report: Codable {
  let tested: String
  let bare: String
  var entries: [Entry] = []

  init(tested: String, bare: String) {
    self.tested = tested
    self.bare = bare
  }

  /// One scenario; round by round, at the same index both had the same traffic.
  struct Entry: Codable {
    let scenario: Scenario
    let messagesARound: Int
    var tested: [Round] = []
    var bare: [Round] = []

    var hasFaults: Bool { (tested + bare).contains { !$0.faults.isEmpty } }
  }

  private typealias Figure = KeyPath<Round.Figures, Double>

  private static var columns: [(title: String, figure: Figure)] {
    [
      ("CPU µs/msg", \.cpuPerMessage), ("messages/s", \.messagesPerSecond), ("p50 µs", \.median),
      ("p99 µs", \.percentile99), ("max µs", \.slowest),
    ]
  }

  func printHead() {
    print("\(tested) and \(bare): medians of the rounds; max: of all rounds")
    print("ratio: \(tested) / \(bare), median of the rounds' ratios (least..greatest)\n")
  }

  mutating func add(_ entry: Entry) {
    entries.append(entry)
    print("\(entry.scenario): \(entry.messagesARound) messages a round, rounds \(entry.tested.count)")
    printRow("", Self.columns.map(\.title))
    for (name, rounds) in [(tested, entry.tested), (bare, entry.bare)] {
      printRow(name, Self.columns.map { fixed(Self.summary($0.figure, rounds), digits: 1) })
    }
    printRow("ratio", Self.columns.map { Self.ratio($0.figure, entry) })
    for (name, rounds) in [(tested, entry.tested), (bare, entry.bare)] { printVerdicts(name, rounds) }
    print("")
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
      for (name, before, after) in [(tested, few.tested, many.tested), (bare, few.bare, many.bare)] {
        let (from, to) = (Self.summary(\.messagesPerSecond, before), Self.summary(\.messagesPerSecond, after))
        let change = fixed((to / from - 1) * 100, digits: 1)
        print("  \(padded(name, 14)) \(fixed(from, digits: 0)) -> \(fixed(to, digits: 0)) (\(change) %)")
      }
    }
  }

  /// What makes the figures worthless.
  func problems(allowRefusals: Bool) -> [String] {
    entries.flatMap { entry in
      var problems: [String] = []
      for (name, rounds) in [(tested, entry.tested), (bare, entry.bare)] {
        if let fault = rounds.flatMap(\.faults).first { problems.append("\(entry.scenario): \(name): \(fault)") }
      }
      if entry.tested.map(\.messages) != entry.bare.map(\.messages) {
        problems.append("\(entry.scenario): the filters have seen different numbers of messages")
      }
      let refusals = entry.tested.reduce(0) { $0 + $1.verdicts.refused + $1.verdicts.discarded }
      if !allowRefusals {
        if refusals > 0 {
          problems.append("\(entry.scenario): \(tested) has refused or discarded \(refusals) times")
        } else if entry.tested.map(\.verdicts.all) != entry.bare.map(\.verdicts.all) {
          problems.append("\(entry.scenario): the filters have not answered equally often (early accepts?)")
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

  private static func ratio(_ figure: Figure, _ entry: Entry) -> String {
    let pairs = zip(entry.tested, entry.bare)
    let ratios = pairs.map { $0.figures[keyPath: figure] / $1.figures[keyPath: figure] }.sorted()
    let ends = [median(ratios), ratios.first!, ratios.last!].map { fixed($0, digits: 2) }
    return "\(ends[0]) (\(ends[1])..\(ends[2]))"
  }

  private static func median(_ sorted: [Double]) -> Double {
    (sorted[sorted.count / 2] + sorted[(sorted.count - 1) / 2]) / 2
  }

  private func printRow(_ name: String, _ cells: [String]) {
    print("  \(padded(name, 14))" + cells.map { padded($0, -20) }.joined())
  }

  private func printVerdicts(_ name: String, _ rounds: [Round]) {
    var verdicts = Tally.Verdicts()
    for round in rounds { verdicts.add(round.verdicts) }
    let stopped = rounds.reduce(0) { $0 + $1.stoppedMessages }
    let messages = rounds.reduce(0) { $0 + $1.messages }
    print(
      "  \(padded(name, 14)) \(verdicts.all) answers, other than continue \(verdicts.all - verdicts.continued)"
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
