import WardenCore

/// JSON in ASCII: what a client put into it cannot move the cursor, and means the same.
public enum JSONLine {
  /// On one line.
  public static func text(_ json: String) -> String { ascii(json.replacing(#/[\n\r\t]/#, with: " ")) }

  /// On as many lines as it has.
  public static func ascii(_ json: String) -> String {
    var safe = ""
    for scalar in json.unicodeScalars {
      switch scalar {
      case " "..."~", "\n": safe.unicodeScalars.append(scalar)
      default: safe += Quoted.jsonEscape(scalar)
      }
    }
    return safe
  }
}
