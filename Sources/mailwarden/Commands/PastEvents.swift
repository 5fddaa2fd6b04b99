import Foundation
import WardenCore
import WardenFeeds
import WardenReplay

/// The events of the past: recorded ones to the letter, or those that log lines tell of.
struct PastEvents {
  /// What was read, for people.
  struct Figures {
    var lines = 0
    var notUnderstood = 0
    /// Of other programs.
    var others = 0
    /// Longer than a line may be.
    var cut = 0
    /// Dated after the last change of their file: no clock that can be believed.
    var misdated = 0
    /// Dated well before those that they follow, and by how much at most.
    var late = 0
    var latest = TimeSpan.seconds(0)
    /// Sessions and messages that had no room.
    var dropped = 0
    var events = 0
    var from: Timestamp?
    var to: Timestamp?
  }

  private let logs: [PastLog]
  private let zone: TimeZone
  private let isQuiet: Bool
  private let setup: SMTPSession.Setup
  private(set) var figures = Figures()
  /// What recordings say that they lack.
  private var recorded: [String] = []
  private var recordings: [EventRecording.Header] = []
  private var hasLogs = false
  private var hasSendmail = false

  /// - Parameters:
  ///   - files: paths, globs, or `-`.
  ///   - zone: of lines that name none.
  ///   - isQuiet: whether no progress is shown.
  ///   - policy: whose realms and network prefixes hold.
  init(_ files: [String], zone: TimeZone, isQuiet: Bool, policy: Policy) throws {
    logs = try PastLog.find(files)
    self.zone = zone
    self.isQuiet = isQuiet
    setup = SMTPSession.Setup(
      realms: LocalRealms(listed: policy.realms), networkPrefix: policy.networkPrefix,
      needs: Engine(policy: policy).needs)
  }

  /// The files, for people.
  var names: String {
    let first = logs.prefix(3).map(\.name).joined(separator: ", ")
    return logs.count > 3 ? "\(first) and \(logs.count - 3) more" : first
  }

  /// Whether they can be read twice.
  var isRepeatable: Bool { !logs.contains { $0.size == nil } }

  /// What told of the events, once they were read.
  var feeds: Set<Source> {
    let names = Set(recordings.flatMap(\.sources))
    return Set(Source.allCases.filter { names.contains($0.name) || hasLogs && $0 == .log })
  }

  /// - Parameter body: is told of each event, in order, and whether it comes from a log's lines.
  mutating func forEach(_ body: (_ event: Event, _ isOfLog: Bool) -> Void) throws {
    figures = Figures()
    var reader = Reader(setup: setup, zone: zone)
    let progress = Progress(total: logs.reduce(0) { $0 + ($1.size ?? 0) }, isQuiet: isQuiet || !isRepeatable)
    defer { progress.end() }
    let merged = MergedLogs(logs, zone: zone)
    if merged.streams.count > 1, !isRecording {
      // Of one time: another's events must not all come at its end.
      var done = 0
      try merged.forEachLine { line, newest in
        figures.lines += 1
        done += line.count + 1
        if figures.lines & 0xffff == 0 { progress.show(done, lines: figures.lines) }
        reader.use(newest)
        try reader.read(line, &figures, body)
      }
      figures.cut = merged.cutLines
    } else {
      try readInTurn(&reader, progress, body)
    }
    reader.finish(&figures, body)
    (recorded, recordings) = (reader.recordedBlindness, reader.recordings)
    (hasLogs, hasSendmail) = (reader.hasLogs, reader.hasSendmail)
  }

  /// Whether the first file is a recording; its events are in order as they are.
  private var isRecording: Bool {
    guard let first = logs.first, first.size != nil, let file = FileHandle(forReadingAtPath: first.path) else {
      return false
    }
    defer { try? file.close() }
    return EventRecording.isBeginning((try? file.read(upToCount: 64)) ?? Data())
  }

  private mutating func readInTurn(
    _ reader: inout Reader, _ progress: Progress, _ body: (Event, Bool) -> Void
  ) throws {
    var done = 0
    for log in logs {
      reader.begin(log)
      try log.forEachLine { line in
        figures.lines += 1
        if figures.lines & 0xffff == 0 { progress.show(done + log.bytesRead, lines: figures.lines) }
        try reader.read(line, &figures, body)
      }
      try reader.end()
      figures.cut += log.cutLines
      done += log.size ?? 0
    }
  }

  // MARK: - What the past does not show

  /// Whether there were lines, and next to none that mean anything to us: it is hardly a log.
  var isNoLog: Bool {
    let understood = figures.lines - figures.notUnderstood - figures.others
    return figures.lines > 0 && figures.events == 0 && understood * 100 < figures.lines
  }

  /// What the files could not show, once they were read, in sentences.
  func blindness(under policies: [Policy]) -> [String] {
    var sentences = recorded + Set(recordings.flatMap { header in policies.flatMap(header.missing) }).sorted()
    if hasLogs {
      for rule in policies.flatMap(\.rules) {
        guard let why = rule.notInLogs else { continue }
        let sentence = "The rule \(rule.name) is not tried: \(why)."
        if !sentences.contains(sentence) { sentences.append(sentence) }
      }
      if hasSendmail {
        sentences.append(
          "Sendmail logs connections without mail, and recipients that its rulesets refuse, only in part.")
      }
    }
    if figures.lines == 0 { sentences.append("There was nothing to read.") }
    if figures.notUnderstood > 0 {
      sentences.append("\(figures.notUnderstood) of \(figures.lines) lines were not understood.")
    }
    if figures.misdated > 0 {
      sentences.append(
        "\(figures.misdated) lines are dated after their file was last changed; they were taken for as old as those before."
      )
    }
    if figures.late > 0 {
      sentences.append(
        "\(figures.late) lines are dated up to \(figures.latest.rounded) before those that they follow; what they tell counts as if it came then."
      )
    }
    if figures.cut > 0 { sentences.append("\(figures.cut) lines were longer than 16 KiB, and cut there.") }
    if figures.dropped > 0 {
      sentences.append("\(figures.dropped) sessions or messages were forgotten for want of room.")
    }
    return sentences
  }
}

extension Rule {
  /// Why no log shows what it looks at.
  fileprivate var notInLogs: String? {
    for measure in parts.flatMap(\.quantity.measures) { if let why = measure.notInLogs { return why } }
    if let match = filter.only.first(where: { !$0.isInLogs }) { return "no log shows which mail is \"\(match)\"" }
    if per.kinds.contains(.helo) { return "no log shows HELO" }
    return per.isPerRecipient && parts.flatMap(\.quantity.measures).contains { $0.counting == .admitted }
      ? Measure.lateRecipients : nil
  }
}

extension Measure {
  fileprivate static let lateRecipients = "a log names a message's recipients only as it is delivered"

  fileprivate var notInLogs: String? {
    switch self {
    case .signal(.spam), .distinct(.helos), .distinct(.passwords), .new(.helos), .new(.passwords):
      "no log shows \(phrase)"
    case .distinct(.recipients), .distinct(.recipientDomains), .new(.recipients), .new(.recipientDomains):
      Self.lateRecipients
    case .signal, .distinct, .new: nil
    }
  }
}

extension Match {
  fileprivate var isInLogs: Bool {
    switch self {
    case .lists, .daemon: false
    default: true
    }
  }
}

/// Takes lines of one file after the other, and tells what they mean.
private struct Reader: ~Copyable {
  private let zone: TimeZone
  private var joiner: LogJoiner
  private var sieve = EventSieve()
  private var header: LogHeaderReader
  /// Of a file that is a recording.
  private var recording: EventRecording.Reader?
  private var isFirstLine = true
  private(set) var hasLogs = false
  private(set) var hasSendmail = false
  private let started = LiveClock().now()
  /// The latest time that could be believed.
  private var last: Timestamp?
  private(set) var recordedBlindness: [String] = []
  private(set) var recordings: [EventRecording.Header] = []

  init(setup: SMTPSession.Setup, zone: TimeZone) {
    self.zone = zone
    joiner = LogJoiner(.replay, setup)
    header = LogHeaderReader(zone: zone, newest: Timestamp(microseconds: 0))
  }

  mutating func begin(_ log: PastLog) {
    isFirstLine = true
    recording = nil
    use(log.modified)
  }

  /// - Parameter newest: of the file that lines are of from now on; what comes through a pipe is not later than now.
  mutating func use(_ newest: Timestamp?) {
    let newest = newest ?? started
    if header.newest != newest { header.newest = newest }
  }

  mutating func read(
    _ line: UnsafeRawBufferPointer, _ figures: inout PastEvents.Figures, _ body: (Event, Bool) -> Void
  ) throws {
    if isFirstLine {
      isFirstLine = false
      if EventRecording.isBeginning(line) { recording = EventRecording.Reader() }
    }
    if recording != nil {
      try recording!.read(line) { figures.tell($0.event, isOfLog: false, body) }
      return try recording!.read(CollectionOfOne(UInt8(ascii: "\n"))) { figures.tell($0.event, isOfLog: false, body) }
    }
    hasLogs = true
    guard var header = header.read(line) else { return figures.notUnderstood += 1 }
    date(&header, &figures)
    guard let fact = LogGrammar.read(header) else {
      if LogGrammar.knows(header) { figures.notUnderstood += 1 } else { figures.others += 1 }
      return
    }
    if fact.program == .sendmail { hasSendmail = true }
    // What we would have refused did happen: every line counts for what it says.
    joiner.join(header, fact) { event, teller in
      sieve.sift(event, from: teller) { figures.tell($0, isOfLog: true, body) }
      return true
    }
  }
}

extension Reader {
  /// Lines may be this much out of order: each daemon has a queue of its own.
  private static var disorder: TimeSpan { .minutes(5) }

  /// One clock that was wrong must not carry all that follows along.
  private mutating func date(_ header: inout LogHeader, _ figures: inout PastEvents.Figures) {
    if header.at > self.header.newest + .days(1) {
      figures.misdated += 1
      header.at = last ?? self.header.newest
    }
    if let last, header.at < last - Self.disorder {
      figures.late += 1
      figures.latest = max(figures.latest, last - header.at)
    }
    last = max(last ?? header.at, header.at)
  }

  /// A file is at its end.
  mutating func end() throws {
    guard recording != nil else { return }
    try recording!.finish()
    recordedBlindness += recording!.blindness
    if let header = recording!.header { recordings.append(header) }
  }

  /// All files are.
  mutating func finish(_ figures: inout PastEvents.Figures, _ body: (Event, Bool) -> Void) {
    joiner.finish { event, teller in
      sieve.sift(event, from: teller) { figures.tell($0, isOfLog: true, body) }
      return true
    }
    figures.dropped = joiner.dropped
  }
}

extension PastEvents.Figures {
  fileprivate mutating func tell(_ event: Event, isOfLog: Bool, _ body: (Event, Bool) -> Void) {
    events += 1
    from = from ?? event.at
    to = event.at
    body(event, isOfLog)
  }
}

/// How far it has come, on a terminal.
private struct Progress {
  private let total: Int
  private let isShown: Bool

  init(total: Int, isQuiet: Bool) {
    self.total = total
    isShown = !isQuiet && total > 0 && isatty(STDERR_FILENO) == 1
  }

  func show(_ done: Int, lines: Int) {
    guard isShown else { return }
    let share = min(1, Double(done) / Double(total))
    let width = 40
    let bar = String(repeating: "#", count: Int(share * Double(width)))
    let text =
      "\r[\(bar.padding(toLength: width, withPad: ".", startingAt: 0))] \(Int(share * 100)) %  \(lines / 1_000)k lines "
    FileHandle.standardError.write(Data(text.utf8))
  }

  func end() { if isShown { FileHandle.standardError.write(Data("\r\u{1b}[K".utf8)) } }
}
