import WardenControl
import WardenCore

/// What `check --signals` prints: everything that a rule can count, and whose counts it can keep.
struct SignalList: Encodable {
  struct Entry: Encodable {
    let name: String
    let meaning: String
    /// Whether it counts as it happens, or when the message passes.
    let counts: String
    /// What Mailwarden asks the MTA for.
    let stages: [String]
    let shown_by: String
  }
  let signals: [Entry]
  let keys: [String]

  init() {
    signals =
      Signal.allCases.map { signal in
        let declaration = signal.declaration
        return Entry(
          name: signal.name, meaning: declaration.help, counts: declaration.counting.phrase,
          stages: declaration.needs.stages, shown_by: signal.tellers)
      }
      + Attribute.allCases.flatMap { attribute in
        let declaration = attribute.declaration
        let words =
          [("distinct", "Different")] + (attribute.isRemembered ? [("new", "Never shown before by the key:")] : [])
        return words.map { word, beginning in
          Entry(
            name: "\(word) \(attribute.name)", meaning: "\(beginning) \(declaration.help).",
            counts: declaration.counting.phrase, stages: declaration.needs.stages,
            shown_by: attribute == .passwords ? "feeds: dovecot" : Signal.bothMTAs)
        }
      }
    keys = KeyKind.allCases.map(\.name)
  }

  var text: String {
    let rows = signals.map { [$0.name, $0.counts, $0.stages.joined(separator: ", "), $0.shown_by, $0.meaning] }
    return Table.text(["signal", "counts", "asks the MTA for", "shown by", "meaning"], rows)
      + "\n\nkeys: \(keys.joined(separator: ", ")), and pairs of them"
  }
}

extension Signal.Counting {
  fileprivate var phrase: String {
    switch self {
    case .occurred: "as it happens"
    case .admitted: "when it passes"
    }
  }
}
