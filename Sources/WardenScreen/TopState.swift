import WardenControl
import WardenCore

/// The size of a terminal.
public struct ScreenSize: Equatable, Sendable {
  public let columns: Int
  public let rows: Int
  public init(columns: Int, rows: Int) {
    self.columns = columns
    self.rows = rows
  }
}

/// What an administrator orders, once confirmed.
public enum TopOrder: Equatable, Sendable {
  case block(key: String, span: String)
  case release(key: String)
}

/// What is to be done after a key was pressed, beside drawing.
public enum TopAction: Equatable, Sendable {
  case quit
  /// Ask anew, at once.
  case refresh
  case carryOut(TopOrder)
}

/// What an administrator looks at, and how keys change that.
public struct TopState: Sendable {
  public enum Order: String, Sendable { case limit, count }

  public enum Mode: Equatable, Sendable {
    case lists
    case help
    case explain(key: String, scroll: Int)
    case filter
    /// For how long is the key to be blocked?
    case span(key: String, text: String)
    case confirm(TopOrder)
  }

  struct Selection: Sendable {
    /// Of the row that was chosen; nothing as long as nobody has: then the first row is, whatever it is of.
    var id: String?
    var place = 0
  }

  public internal(set) var mode = Mode.lists
  public internal(set) var order = Order.limit
  public internal(set) var delay: TimeSpan
  public internal(set) var isPaused = false
  /// Of the latest order, until a key is pressed.
  public var message: String?
  var pane = Pane.users
  var filter = ""
  var selections: [Pane: Selection] = [:]
  /// What a dialogue was opened over.
  private var before = Mode.lists

  public static let shortestDelay = TimeSpan.seconds(1)
  public static let longestDelay = TimeSpan.minutes(1)
  private static let longestInput = 64

  public init(delay: TimeSpan) { self.delay = delay }

  /// The key whose `explain` is open.
  public var openKey: String? {
    switch mode {
    case .explain(let key, _): key
    case .span, .confirm: if case .explain(let key, _) = before { key } else { nil }
    case .lists, .help, .filter: nil
    }
  }

  /// Where the selection of a list is now: it goes along with what was chosen.
  func place(in rows: [Row], of pane: Pane) -> Int {
    let selection = selections[pane] ?? Selection()
    if let id = selection.id, let place = rows.firstIndex(where: { $0.id == id }) { return place }
    return min(selection.place, max(0, rows.count - 1))
  }

  public mutating func press(_ key: Keystroke, _ snapshot: Snapshot, _ size: ScreenSize) -> TopAction? {
    message = nil
    switch mode {
    case .lists: return pressInLists(key, snapshot, size)
    case .help: mode = .lists
    case .explain(let open, let scroll): return pressInExplain(key, open, scroll, snapshot, size)
    case .filter: pressInFilter(key)
    case .span(let key_, let text): pressInSpan(key, key_, text)
    case .confirm(let order):
      mode = before
      if key == .character("y") { return .carryOut(order) }
      message = "nothing was done"
    }
    return nil
  }

  private mutating func pressInLists(_ key: Keystroke, _ snapshot: Snapshot, _ size: ScreenSize) -> TopAction? {
    let rows = pane.rows(snapshot, filter: filter)
    let place = place(in: rows, of: pane)
    func select(_ wanted: Int, _ state: inout Self) {
      let wanted = min(max(0, wanted), max(0, rows.count - 1))
      state.selections[state.pane] = Selection(id: wanted == 0 ? nil : rows[wanted].id, place: wanted)
    }
    switch key {
    case .down, .character("j"): select(place + 1, &self)
    case .up, .character("k"): select(place - 1, &self)
    case .pageDown: select(place + size.rows / 2, &self)
    case .pageUp: select(place - size.rows / 2, &self)
    case .home, .character("g"): select(0, &self)
    case .end, .character("G"): select(rows.count - 1, &self)
    case .tab: pane = Pane(rawValue: (pane.rawValue + 1) % Pane.allCases.count)!
    case .backTab: pane = Pane(rawValue: (pane.rawValue + Pane.allCases.count - 1) % Pane.allCases.count)!
    case .character("q"): return .quit
    case .character("?"), .character("h"): mode = .help
    case .character("/"): mode = .filter
    case .escape: filter = ""
    case .character("p"):
      isPaused.toggle()
      return isPaused ? nil : .refresh
    case .character("s"):
      order = order == .limit ? .count : .limit
      return .refresh
    case .character("+"), .character("="): ask(every: TimeSpan(microseconds: delay.microseconds * 2))
    case .character("-"): ask(every: TimeSpan(microseconds: delay.microseconds / 2))
    case .enter:
      guard rows.indices.contains(place), !rows[place].key.isEmpty else { return nil }
      mode = .explain(key: rows[place].key, scroll: 0)
      return .refresh
    case .character("b"), .character("r"):
      guard rows.indices.contains(place), !rows[place].key.isEmpty else { return nil }
      ask(key == .character("b"), rows[place].key)
    default: break
    }
    return nil
  }

  private mutating func pressInExplain(
    _ key: Keystroke, _ open: String, _ scroll: Int, _ snapshot: Snapshot, _ size: ScreenSize
  ) -> TopAction? {
    let last = ExplainText.lastScroll(snapshot, key: open, size)
    func go(_ wanted: Int, _ state: inout Self) { state.mode = .explain(key: open, scroll: min(max(0, wanted), last)) }
    switch key {
    case .down, .character("j"), .enter: go(scroll + 1, &self)
    case .up, .character("k"): go(scroll - 1, &self)
    case .pageDown, .character(" "): go(scroll + size.rows - 3, &self)
    case .pageUp: go(scroll - size.rows + 3, &self)
    case .home, .character("g"): go(0, &self)
    case .end, .character("G"): go(last, &self)
    case .escape, .character("q"), .backspace: mode = .lists
    case .character("b"), .character("r"): ask(key == .character("b"), open)
    default: break
    }
    return nil
  }

  private mutating func ask(every wanted: TimeSpan) {
    delay = min(max(wanted, Self.shortestDelay), Self.longestDelay)
    message = "asking the daemon every \(delay)"
  }

  private mutating func ask(_ isBlock: Bool, _ key: String) {
    before = mode
    mode = isBlock ? .span(key: key, text: "1h") : .confirm(.release(key: key))
  }

  private mutating func pressInFilter(_ key: Keystroke) {
    switch key {
    case .character(let character) where filter.count < Self.longestInput: filter.append(character)
    case .backspace: filter = String(filter.dropLast())
    case .enter: mode = .lists
    case .escape:
      filter = ""
      mode = .lists
    default: break
    }
  }

  private mutating func pressInSpan(_ pressed: Keystroke, _ key: String, _ text: String) {
    switch pressed {
    case .character(let character) where text.count < Self.longestInput:
      mode = .span(key: key, text: text + String(character))
    case .backspace: mode = .span(key: key, text: String(text.dropLast()))
    case .enter:
      if let span = TimeSpan(text), span.microseconds > 0 {
        mode = .confirm(.block(key: key, span: text))
      } else {
        message = "\"\(text)\" is not a time span; write 30m, 1h or 3d"
      }
    case .escape:
      mode = before
      message = "nothing was done"
    default: break
    }
  }
}
