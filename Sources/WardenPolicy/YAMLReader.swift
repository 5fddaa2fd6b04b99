import WardenCore
import Yams

/// Walks a YAML document and gathers every problem with its place.
struct YAMLReader {
  let file: String
  private(set) var diagnostics: [Diagnostic] = []

  init(file: String) { self.file = file }

  mutating func error(_ message: String, at node: Node?) { add(message, node, .error) }
  mutating func warn(_ message: String, at node: Node?) { add(message, node, .warning) }

  private mutating func add(_ message: String, _ node: Node?, _ severity: Diagnostic.Severity) {
    diagnostics.append(
      Diagnostic(
        file: file, line: node?.mark?.line ?? 0, column: node?.mark?.column ?? 0, severity: severity,
        message: message))
  }

  /// The document's root; nothing where the text is not YAML, which is reported.
  mutating func root(of text: String) -> Node? {
    do {
      guard let node = try compose(yaml: text) else {
        error("the file is empty", at: nil)
        return nil
      }
      return node
    } catch let problem as YamlError {
      diagnostics.append(Self.diagnostic(of: problem, file: file, text: text))
    } catch {
      self.error("cannot be read as YAML: \(error)", at: nil)
    }
    return nil
  }

  private static func diagnostic(of problem: YamlError, file: String, text: String) -> Diagnostic {
    switch problem {
    case .scanner(_, let message, let mark, _), .parser(_, let message, let mark, _),
      .composer(_, let message, let mark, _):
      return Diagnostic(file: file, line: mark.line, column: mark.column, message: "not valid YAML: \(message)")
    case .duplicatedKeysInMapping(let keys, let context):
      let key = keys.sorted().first ?? ""
      let place = secondPlace(of: key, from: context.mark.line, in: text) ?? (context.mark.line, context.mark.column)
      return Diagnostic(file: file, line: place.0, column: place.1, message: "\"\(key)\" is given twice")
    default:
      return Diagnostic(file: file, line: 0, column: 0, message: "not valid YAML: \(problem)")
    }
  }

  /// Yams tells where the mapping begins, not where its key stands again.
  private static func secondPlace(of key: String, from line: Int, in text: String) -> (Int, Int)? {
    var firstIndent: Int?
    for (index, content) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().dropFirst(line - 1) {
      let indent = content.prefix { $0 == " " || $0 == "-" }.count
      guard content.dropFirst(indent).hasPrefix("\(key):") else { continue }
      if firstIndent == indent { return (index + 1, indent + 1) }
      firstIndent = firstIndent ?? indent
    }
    return nil
  }

  /// A mapping's values by name; unknown names are reported with the nearest known one.
  mutating func fields(of node: Node, _ what: String, known: [String]) -> [String: Node]? {
    guard let mapping = node.mapping else {
      error("\(what) has to be a mapping (\(known.prefix(3).joined(separator: ": …, ")): …)", at: node)
      return nil
    }
    var found: [String: Node] = [:]
    for (key, value) in mapping {
      guard let name = key.scalar?.string, known.contains(name) else {
        let name = key.scalar?.string ?? "?"
        error("unknown key \"\(name)\" in \(what)\(Suggestion.phrase(for: name, among: known))", at: key)
        continue
      }
      if isNull(value) {
        error("\"\(name)\" has no value", at: key)
      } else {
        found[name] = value
      }
    }
    return found
  }

  private func isNull(_ node: Node) -> Bool {
    guard let scalar = node.scalar else { return false }
    return scalar.style == .plain && ["", "~", "null"].contains(scalar.string)
  }

  mutating func text(_ node: Node?, _ what: String) -> String? {
    guard let node else { return nil }
    guard let text = node.scalar?.string else {
      error("\(what) has to be a single value", at: node)
      return nil
    }
    return text
  }

  /// One value, or a list of values.
  mutating func oneOrMore(_ node: Node, _ what: String) -> [(text: String, node: Node)] {
    guard let sequence = node.sequence else { return text(node, what).map { [($0, node)] } ?? [] }
    if sequence.isEmpty { error("\(what) is an empty list", at: node) }
    return sequence.compactMap { item in text(item, what).map { ($0, item) } }
  }

  mutating func list(_ node: Node?, _ what: String) -> [Node] {
    guard let node else { return [] }
    guard let sequence = node.sequence else {
      error("\(what) has to be a list", at: node)
      return []
    }
    return Array(sequence)
  }

  /// One of a closed set of words.
  mutating func choice<Word: RawRepresentable & CaseIterable>(_ node: Node?, _ what: String, _: Word.Type) -> Word?
  where Word.RawValue == String {
    guard let text = text(node, what) else { return nil }
    if let word = Word(rawValue: text) { return word }
    let words = Word.allCases.map(\.rawValue)
    error(
      "\(what) is \(words.joined(separator: " or ")), not \"\(text)\"\(Suggestion.phrase(for: text, among: words))",
      at: node)
    return nil
  }
}
