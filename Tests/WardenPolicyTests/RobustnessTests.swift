import Testing

@testable import WardenPolicy

/// Whatever stands in the file, the reader comes back with a policy or with a reason why there is none.
struct RobustnessTests {
  @Test("A damaged policy is read or refused, never both and never neither", arguments: 0..<50)
  func damaged(seed: Int) {
    var random = SplitMix64(seed: seed)
    for step in 0..<50 {
      var text = Array((step % 5 == 0 ? PolicyText.rule : PolicyText.full).unicodeScalars)
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        Damage.allCases.randomElement(using: &random)!.apply(to: &text, using: &random)
      }
      if let fault = Self.fault(of: String(String.UnicodeScalarView(text))) {
        Issue.record("seed \(seed), step \(step): \(fault)")
        return
      }
    }
  }

  @Test("Nesting of any depth is read or refused", arguments: ["[", "{a: ", "- ", "? ", "rules: [", "&a [", "!x "])
  func deep(opening: String) {
    for depth in [10, 500, 998, 999, 1_000, 1_001, 100_000] {
      let text = String(repeating: opening, count: depth)
      for text in [text, "rules: \(text)x"] {
        let fault = Self.fault(of: text)
        #expect(fault == nil, "\(depth) times \(opening)")
      }
    }
  }

  @Test("Every beginning of a policy is read or refused")
  func cutOff() {
    for end in PolicyText.full.indices {
      let fault = Self.fault(of: String(PolicyText.full[..<end]))
      #expect(fault == nil, "cut at \(end)")
    }
  }

  /// What is wrong with the reader's answer.
  private static func fault(of text: String) -> String? {
    let read = PolicyReader.read(text, file: "any.yaml", socketCheck: socketCheck)
    if (read.configuration == nil) == read.errors.isEmpty {
      let configurations = read.configuration == nil ? 0 : 1
      return "\(read.errors.count) errors and \(configurations) configurations of \(text.debugDescription)"
    }
    if let configuration = read.configuration {
      var reader = YAMLReader(file: "any.yaml")
      let written = reader.root(of: text)?["rules"]?.sequence?.count ?? 0
      let count = configuration.policy.rules.count
      if count != written { return "\(count) rules of \(written) in \(text.debugDescription)" }
    }
    // Ends of lines at most: \n, \r and the last bytes of U+0085 and U+2028.
    let lines = 1 + text.utf8.count { $0 == 0x0a || $0 == 0x0d || $0 == 0x85 || $0 == 0xa8 }
    for diagnostic in read.diagnostics {
      let isPlace = (1...lines + 1).contains(diagnostic.line) && diagnostic.column >= 1
      if !isPlace && (diagnostic.line, diagnostic.column) != (0, 0) || diagnostic.message.isEmpty {
        return "\"\(diagnostic)\" lies outside of \(text.debugDescription)"
      }
    }
    if zip(read.diagnostics, read.diagnostics.dropFirst()).contains(where: { $1 < $0 }) {
      return "out of order for \(text.debugDescription)"
    }
    return nil
  }
}

/// One way to spoil a text.
private enum Damage: CaseIterable {
  case delete, double, replace, control, deleteLine, doubleLine, swapLines, indent, value, syntax, word, number, long,
    deep, ends

  static let controls =
    "\0\u{1}\t\u{b}\r\u{1b}\u{7f}\u{85}\u{a0}\u{301}\u{200b}\u{2028}\u{d7ff}\u{e000}\u{feff}\u{fffe}\u{1f44d}"
  static let tokens = [
    "- ", "? ", ": ", ", ", "[", "]", "{", "}", "|", ">-", "'", "\"", "#", "&a ", "*a", "!!int ", "!x ", "<<: *a\n",
    "---\n", " ", "...\n", "%YAML 1.1\n", "~", "\\", "\"\\u0000\"", "null",
  ]
  static let words = [
    "per", "per 0s", "block for", "hold", "[]", "{}", "tempfail", "server", "ip", "rules:", "0", "::", "/", "{user}",
    "name: a", "at least 50", "5x usual", "10%", ", 1d", "until 2026-13-01", "all of:", "only:", "include: a",
    "distinct",
    "group staff", "run page", "@", ",",
  ]
  static let numbers = [
    "0", "-1", "007", "1e9", "9223372036854775807", "9223372036854775808", "99999999999999999999", "٣", "½", "",
  ]

  func apply(to text: inout [Unicode.Scalar], using random: inout SplitMix64) {
    let at = Int.random(in: 0...text.count, using: &random)
    let end = min(text.count, at + Int.random(in: 1...12, using: &random))
    switch self {
    case .delete: text.removeSubrange(at..<end)
    case .double: text.insert(contentsOf: text[at..<end], at: at)
    case .replace: text.replaceSubrange(at..<end, with: text.shuffled(using: &random).prefix(end - at))
    case .control: text.insert(Self.controls.unicodeScalars.randomElement(using: &random)!, at: at)
    case .syntax: text.insert(contentsOf: Self.tokens.randomElement(using: &random)!.unicodeScalars, at: at)
    case .word: text.insert(contentsOf: Self.words.randomElement(using: &random)!.unicodeScalars, at: at)
    case .number:
      guard let first = text[at...].firstIndex(where: { ("0"..."9").contains($0) }) else { return }
      let digits = text[first...].prefix { ("0"..."9").contains($0) }
      text.replaceSubrange(digits.indices, with: Self.numbers.randomElement(using: &random)!.unicodeScalars)
    case .long:
      let piece = ["x", "9", "a b ", "{user}", "é", "a.", "/"].randomElement(using: &random)!
      text.insert(
        contentsOf: String(repeating: piece, count: Int.random(in: 100...20_000, using: &random)).unicodeScalars, at: at
      )
    case .deep:
      let piece = ["[", "{a: ", "- ", "{"].randomElement(using: &random)!
      text.insert(
        contentsOf: String(repeating: piece, count: Int.random(in: 2...300, using: &random)).unicodeScalars, at: at)
    case .ends: text = text.flatMap { $0 == "\n" ? ["\r", "\n"] : [$0] }
    case .deleteLine, .doubleLine, .swapLines, .indent, .value:
      var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(Array.init)
      let line = Int.random(in: 0..<lines.count, using: &random)
      switch self {
      case .deleteLine: lines.remove(at: line)
      case .doubleLine: lines.insert(lines[line], at: line)
      case .swapLines: lines.swapAt(line, Int.random(in: 0..<lines.count, using: &random))
      case .value:
        // Another line's value: the YAML stays sound more often than not.
        guard let colon = lines[line].firstIndex(of: ":") else { return }
        let other = lines.randomElement(using: &random)!
        let value = other.firstIndex(of: ":").map { other[$0...] } ?? [":"]
        lines[line].replaceSubrange(colon..., with: value)
      default: lines[line].insert(contentsOf: Bool.random(using: &random) ? [" ", " "] : ["\t"], at: 0)
      }
      text = Array(lines.joined(separator: ["\n"]))
    }
  }
}

/// A small generator with a seed, so that what failed can be run again.
private struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64
  init(seed: Int) { state = UInt64(bitPattern: Int64(seed)) }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
