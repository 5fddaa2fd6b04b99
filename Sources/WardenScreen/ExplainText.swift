import WardenControl

/// What is known of one key, as lines to scroll through.
enum ExplainText {
  static func lines(_ snapshot: Snapshot, key: String, _ width: Int) -> [Line] {
    guard let explained = snapshot.explain, explained.key == key else {
      return [line("asking the daemon ...", .dim, width)]
    }
    switch explained.answer {
    case .success(let answer): return lines(answer, width)
    case .failure(let problem): return wrapped(problem.error, width)
    }
  }

  private static func lines(_ answer: ExplainReport, _ width: Int) -> [Line] {
    var lines: [Line] = answer.sentences.flatMap { wrapped($0, width) }
    func heading(_ text: String) { lines += [Line(width), line(text, .heading, width)] }
    if !answer.counters.isEmpty {
      heading("Counts against limits")
      lines += answer.counters.map { counter in
        var line = Line(width)
        line.add("  " + counter.rule, width: 20)
        line.add(" \(counter.signal)", width: 24)
        line.add("\(Figures.short(counter.count))/\(Figures.short(counter.limit))", width: 12, isRight: true)
        line.add(" in \(counter.window)", width: 8)
        line.add(counter.origin.map { " (\($0))" } ?? "", .dim)
        return line
      }
    }
    if !answer.episodes.isEmpty {
      heading("Tripped rules")
      for episode in answer.episodes {
        lines += wrapped(
          "\(Figures.clock(episode.last)) \(episode.rule): \(episode.reason); refused \(episode.refused),"
            + " held \(episode.held)", width)
      }
    }
    if !answer.sent.isEmpty {
      heading("Sent: \(answer.sent_total)")
      lines += answer.sent.map { passage in
        var line = Line(width)
        line.add("  \(Figures.clock(passage.at)) \(passage.queue_id)", width: 30)
        line.add(" \(passage.recipients) to", width: 9, isRight: true)
        line.add(passage.held ? " held " : " ", .warning)
        line.add("\(passage.ip ?? "") \(passage.sender ?? "")")
        return line
      }
    }
    return lines
  }

  /// How many lines are shown of them: all but a title and the last line of the screen.
  static func shown(_ size: ScreenSize) -> Int { max(0, size.rows - 2) }

  static func lastScroll(_ snapshot: Snapshot, key: String, _ size: ScreenSize) -> Int {
    max(0, lines(snapshot, key: key, size.columns).count - shown(size))
  }

  private static func line(_ text: String, _ style: Style, _ width: Int) -> Line {
    var line = Line(width)
    line.add(text, style)
    return line
  }

  /// A sentence in as many lines as it takes.
  private static func wrapped(_ sentence: String, _ width: Int) -> [Line] {
    let room = max(1, width - 4)
    var rest = Visible.whole(sentence)[...]
    var lines: [Line] = []
    while !rest.isEmpty {
      var piece = rest.prefix(room)
      if piece.endIndex < rest.endIndex, let space = piece.lastIndex(of: " "), space > piece.startIndex {
        piece = piece[..<space]
      }
      rest = rest[piece.endIndex...].drop { $0 == " " }
      var line = Line(width)
      line.add(lines.isEmpty ? "  " : "    ")
      line.add(quoted: piece)
      lines.append(line)
    }
    return lines
  }
}
