/// Clients' words for people's eyes: nothing in them can end a line, start a header or move a cursor.
enum Visible {
  /// Printable ASCII as it is, all else escaped.
  static func text(_ text: String) -> String {
    var safe = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": safe += "\\\\"
      case " "..."~": safe.unicodeScalars.append(scalar)
      default: safe += "\\u{\(String(scalar.value, radix: 16))}"
      }
    }
    return safe
  }

  static func text(_ text: String, atMost length: Int) -> String {
    let safe = Self.text(text)
    return safe.utf8.count <= length ? safe : safe.prefix(length - 3) + "..."
  }

  /// The same text as one word of a shell's command, to be typed or pasted: bare where that is safe, else in quotes.
  static func word(_ text: String) -> String {
    let isBare =
      !text.isEmpty
      && text.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte & 0xdf) || "@%+=:,./-_".utf8.contains(byte)
      }
    if isBare { return text }
    if text.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) {
      return "'\(text.replacing("'", with: "'\\''"))'"
    }
    let escaped = text.utf8.map { byte in
      switch byte {
      case UInt8(ascii: "'"), UInt8(ascii: "\\"): "\\\(UnicodeScalar(byte))"
      case 0x20...0x7e: "\(UnicodeScalar(byte))"
      default:
        // Octal numbers have three digits and end there; hexadecimal ones may go on.
        "\\" + String(repeating: "0", count: byte < 0o10 ? 2 : byte < 0o100 ? 1 : 0) + String(byte, radix: 8)
      }
    }
    return "$'\(escaped.joined())'"
  }
}
