import Testing
import WardenCore

@testable import WardenFeeds

extension Int: TableKey {
  /// So that many meet.
  public var hash: UInt64 { UInt64(truncatingIfNeeded: self / 3) }
}

/// What the joiner remembers is bounded.
@Suite("Joined tables")
struct JoinTablesTests {
  private let start = Timestamp(microseconds: 1_795_514_400_000_000)

  private func id(_ text: String, host: UInt32 = 1) -> QueueID? {
    var text = text
    return text.withUTF8 { QueueID(Text(UnsafeRawBufferPointer($0)), host: host) }
  }

  @Test("Queue ids are the same where every byte and the host are")
  func queueIDs() {
    let texts = ["A", "AB", "ABCDEFGH", "ABCDEFGHI", "4Xq1Yz3Wk9z1Pq2R", "4Xq1Yz3Wk9z1Pq2RS", "4Xq1Yz3Wk9z1Pq2RT"]
    for (number, text) in texts.enumerated() {
      for (other, otherText) in texts.enumerated() { #expect((id(text) == id(otherText)) == (number == other)) }
      #expect(id(text) != id(text, host: 2))
    }
    #expect(id("") == nil)
  }

  @Test("What is spoken of stays, and what is not goes after its time without counting as dropped")
  func memory() {
    var table = RecentTable<Int, String>(capacity: 100, memory: .hours(2))
    table.set(1, "old", at: start)
    table.set(2, "kept", at: start)
    for hour in 1..<6 {
      #expect(table.find(2) != nil)
      table.set(100 + hour, "other", at: start + .hours(hour))
    }
    #expect(table.find(1) == nil)
    #expect(table.find(2).map { table[$0] } == "kept")
    #expect(table.dropped == 0)
  }

  @Test("Where there is no more room the oldest go, and are counted")
  func room() {
    var table = RecentTable<Int, Int>(capacity: 100, memory: .hours(2))
    for number in 0..<1_000 { table.set(number, number, at: start) }
    #expect(table.count <= 100 && table.dropped == 1_000 - table.count)
    #expect(table.find(999).map { table[$0] } == 999 && table.find(1) == nil)
    table.set(999, 1, at: start)
    table.remove(999)
    #expect(table.find(999) == nil)
  }

  @Test("A replaced value is not found again in its older form")
  func replaced() {
    var table = RecentTable<Int, Int>(capacity: 100, memory: .hours(2))
    table.set(1, 1, at: start)
    table.set(2, 2, at: start + .hours(1))
    table.set(1, 3, at: start + .hours(1))
    table.remove(1)
    #expect(table.find(1) == nil)
  }

  @Test("A table under random changes is as a dictionary", arguments: 0..<10)
  func oracle(seed: Int) {
    var state = UInt64(seed) &+ 1
    func draw(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    var table = RecentTable<Int, Int>(capacity: 10_000, memory: .days(1))
    var oracle: [Int: Int] = [:]
    for step in 0..<20_000 {
      // Half of all is forgotten at most twice a day, so that what is asked for often stays.
      let key = draw(300)
      switch draw(4) {
      case 0: (oracle[key], _) = (nil, table.remove(key))
      case 1: (oracle[key], _) = (step, table.set(key, step, at: start + TimeSpan(microseconds: step)))
      default: #expect(table.find(key).map { table[$0] } == oracle[key])
      }
      #expect(table.count == oracle.count)
    }
  }

  @Test("What waits comes in its order when it is due, or when too much waits")
  func waiting() {
    var waiting = Waiting<Int>(.seconds(10), bound: 3)
    for number in 0..<3 { waiting.add(number, at: start + .seconds(number)) }
    #expect(waiting.next(at: start + .seconds(9)) == nil)
    #expect(waiting.next(at: start + .seconds(10)) == 0)
    #expect(waiting.next(at: start + .seconds(10)) == nil)
    for number in 3..<6 { waiting.add(number, at: start + .seconds(3)) }
    #expect(waiting.next(at: start + .seconds(3)) == 1)
    #expect(waiting.next(at: start + .seconds(3)) == 2)
    #expect(waiting.next(at: start + .seconds(3)) == nil)
    #expect(waiting.take() == 3)
  }

  @Test("A queue that never runs dry does not grow with what has gone through it")
  func throughput() {
    var waiting = Waiting<Int>(.seconds(1), bound: 1_000_000)
    var next = 0
    for number in 0..<100_000 {
      waiting.add(number, at: start + TimeSpan(microseconds: number * 1_000))
      while let item = waiting.next(at: start + TimeSpan(microseconds: number * 1_000)) {
        #expect(item == next)
        next += 1
      }
    }
    #expect(next == 99_000)
  }

  @Test("A flood of sessions that never end, and of messages that are never removed, is bounded")
  func flood() {
    var bounds = LogJoiner.Bounds()
    (bounds.sessions, bounds.messages) = (100, 100)
    let log = Joining(.replay, bounds: bounds)
    for number in 0..<2_000 {
      let address = "192.0.\(number / 250).\(number % 250)"
      log.smtpd("connect from unknown[\(address)]", pid: number)
      log.smtpd("\(String(0xA0000 + number, radix: 16).uppercased()): client=unknown[\(address)]", pid: number)
    }
    #expect(log.dropped >= 3_600)
    #expect(log.sums["connections"] == 2_000)
  }

  @Test("Hosts and programs beyond the bound share one number")
  func words() {
    var words = WordTable()
    func number(_ text: String) -> UInt32 {
      var text = text
      return text.withUTF8 { words.number(of: Text(UnsafeRawBufferPointer($0))).number }
    }
    let numbers = (0..<300).map { number("host\($0)") }
    #expect(Set(numbers.prefix(256)).count == 256 && numbers.suffix(44).allSatisfy { $0 == 0 })
    #expect(number("host7") == numbers[7] && number("host299") == 0)
  }

  @Test("A text is found again to the last byte, if it is not too long, until another takes its place")
  func texts() {
    var table = TextTable<Int>()
    func with<R>(_ text: String, _ body: (Text) -> R) -> R {
      var text = text
      return text.withUTF8 { body(Text(UnsafeRawBufferPointer($0))) }
    }
    let texts = ["", "a", "b", "aa", "abcdefgh", "abcdefghi"] + [62, 63, 64].map { String(repeating: "x", count: $0) }
    for (number, text) in texts.enumerated() { with(text) { table[$0] = number } }
    for (number, text) in texts.enumerated() where text.utf8.count < 64 { #expect(with(text) { table[$0] } == number) }
    #expect(with(texts.last!) { table[$0] } == nil)
    for number in 0..<100_000 {
      let text = "user\(number)"
      with(text) { table[$0] = number }
      #expect(with(text) { table[$0] } == number)
    }
    table.removeAll()
    #expect(with("user99999") { table[$0] } == nil)
  }

  @Test("Lines of random kinds, in any order, are survived")
  func disorder() {
    let lines = [
      ("postfix/smtpd[1]", "connect from a[192.0.2.1]"), ("postfix/smtpd[1]", "disconnect from a[192.0.2.2] mail=1"),
      ("postfix/smtpd[1]", "AAAAA1: client=a[192.0.2.1]"), ("postfix/qmgr[1]", "AAAAA1: from=<>, size=1, nrcpt=1 (q)"),
      ("postfix/smtpd[1]", "AAAAA1: client=localhost[127.0.0.1], orig_queue_id=AAAAA1, orig_client=a[192.0.2.1]"),
      ("postfix/smtp[1]", "AAAAA1: to=<a@b>, relay=c, delay=1, dsn=2.0.0, status=sent (250 queued as AAAAA1)"),
      ("postfix/smtp[1]", "AAAAA1: to=<a@b>, relay=c, delay=1, dsn=2.0.0, status=sent ()"),
      ("postfix/qmgr[1]", "AAAAA1: removed"), ("postfix/smtpd[1]", "lost connection after DATA from a[192.0.2.1]"),
      ("sendmail[1]", "A00000001: from=<a@b>, size=1, class=0, nrcpts=1, proto=ESMTPA, relay=a [192.0.2.1]"),
      ("sendmail[1]", "A00000001: <a@mx.test>... User unknown"), ("sendmail[1]", "A00000001: done; delay=1, ntries=1"),
      ("sendmail[1]", "A00000001: Milter: data, reject=550 no"),
      ("sendmail[1]", "a [192.0.2.1] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA"),
    ]
    let log = Joining(.replay)
    var state: UInt64 = 7
    for _ in 0..<5_000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let (program, message) = lines[Int(state >> 33) % lines.count]
      if state >> 60 == 0 { log.wait(.hours(-1)) } else { log.wait(.seconds(20)) }
      log.line(program, message)
    }
    log.finish()
    #expect(log.events.count > 1_000)
  }
}
