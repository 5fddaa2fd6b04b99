import ArgumentParser
import Glibc
import Logging
import WardenCore

/// How a line of the log is written.
enum LogFormat: String, CaseIterable, ExpressibleByArgument, Sendable {
  /// Time, level, words, `key=value`.
  case text
  /// One object a line.
  case json
}

/// One line an entry on standard error.
///
/// Under systemd the journal adds the time and takes the level from the `<n>` in front (sd-daemon(3)).
struct LineLogHandler: LogHandler {
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]
  private let format: LogFormat
  private let isJournal = Self.isJournal

  init(format: LogFormat, level: Logger.Level) {
    self.format = format
    logLevel = level
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) { LogWriter.shared.put(line(of: event)) }

  /// With its end.
  func line(of event: LogEvent) -> String {
    var line = isJournal ? "<\(Self.priority(event.level))>" : ""
    let fields = Fields(event.metadata ?? [:])
    switch format {
    case .text: line += text(event, fields)
    case .json: line += json(event, fields)
    }
    return line + "\n"
  }

  private func text(_ event: LogEvent, _ fields: Fields) -> String {
    var line = isJournal ? "" : "\(Self.time()) \(event.level) "
    if let queueID = fields.queueID { line += "\(Quoted.control(Fields.cut(queueID))): " }
    line += Quoted.control("\(event.message)")
    for (name, value) in fields.rest { line += " \(name)=\(Quoted.value(Fields.cut("\(value)")))" }
    return line
  }

  private func json(_ event: LogEvent, _ fields: Fields) -> String {
    var object = "{\"at\":\"\(Self.time())\",\"level\":\"\(event.level)\""
    object += ",\"message\":\(Quoted.json("\(event.message)"))"
    if let queueID = fields.queueID { object += ",\"queue_id\":\(Quoted.json(Fields.cut(queueID)))" }
    for (name, value) in fields.rest {
      if case .stringConvertible(let number as Int) = value {
        object += ",\(Quoted.json(name)):\(number)"
      } else {
        object += ",\(Quoted.json(name)):\(Quoted.json(Fields.cut("\(value)")))"
      }
    }
    return object + "}"
  }

  private static func time() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Timestamp(microseconds: now.tv_sec * 1_000_000).rfc3339
  }

  /// Whether standard error is what JOURNAL_STREAM names: a shell under systemd hands the variable on to all that it starts.
  private static let isJournal: Bool = {
    guard let stream = getenv("JOURNAL_STREAM") else { return false }
    var file = stat()
    return fstat(STDERR_FILENO, &file) == 0 && String(cString: stream) == "\(file.st_dev):\(file.st_ino)"
  }()

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

/// What a line has beside its words, in the order in which it is read.
private struct Fields {
  /// Stands in front.
  let queueID: String?
  let rest: [(name: String, value: Logger.Metadata.Value)]

  private static let order = [
    "rule", "key", "keys", "times", "in", "reason", "stage", "until", "ip", "user", "sender", "command",
  ]

  init(_ metadata: Logger.Metadata) {
    queueID = metadata["queue_id"].map { "\($0)" }
    func place(_ name: String) -> Int { Self.order.firstIndex(of: name) ?? Self.order.count }
    rest = metadata.filter { $0.key != "queue_id" }.map { (name: $0.key, value: $0.value) }
      .sorted { (place($0.name), $0.name) < (place($1.name), $1.name) }
  }

  /// Characters of a value; a reason with two keys of a client's choosing needs some 600.
  private static let longest = 1_000

  static func cut(_ text: String) -> String {
    let scalars = text.unicodeScalars
    guard let end = scalars.index(scalars.startIndex, offsetBy: longest, limitedBy: scalars.endIndex),
      end != scalars.endIndex
    else { return text }
    return String(scalars[..<end]) + "..."
  }
}
