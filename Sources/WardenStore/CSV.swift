/// Comma-separated values (RFC 4180) of what clients may have written: safe to open in a spreadsheet and to show on a
/// terminal.
public enum CSV {
  /// - Parameter rows: shorter ones are filled up to the first's length.
  public static func text(_ rows: [[String]]) -> String {
    let columns = rows.first?.count ?? 0
    return rows.map { row in
      (row + Array(repeating: "", count: max(0, columns - row.count))).map(cell).joined(separator: ",")
    }.joined(separator: "\r\n")
  }

  static func cell(_ text: String) -> String {
    var safe = ""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029: safe += "\\u{\(String(scalar.value, radix: 16))}"
      default: safe.unicodeScalars.append(scalar)
      }
    }
    // A spreadsheet calculates what begins so, also in the wide form of some languages. An apostrophe makes it a text.
    if let first = text.unicodeScalars.first, formulas.contains(first) { safe = "'" + safe }
    guard safe.unicodeScalars.contains(where: { $0 == "," || $0 == "\"" || $0 == "'" }) else { return safe }
    return "\"\(safe.replacing("\"", with: "\"\""))\""
  }

  private static let formulas = Set("=+-@\t\r\n＝＋－＠".unicodeScalars)
}
