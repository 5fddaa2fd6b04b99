import WardenCore

/// How a piece of text looks.
public enum Style: Sendable, Equatable, CaseIterable {
  case plain, bold, dim, selected
  case good, warning, bad, heading
}

/// What bars and rules are drawn with.
public struct Glyphs: Sendable {
  let full: String
  let empty: String
  let rule: String

  public static let unicode = Glyphs(full: "█", empty: "░", rule: "─")
  public static let ascii = Glyphs(full: "#", empty: ".", rule: "-")
}

/// One line of the screen: never wider than it may be, and nothing in it but printable ASCII and our glyphs.
public struct Line: Sendable {
  public struct Span: Sendable, Equatable {
    public let text: String
    public let style: Style
  }

  public private(set) var spans: [Span] = []
  public private(set) var width = 0
  let limit: Int

  init(_ limit: Int) { self.limit = limit }

  var room: Int { limit - width }

  /// Adds text of anybody's.
  /// - Parameter width: cut or filled up to that many columns.
  mutating func add(_ text: String, _ style: Style = .plain, width: Int? = nil, isRight: Bool = false) {
    let columns = min(width ?? room, room)
    guard columns > 0 else { return }
    let text = Visible.text(text, columns)
    let filling = String(repeating: " ", count: width == nil ? 0 : columns - text.utf8.count)
    append(isRight ? filling + text : text + filling, columns: text.utf8.count + filling.utf8.count, style)
  }

  /// Adds text that has been made harmless.
  mutating func add(quoted text: some StringProtocol, _ style: Style = .plain) {
    let text = String(text.prefix(room))
    append(text, columns: text.utf8.count, style)
  }

  mutating func add(_ line: Line) {
    for span in line.spans { append(span.text, columns: span.text.unicodeScalars.count, span.style) }
  }

  /// Adds one of our glyphs many times.
  mutating func add(glyph: String, count: Int, _ style: Style = .plain) {
    let count = min(count, room)
    guard count > 0 else { return }
    append(String(repeating: glyph, count: count), columns: count, style)
  }

  mutating func fill(upTo column: Int) { add(glyph: " ", count: column - width) }

  /// The whole width in one style.
  func highlighted() -> Line {
    var line = self
    line.fill(upTo: limit)
    line.spans = [Span(text: line.spans.map(\.text).joined(), style: .selected)]
    return line
  }

  private mutating func append(_ text: String, columns: Int, _ style: Style) {
    guard columns > 0 else { return }
    spans.append(Span(text: text, style: style))
    width += columns
  }

  public var text: String { spans.map(\.text).joined() }
}

/// Anybody's text, made harmless and cut.
enum Visible {
  /// - Returns: printable ASCII of at most so many columns; `~` at the end where something is left out.
  static func text(_ text: String, _ columns: Int) -> String {
    guard columns > 0 else { return "" }
    // Each character takes a column or more, so no more of them are looked at than fit.
    let head = text.unicodeScalars.prefix(columns + 1)
    let quoted = Quoted.control(String(String.UnicodeScalarView(head)))
    if quoted.utf8.count <= columns { return quoted }
    return quoted.prefix(columns - 1) + "~"
  }

  /// All of it, for what goes on in the next line; of what is endless the beginning.
  static func whole(_ text: String) -> String {
    // The engine's own sentences are cut with an ellipsis.
    let head = String(String.UnicodeScalarView(text.unicodeScalars.prefix(8_192)))
    return Quoted.control(head.replacing("…", with: "..."))
  }

  /// The same, cut in the middle: names that begin alike are told apart by their ends.
  static func name(_ name: String, _ columns: Int) -> String {
    let quoted = Quoted.control(name)
    guard quoted.utf8.count > columns, columns > 4 else { return text(name, columns) }
    return quoted.prefix(columns / 2) + "~" + quoted.suffix(columns - columns / 2 - 1)
  }
}
