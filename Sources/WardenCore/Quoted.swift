/// Text of clients in logs and on terminals: nothing in it can end a line, start another or move the cursor.
public enum Quoted {
  /// Bare where it is plainly one word, else in quotes.
  public static func value(_ text: String) -> String {
    let isPlain =
      !text.isEmpty
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "/"),
          UInt8(ascii: "@"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "+"):
          true
        default: false
        }
      }
    return isPlain ? text : "\"\(control(text, quotes: true))\""
  }

  /// Printable ASCII as it is, everything else escaped.
  public static func control(_ text: String, quotes: Bool = false) -> String {
    var safe = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\",
        "\"" where quotes:
        safe += "\\\(scalar)"
      case " "..."~": safe.unicodeScalars.append(scalar)
      default: safe += "\\u{\(String(scalar.value, radix: 16))}"
      }
    }
    return safe
  }

  /// A string of JSON in printable ASCII: what an encoder leaves as it is could still move a cursor.
  public static func json(_ text: String) -> String {
    var safe = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\", "\"": safe += "\\\(scalar)"
      case " "..."~": safe.unicodeScalars.append(scalar)
      default:
        safe += jsonEscape(scalar)
      }
    }
    return safe + "\""
  }

  /// The scalar as a string of JSON can have it in ASCII: `\u202e`.
  public static func jsonEscape(_ scalar: Unicode.Scalar) -> String {
    UTF16.encode(scalar)!.map { unit in
      let digits = String(unit, radix: 16)
      return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }.joined()
  }
}
