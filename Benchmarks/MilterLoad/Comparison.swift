import Glibc
import MilterClient

/// The filter under test against others: the same sessions, round by round in turn.
struct Comparison {
  private let options: Options
  private let scenarios: [Scenario]
  private let rounds: Int
  /// Others take part than the bare filter, even if none of them is there.
  private let hasPeers: Bool
  /// Aimed at, for each filter.
  private let secondsARound: Double
  /// Between rounds, so that what a filter still does after its own does not fall into another's.
  private let rest: Int
  /// Messages a second; nothing: as many as go.
  private let pace: Int?

  init(_ options: Options) throws {
    self.options = options
    let isQuick = options.has("quick")
    let chosen = try options.all("scenario").map { try Scenario($0) }
    hasPeers = !options.all("peer").isEmpty || !options.all("absent").isEmpty
    let (full, quick) = hasPeers ? (Scenario.peers, Scenario.quickPeers) : (Scenario.full, Scenario.quick)
    scenarios = !chosen.isEmpty ? chosen : isQuick ? quick : full
    rounds = try options.number("rounds", default: isQuick ? 3 : 7)
    secondsARound = try options["seconds"].map { _ in Double(try options.number("seconds")) } ?? (isQuick ? 0.4 : 1.0)
    rest = try options.number("rest", default: 0)
    pace = try options["pace"].map { _ in try options.number("pace") }
  }

  /// Returns whether all filters let the same messages through.
  func run() throws -> Bool {
    Child.stopAllOnSignal()
    defer { Child.stopAll() }
    let folder = try TemporaryFolder()
    let tested = try Child.start(
      name: try options.required("name"), command: try options.required("command"),
      place: try options.place("socket"), log: folder.path + "/tested.log")
    let peers = try options.all("peer").map { try Filter($0) }
    for peer in peers { try peer.waitUntilAnswering(seconds: 30) }
    let steps = try MilterClient(tested.place).negotiate().steps
    let others =
      try options["beside"].map { [try startBeside($0, in: folder)] } ?? startBare(like: tested, in: folder)
    let twin = try others.first { try MilterClient($0.place).negotiate().steps == steps }

    var report = Report(filters: ([tested] + others + peers).map(\.name), twin: twin?.name)
    report.printHead()
    for (number, scenario) in scenarios.enumerated() {
      let entry = compare(scenario, [tested] + others, peers, seed: UInt64(number) << 40)
      report.add(entry)
      // A filter that has died dies for the rest too.
      if entry.hasFaults { break }
    }
    if hasPeers {
      report.printSummary(references: options.all("reference"), absent: options.all("absent"))
    } else {
      report.printFall()
    }
    if let file = options["json"] { try report.writeJSON(to: file) }
    let problems = report.problems(allowRefusals: options.has("allow-refusals"))
    problems.forEach(complain)
    if problems.isEmpty { folder.remove() } else { complain("the filters' output is in \(folder.path)") }
    return problems.isEmpty
  }

  /// Starts the other filter of `NAME SOCKET COMMAND`, in place of the bare one.
  private func startBeside(_ text: String, in folder: TemporaryFolder) throws -> Filter {
    let words = text.split(separator: " ", maxSplits: 2).map(String.init)
    guard words.count == 3, let place = MilterPlace(words[1]) else {
      throw Options.Problem(text: "--beside is not \"NAME SOCKET COMMAND\": \(text)")
    }
    return try Child.start(name: words[0], command: words[2], place: place, log: folder.path + "/beside.log")
  }

  /// Starts the bare filter with what the filter under test negotiates; beside peers once with a reply to each
  /// recipient and once without.
  private func startBare(like tested: Filter, in folder: TemporaryFolder) throws -> [Filter] {
    let chosen = try MilterClient(tested.place).negotiate()
    let (noRecipients, unanswered): (UInt32, UInt32) = (0x8, 0x8000)  // SMFIP_NORCPT, SMFIP_NR_RCPT
    let asked = chosen.steps & ~noRecipients
    let variants: [(name: String, steps: UInt32)] =
      hasPeers
      ? [("bare", asked & ~unanswered), ("bare-unanswered", asked | unanswered)] : [("bare", chosen.steps)]
    let lists = chosen.macros.sorted { $0.key < $1.key }.map { " -m \($0.key) '\($0.value.joined(separator: " "))'" }

    return try variants.enumerated().map { number, variant in
      let place: MilterPlace =
        switch tested.place {
        case .unix: .unix("\(folder.path)/\(variant.name).sock")
        case .inet(let host, let port): .inet(host: host, port: port + 1 + UInt16(number))
        }
      let steps = String(variant.steps, radix: 16)
      let bare = try Child.start(
        name: variant.name, command: "'\(try options.required("bare"))' \(place) \(steps)\(lists.joined())",
        place: place, log: "\(folder.path)/\(variant.name).log")
      let copied = try MilterClient(place).negotiate()
      guard copied.steps == variant.steps, copied.macros == chosen.macros else {
        throw Child.Failure(description: "\(variant.name) negotiates \(copied), not steps \(steps) of \(chosen)")
      }
      return bare
    }
  }

  /// Those alike play the same number of sessions. Peers may be slower by far: each plays as many as fill its round.
  private func compare(_ scenario: Scenario, _ alike: [Filter], _ peers: [Filter], seed: UInt64) -> Report.Entry {
    let filters = alike + peers
    var paces = filters.map { warmUp(scenario, $0, seed: seed) }
    let asked = pace.map { Double($0) / Double(scenario.messages) }
    let slowest = min(paces[alike.indices].min()!, asked ?? .infinity)
    for index in alike.indices { paces[index] = slowest }
    // A multiple of the connections, so that they end together.
    let sessions = paces.map {
      max(1, Int(($0 * secondsARound / Double(scenario.connections)).rounded())) * scenario.connections
    }

    var entry = Report.Entry(
      scenario: scenario, messagesARound: sessions.map { $0 * scenario.messages }, rounds: filters.map { _ in [] })
    for number in 0..<rounds {
      let roundSeed = seed + UInt64(number + 1) << 24
      // To and fro, so that none comes always after the same one.
      for index in number.isMultiple(of: 2) ? Array(filters.indices) : filters.indices.reversed() {
        sleep(UInt32(rest))
        entry.rounds[index].append(
          Round(scenario, sessions: sessions[index], on: filters[index], seed: roundSeed, pace: pace))
      }
    }
    return entry
  }

  /// A cold round, then rounds of growing size until one of them lasts; returns its sessions a second.
  private func warmUp(_ scenario: Scenario, _ filter: Filter, seed: UInt64) -> Double {
    var sessions = scenario.connections
    _ = Round(scenario, sessions: sessions, on: filter, seed: seed)
    while true {
      let round = Round(scenario, sessions: sessions, on: filter, seed: seed)
      if round.seconds > 0.2 || !round.faults.isEmpty { return Double(sessions) / round.seconds }
      sessions *= 3
    }
  }
}
