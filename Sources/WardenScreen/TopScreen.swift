import WardenControl
import WardenCore

/// The screen of `mailwarden top`: what is known and what is looked at, as lines.
public struct TopScreen {
  let snapshot: Snapshot
  let state: TopState
  let size: ScreenSize
  let glyphs: Glyphs

  public init(_ snapshot: Snapshot, _ state: TopState, _ size: ScreenSize, _ glyphs: Glyphs) {
    self.snapshot = snapshot
    self.state = state
    self.size = size
    self.glyphs = glyphs
  }

  /// As many as the screen has rows at most, each as wide as it has columns at most.
  public var lines: [Line] {
    guard size.rows > 0, size.columns > 0 else { return [] }
    var lines: [Line]
    if state.mode == .help {
      lines = TopHelp.lines(size.columns)
    } else if let key = state.openKey {
      lines = explain(key)
    } else {
      lines = header
      lines += body(rows: size.rows - 1 - lines.count)
    }
    lines = Array(lines.prefix(size.rows - 1))
    while lines.count < size.rows - 1 { lines.append(Line(size.columns)) }
    return lines + [footer]
  }

  private func line(_ fill: (inout Line) -> Void) -> Line {
    var line = Line(size.columns)
    fill(&line)
    return line
  }

  // MARK: - Above the lists

  private var header: [Line] {
    var lines = [summary]
    if let trouble { lines.append(line { $0.add(trouble, .bad) }) }
    if let status = snapshot.status, size.rows >= 12 {
      lines += RateTable.lines(status, size.columns, rows: size.rows < 20 ? 2 : 4)
    }
    return lines
  }

  private var summary: Line {
    line {
      $0.add("mailwarden", .bold)
      if let status = snapshot.status {
        if size.columns >= 120 { $0.add(" \(status.version), policy \(status.policy_file)") }
        $0.add(
          "  up \(TimeSpan.seconds(status.uptime_seconds).rounded)  sessions \(Figures.short(status.sessions_open))  ")
        $0.add("blocked \(Figures.short(status.penalties))", status.penalties > 0 ? .bad : .plain)
        $0.add("  memory \(status.memory_bytes / 1_000_000) of \(status.memory_bound_bytes / 1_000_000) MB")
        if trouble == nil && size.columns >= 100 { $0.add("  no faults", .dim) }
      }
      let clock = (state.isPaused ? "PAUSED " : "") + Figures.clock(snapshot.at)
      if $0.room > clock.count {
        $0.fill(upTo: size.columns - clock.count)
        $0.add(clock, state.isPaused ? .warning : .plain)
      }
    }
  }

  /// What is wrong, in a line.
  private var trouble: String? {
    if let trouble = snapshot.trouble { return "NO ANSWER, trying again: \(trouble)" }
    guard let status = snapshot.status else { return nil }
    var problems = status.distress
    if let unheard = snapshot.unheard { problems.append("trips and blocks are not heard: \(unheard)") }
    if let reload = status.last_reload, !reload.ok {
      problems.append("the last reload failed: \(reload.problems.first ?? "")")
    }
    if let problem = status.state?.problem { problems.append("state is not stored: \(problem)") }
    let faults = [
      ("milter faults", status.faults.milter_faults), ("log entries dropped", status.faults.dropped_notices),
      ("commands dropped", status.faults.dropped_commands), ("keys evicted", status.faults.evicted_keys),
      ("penalties dropped", status.faults.dropped_penalties), ("episodes dropped", status.faults.dropped_episodes),
      ("history dropped", status.faults.dropped_history),
      ("connections dropped", status.faults.dropped_connections),
    ].filter { $0.1 > 0 }.map { "\($0.0) \(Figures.short($0.1))" }
    if !faults.isEmpty { problems.append("faults: " + faults.joined(separator: ", ")) }
    return problems.isEmpty ? nil : "DISTRESS: " + problems.joined(separator: "; ")
  }

  // MARK: - The lists

  /// Where there is room, users and networks stand beside the rest.
  private func body(rows: Int) -> [Line] {
    guard size.columns >= 120 else { return column(Pane.allCases, size.columns, rows) }
    let left = size.columns / 2
    let right = size.columns - left - 1
    let pair = (
      column([.users, .hosts], left, rows), column([.episodes, .penalties, .recent], right, rows)
    )
    return pair.0.indices.map { row in
      line {
        $0.add(pair.0[row])
        $0.fill(upTo: left + 1)
        if pair.1.indices.contains(row) { $0.add(pair.1[row]) }
      }
    }
  }

  /// Lists below each other, in just as many rows.
  private func column(_ panes: [Pane], _ width: Int, _ rows: Int) -> [Line] {
    guard rows > 0 else { return [] }
    // A list takes a title and a row at least; the one that has the keys is always there.
    var shown = panes
    while shown.count > 1, shown.count * 2 > rows {
      shown.remove(at: shown.last == state.pane ? shown.count - 2 : shown.count - 1)
    }
    let contents = shown.map { $0.rows(snapshot, filter: state.filter) }
    var heights = shown.map { _ in min(1, max(0, rows - 1)) }
    var rest = rows - shown.count - heights.reduce(0, +)
    // Row by row to those that have more to show, two to the one that has the keys; what nobody needs to the last.
    while rest > 0 {
      let before = rest
      for (place, pane) in shown.enumerated() {
        let wanted = min(rest, pane == state.pane ? 2 : 1, max(0, contents[place].count - heights[place]))
        heights[place] += wanted
        rest -= wanted
      }
      if rest == before { break }
    }
    heights[shown.count - 1] += rest
    return shown.indices.flatMap { list(shown[$0], contents[$0], width, heights[$0]) }
  }

  private func list(_ pane: Pane, _ rows: [Row], _ width: Int, _ height: Int) -> [Line] {
    let columns = pane.columns(width: width)
    let flexible = width - 2 - columns.reduce(0) { $0 + ($1.width ?? 0) } - (columns.count - 1)
    let widths = columns.map { $0.width ?? max(0, flexible) }
    let place = state.place(in: rows, of: pane)
    let first = max(0, min(place - height / 2, rows.count - height))
    var lines = [title(pane, rows.count, columns, widths, width)]
    for offset in 0..<height {
      let index = first + offset
      var line = Line(width)
      if rows.isEmpty && offset == 0 { line.add(empty(pane), .dim) }
      if rows.indices.contains(index) {
        let isSelected = index == place && pane == state.pane
        line.add(isSelected ? "> " : "  ")
        for (number, column) in columns.enumerated() {
          if number > 0 { line.add(" ", width: 1) }
          add(rows[index].cells[number], to: &line, widths[number], column.isRight)
        }
        if isSelected { line = line.highlighted() }
      }
      lines.append(line)
    }
    return lines
  }

  private func empty(_ pane: Pane) -> String {
    if !state.filter.isEmpty { return "  nothing that contains \(state.filter)" }
    switch pane {
    case .users, .hosts: return "  nothing is counted yet"
    case .episodes: return "  no rule is tripped"
    case .penalties: return "  nobody is blocked"
    case .recent: return "  nothing has happened since this screen was opened"
    }
  }

  private func add(_ cell: Cell, to line: inout Line, _ width: Int, _ isRight: Bool) {
    switch cell {
    case .text(let text, let style): line.add(text, style, width: width, isRight: isRight)
    case .bar(let share):
      let part = min(1, max(0, share.isFinite ? share : 1))
      // One over its limit is full; nobody else is.
      let full = share >= 1 ? width : min(width - 1, Int((part * Double(width)).rounded()))
      line.add(glyph: glyphs.full, count: full, share >= 1 ? .bad : share >= 0.8 ? .warning : .good)
      line.add(glyph: glyphs.empty, count: width - full, .dim)
    }
  }

  /// The list's name and how long it is, and the names of its columns above them.
  private func title(_ pane: Pane, _ count: Int, _ columns: [Column], _ widths: [Int], _ width: Int) -> Line {
    var line = Line(width)
    let style: Style = pane == state.pane ? .heading : .dim
    line.add(glyph: glyphs.rule, count: 1, style)
    var name = " \(pane.title) (\(count))"
    if pane == .users || pane == .hosts { name += state.order == .limit ? " nearest to a limit" : " by count" }
    if pane == .recent && snapshot.recent.skipped > 0 { name += " \(Figures.short(snapshot.recent.skipped)) left out" }
    line.add(name, style)
    func rule(upTo column: Int) {
      guard column > line.width else { return }
      line.add(" ", width: 1)
      line.add(glyph: glyphs.rule, count: column - line.width, style)
    }
    // Each label begins above the first letter of its column, or ends above the last.
    var start = 2
    for (column, room) in zip(columns, widths) {
      let from = start + (column.isRight ? room - column.title.utf8.count : 0)
      if !column.title.isEmpty && column.title.utf8.count <= room && from > line.width {
        rule(upTo: from - 1)
        line.add(" \(column.title)", style)
      }
      start += room + 1
    }
    rule(upTo: width)
    return line
  }

  // MARK: - One key

  private func explain(_ key: String) -> [Line] {
    let lines = ExplainText.lines(snapshot, key: key, size.columns)
    var scroll = 0
    if case .explain(_, let wanted) = state.mode { scroll = wanted }
    let first = min(scroll, ExplainText.lastScroll(snapshot, key: key, size))
    let title = line {
      $0.add(glyph: glyphs.rule, count: 1, .heading)
      $0.add(quoted: " \(Visible.name(key, max(1, size.columns - 24))) ", .heading)
      let place = lines.count > ExplainText.shown(size) ? " line \(first + 1) of \(lines.count) " : ""
      $0.add(glyph: glyphs.rule, count: $0.room - place.count, .heading)
      $0.add(place, .heading)
    }
    return [title] + lines.dropFirst(first).prefix(ExplainText.shown(size))
  }

  // MARK: - The last line

  private var footer: Line {
    line {
      switch state.mode {
      case .span(let key, let text):
        let end = " for how long? \(text)_  (Enter, Esc)"
        $0.add("Block ", .bold)
        $0.add(quoted: Visible.name(key, max(8, size.columns - 6 - end.count)))
        $0.add(end, .bold)
      case .confirm(let order):
        let (verb, key, end) =
          switch order {
          case .block(let key, let span): ("Block ", key, " for \(span)? y/n")
          case .release(let key): ("Release ", key, "? y/n")
          }
        $0.add(verb, .bold)
        $0.add(quoted: Visible.name(key, max(8, size.columns - verb.count - end.count)))
        $0.add(end, .bold)
      case .filter: $0.add("Show only what contains: \(state.filter)_  (Enter, Esc: everything)", .bold)
      case .help: $0.add("any key: back", .dim)
      case .explain:
        $0.add(state.message ?? "Esc back  arrows scroll  b block  r release", state.message == nil ? .dim : .bold)
      case .lists:
        if let message = state.message {
          $0.add(message, .bold)
        } else if !state.filter.isEmpty {
          $0.add("only what contains \(state.filter)  (Esc: everything)", .warning)
        } else {
          $0.add("q quit ? help Tab list s sort / filter Enter explain b block r release p pause", .dim)
        }
      }
      if case .span = state.mode, let message = state.message { $0 = line { $0.add(message, .bad) } }
    }
  }
}
