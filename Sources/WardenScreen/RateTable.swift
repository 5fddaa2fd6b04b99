import WardenControl

/// The server's rates now, against what the same hour usually has.
enum RateTable {
  /// Those that are always there, the most telling first.
  private static let first = [
    "connections", "messages", "submissions", "recipients", "refusals", "held", "auth-failures", "bad-recipients",
  ]
  private static let cell = 40

  static func lines(_ status: StatusReport, _ width: Int, rows: Int) -> [Line] {
    let across = max(1, width / cell)
    let known = Self.first.filter { status.totals[$0] != nil }
    let others = status.totals.filter { !known.contains($0.key) && $0.value.total > 0 }.keys.sorted()
    let names = (known + others).prefix(across * rows)
    let used = min(across, max(1, (names.count + rows - 1) / rows))
    var heading = Line(width)
    for column in 0..<used {
      heading.fill(upTo: column * cell)
      add("", "1 min", "1 hour", "", "usual", .dim, to: &heading)
    }
    let table = (0..<rows).map { row in
      var line = Line(width)
      for column in 0..<used where names.indices.contains(column * rows + row) {
        let name = names[column * rows + row]
        guard let rate = status.totals[name] else { continue }
        line.fill(upTo: column * cell)
        let (style, mark) = look(rate)
        add(
          name, Figures.short(rate.last_minute), Figures.short(rate.last_hour), mark,
          rate.usual_hour.map(Figures.short) ?? "-", style, to: &line)
      }
      return line
    }
    return [heading] + table
  }

  private static func add(
    _ name: String, _ minute: String, _ hour: String, _ mark: String, _ usual: String, _ style: Style,
    to line: inout Line
  ) {
    line.add(name, style, width: 19)
    line.add(minute, style, width: 6, isRight: true)
    line.add(hour, style, width: 7, isRight: true)
    line.add(mark, style, width: 1)
    line.add(usual, style, width: 6, isRight: true)
  }

  /// Colour and mark of what is far above the usual: twice and five times that. A minute may be a spike by chance.
  private static func look(_ rate: StatusReport.Rate) -> (Style, String) {
    guard let usual = rate.usual_hour else { return (.plain, "") }
    let now = max(rate.last_hour, rate.last_minute >= 20 ? rate.last_minute * 30 : 0)
    if now > 5 * max(usual, 10) { return (.bad, "!") }
    return now > 2 * max(usual, 10) ? (.warning, "") : (.plain, "")
  }
}
