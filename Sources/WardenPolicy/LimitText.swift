import WardenCore

/// Limits, windows and sizes as the policy file writes them: `25 per 2h`, `200MB per 1d`.
enum LimitText {
  struct Problem: Error {
    let message: String
  }

  static func limit(_ text: String, of signal: Signal?) throws(Problem) -> Limit {
    let words = text.split(whereSeparator: \.isWhitespace)
    guard words.count == 3, words[1] == "per" else {
      throw Problem(message: "\"\(text)\" is not a limit; write a number and a window, such as 25 per 2h")
    }
    let count = try count(String(words[0]), of: signal)
    guard let window = TimeSpan(words[2]) else {
      throw Problem(message: "\"\(words[2])\" is not a window; write 30s, 10m, 2h, 1d or 1h30m")
    }
    guard window.microseconds > 0 else { throw Problem(message: "the window of \"\(text)\" has no length") }
    guard window <= Limit.longestWindow else {
      throw Problem(message: "the window of \"\(text)\" is longer than 31d, the longest that is kept")
    }
    return Limit(count: count, window: window)
  }

  private static func count(_ text: String, of signal: Signal?) throws(Problem) -> Int {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let unit = text.dropFirst(digits.count)
    guard !digits.isEmpty, unit.isEmpty || signal == .bytes || signal == nil else {
      throw Problem(message: "\"\(text)\" is not a count; write a whole number")
    }
    guard let factor = ["": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000][String(unit)] else {
      throw Problem(message: "\"\(unit)\" is not a size; write kB, MB or GB")
    }
    guard let number = Int(digits), case let (count, overflow) = number.multipliedReportingOverflow(by: factor),
      !overflow, count <= Limit.largestCount
    else { throw Problem(message: "\(text) is more than can be counted (\(Limit.largestCount))") }
    guard count > 0 else {
      throw Problem(message: "a limit of 0 would stop everybody; the smallest is 1")
    }
    return count
  }
}
