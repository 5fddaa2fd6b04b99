/// The control sequences that we write (ECMA-48, and xterm's for the alternate screen), all of them.
public enum ANSI {
  public static let enter = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J"
  /// Attributes off, cursor shown, back to the screen of before.
  public static let leave = "\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l"

  /// A whole screen. What stands there is written over, never erased first, so that nothing flickers.
  public static func screen(_ lines: [Line], isColoured: Bool) -> String {
    "\u{1b}[H" + lines.map { text($0, isColoured: isColoured) + "\u{1b}[K" }.joined(separator: "\r\n") + "\u{1b}[J"
  }

  public static func text(_ line: Line, isColoured: Bool) -> String {
    line.spans.map { text($0.text, $0.style, isColoured: isColoured) }.joined()
  }

  public static func text(_ text: String, _ style: Style, isColoured: Bool) -> String {
    let code = isColoured ? style.coloured : style.uncoloured
    return code.isEmpty ? text : "\u{1b}[\(code)m\(text)\u{1b}[0m"
  }
}

extension Style {
  fileprivate var coloured: String {
    switch self {
    case .plain: ""
    case .bold: "1"
    case .dim: "2"
    case .selected: "7"
    case .good: "32"
    case .warning: "33"
    case .bad: "1;31"
    case .heading: "1;36"
    }
  }

  /// For those who want no colour: bold and reverse are none.
  fileprivate var uncoloured: String {
    switch self {
    case .plain, .good: ""
    case .bold, .warning, .bad, .heading: "1"
    case .dim: "2"
    case .selected: "7"
    }
  }
}
