/// The nearest right word for a mistyped one.
public enum Suggestion {
  /// ` (did you mean "messages"?)`, or nothing where no word is near.
  public static func phrase(for word: String, among words: [String]) -> String {
    nearest(to: word, among: words).map { " (did you mean \"\($0)\"?)" } ?? ""
  }

  /// The word with the fewest edits between, at most a third of its letters (and two for a short one).
  public static func nearest(to word: String, among words: [String]) -> String? {
    let word = word.lowercased()
    let scored = words.map { (word: $0, edits: distance(word, $0)) }
    guard let best = scored.min(by: { $0.edits < $1.edits }) else { return nil }
    return best.edits <= max(2, best.word.count / 3) && best.edits < best.word.count ? best.word : nil
  }

  /// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours.
  static func distance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.prefix(64)), Array(b.prefix(64)))
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in 1...a.count {
      var row = [i] + Array(repeating: 0, count: b.count)
      for j in 1...b.count {
        row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
        if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { row[j] = min(row[j], beforeLast[j - 2] + 1) }
      }
      (beforeLast, last) = (last, row)
    }
    return last[b.count]
  }
}
