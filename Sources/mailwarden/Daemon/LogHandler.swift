import Glibc
import Logging
import WardenCore

/// One line an entry on standard error: time, level, words, `key=value`.
///
/// Under systemd the journal adds the time and takes the level from the `<n>` in front (sd-daemon(3)).
struct LineLogHandler: LogHandler {
  var logLevel: Logger.Level = .info
  var metadata: Logger.Metadata = [:]
  private let isJournal = getenv("JOURNAL_STREAM") != nil

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var line = isJournal ? "<\(Self.priority(event.level))>" : "\(Self.time()) \(event.level) "
    line += Quoted.control("\(event.message)")
    for (key, value) in (event.metadata ?? [:]).sorted(by: { $0.key < $1.key }) {
      line += " \(key)=\(Quoted.value("\(value)"))"
    }
    LogWriter.shared.put(line + "\n")
  }

  private static func time() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Timestamp(microseconds: now.tv_sec * 1_000_000).rfc3339
  }

  private static func priority(_ level: Logger.Level) -> Int {
    switch level {
    case .trace, .debug: 7
    case .info: 6
    case .notice: 5
    case .warning: 4
    case .error: 3
    case .critical: 2
    }
  }
}

/// Text of clients in logs and on terminals: nothing in it can end a line, start another or move the cursor.
enum Quoted {
  /// Bare where it is plainly one word, else in quotes.
  static func value(_ text: String) -> String {
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
  static func control(_ text: String, quotes: Bool = false) -> String {
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
}
