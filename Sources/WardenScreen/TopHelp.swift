/// The page of help.
enum TopHelp {
  static func lines(_ width: Int) -> [Line] {
    let text: [(String, String)] = [
      ("q", "quit"),
      ("Tab, Shift-Tab", "to another list; it gets the most room"),
      ("arrows, j k, g G", "choose a line; PageUp and PageDown too"),
      ("Enter", "what is known of the chosen key; Esc goes back"),
      ("s", "nearest to a limit first, or highest count first"),
      ("/", "show only what contains some words; Esc: everything"),
      ("b", "block the chosen key: asks for how long, then y"),
      ("r", "release the chosen key; its counts start anew"),
      ("p", "pause: the screen stands still, orders do not"),
      ("+ -", "ask the daemon less often, more often"),
    ]
    var heading = Line(width)
    heading.add("mailwarden top", .heading)
    var lines = [heading, Line(width)]
    for (keys, meaning) in text {
      var line = Line(width)
      line.add("  " + keys, .bold, width: 20)
      line.add(meaning)
      lines.append(line)
    }
    var bars = Line(width)
    bars.add("A bar: the count against the nearest limit. usual: what this hour mostly has.")
    var more = Line(width)
    more.add("!: more than five times the usual. x12: the same thing twelve times.")
    return lines + [Line(width), bars, more]
  }
}
