import WardenCore

extension BacktestReport {
  private static let mostDrawn = 200

  /// A page that stands alone: it loads nothing, runs nothing, and all that a client wrote is text in it.
  public var html: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Backtest of \(names)</title>
    <style>\(Self.style)</style>
    </head>
    <body>
    <main>
    <h1>Backtest of \(names)</h1>
    <p>\(Shown.markup(trafficLine))</p>
    \(list(result.sides.map(summary)))
    \(result.sides.map(section).joined(separator: "\n"))
    \(differenceTable)
    \(titled("What this could not show", list(blindness + losses), isShown: !(blindness + losses).isEmpty))
    </main>
    </body>
    </html>

    """
  }

  private var names: String { result.sides.map { Shown.markup($0.name) }.joined(separator: " and ") }

  private func titled(_ title: String, _ body: String, isShown: Bool) -> String {
    isShown ? "<h2>\(Shown.markup(title))</h2>\n\(body)" : ""
  }

  private func list(_ items: [String]) -> String {
    "<ul>\(items.map { "<li>\(Shown.markup($0))</li>" }.joined(separator: "\n"))</ul>"
  }

  private func table(_ head: [String], _ rows: [[String]]) -> String {
    func row(_ cells: [String], _ tag: String) -> String {
      "<tr>\(cells.map { "<\(tag)>\(Shown.markup($0))</\(tag)>" }.joined())</tr>"
    }
    return
      "<div class=\"wide\"><table>\(row(head, "th"))\n\(rows.map { row($0, "td") }.joined(separator: "\n"))</table></div>"
  }

  private func section(_ side: BacktestResult.Side) -> String {
    let name = result.sides.count > 1 ? " (\(side.name))" : ""
    let drawn = side.incidents.prefix(Self.mostDrawn)
    let rest = side.incidents.count + side.droppedIncidents - drawn.count
    let incidents =
      drawn.map(article).joined(separator: "\n")
      + (rest > 0 ? "<p>… and \(rest.grouped) more, in the JSON and CSV forms.</p>" : "")
    return [
      titled(
        "What would have happened\(name)", drawn.isEmpty ? "<p>No rule would have tripped.</p>" : incidents,
        isShown: true),
      titled(
        "Near a limit without reaching it\(name)",
        table(
          ["key", "rule", "count", "limit", "of", "when"],
          side.near.map { near in
            [
              near.key.nickname, near.rule, near.count.grouped, near.allowed.grouped,
              "\(near.quantity.phrase) in \(near.limit.window)", times.text(near.at),
            ]
          }), isShown: !side.near.isEmpty),
      titled(
        "By rule\(name)",
        table(
          ["rule", "mode", "incidents", "messages refused", "attempts without a message refused"],
          side.rules.map { rule in
            [
              rule.rule, rule.mode.rawValue, rule.incidents.grouped, rule.refused.messages.grouped,
              rule.refusedOthers.grouped,
            ]
          }), isShown: !side.rules.isEmpty),
    ].joined(separator: "\n")
  }

  private func article(_ incident: Incident) -> String {
    let notes =
      incident.trips.map { "\($0.rule), \(times.text($0.at)): \($0.reason.sentence)" }
      + (balance(incident).map { [$0] } ?? [])
    return "<article><h3>\(Shown.markup(sentence(incident)))</h3>\n\(list(notes))\n\(timeline(incident))</article>"
  }

  private var differenceTable: String {
    guard result.sides.count == 2 else { return "" }
    let differences = result.differences
    return titled(
      "What the two would have done otherwise",
      table(
        ["key", result.sides[0].name, result.sides[1].name],
        differences.prefix(1_000).map { [$0.key.nickname, fate($0.first), fate($0.second)] }),
      isShown: !differences.isEmpty)
  }

  // MARK: - Timelines

  private static let (width, height) = (720, 90)
  private static let mostBars = 240

  /// Messages by the hour, stacked: what would have passed below what would have been refused; a line where the
  /// hardest thing was done first.
  private func timeline(_ incident: Incident) -> String {
    guard var first = incident.hours.first?.start, var last = incident.hours.last?.start else { return "" }
    let hour = 3_600_000_000
    let deed = incident.deed
    let stopped = Timestamp(microseconds: deed.at.microseconds / hour * hour)
    (first, last) = (min(first, stopped), max(last, stopped))
    let hours = (last - first).microseconds / hour + 1
    let perBar = (hours + Self.mostBars - 1) / Self.mostBars
    var bars = Array(repeating: (passed: 0, refused: 0), count: (hours + perBar - 1) / perBar)
    for each in incident.hours {
      let place = (each.start - first).microseconds / hour / perBar
      bars[place].passed += each.passed
      bars[place].refused += each.refused
    }
    let most = max(1, bars.map { $0.passed + $0.refused }.max() ?? 1)
    func tenths(_ value: Int) -> String { "\(value / 10).\(value % 10)" }
    func height(_ count: Int) -> Int { count * (Self.height - 24) * 10 / most }
    let barWidth = min(240, Self.width * 10 / bars.count)
    let base = (Self.height - 14) * 10
    var shapes: [String] = []
    for (place, bar) in bars.enumerated() {
      var top = base
      for (name, count) in [("passed", bar.passed), ("refused", bar.refused)] where count > 0 {
        let tall = max(5, height(count))
        top -= tall
        shapes.append(
          "<rect class=\"\(name)\" x=\"\(tenths(place * barWidth))\" y=\"\(tenths(max(0, top)))\" "
            + "width=\"\(tenths(max(4, barWidth * 9 / 10)))\" height=\"\(tenths(tall))\"/>")
      }
    }
    let stop = (deed.at - first).microseconds / 1_000_000 * barWidth / (perBar * 3_600)
    shapes.append(
      "<line class=\"stop\" x1=\"\(tenths(stop))\" x2=\"\(tenths(stop))\" y1=\"0\" y2=\"\(tenths(base))\"/>")
    let end = times.text(last + TimeSpan(microseconds: hour))
    let label =
      "Messages of \(incident.key.nickname), \(times.text(first)) to \(end), at most \(most.grouped) a bar "
      + "of \(perBar.of("hour")); \(deed.act.verb) at \(times.text(deed.at))"
    let names = [(0, "start", String(times.text(first).prefix(16))), (Self.width, "end", String(end.prefix(16)))]
    shapes += names.map { x, anchor, text in
      "<text x=\"\(x)\" y=\"\(Self.height - 2)\" text-anchor=\"\(anchor)\">\(Shown.markup(text))</text>"
    }
    return """
      <svg viewBox="0 0 \(Self.width) \(Self.height)" role="img" aria-label="\(Shown.markup(label))">
      <title>\(Shown.markup(label))</title>
      \(shapes.joined(separator: "\n"))
      </svg>
      """
  }

  private static let style = """
    :root { color-scheme: light dark; --ink: #1d2430; --ground: #fff; --soft: #667; --line: #d5d9e0; --passed: #4a7fb5; \
    --refused: #c8553d; }
    @media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --ground: #15181d; --soft: #9aa3b0; --line: #363c46; \
    --passed: #6ea3d8; --refused: #e07a5f; } }
    body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
    main { max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
    h3 { font-size: 1rem; margin: 0 0 .3rem; }
    article { border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; margin: .8rem 0; }
    article ul { color: var(--soft); margin: .3rem 0; padding-left: 1.2rem; font-size: .9rem; }
    svg { width: 100%; height: auto; font: 10px system-ui, sans-serif; fill: var(--soft); }
    .passed { fill: var(--passed); } .refused { fill: var(--refused); }
    .stop { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 4 2; }
    .wide { overflow-x: auto; }
    table { border-collapse: collapse; font-size: .9rem; }
    th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
    """
}
