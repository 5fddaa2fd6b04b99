import Glibc
import MilterClient

/// The filter under test against the bare one: the same sessions, round by round in turn.
struct Comparison {
  private let options: Options
  private let scenarios: [Scenario]
  private let rounds: Int
  /// Aimed at, for the slower of the two.
  private let secondsARound: Double

  init(_ options: Options) throws {
    self.options = options
    let isQuick = options.has("quick")
    scenarios = try options["scenario"].map { [try Scenario($0)] } ?? (isQuick ? Scenario.quick : Scenario.full)
    rounds = try options.number("rounds", default: isQuick ? 3 : 7)
    secondsARound = isQuick ? 0.4 : 1.0
  }

  /// Returns whether both filters let the same messages through.
  func run() throws -> Bool {
    Child.stopAllOnSignal()
    defer { Child.stopAll() }
    let folder = try TemporaryFolder()
    let tested = try Child(
      name: try options.required("name"), command: try options.required("command"),
      place: try options.place("socket"), log: folder.path + "/tested.log")
    let bare = try startBare(like: tested, in: folder)

    var report = Report(tested: tested.name, bare: bare.name)
    report.printHead()
    for (number, scenario) in scenarios.enumerated() {
      let entry = compare(scenario, tested, bare, seed: UInt64(number) << 40)
      report.add(entry)
      // A filter that has died dies for the rest too.
      if entry.hasFaults { break }
    }
    report.printFall()
    if let file = options["json"] { try report.writeJSON(to: file) }
    let problems = report.problems(allowRefusals: options.has("allow-refusals"))
    problems.forEach(complain)
    if problems.isEmpty { folder.remove() } else { complain("the filters' output is in \(folder.path)") }
    return problems.isEmpty
  }

  /// Starts the bare filter with what the filter under test negotiates.
  private func startBare(like tested: Child, in folder: TemporaryFolder) throws -> Child {
    let place: MilterPlace =
      switch tested.place {
      case .unix: .unix(folder.path + "/bare.sock")
      case .inet(let host, let port): .inet(host: host, port: port + 1)
      }
    let chosen = try MilterClient(tested.place).negotiate()
    let lists = chosen.macros.sorted { $0.key < $1.key }.map { " -m \($0.key) '\($0.value.joined(separator: " "))'" }
    let command = "'\(try options.required("bare"))' \(place) \(String(chosen.steps, radix: 16))\(lists.joined())"
    let bare = try Child(name: "bare", command: command, place: place, log: folder.path + "/bare.log")
    let copied = try MilterClient(place).negotiate()
    guard copied.steps == chosen.steps, copied.macros == chosen.macros else {
      throw Child.Failure(description: "the bare filter negotiates \(copied), not \(chosen)")
    }
    return bare
  }

  private func compare(_ scenario: Scenario, _ tested: Child, _ bare: Child, seed: UInt64) -> Report.Entry {
    let pace = min(warmUp(scenario, tested, seed: seed), warmUp(scenario, bare, seed: seed))
    // A multiple of the connections, so that they end together.
    let turns = max(1, Int((pace * secondsARound / Double(scenario.connections)).rounded()))
    let sessions = turns * scenario.connections

    var entry = Report.Entry(scenario: scenario, messagesARound: sessions * scenario.messages)
    for number in 0..<rounds {
      let roundSeed = seed + UInt64(number + 1) << 24
      for filter in number.isMultiple(of: 2) ? [tested, bare] : [bare, tested] {
        let round = Round(scenario, sessions: sessions, on: filter, seed: roundSeed)
        if filter === tested { entry.tested.append(round) } else { entry.bare.append(round) }
      }
    }
    return entry
  }

  /// Rounds of growing size until one of them lasts; returns its sessions a second.
  private func warmUp(_ scenario: Scenario, _ filter: Child, seed: UInt64) -> Double {
    var sessions = scenario.connections
    while true {
      let round = Round(scenario, sessions: sessions, on: filter, seed: seed)
      if round.seconds > 0.2 || !round.faults.isEmpty { return Double(sessions) / round.seconds }
      sessions *= 3
    }
  }
}
