import Foundation
import WardenCore

/// Reads what stands before a daemon's own words, in every form that lines of a mail log have.
///
/// Lines of files: with a full date, or with one that has neither year nor zone; as RFC 5424 has it; as Dovecot writes its
/// own file. Datagrams of syslog. JSON of rsyslog (`ts`, `host`, `tag`, `pid`, `msg`) and of journalctl. A header's texts
/// are valid as long as the line's bytes, and until the next line is read.
public struct LogHeaderReader: ~Copyable {
  /// The moment that no line is later than: for a file its last change, for what comes in now the present. A date without
  /// a year is the latest that is not later; a day's grace is for clocks that are wrong. Worth a set once a batch.
  public var newest: Timestamp {
    didSet { localMinute = nil }
  }

  private let clock: LocalClock
  /// The minute of the line before, as it stood there, and when that began; most lines share it.
  private var localMinute: (shown: Int, start: Int)?
  private var fullMinute: (shown: Int, start: Int)?
  /// What a line without a zone said last, in seconds.
  private var last = 0
  private var scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)

  private static let grace = 86_400

  /// - Parameter zone: of lines that name none.
  public init(zone: TimeZone, newest: Timestamp) {
    clock = LocalClock(zone: zone)
    self.newest = newest
  }

  deinit { scratch.deallocate() }

  /// - Returns: nothing for what has no such form.
  public mutating func read(_ line: UnsafeRawBufferPointer) -> LogHeader? {
    var end = line.count
    while end > 0, line[end - 1] <= 13, [0, 10, 13].contains(line[end - 1]) { end -= 1 }
    guard end > 0 else { return nil }
    let line = line.upTo(end)
    switch line[0] {
    case UInt8(ascii: "{"): return json(line)
    case UInt8(ascii: "<"):
      guard let priority = line.number(at: 1), line.has(">", at: priority.end) else { return nil }
      let rest = line.from(priority.end + 1)
      return rest.after("1 ").flatMap { structured($0) } ?? plain(rest)
    default: return plain(line)
    }
  }

  // MARK: - Forms

  /// Time, perhaps a host, tag.
  private mutating func plain(_ line: Bytes) -> LogHeader? {
    guard let stamp = stamp(line), line.has(" ", at: stamp.end) else { return nil }
    var rest = line.from(stamp.end + 1)
    // Some of BSD tell the facility and how grave it is.
    if rest.begins("<") {
      guard let end = rest.first("> ") else { return nil }
      rest = rest.from(end + 2)
    }
    if let tag = Tag(rest) { return header(stamp.at, host: nil, tag) }
    guard let hostEnd = rest.first(UInt8(ascii: " ")), rest.upTo(hostEnd).allSatisfy(Self.isOfHost) else { return nil }
    return Tag(rest.from(hostEnd + 1)).flatMap { header(stamp.at, host: rest.upTo(hostEnd), $0) }
  }

  /// Without what only names may have, so that no user's name passes for a host.
  private static func isOfHost(_ byte: UInt8) -> Bool {
    byte.isAlphanumeric || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
      || byte == UInt8(ascii: ":")
  }

  /// RFC 5424, from the time on.
  private mutating func structured(_ line: Bytes) -> LogHeader? {
    guard let stamp = stamp(line), line.has(" ", at: stamp.end) else { return nil }
    var place = stamp.end + 1
    func word() -> Bytes? {
      guard let end = line.first(UInt8(ascii: " "), from: place) else { return nil }
      defer { place = end + 1 }
      return line.part(place, end)
    }
    guard let host = word(), let program = word(), let process = word(), word() != nil else { return nil }
    guard let end = Self.endOfData(line, from: place), end == line.count || line[end] == UInt8(ascii: " ") else {
      return nil
    }
    var message = line.from(min(line.count, end + 1))
    if let text = message.after("\u{FEFF}") { message = text }
    return header(
      stamp.at, host: host.is("-") ? nil : host, program: program, pid: process.number(at: 0)?.value ?? 0, message)
  }

  /// Where `-` or `[id name="value"]…` ends.
  private static func endOfData(_ line: Bytes, from start: Int) -> Int? {
    if line.has("-", at: start) { return start + 1 }
    var place = start
    while line.has("[", at: place) {
      var isQuoted = false
      place += 1
      while place < line.count, isQuoted || line[place] != UInt8(ascii: "]") {
        if isQuoted, line[place] == UInt8(ascii: "\\") {
          place += 1
        } else if line[place] == UInt8(ascii: "\"") {
          isQuoted.toggle()
        }
        place += 1
      }
      guard place < line.count else { return nil }
      place += 1
    }
    return place > start ? place : nil
  }

  private mutating func json(_ line: Bytes) -> LogHeader? {
    if scratch.count < line.count {
      scratch.deallocate()
      scratch = .allocate(byteCount: max(8_192, line.count), alignment: 8)
    }
    guard let fields = LogJSON.fields(of: line, into: scratch) else { return nil }
    let at: Int
    if let microseconds = fields.microseconds {
      at = microseconds
    } else {
      guard let time = fields.time, let stamp = stamp(time), stamp.end == time.count else { return nil }
      at = stamp.at
    }
    guard let message = fields.message, let name = fields.program else { return nil }
    if let tag = Tag(name) { return header(at, host: fields.host, program: tag.program, pid: tag.pid, message) }
    return header(at, host: fields.host, program: name, pid: fields.pid, message)
  }

  private func header(_ at: Int, host: Bytes?, _ tag: Tag) -> LogHeader {
    header(at, host: host, program: tag.program, pid: tag.pid, tag.message)
  }

  private func header(_ at: Int, host: Bytes?, program: Bytes, pid: Int, _ words: Bytes) -> LogHeader {
    var words = words
    while words.begins(" ") { words = words.from(1) }
    // Solaris numbers its messages.
    if words.begins("[ID "), let end = words.first("] ") { words = words.from(end + 2) }
    return LogHeader(
      at: Timestamp(microseconds: at), host: host.map(Text.init), program: Text(program), pid: pid,
      message: Text(words))
  }

  /// `postfix/smtpd[12]: `, `dovecot: `, and of Dovecot's own file `auth-worker(12): `, whose message begins at the `(`.
  private struct Tag {
    let program: Bytes
    var pid = 0
    let message: Bytes

    init?(_ line: Bytes) {
      var end = 0
      while end < line.count, Self.isOfName(line[end]) { end += 1 }
      guard end > 0, end < line.count else { return nil }
      program = line.upTo(end)
      if line[end] == UInt8(ascii: "(") || line[end] == UInt8(ascii: "<") {
        message = line.from(end)
        return
      }
      if line[end] == UInt8(ascii: "[") {
        guard let number = line.number(at: end + 1), line.has("]", at: number.end) else { return nil }
        pid = number.value
        end = number.end + 1
      }
      guard line.has(":", at: end), end + 1 == line.count || line[end + 1] == UInt8(ascii: " ") else { return nil }
      message = line.from(end + 1)
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
      byte.isAlphanumeric || byte == UInt8(ascii: "/") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        || byte == UInt8(ascii: ".")
    }
  }

  // MARK: - Time

  /// Microseconds since 1970, and where the time ends.
  private mutating func stamp(_ line: Bytes) -> (at: Int, end: Int)? {
    guard line.count >= 14 else { return nil }
    return line[0].isDigit ? fullStamp(line) : localStamp(line)
  }

  /// `2026-11-21T02:34:04.418501+00:00`, or with a space, without a fraction, without a zone.
  private mutating func fullStamp(_ line: Bytes) -> (at: Int, end: Int)? {
    guard line.count >= 19, line[4] == UInt8(ascii: "-"), line[7] == UInt8(ascii: "-"),
      line[10] == UInt8(ascii: "T") || line[10] == UInt8(ascii: " "),
      let century = Self.two(line, 0), let year = Self.two(line, 2), let month = Self.two(line, 5),
      let day = Self.two(line, 8), let time = Self.time(line, 11)
    else { return nil }
    let shown = (((century * 100 + year) * 16 + month) * 32 + day) * 1_440 + time.minute
    if fullMinute?.shown != shown {
      guard let days = LocalClock.days(year: century * 100 + year, month: month, day: day) else { return nil }
      fullMinute = (shown, days * 86_400 + time.minute * 60)
    }
    let local = fullMinute!.start + time.second
    var place = 19
    var fraction = 0
    if place < line.count, line[place] == UInt8(ascii: ".") || line[place] == UInt8(ascii: ",") {
      guard let digits = line.number(at: place + 1) else { return nil }
      fraction = digits.value
      let places = digits.end - place - 1
      for _ in 0..<max(0, 6 - places) { fraction *= 10 }
      for _ in 0..<max(0, places - 6) { fraction /= 10 }
      place = digits.end
    }
    guard place < line.count else { return (zoned(local) * 1_000_000 + fraction, place) }
    switch line[place] {
    case UInt8(ascii: "Z"): return (local * 1_000_000 + fraction, place + 1)
    case UInt8(ascii: "+"), UInt8(ascii: "-"):
      let hasColon = line.has(":", at: place + 3)
      let end = place + (hasColon ? 6 : 5)
      guard end <= line.count, let hours = Self.two(line, place + 1), let minutes = Self.two(line, end - 2), hours < 24,
        minutes < 60
      else { return nil }
      let offset = (hours * 60 + minutes) * 60
      return ((line[place] == UInt8(ascii: "-") ? local + offset : local - offset) * 1_000_000 + fraction, end)
    default: return (zoned(local) * 1_000_000 + fraction, place)
    }
  }

  private mutating func zoned(_ local: Int) -> Int {
    let moment = clock.moment(local: local, after: last)
    last = moment
    return moment
  }

  /// `Nov 21 02:34:04`, the day also as ` 4`, `04` and `4`.
  private mutating func localStamp(_ line: Bytes) -> (at: Int, end: Int)? {
    guard let month = Self.month(line), line[3] == UInt8(ascii: " ") else { return nil }
    guard let day = line.number(at: line[4] == UInt8(ascii: " ") ? 5 : 4), line.has(" ", at: day.end),
      line.count >= day.end + 9,
      let time = Self.time(line, day.end + 1)
    else { return nil }
    let shown = (month * 32 + min(day.value, 32)) * 1_440 + time.minute
    if localMinute?.shown != shown {
      guard let start = start(month: month, day: day.value, minute: time.minute) else { return nil }
      localMinute = (shown, start)
      last = start
    }
    return ((localMinute!.start + time.second) * 1_000_000, day.end + 9)
  }

  /// The latest such minute that is not later than the newest line can be.
  private func start(month: Int, day: Int, minute: Int) -> Int? {
    let latest = newest.microseconds / 1_000_000 + Self.grace
    let year = LocalClock.year(latest) + 1
    // Leap days are up to eight years apart.
    for year in stride(from: year, through: year - 9, by: -1) {
      guard let days = LocalClock.days(year: year, month: month, day: day) else { continue }
      let moment = clock.moment(local: days * 86_400 + minute * 60, after: last)
      if moment <= latest { return moment }
    }
    return nil
  }

  private static func month(_ line: Bytes) -> Int? {
    switch (line[0], line[1], line[2]) {
    case (UInt8(ascii: "J"), UInt8(ascii: "a"), UInt8(ascii: "n")): 1
    case (UInt8(ascii: "F"), UInt8(ascii: "e"), UInt8(ascii: "b")): 2
    case (UInt8(ascii: "M"), UInt8(ascii: "a"), UInt8(ascii: "r")): 3
    case (UInt8(ascii: "A"), UInt8(ascii: "p"), UInt8(ascii: "r")): 4
    case (UInt8(ascii: "M"), UInt8(ascii: "a"), UInt8(ascii: "y")): 5
    case (UInt8(ascii: "J"), UInt8(ascii: "u"), UInt8(ascii: "n")): 6
    case (UInt8(ascii: "J"), UInt8(ascii: "u"), UInt8(ascii: "l")): 7
    case (UInt8(ascii: "A"), UInt8(ascii: "u"), UInt8(ascii: "g")): 8
    case (UInt8(ascii: "S"), UInt8(ascii: "e"), UInt8(ascii: "p")): 9
    case (UInt8(ascii: "O"), UInt8(ascii: "c"), UInt8(ascii: "t")): 10
    case (UInt8(ascii: "N"), UInt8(ascii: "o"), UInt8(ascii: "v")): 11
    case (UInt8(ascii: "D"), UInt8(ascii: "e"), UInt8(ascii: "c")): 12
    default: nil
    }
  }

  /// `02:34:04`
  @inline(__always)
  private static func time(_ line: Bytes, _ place: Int) -> (minute: Int, second: Int)? {
    guard line.count >= place + 8, line[place + 2] == UInt8(ascii: ":"), line[place + 5] == UInt8(ascii: ":"),
      let hour = two(line, place), let minute = two(line, place + 3), let second = two(line, place + 6), hour < 24,
      minute < 60, second <= 60
    else { return nil }
    return (hour * 60 + minute, min(second, 59))
  }

  @inline(__always)
  private static func two(_ line: Bytes, _ place: Int) -> Int? {
    guard line[place].isDigit, line[place + 1].isDigit else { return nil }
    return Int(line[place] & 15) * 10 + Int(line[place + 1] & 15)
  }
}
