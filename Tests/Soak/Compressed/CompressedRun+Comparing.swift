import Foundation
import WardenCore
import WardenStore

/// What was counted, beside the books.
extension CompressedRun {
  mutating func compareCounters() {
    for client in clients.shuffled(using: &random).prefix(100) {
      if let user = client.user {
        let page = books.users[user]
        for standing in server.engine.standings(of: Key(.user("user\(user)")), at: now) {
          let line = ["messages": page.messages, "recipients": page.recipients][standing.rule]
          if let line { compare(standing, line.bounds(standing.limit.window, at: now)) }
        }
      } else {
        let lines = books.addresses[client.address]?.lines ?? [:]
        for standing in server.engine.standings(of: Key(.ip(IPAddress(v4: client.address))), at: now) {
          guard let rule = Scenario.Blocking(rawValue: standing.rule) else { continue }
          compare(standing, lines[rule, default: Books.Line()].bounds(rule.window, at: now))
        }
      }
    }
  }

  func compare(_ standing: Standing, _ bounds: ClosedRange<Int>) {
    findings.check(
      .counters, bounds.contains(standing.count),
      "\(standing.key) under \(standing.rule) \(standing.limit): \(standing.count) instead of \(bounds)")
  }

  func compareTotals() {
    let status = server.engine.status(at: now)
    for figure in status.totals {
      guard let place = Books.Figure(rawValue: figure.name) else { continue }
      findings.check(.totals, figure.name, figure.total, is: books.life[place])
    }
    let refused = status.rules.reduce(0) { $0 + $1.refused }
    findings.check(.totals, refused <= books.life[.refused], "refused \(refused) of \(books.life[.refused])")
    findings.check(
      .nothingDropped,
      status.evictedKeys + status.droppedPenalties + status.droppedEpisodes + server.dropped == 0,
      "keys \(status.evictedKeys), penalties \(status.droppedPenalties), episodes \(status.droppedEpisodes), "
        + "history \(server.dropped)")
  }

  func compareTrend() {
    let series = server.engine.trend { $0.series(.week, at: now) }
    for figure in Books.Figure.allCases {
      guard let place = Activity.Counts.names.firstIndex(of: figure.rawValue) else { continue }
      let found = series.values.reduce(0) { $0 + $1[place] }
      let due = books.hours.values.reduce(0) { $0 + $1[figure] }
      findings.check(.trend, figure.rawValue, found, is: due)
    }
  }

  mutating func noteMemory() {
    let status = server.engine.status(at: now)
    let day = (second - 1) / 86_400
    if tally.keys.count <= day {
      tally.keys.append(0)
      tally.memory.append(0)
    }
    tally.keys[day] = max(tally.keys[day], status.keys)
    tally.memory[day] = max(tally.memory[day], status.memory)
  }

  func compareHistory() throws {
    compareTotals()
    let (from, to) = (start - .days(1), now + .days(1))
    let rows = try server.store.history(key: Key(.server), from: from, to: to, period: .hour).rows
    var found: [Int: [String: Int]] = [:]
    for row in rows { found[Self.seconds(row.at) / 3_600] = row.counts }
    for hour in Set(found.keys).union(books.hours.keys) {
      for figure in Books.Figure.allCases {
        findings.check(
          .hours, "hour \(hour), \(figure.rawValue)", found[hour]?[figure.rawValue] ?? 0,
          is: books.hours[hour, default: .init()][figure])
      }
    }
    for (day, figures) in books.days {
      let name = Self.name(ofDay: day)
      let report = try server.store.report(day: name, at: wall)
      for figure in Books.Figure.allCases {
        findings.check(.days, "\(name), \(figure.rawValue)", report.totals[figure.rawValue] ?? 0, is: figures[figure])
      }
      let hours = (Self.seconds(report.to) - Self.seconds(report.from)) / 3_600
      let due = change.day(change.at) == day ? 24 - (change.after - change.before) / 3_600 : 24
      findings.check(.days, "\(name), its hours", hours, is: due)
    }
    for user in stride(from: 0, to: Self.users, by: 97) {
      let rows = try server.store.history(key: Key(.user("user\(user)")), from: from, to: to, period: .day).rows
      var found: [Int: Int] = [:]
      // A day begins on the day before, in UTC.
      for row in rows { found[Self.seconds(row.at) / 86_400 + 1] = row.counts["messages"] }
      for (day, messages) in books.users[user].byDay {
        findings.check(.users, "user\(user) on day \(day)", found[day] ?? 0, is: messages)
      }
    }
    for values in [tally.keys, tally.memory] {
      // A quarter for chance, and for records that wait for the hand.
      findings.check(.memory, values.last! * 4 <= values[1] * 5, "day by day: \(values)")
    }
  }

  static func seconds(_ text: String) -> Int {
    Int((try? Date(text, strategy: .iso8601))?.timeIntervalSince1970 ?? 0)
  }

  static func name(ofDay day: Int) -> String {
    String(Date(timeIntervalSince1970: Double(day) * 86_400).ISO8601Format().prefix(10))
  }
}
