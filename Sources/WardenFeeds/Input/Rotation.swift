/// What a log's name tells of its place among its elder brothers: `mail.log.2.gz`, `mail.log-20261101`,
/// `mail-20261101.log`.
struct Rotation: Equatable {
  enum Mark: Equatable {
    case live
    /// The higher, the older.
    case number(Int)
    /// Digits only; the higher, the newer.
    case date(String)
  }

  /// The name of the log that is written to.
  let base: String
  let mark: Mark

  init(_ name: String) {
    var words = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    if words.count > 1, ["gz", "xz", "zst"].contains(words.last) { words.removeLast() }
    // The mark is the last word, or stands before the extension.
    for place in [words.count - 1, words.count - 2] where place >= 0 {
      if place > 0, let mark = Self.mark(words[place]) {
        words.remove(at: place)
        self.mark = mark
        self.base = words.joined(separator: ".")
        return
      }
      let word = words[place]
      for dash in word.indices where word[dash] == "-" && dash != word.startIndex {
        guard case .date(let digits) = Self.mark(word[word.index(after: dash)...]) else { continue }
        words[place] = String(word[..<dash])
        self.mark = .date(digits)
        self.base = words.joined(separator: ".")
        return
      }
    }
    mark = .live
    base = words.joined(separator: ".")
  }

  private static func mark(_ word: some StringProtocol) -> Mark? {
    guard !word.isEmpty, word.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2D }) else { return nil }
    if word.utf8.count <= 4 { return Int(word).flatMap { $0 >= 0 ? .number($0) : nil } }
    return .date(String(word.filter { $0 != "-" }))
  }

  /// Nothing where their names do not tell.
  func isOlder(than other: Rotation) -> Bool? {
    switch (mark, other.mark) {
    case (.live, _): false
    case (_, .live): true
    case (.number(let a), .number(let b)): a > b
    case (.date(let a), .date(let b)): a < b
    default: nil
    }
  }
}
