import WardenCore

/// A rule's reply as the policy file writes it: `450 4.7.1 {user}: {count} messages in {window}`.
enum ReplyText {
  struct Problems: Error {
    let messages: [String]
    init(_ messages: String...) { self.messages = messages }
    init(_ messages: [String]) { self.messages = messages }
  }

  /// The longest line that both MTAs and libmilter take with room for values in it.
  static let longestLine = 400

  static func template(_ text: String, per shape: KeyShape?) throws(Problems) -> ReplyTemplate {
    let text = text.hasSuffix("\n") ? String(text.dropLast()) : text
    let words = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard let code = Int(words[0]), words[0].utf8.count == 3, (400...599).contains(code) else {
      throw Problems("a reply begins with a code from 400 to 599, not \"\(words[0])\"")
    }
    guard words.count == 3, isEnhanced(words[1]), words[2].contains(where: { $0 != " " }) else {
      throw Problems("after the code comes an enhanced code and a text, as in 450 4.7.1 Too many messages")
    }
    guard words[1].first == words[0].first else {
      throw Problems("the enhanced code \(words[1]) is not of the class of \(code)")
    }
    guard text.unicodeScalars.allSatisfy({ (0x20...0x7e).contains($0.value) || $0 == "\n" }) else {
      throw Problems("a reply is plain ASCII: Sendmail mangles anything else")
    }
    let lines = words[2].split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count <= 32, lines.allSatisfy({ $0.utf8.count <= longestLine }) else {
      throw Problems("a reply has at most 32 lines of \(longestLine) characters")
    }
    return ReplyTemplate(
      code: ReplyCode(code: code, enhanced: String(words[1])), pieces: try pieces(words[2], per: shape))
  }

  private static func isEnhanced(_ text: Substring) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 3 && (parts[0] == "4" || parts[0] == "5")
      && parts.allSatisfy { (1...3).contains($0.count) && $0.allSatisfy { $0.isASCII && $0.isNumber } }
  }

  private static func pieces(_ text: Substring, per shape: KeyShape?) throws(Problems) -> [ReplyTemplate.Piece] {
    var pieces: [ReplyTemplate.Piece] = []
    var problems: [String] = []
    var rest = text
    while let open = rest.firstIndex(of: "{") {
      if open > rest.startIndex { pieces.append(.text(String(rest[..<open]))) }
      guard let close = rest[open...].firstIndex(of: "}") else {
        problems.append("a \"{\" in the reply is never closed")
        break
      }
      switch field(rest[rest.index(after: open)..<close], per: shape) {
      case .success(let field): pieces.append(.field(field))
      case .failure(let found): problems += found.messages
      }
      rest = rest[rest.index(after: close)...]
    }
    if !problems.isEmpty { throw Problems(problems) }
    if !rest.isEmpty { pieces.append(.text(String(rest))) }
    return pieces
  }

  private static func field(_ name: Substring, per shape: KeyShape?) -> Result<ReplyTemplate.Field, Problems> {
    if let found = ReplyTemplate.Field.named.first(where: { $0.name == name }) { return .success(found.field) }
    if let kind = KeyKind(name: name) {
      guard let shape, !shape.kinds.contains(kind) else { return .success(.part(kind)) }
      return .failure(Problems("{\(name)} is not known here: the rule counts per \(shape)"))
    }
    let known = ReplyTemplate.Field.named.map(\.name) + (shape?.kinds ?? KeyKind.allCases).map(\.name)
    return .failure(Problems("unknown field {\(name)}\(Suggestion.phrase(for: String(name), among: known))"))
  }
}
