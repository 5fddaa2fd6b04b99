import HijackTraffic

/// The figures of several policies side by side.
struct Report {
  let policies: [String]
  let seeds: [Int]
  /// By policy, one for each seed.
  private let figures: [[Figures]]

  init(_ figures: [Figures], policies: [String], seeds: [Int]) {
    self.policies = policies
    self.seeds = seeds
    self.figures = policies.map { policy in figures.filter { $0.policy == policy } }
  }

  func tables() -> [Table] {
    [
      hijackTable("Messages that got out in all, median (worst)", \.inAll.messages),
      hijackTable("Recipients that got mail in all, median (worst)", \.inAll.recipients),
      hijackTable("Messages before the first refusal or hold, median (worst)", \.beforeStop.messages),
      leakTable(), noticeTable(), stopTable(), harmTable(), alarmTable(),
    ] + harmDetails()
  }

  // MARK: - Hijacks

  private func courses(_ policy: Int, _ style: String?) -> [Figures.Course] {
    figures[policy].flatMap(\.courses).filter { style == nil || $0.style == style }
  }

  private static var styles: [(name: String, style: String?)] {
    Style.allCases.map { ($0.rawValue, $0.rawValue) } + [("all", nil)]
  }

  private func hijackTable(_ title: String, _ amount: KeyPath<Figures.Course, Int>) -> Table {
    styleTable(title) { courses in
      let missed = courses.count { $0.stoppedBy == nil }
      let amounts = courses.map { $0[keyPath: amount] }.sorted()
      let text = "\(Self.median(amounts)) (\(amounts.last ?? 0))"
      return missed == 0 ? text : "\(text), \(missed) of \(courses.count) not caught"
    }
  }

  /// A row for each style and one for all, a column for each policy.
  private func styleTable(_ title: String, _ cell: ([Figures.Course]) -> String) -> Table {
    var table = Table(title: title, head: ["style"] + policies)
    for (name, style) in Self.styles {
      table.rows.append([name] + policies.indices.map { cell(courses($0, style)) })
    }
    return table
  }

  /// Whether the hijacker was stopped or slowed down.
  private func leakTable() -> Table {
    styleTable("Of what came after the first refusal, got out: median (worst)") { courses in
      let leaks = courses.compactMap(\.leak).sorted()
      return leaks.isEmpty ? "-" : "\(Self.median(leaks)) % (\(leaks.last!) %)"
    }
  }

  private func noticeTable() -> Table {
    styleTable("Messages out when somebody first heard of it, median (worst)") { courses in
      let amounts = courses.compactMap(\.beforeNotice).sorted()
      let missed = courses.count - amounts.count
      if amounts.isEmpty { return "never" }
      return "\(Self.median(amounts)) (\(amounts.last!))" + (missed == 0 ? "" : ", \(missed) never")
    }
  }

  private func stopTable() -> Table {
    var table = Table(title: "Hijacks by the rule that stopped them first", head: ["rule"] + policies)
    let rules = Set(figures.joined().flatMap(\.courses).compactMap(\.stoppedBy)).sorted()
    for rule in rules {
      table.rows.append([rule] + policies.indices.map { "\(courses($0, nil).count { $0.stoppedBy == rule })" })
    }
    table.rows.append(["not caught"] + policies.indices.map { "\(courses($0, nil).count { $0.stoppedBy == nil })" })
    return table
  }

  // MARK: - Honest mail

  private func harmTable() -> Table {
    var table = Table(title: "Honest messages, per 100,000", head: [""] + policies)
    func row(_ name: String, _ count: (Figures) -> Int, of whole: (Figures) -> Int) {
      table.rows.append(
        [name]
          + figures.map { runs in
            let (part, all) = (runs.reduce(0) { $0 + count($1) }, runs.reduce(0) { $0 + whole($1) })
            return "\(Self.per100000(part, all)) (\(part))"
          })
    }
    row("refused", { $0.harms.reduce(0) { $0 + $1.refused } }, of: \.honestMessages)
    row("held", { $0.harms.reduce(0) { $0 + $1.held } }, of: \.honestMessages)
    row("delayed", { $0.harms.reduce(0) { $0 + $1.delayed } }, of: \.honestMessages)
    table.rows.append(
      ["users hit"] + figures.map { runs in "\(runs.reduce(0) { $0 + Set($1.harms.flatMap(\.users)).count })" })
    row("victims' own refused", \.victims.refused, of: \.victims.messages)
    row("victims' own held", \.victims.held, of: \.victims.messages)
    table.rows.append(["honest messages"] + figures.map { "\($0.reduce(0) { $0 + $1.honestMessages })" })
    return table
  }

  private func alarmTable() -> Table {
    var table = Table(title: "Alarms about users who were not hijacked, in all runs", head: ["rule"] + policies)
    for rule in Set(figures.joined().flatMap(\.falseAlarms.keys)).sorted() {
      table.rows.append([rule] + figures.map { runs in "\(runs.reduce(0) { $0 + ($1.falseAlarms[rule] ?? 0) })" })
    }
    return table
  }

  /// Policy by policy, who was hit by what.
  private func harmDetails() -> [Table] {
    zip(policies, figures).compactMap { policy, runs in
      var table = Table(
        title: "Honest mail hit by \(policy)",
        head: ["rule", "user", "mail", "refused", "held", "delayed", "longest delay", "users"])
      let harms = runs.flatMap(\.harms)
      let keys = Set(harms.map { [$0.rule, $0.kind, $0.occasion] }).sorted { $0.lexicographicallyPrecedes($1) }
      for key in keys {
        let same = harms.filter { [$0.rule, $0.kind, $0.occasion] == key }
        let sums = [\Figures.Harm.refused, \.held, \.delayed].map { part in same.reduce(0) { $0 + $1[keyPath: part] } }
        let delay = Int((same.map(\.longestDelayMinutes).max() ?? 0).rounded())
        table.rows.append(
          key + sums.map(String.init) + [delay == 0 ? "" : "\(delay) min", "\(same.reduce(0) { $0 + $1.users.count })"])
      }
      return table.rows.isEmpty ? nil : table
    }
  }

  /// Hijack by hijack.
  func courseTable() -> Table {
    var table = Table(
      title: "Hijacks one by one",
      head: [
        "policy", "seed", "style", "victim", "sent", "out", "rcpts", "before stop", "stopped by", "after h", "noticed",
      ])
    for (policy, course) in zip(policies, figures).flatMap({ policy, runs in
      runs.flatMap(\.courses).map { (policy, $0) }
    }) {
      table.rows.append([
        policy, "\(course.seed)", course.style, course.victim, "\(course.attempted)", "\(course.inAll.messages)",
        "\(course.inAll.recipients)", "\(course.beforeStop.messages)", course.stoppedBy ?? "not caught",
        course.hoursBeforeStop.map { Self.fixed($0) } ?? "",
        course.noticedBy.map { "\(course.noticedAs!) \($0) at \(course.beforeNotice!)" } ?? "never",
      ])
    }
    return table
  }

  // MARK: - Numbers

  private static func median(_ sorted: [Int]) -> Int {
    sorted.isEmpty ? 0 : (sorted[sorted.count / 2] + sorted[(sorted.count - 1) / 2] + 1) / 2
  }

  private static func per100000(_ part: Int, _ whole: Int) -> String {
    whole == 0 ? "0.0" : fixed(Double(part) * 100_000 / Double(whole))
  }

  private static func fixed(_ number: Double) -> String {
    let tenths = Int((number * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}

/// Rows and columns for a terminal or for a document.
struct Table {
  let title: String
  let head: [String]
  var rows: [[String]] = []

  var text: String {
    let lines = [head] + rows
    let widths = head.indices.map { column in lines.map { $0[column].count }.max()! }
    let body = lines.map { line in
      zip(line, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(separator: "  ").trimmed
    }
    return ([title, ""] + body).joined(separator: "\n")
  }

  var markdown: String {
    let lines = [head, head.map { _ in "---" }] + rows
    return (["**\(title)**", ""] + lines.map { "| \($0.joined(separator: " | ")) |" }).joined(separator: "\n")
  }
}

extension String {
  fileprivate var trimmed: String {
    var text = self[...]
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
