import Glibc
import Testing
import WardenCore

@testable import WardenFeeds

/// Lines that no daemon has written.
@Suite("Broken log lines")
struct LogFuzzTests {
  private static let rounds = 6_000

  /// A line, broken: cut, spliced with another, doubled in part, with other bytes, or very long.
  private func broken(_ lines: [[UInt8]], _ dice: inout Dice) -> [UInt8] {
    var line = lines[dice.next(below: lines.count)]
    for _ in 0...dice.next(below: 4) {
      guard !line.isEmpty else { break }
      let place = dice.next(below: line.count)
      switch dice.next(below: 7) {
      case 0: line.removeSubrange(place...)
      case 1: line.removeSubrange(..<place)
      case 2: line.replaceSubrange(place..., with: lines[dice.next(below: lines.count)].suffix(dice.next(below: 200)))
      case 3: line.insert(contentsOf: line[place...].prefix(dice.next(below: 80)), at: dice.next(below: line.count))
      case 4: line[place] = UInt8(dice.next(below: 256))
      case 5:
        let bytes = Array("\"\\[]<>(), :=;{}\0\u{FF}".utf8)
        line.insert(bytes[dice.next(below: bytes.count)], at: place)
      default:
        guard dice.next(below: 40) == 0 else { break }
        let part = line[place...].prefix(1 + dice.next(below: 60))
        line.insert(contentsOf: Array(repeating: part, count: 8_192 / part.count).joined(), at: place)
      }
    }
    return line
  }

  private func isInside(_ text: Text?, _ whole: UnsafeRawBufferPointer) -> Bool {
    guard let bytes = text?.bytes, let start = bytes.baseAddress, let base = whole.baseAddress else { return true }
    return start >= base && start + bytes.count <= base + whole.count
  }

  @Test("A broken line is read or not, and what is read of it lies within it", arguments: 1...4 as ClosedRange<UInt64>)
  func plain(seed: UInt64) throws {
    var dice = Dice(seed: seed)
    let lines = try LogCorpusTests.files().flatMap(LogCorpusTests.lines)
    var reader = Lines.reader()
    var understood = 0
    for _ in 0..<Self.rounds {
      broken(lines, &dice).withUnsafeBytes { line in
        guard let header = reader.read(line) else { return }
        #expect(isInside(header.program, line) && isInside(header.host, line) && isInside(header.message, line))
        guard let fact = LogGrammar.read(header) else { return }
        understood += 1
        for text in [fact.user, fact.queueID, fact.sender, fact.recipient] {
          #expect(isInside(text, header.message.bytes))
        }
        // An address that is told stands there as such.
        if let client = fact.client, client.isV4 {
          #expect(
            String(decoding: line, as: UTF8.self).contains(client.description) || header.message.string.contains("::"))
        }
      }
    }
    #expect(understood > Self.rounds / 8)
  }

  @Test("A broken JSON line is read or not")
  func json() {
    var dice = Dice(seed: 7)
    let lines = [
      #"{"ts":"2026-11-21T02:34:04.418501+00:00","host":"mx","tag":"postfix\/smtpd[23]:","pid":"23","sev":"warning","msg":" warning: \u00e9\ud83d\ude00\n"}"#,
      #"{"MESSAGE":[65,66,237],"__REALTIME_TIMESTAMP":"1795228444418501","SYSLOG_IDENTIFIER":"sendmail","X":{"a":[1,{}]}}"#,
      #"{"MESSAGE":"connect from x[192.0.2.3]","__REALTIME_TIMESTAMP":"1795228444418501","SYSLOG_IDENTIFIER":"postfix/smtpd"}"#,
    ].map { Array($0.utf8) }
    var reader = Lines.reader()
    var read = 0
    for _ in 0..<Self.rounds {
      broken(lines, &dice).withUnsafeBytes { if let header = reader.read($0), LogGrammar.knows(header) { read += 1 } }
    }
    #expect(read > Self.rounds / 20)
  }

  /// This thread's, in nanoseconds: others may be at work as well.
  private static var processorTime: Int {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }

  @Test("The longest lines take no longer for each byte")
  func linear() {
    for part in [
      ",1.1.1.1): ", ")", "): ", "(", "<", ">: ", ",", "\"", "\\", ", relay=[1.1.1.1]", ", user=", ">, size=1, ",
      " from ",
      "; from=<", ">: ", ">... ", " sasl_username=", "[", "] ", ": ", "rip=", ">, method=", ")<a>: ", ", status=", "1 ",
    ] {
      for start in [
        "dovecot: auth: sql(", "dovecot: auth(", "dovecot: imap-login: Disconnected (auth failed, 1 attempts): user=<",
        "sendmail[1]: 6AL2jPjD000054: from=<", "sendmail[1]: 6AL2jPjD000054: to=<",
        "sendmail[1]: 6AL2jPjD000054: ruleset=check_rcpt, arg1=<", "sendmail[1]: 6AL2jPjD000054: AUTH failure (X): ",
        "postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[1.1.1.1]: 554 5.7.1 <", "postfix/smtpd[1]: 4C0FFEE123: to=<",
        "postfix/smtpd[1]: disconnect from x[1.1.1.1]", "postfix/smtpd[1]: warning: x[1.1.1.1]: SASL ",
        "saslauthd[1]: : ",
      ] {
        func time(_ count: Int) -> Int {
          let line = Array(
            ("Nov 21 02:34:04 mx " + start + String(repeating: part, count: count / part.utf8.count)).utf8)
          return (0..<3).map { _ in
            let start = Self.processorTime
            Lines.fact(line) { _ in }
            return Self.processorTime - start
          }.min()!
        }
        // Thirty-two times the length: a reader that looks back over all of it would need a thousand times as long.
        #expect(time(64_000) < max(time(2_000), 100_000) * 32 * 8, "\(start)\(part)")
      }
    }
  }
}
