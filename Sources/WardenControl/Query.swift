import Foundation
import Hummingbird
import WardenCore

/// What stands behind a path's question mark.
struct Query {
  private(set) var values: [String: String] = [:]

  /// - Parameter names: what the path knows. Anything else is refused: a mistyped parameter would answer another question.
  init(_ request: Request, knows names: String...) throws(ErrorReport) {
    for part in (request.uri.query ?? "").split(separator: "&") {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = String(pair[0]).removingPercentEncoding,
        let value = pair.count == 2 ? String(pair[1]).removingPercentEncoding : ""
      else { throw ErrorReport(error: "what follows the ? is not UTF-8 with % escapes") }
      guard names.contains(name) else {
        let known = names.isEmpty ? "it takes none" : "it takes \(names.joined(separator: ", "))"
        throw ErrorReport(
          error:
            "\(request.uri.path) has no parameter \"\(name)\"\(Suggestion.phrase(for: name, among: names)); \(known)")
      }
      guard values.updateValue(value, forKey: name) == nil else {
        throw ErrorReport(error: "the parameter \"\(name)\" is given more than once")
      }
    }
  }

  subscript(name: String) -> String? { values[name] }

  func required(_ name: String, like example: String) throws(ErrorReport) -> String {
    guard let value = values[name] else {
      throw ErrorReport(error: "the parameter \"\(name)\" is missing, as in ?\(name)=\(example)")
    }
    return value
  }

  var key: String { get throws(ErrorReport) { try required("key", like: "user:alice@example.org") } }

  func number(_ name: String, in range: ClosedRange<Int>) throws(ErrorReport) -> Int? {
    guard let text = values[name] else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw ErrorReport(
        error: "\(name) has to be a whole number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\"")
    }
    return number
  }
}
