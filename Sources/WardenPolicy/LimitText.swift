import WardenCore

/// Limits as the policy file writes them: `25 per 2h`, `200MB per 1d`, `5x usual, at least 50 per 1h`,
/// `10% per 1h, at least 20`.
enum LimitText {
  typealias Problem = PolicyReader.LimitProblem

  /// - Parameters:
  ///   - quantity: what is limited; nothing where that is not known, because it is a fault itself.
  ///   - mayBeNone: whether 0 is allowed, for "more than none".
  static func limit(_ text: String, of quantity: Quantity?, mayBeNone: Bool = false) throws(Problem) -> Limit {
    var pieces = text.split(separator: ",", omittingEmptySubsequences: false)
      .map { $0.split(whereSeparator: \.isWhitespace).map(String.init) }
    let windowText = takeWindow(from: &pieces)
    let limit: Limit
    if pieces[0].contains(where: { $0.lowercased() == "usual" }) {
      limit = try usual(text, pieces, of: quantity, windowText)
    } else if pieces[0].contains(where: { $0.hasSuffix("%") }) {
      limit = try share(text, pieces, of: quantity, windowText, mayBeNone)
    } else {
      guard pieces.count == 1, pieces[0].count == 1, let windowText else {
        let example =
          if case .share = quantity { "a percentage, a window and a number, such as 10% per 1h, at least 20" } else {
            "a number and a window, such as 25 per 2h"
          }
        throw Problem(message: "\"\(text)\" is not a limit; write \(example)")
      }
      let count = try count(pieces[0][0], of: quantity, smallest: mayBeNone ? 0 : 1)
      limit = Limit(count: count, window: try window(windowText, text))
    }
    try check(limit, of: quantity)
    return limit
  }

  /// `per 1h` stands at the end of a piece, mostly the last.
  private static func takeWindow(from pieces: inout [[String]]) -> String? {
    let places = pieces.indices.filter { pieces[$0].contains("per") }
    guard places.count == 1, let place = places.first, pieces[place].dropLast().last == "per" else { return nil }
    let window = pieces[place].removeLast()
    pieces[place].removeLast()
    return window
  }

  private static func window(_ word: String, _ text: String) throws(Problem) -> TimeSpan {
    guard let window = TimeSpan(word) else {
      throw Problem(message: "\"\(word)\" is not a window; write 30s, 10m, 2h, 1d or 1h30m")
    }
    guard window.microseconds > 0 else { throw Problem(message: "the window of \"\(text)\" has no length") }
    guard window <= Limit.longestWindow else {
      throw Problem(message: "the window of \"\(text)\" is longer than 31d, the longest that is kept")
    }
    return window
  }

  // MARK: - The forms

  private static func usual(
    _ text: String, _ pieces: [[String]], of quantity: Quantity?, _ windowText: String?
  ) throws(Problem) -> Limit {
    let form = "5x usual, at least 50, at first 20 per 1h"
    guard pieces[0].count == 2, pieces[0][1] == "usual", pieces[0][0].hasSuffix("x") else {
      throw Problem(message: "\"\(text)\" is not a limit; write \(form)")
    }
    let digits = pieces[0][0].dropLast().split(separator: ".", omittingEmptySubsequences: false)
    guard (1...2).contains(digits.count), digits.allSatisfy({ isNumber($0) }),
      digits.count == 1 || digits[1].count == 1,
      let whole = Int(digits[0]), let tenth = digits.count == 1 ? 0 : Int(digits[1]), (1..<1_000).contains(whole)
    else { throw Problem(message: "\"\(pieces[0][0])\" is not a factor; write 5x or 2.5x, at least 1x") }
    let extras = try extras(pieces, names: ["least", "first"], of: quantity, form: form)
    guard let atLeast = extras["least"] else {
      throw Problem(
        message: "\"\(text)\" does not say what is allowed in any case; write 5x usual, at least 50 per 1h")
    }
    guard let windowText else { throw Problem(message: "\"\(text)\" has no window; write \(form)") }
    let usual = Limit.Usual(tenths: whole * 10 + tenth, atLeast: atLeast, atFirst: extras["first"])
    return Limit(.usual(usual), window: try window(windowText, text))
  }

  private static func share(
    _ text: String, _ pieces: [[String]], of quantity: Quantity?, _ windowText: String?, _ mayBeNone: Bool
  ) throws(Problem) -> Limit {
    let form = "10% per 1h, at least 20"
    let head = pieces[0].joined()
    guard pieces[0].count <= 2, isNumber(head.dropLast()), let percent = Int(head.dropLast()), percent <= 10_000 else {
      throw Problem(message: "\"\(pieces[0].joined(separator: " "))\" is not a percentage; write \(form)")
    }
    guard percent > 0 || mayBeNone else {
      throw Problem(message: "a limit of 0% would stop everybody; the smallest is 1%")
    }
    guard let atLeast = try extras(pieces, names: ["least"], of: nil, form: form)["least"] else {
      throw Problem(message: "\"\(text)\" does not say from how many on a share says anything; write \(form)")
    }
    guard let windowText else { throw Problem(message: "\"\(text)\" has no window; write \(form)") }
    return Limit(.share(.init(percent: percent, atLeast: atLeast)), window: try window(windowText, text))
  }

  /// What follows the first comma: `at least 50`, `at first 20`.
  private static func extras(
    _ pieces: [[String]], names: [String], of quantity: Quantity?, form: String
  ) throws(Problem) -> [String: Int] {
    var found: [String: Int] = [:]
    for words in pieces.dropFirst() {
      guard words.count == 3, words[0] == "at", names.contains(words[1]), found[words[1]] == nil else {
        throw Problem(message: "\"\(words.joined(separator: " "))\" does not belong to a limit; write \(form)")
      }
      found[words[1]] = try count(words[2], of: quantity, smallest: 1)
    }
    return found
  }

  // MARK: - What fits together

  private static func check(_ limit: Limit, of quantity: Quantity?) throws(Problem) {
    guard let quantity else { return }
    switch (limit.bound, quantity) {
    case (.count, .share), (.usual, .share):
      throw Problem(message: "the limit of a share is a percentage, such as 10% per 1h, at least 20")
    case (.share, .measure(let measure)):
      throw Problem(
        message: "a percentage limits a share, as in count: bad-recipients / recipients; this counts \(measure.phrase)")
    case (.usual, .measure(.signal)), (.usual, .measure(.new)):
      guard Limit.usualWindows.contains(limit.window) else {
        throw Problem(message: "what is usual is learned by the hour, day and week; write per 1h, 1d or 7d")
      }
    case (.usual, .measure(let measure)):
      throw Problem(message: "what is usual is not learned of \(measure.phrase); write a number and a window")
    case (.count(let count), .measure(.distinct)), (.count(let count), .measure(.new)):
      guard count <= Limit.largestDistinct else {
        throw Problem(message: "different values are kept one by one, of a key at most \(Limit.largestDistinct)")
      }
    case (.count, .measure(.signal)), (.share, .share): break
    }
  }

  // MARK: - Several limits

  /// The parts of a text at its commas, put together where they are halves of one limit.
  static func wholes(_ text: String) -> [[String]] {
    let pieces = text.split(separator: ",", omittingEmptySubsequences: false)
    return wholes(pieces.map { String($0.trimmingPrefix { $0.isWhitespace }) }) { $0 }
  }

  /// `at least 50 per 1h` belongs to what stands before it.
  static func wholes<Item>(_ items: [Item], text: (Item) -> String) -> [[Item]] {
    items.reduce(into: []) { wholes, item in
      if isHalf(text(item)), !wholes.isEmpty {
        wholes[wholes.count - 1].append(item)
      } else {
        wholes.append([item])
      }
    }
  }

  static func isHalf(_ text: String) -> Bool { text.hasPrefix("at ") }

  // MARK: - Numbers

  private static func isNumber(_ text: some StringProtocol) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
  }

  private static func count(_ text: String, of quantity: Quantity?, smallest: Int) throws(Problem) -> Int {
    let isSize = quantity == nil || quantity == .measure(.signal(.bytes))
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard !digits.isEmpty, digits.count == text.count || isSize else {
      throw Problem(message: "\"\(text)\" is not a count; write a whole number")
    }
    let count = try size(text)
    guard count <= Limit.largestCount else {
      throw Problem(message: "\(text) is more than can be counted (\(Limit.largestCount))")
    }
    guard count >= smallest else {
      throw Problem(message: "a limit of 0 would stop everybody; the smallest is 1")
    }
    return count
  }

  /// `4096`, `50kB`, `200MB`, `3GB`.
  static func size(_ text: String) throws(Problem) -> Int {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let unit = text.dropFirst(digits.count)
    guard !digits.isEmpty else { throw Problem(message: "\"\(text)\" is not a size; write 500kB, 200MB or 3GB") }
    guard let factor = ["": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000][String(unit)] else {
      throw Problem(message: "\"\(unit)\" is not a size; write kB, MB or GB")
    }
    guard let number = Int(digits), case let (size, overflow) = number.multipliedReportingOverflow(by: factor),
      !overflow
    else { throw Problem(message: "\(text) is more than can be counted (\(Limit.largestCount))") }
    return size
  }
}

extension PolicyReader {
  public struct LimitProblem: Error {
    public let message: String
  }

  /// Limits given outside a policy file, several parted by semicolons or commas: `500 per 1h; 2000 per 1d`.
  public static func limits(_ text: String, of quantity: Quantity) throws(LimitProblem) -> [Limit] {
    var limits: [Limit] = []
    for whole in text.split(separator: ";").flatMap({ LimitText.wholes(String($0)) }) {
      let limit = try LimitText.limit(whole.joined(separator: ", "), of: quantity)
      if limits.contains(where: { $0.isSameSort(as: limit) }) {
        throw LimitProblem(message: "there is a limit per \(limit.window) already")
      }
      limits.append(limit)
    }
    if limits.isEmpty { throw LimitProblem(message: "no limit is given; write 25 per 2h") }
    return limits
  }
}
