import Glibc
import Testing

@testable import WardenCore

/// The words that everybody gets to read.
struct ReasonTests {
  private let reason = Reason(
    rule: "cap", key: Key(.user("alice"), .ip(ip("192.0.2.7"))),
    cause: .over(signal: .brokenConnections, count: 26, limit: 25, window: .hours(2)), until: .start + .minutes(38))

  private func lines(_ reason: Reason, _ pieces: ReplyTemplate.Piece...) -> [String] {
    reason.lines(ReplyTemplate(code: ReplyCode(code: 450, enhanced: "4.7.1"), pieces: pieces), now: .start)
  }

  @Test("Without a reply of its own, a rule says who, how much, how much is allowed and when to try again")
  func defaultSentence() {
    #expect(
      reason.lines(nil, now: .start) == [
        "user alice, ip 192.0.2.7: 26 broken connections in 2h (limit 25); try again in 38m"
      ])
  }

  @Test(
    "Names stand in a sentence as the field writes them",
    arguments: [
      (.authFailures, "AUTH failures"), (.authSuccesses, "AUTH successes"), (.rcptFloods, "RCPT floods"),
      (.dnsblRejections, "DNSBL rejections"), (.mtaDistress, "MTA distress"), (.senderMismatch, "sender mismatches"),
      (.deferred, "deferred recipients"), (.brokenConnections, "broken connections"),
    ] as [(Signal, String)])
  func names(signal: Signal, phrase: String) {
    #expect(signal.phrase == phrase && Quantity.measure(.signal(signal)).phrase == phrase)
    #expect(Quantity.share(.signal(signal), of: .signal(.recipients)).phrase == "\(phrase) / recipients")
  }

  @Test(
    "Sizes are written as a policy writes them, and never smaller than they are",
    arguments: [
      (0, "0 bytes"), (999, "999 bytes"), (1_000, "1kB"), (1_001, "1.1kB"), (72_000_000, "72MB"),
      (72_000_001, "72.1MB"),
      (1_500_000_000, "1.5GB"), (Int.max, "9223372036.9GB"),
    ])
  func sizes(bytes: Int, text: String) {
    #expect(bytes.size == text)
    let finding = Reason.Finding(
      quantity: .measure(.signal(.bytes)), count: bytes, isLeast: false, limit: 50_000_000,
      bound: Limit(count: 50_000_000, window: .hours(1)), share: nil)
    #expect(finding.phrase == "\(text) in 1h (limit 50MB)")
  }

  @Test("An administrator's words stand in the sentence, if there are any")
  func administrator() {
    let bare = Reason(rule: Reason.administrator, key: Key(.server), cause: .administrator(note: ""), until: .start)
    #expect(bare.sentence == "server: blocked by the administrator")
    let noted = Reason(rule: Reason.administrator, key: .ip("::1"), cause: .administrator(note: "scan"), until: .start)
    #expect(noted.lines(nil, now: .start) == ["ip ::1: blocked by the administrator; try again in 0s"])
  }

  @Test(
    "Every field of a reply has its value",
    arguments: [
      (.key, "user alice, ip 192.0.2.7"), (.rule, "cap"), (.signal, "broken connections"), (.count, "26"),
      (.limit, "25"), (.window, "2h"), (.retry, "38m"), (.until, "2026-11-24T10:52:05Z"), (.part(.user), "alice"),
      (.part(.ip), "192.0.2.7"), (.part(.senderDomain), ""),
    ] as [(ReplyTemplate.Field, String)])
  func fields(field: ReplyTemplate.Field, value: String) {
    #expect(lines(reason, .text("a "), .field(field), .text(" b")) == ["a \(value) b"])
  }

  @Test("A block by hand leaves a rule's figures empty, and is still one line")
  func fieldsOfABlock() {
    let blocked = Reason(rule: "administrator", key: .user("alice"), cause: .administrator(note: "x"), until: .start)
    #expect(lines(blocked, .field(.count), .field(.limit), .field(.window), .field(.signal)) == [""])
  }

  @Test("The policy's line ends part lines, empty ones too")
  func severalLines() {
    #expect(lines(reason, .text("one\n\ntwo "), .field(.count), .text("\n")) == ["one", "", "two 26", ""])
    #expect(lines(reason) == [""])
  }

  @Test(
    "A client's words cannot make a new line or a control character",
    arguments: [
      "eve\r\n250 2.0.0 OK", "eve\nx", "eve\rx", "\r\n", "eve\u{0}x", "eve\u{1b}[2J", "eve\u{b}x",
    ])
  func hostileNames(name: String) {
    let hostile = Reason(
      rule: "cap", key: .user(name), cause: .over(signal: .messages, count: 2, limit: 1, window: .hours(1)),
      until: .start)
    let replies = [
      hostile.lines(nil, now: .start), lines(hostile, .text("a\n"), .field(.part(.user)), .text(" b")),
      lines(hostile, .field(.key)),
    ]
    #expect(replies.map(\.count) == [1, 2, 1])
    for line in replies.joined() { #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 }) }
    let noted = Reason(rule: "", key: .user(""), cause: .administrator(note: name), until: .start)
    #expect(noted.lines(nil, now: .start).count == 1)
  }

  @Test("Whoever is told to wait is never told too little", arguments: 0..<50)
  func retryIsEnough(seed: Int) throws {
    var random = SplitMix64(seed: seed)
    let wait = TimeSpan(
      microseconds: Int.random(in: 0...TimeSpan.randomWindow(using: &random).microseconds, using: &random))
    let told = try #require(TimeSpan(wait.rounded.description))
    #expect(told >= wait, "seed \(seed)")
    #expect(told.microseconds - wait.microseconds < max(1_000_000, wait.microseconds / 24), "seed \(seed)")
  }

  @Test("A refusal carries its lines, and at least one")
  func refusalLines() throws {
    let rule = Rule(
      "cap", .messages, per: .user, .of(1, per: .hours(1)),
      reply: ReplyTemplate(
        code: ReplyCode(code: 452, enhanced: "4.3.1"), pieces: [.field(.part(.user)), .text(": slow")]))
    let server = Server(rule)
    try server.send()
    let refusal = try #require(try server.send())
    #expect(refusal.code == ReplyCode(code: 452, enhanced: "4.3.1"))
    #expect(refusal.lines == ["alice: slow"])
  }

  @Test("Of several rules that refuse, the one is named that holds longest, so that its promise is true")
  func longestRuleIsNamed() throws {
    let server = Server(
      Rule("minute", .messages, per: .user, .of(2, per: .minutes(1))),
      Rule("day", .messages, per: .user, .of(2, per: .days(1))))
    for _ in 0..<2 { try server.send() }
    let refusal = try #require(try server.send())
    server.now = refusal.reason.until
    #expect(try server.send() == nil)
  }
}

struct CalendarTests {
  @Test(
    "Known moments",
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (951_868_799, "2000-02-29T23:59:59Z"),
      (951_868_800, "2000-03-01T00:00:00Z"), (1_709_164_800, "2024-02-29T00:00:00Z"),
      (1_798_761_599, "2026-12-31T23:59:59Z"), (1_798_761_600, "2027-01-01T00:00:00Z"),
      (4_107_542_400, "2100-03-01T00:00:00Z"), (4_107_542_399, "2100-02-28T23:59:59Z"), (-1, "1969-12-31T23:59:59Z"),
    ])
  func known(seconds: Int, text: String) {
    #expect(Timestamp(microseconds: seconds * 1_000_000).rfc3339 == text)
    #expect(Timestamp(microseconds: seconds * 1_000_000 + 999_999).rfc3339 == text)
  }

  @Test("Any moment of a year with four digits is the C library's", arguments: 0..<4)
  func againstGlibc(seed: Int) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<500 {
      var seconds = Int.random(in: -30_610_224_000...253_402_300_799, using: &random)
      var broken = tm()
      gmtime_r(&seconds, &broken)
      var text = [CChar](repeating: 0, count: 32)
      strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &broken)
      let expected = text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
      guard Timestamp(microseconds: seconds * 1_000_000).rfc3339 == expected else {
        Issue.record("seed \(seed): \(seconds) is \(expected)")
        return
      }
    }
  }
}
