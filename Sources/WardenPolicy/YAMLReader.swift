import WardenCore
import Yams

/// Walks a YAML document and gathers every problem with its place.
struct YAMLReader {
  let file: String
  private(set) var diagnostics: [Diagnostic] = []
  /// How many keys were hidden, each behind a character of its own for private use.
  private var hidden: UInt32 = 0

  init(file: String) { self.file = file }

  var hasErrors: Bool { diagnostics.contains { $0.severity == .error } }

  mutating func error(_ message: String, at node: Node?) { add(message, node, .error) }
  mutating func warn(_ message: String, at node: Node?) { add(message, node, .warning) }

  private mutating func add(_ message: String, _ node: Node?, _ severity: Diagnostic.Severity) {
    let message = message.count > 400 ? message.prefix(200) + " ... " + message.suffix(195) : message
    diagnostics.append(
      Diagnostic(
        file: file, line: node?.mark?.line ?? 0, column: node?.mark?.column ?? 0, severity: severity,
        message: message))
  }

  /// The document's root; nothing where the text is not YAML, which is reported.
  mutating func root(of text: String, mayBeEmpty: Bool = false) -> Node? {
    do {
      guard let node = try compose(yaml: text), !mayBeEmpty || !isNull(node) else {
        if !mayBeEmpty { error("the file is empty", at: nil) }
        return nil
      }
      return node
    } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
      let key = keys.sorted().first ?? ""
      let place = Self.secondPlace(of: key, from: context.mark.line, in: text)
      let (line, column) = place.map { ($0.line, $0.column) } ?? (context.mark.line, context.mark.column)
      diagnostics.append(Diagnostic(file: file, line: line, column: column, message: "\"\(key)\" is given twice"))
      // Yams goes no further. With the second key hidden behind as many other characters, all else keeps its place.
      guard let place, hidden < 20 else { return nil }
      hidden += 1
      let other = Unicode.Scalar(0xe000 + hidden)!
      let cover = String(String.UnicodeScalarView(text[place.range].unicodeScalars.map { _ in other }))
      var rest = text
      rest.replaceSubrange(place.range, with: cover)
      return root(of: rest, mayBeEmpty: mayBeEmpty)
    } catch let problem as YamlError {
      diagnostics.append(Self.diagnostic(of: problem, file: file, text: text))
    } catch {
      self.error("cannot be read as YAML: \(error)", at: nil)
    }
    return nil
  }

  private static func diagnostic(of problem: YamlError, file: String, text: String) -> Diagnostic {
    switch problem {
    case .composer(_, "but found another document", let mark, _):
      return Diagnostic(
        file: file, line: mark.line, column: mark.column, message: "a policy is one document; here begins another")
    case .scanner(let context, var message, let mark, _), .parser(let context, var message, let mark, _),
      .composer(let context, var message, let mark, _):
      if let context, (context.mark.line, context.mark.column) != (mark.line, mark.column) {
        message += ", \(context.text) that begins at \(context.mark)"
      }
      if let hint = hint(for: message, at: mark, in: text) { message += " (\(hint))" }
      return Diagnostic(file: file, line: mark.line, column: mark.column, message: "not valid YAML: \(message)")
    case .reader(_, let offset, let value, _):
      let before = text.prefix(offset ?? 0).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      let code = String(value, radix: 16, uppercase: true)
      return Diagnostic(
        file: file, line: offset == nil ? 0 : before.count,
        column: offset == nil ? 0 : (before.last?.unicodeScalars.count ?? 0) + 1,
        message:
          "not valid YAML: the character U+\(String(repeating: "0", count: max(0, 4 - code.count)))\(code) is not allowed"
      )
    default:
      return Diagnostic(file: file, line: 0, column: 0, message: "not valid YAML: \(problem)")
    }
  }

  /// Yams tells where the mapping begins, not where its key stands again.
  private static func secondPlace(
    of key: String, from line: Int, in text: String
  ) -> (line: Int, column: Int, range: Range<String.Index>)? {
    var firstIndent: Int?
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    for (index, content) in lines.enumerated().dropFirst(line - 1) {
      let indent = content.prefix { $0 == " " || $0 == "-" }.count
      let rest = content.dropFirst(indent)
      guard let written = [key, "\"\(key)\"", "'\(key)'"].first(where: { rest.hasPrefix($0) }),
        case let tail = rest.dropFirst(written.count).drop(while: { $0 == " " }), tail.first == ":",
        tail.dropFirst().first ?? " " == " "
      else { continue }
      let end = rest.index(rest.startIndex, offsetBy: written.count)
      if firstIndent == indent { return (index + 1, indent + 1, rest.startIndex..<end) }
      firstIndent = firstIndent ?? indent
    }
    return nil
  }

  /// What is mostly meant where YAML is not written well.
  private static func hint(for message: String, at mark: Mark, in text: String) -> String? {
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    guard mark.line <= lines.count else { return nil }
    let rest = lines[mark.line - 1].unicodeScalars.dropFirst(mark.column - 1)
    guard let first = rest.first else { return nil }
    switch first {
    case "\t": return "a tab does not indent; use spaces"
    case "@", "`", "%": return "a text that begins with \(first) needs quotes"
    case ":" where rest.starts(with: "::".unicodeScalars): return "\"::1\" needs its quotes"
    case ":" where message.hasPrefix("mapping values"): return "a text with \": \" in it needs quotes"
    default: return nil
    }
  }

  /// A mapping's values by name; unknown names are reported with the nearest known one.
  /// - Parameter misplaced: keys of another mapping, which the caller reports.
  mutating func fields(of node: Node, _ shape: PolicyMapping, misplaced: [String] = []) -> [String: Node]? {
    let (what, known) = (shape.name, shape.names + misplaced)
    guard let mapping = node.mapping else {
      error("\(what) has to be a mapping (\(known.prefix(3).joined(separator: ": ..., ")): ...)", at: node)
      return nil
    }
    var found: [String: Node] = [:]
    for (key, value) in mapping where !isHidden(key) {
      guard let name = key.scalar?.string, known.contains(name) else {
        let name = key.scalar?.string ?? "?"
        error("unknown key \"\(name)\" in \(what)\(Suggestion.phrase(for: name, among: known))", at: key)
        continue
      }
      if isNull(value) {
        error("\"\(name)\" has no value", at: key)
      } else if found.updateValue(value, forKey: name) != nil {
        // To Yams a key with a tag is another one.
        error("\"\(name)\" is given twice", at: key)
      }
    }
    return found
  }

  /// A mapping whose names the administrator chooses.
  mutating func entries(of node: Node?, _ what: String, example: String) -> [(name: String, key: Node, value: Node)] {
    guard let node else { return [] }
    guard let mapping = node.mapping else {
      error("\(what) has to be a mapping (\(example))", at: node)
      return []
    }
    var names: Set<String> = []
    return mapping.compactMap { key, value in
      guard !isHidden(key), let name = text(key, "a name in \(what)") else { return nil }
      if isNull(value) {
        error("\"\(name)\" has no value", at: key)
      } else if !names.insert(name).inserted {
        error("\"\(name)\" is given twice", at: key)
      } else {
        return (name, key, value)
      }
      return nil
    }
  }

  private func isHidden(_ key: Node) -> Bool {
    guard let first = key.scalar?.string.unicodeScalars.first, hidden > 0 else { return false }
    return (0xe001...0xe000 + hidden).contains(first.value)
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
    guard !isNull(node), !text.isEmpty else {
      error("\(what) has no value", at: node)
      return nil
    }
    guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f || $0 == "\n" }) else {
      error("\(what) holds a control character", at: node)
      return nil
    }
    return text
  }

  /// One value, or a list of values; neither holds a comma unless it may.
  mutating func oneOrMore(_ node: Node, _ what: String, commas: Bool = false) -> [(text: String, node: Node)] {
    guard let sequence = node.sequence else {
      guard let text = text(node, what) else { return [] }
      guard commas || !text.contains(",") else {
        error("\(what) with several values is a list: [\(text)]", at: node)
        return []
      }
      return [(text, node)]
    }
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

  /// One value, or a list of values of which some hold commas, as `5x usual, at least 50 per 1h` does: YAML parts an
  /// unquoted list there.
  mutating func oneOrMoreWithHalves(_ node: Node, _ what: String) -> [(text: String, node: Node)] {
    let items = oneOrMore(node, what, commas: true)
    if node.sequence == nil {
      guard let item = items.first else { return [] }
      let wholes = LimitText.wholes(item.text)
      guard wholes.count > 1 else { return items }
      let list = wholes.map { $0.count > 1 ? "\"\($0.joined(separator: ", "))\"" : $0[0] }
      error("\(what) with several values is a list: [\(list.joined(separator: ", "))]", at: node)
      return []
    }
    return LimitText.wholes(items) { $0.text }.compactMap { whole in
      if whole.count == 1, !LimitText.isHalf(whole[0].text) { return whole[0] }
      let half = whole.last!
      let fix =
        whole.count == 1
        ? "what it belongs to is missing, as in \"5x usual, at least 50 per 1h\""
        : "YAML parts a list at each comma; write \"\(whole.map(\.text).joined(separator: ", "))\" in quotes"
      error("\"\(half.text)\" is torn off: \(fix)", at: half.node)
      return nil
    }
  }

  /// Letters, digits and little else: what the administrator calls a rule, a group or a command.
  mutating func name(_ text: String, _ what: String, at node: Node?) -> String? {
    let allowed = text.unicodeScalars.allSatisfy {
      $0.isASCII
        && ($0.properties.isAlphabetic || $0.properties.numericType != nil || "-_.".unicodeScalars.contains($0))
    }
    if allowed, !text.isEmpty, text.utf8.count <= 64 { return text }
    error("\(what) name has up to 64 letters, digits, \"-\", \"_\" and \".\", not \"\(text)\"", at: node)
    return nil
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
