import ArgumentParser
import FoundationEssentials
import HijackTraffic
import WardenCore
import WardenPolicy

/// Plays a month of honest mail with twenty hijacked accounts in it against policies, and says what each would have done.
@main
struct HijackSuite: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hijack-suite",
    abstract: "Plays a month of mail with 20 hijacked accounts against policies.",
    discussion: """
      1,000 accounts, \(Traffic.warmUpDays) days in which every rule only observes, then \(Traffic.days) days that count. \
      The same seed gives the same traffic on any machine.
      """)

  @Option(
    help: ArgumentHelp("A policy file under a name of yours; several stand side by side.", valueName: "name=file"))
  var policy: [String] = []

  @Option(help: "The traffic's seed.")
  var seed = 1

  @Option(help: "Several seeds; their figures are added up.", transform: Self.numbers)
  var seeds: [Int] = []

  @Flag(help: "Enforce what the policies would only observe.")
  var enforce = false

  @Flag(help: "Also print each hijack's course.")
  var courses = false

  @Flag(help: "Print tables for a document.")
  var markdown = false

  @Flag(help: "Print the figures of every run as JSON.")
  var json = false

  @Flag(help: "Print what the traffic consists of, and its digest.")
  var traffic = false

  func validate() throws {
    guard !policy.isEmpty || traffic else { throw ValidationError("Name a policy: --policy default=FILE.") }
  }

  func run() throws {
    let policies = try policy.map(read)
    let seeds = self.seeds.isEmpty ? [seed] : self.seeds
    var figures: [Figures] = []
    for seed in seeds {
      let traffic = Traffic(seed: seed)
      if self.traffic { print(Census(traffic).table.text + "\n") }
      for (name, policy) in policies { figures.append(try Playback.figures(of: policy, named: name, traffic)) }
    }
    guard !policies.isEmpty else { return }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      print(String(decoding: try encoder.encode(figures), as: UTF8.self))
      return
    }
    let report = Report(figures, policies: policies.map(\.name), seeds: seeds)
    print("Seeds \(seeds.map(String.init).joined(separator: ", ")): \(seeds.count * Traffic.days) days\n")
    for table in report.tables() + (courses ? [report.courseTable()] : []) {
      print((markdown ? table.markdown : table.text) + "\n")
    }
  }

  private func read(_ argument: String) throws -> (name: String, policy: Policy) {
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    guard parts.count == 2 else { throw ValidationError("\(argument) is not NAME=FILE") }
    let text = try String(contentsOfFile: parts[1], encoding: .utf8)
    let result = PolicyReader.read(text, file: parts[1])
    guard var policy = result.configuration?.policy else {
      throw ValidationError(result.errors.map(\.description).joined(separator: "\n"))
    }
    if enforce {
      for index in policy.rules.indices { policy.rules[index].mode = .enforce }
    }
    return (parts[0], policy)
  }

  private static func numbers(_ text: String) throws -> [Int] {
    try text.split(separator: ",").map { part in
      guard let number = Int(part) else { throw ValidationError("\(part) is not a number") }
      return number
    }
  }
}
