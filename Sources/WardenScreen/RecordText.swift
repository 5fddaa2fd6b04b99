import WardenControl
import WardenCore

/// A record of the stream as one line: time, what was done, `key=value`.
public enum RecordText {
  /// Longer values are cut: a client must not fill the terminal.
  private static let longestValue = 256

  public static func line(_ record: StreamRecord) -> Parts {
    switch record {
    case .event(let event): line(event)
    case .action(let action):
      Parts(
        at: action.at, word: action.action, style: .heading,
        rest: fields([("who", action.who), ("key", action.key), ("detail", action.detail)]))
    case .skipped(let skipped):
      Parts(at: skipped.at, word: "skipped", style: .warning, rest: fields([("records", "\(skipped.count)")]))
    }
  }

  public struct Parts: Sendable {
    let at: String
    public let word: String
    public let style: Style
    let rest: String

    /// - Parameter styled: puts the word into its style.
    public func text(styled: (String, Style) -> String) -> String {
      let word = Quoted.control(word)
      let gap = String(repeating: " ", count: max(1, 9 - word.count))
      return "\(Figures.clock(at)) \(styled(word, style))\(gap)\(rest)"
    }
  }

  private static func line(_ event: EventRecord) -> Parts {
    let first = event.notices.first
    let told = event.notices.filter { $0.kind != event.decision }
    let counted = event.counted.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }
    let recipients: String? = event.recipients > 0 ? "\(event.recipients)" : nil
    let source: String? = event.source == "milter" ? nil : event.source
    let decided: [(String, String?)] = [
      ("queue_id", event.queue_id), ("rule", event.rule ?? first?.rule), ("key", event.key ?? first?.key),
      ("reason", event.reason ?? first?.reason),
    ]
    let actions: [(String, String?)] = told.map { ($0.kind, $0.command ?? $0.rule) }
    let circumstances: [(String, String?)] = [
      ("until", event.until ?? first?.until), ("stage", event.stage), ("ip", event.ip), ("user", event.user),
      ("sender", event.sender), ("helo", event.helo), ("recipients", recipients),
      ("counted", counted.isEmpty ? nil : counted.joined(separator: ",")), ("source", source),
    ]
    let pairs = decided + actions + circumstances
    return Parts(at: event.at, word: event.decision, style: style(of: event.decision), rest: fields(pairs))
  }

  static func style(of decision: String) -> Style {
    switch decision {
    case "refused", "blocked": .bad
    case "held", "delayed", "alert", "observed", "run": .warning
    case "exempt": .dim
    default: .plain
    }
  }

  private static func fields(_ pairs: [(String, String?)]) -> String {
    pairs.compactMap { name, value in
      value.map { value in
        let head = value.unicodeScalars.prefix(longestValue)
        let isCut = head.endIndex != value.unicodeScalars.endIndex
        return "\(Quoted.control(name))=\(Quoted.value(isCut ? String(String.UnicodeScalarView(head)) + "..." : value))"
      }
    }.joined(separator: " ")
  }
}
