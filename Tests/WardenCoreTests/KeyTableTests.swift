import Testing

@testable import WardenCore

/// The table of keys under attack and in calm.
struct KeyTableTests {
  private static func message(_ user: String, at: Timestamp) -> Event {
    var subject = Subject()
    subject.user = user
    return Event(at: at, step: .endOfMessage, subject: subject, wants: [.messages: 1])
  }

  private func engine(_ limit: Limit, keys: Int) -> Engine {
    Engine(policy: Policy(rules: [Rule("rate", .messages, per: .user, limit)]), bounds: .init(keysPerShape: keys))
  }

  @Test("A spray of random keys fills no more than the table, and a busy key near its limit survives it")
  func spray() {
    var random = SplitMix64(seed: 7)
    var engine = engine(.of(25, per: .hours(2)), keys: 500)
    for _ in 0..<24 { _ = engine.decide(Self.message("alice", at: .start)) }
    var now = Timestamp.start
    for _ in 0..<100_000 {
      now = now + TimeSpan(microseconds: 1_000)
      _ = engine.decide(Self.message(String(random.next(), radix: 36), at: now))
    }
    let status = engine.status(at: now)
    #expect(status.keys == 500)
    #expect(status.evictedKeys == 100_001 - 500)
    #expect(!engine.decide(Self.message("alice", at: now)).isRefused)
    #expect(engine.decide(Self.message("alice", at: now)).isRefused)
  }

  @Test("A spray does not wash away the counts of the few who are over a limit", arguments: 0..<4)
  func limitedSurvive(seed: Int) {
    var random = SplitMix64(seed: seed)
    var engine = engine(.of(5, per: .hours(2)), keys: 200)
    let limited = (0..<20).map { "limited\($0)" }
    var now = Timestamp.start
    for step in 0..<10_000 {
      now = now + TimeSpan(microseconds: 10_000)
      if step < 100 { _ = engine.decide(Self.message(limited[step % 20], at: now)) }
      _ = engine.decide(Self.message(String(random.next(), radix: 36), at: now))
    }
    for user in limited { #expect(engine.decide(Self.message(user, at: now)).isRefused, "seed \(seed), \(user)") }
  }

  @Test("A key with few but weighty counts survives keys with many bytes")
  func weightIsTheShareOfTheLimit() {
    var random = SplitMix64(seed: 11)
    var engine = Engine(
      policy: Policy(rules: [
        Rule("bad", .badRecipients, per: .ip, .of(10, per: .hours(1))),
        Rule("bytes", .bytes, per: .ip, .of(1_000_000_000, per: .days(1))),
      ]), bounds: .init(keysPerShape: 100))
    func subject(_ address: UInt32) -> Subject {
      var subject = Subject()
      subject.ip = IPAddress(v4: address)
      return subject
    }
    let harvester = subject(1)
    _ = engine.decide(Event(at: .start, step: .refusedRecipient, subject: harvester, happened: [.badRecipients: 10]))
    for _ in 0..<2_000 {
      let other = subject(UInt32.random(in: 2...(.max), using: &random))
      _ = engine.decide(Event(at: .start, step: .endOfMessage, subject: other, wants: [.bytes: 5_000]))
    }
    let one = engine.decide(
      Event(at: .start, step: .refusedRecipient, subject: harvester, happened: [.badRecipients: 1]))
    #expect(!one.isRefused)
    #expect(engine.decide(Event(at: .start, step: .mail, subject: harvester, wants: [.messages: 1])).isRefused)
  }

  @Test("Idle keys go as new ones come, long before the table is full")
  func idleKeysGo() {
    var engine = engine(.of(25, per: .hours(2)), keys: 10_000)
    for number in 0..<1_000 { _ = engine.decide(Self.message("old\(number)", at: .start)) }
    let later = Timestamp.start + .minutes(123)
    for number in 0..<1_000 { _ = engine.decide(Self.message("new\(number)", at: later)) }
    #expect(engine.status(at: later).keys == 1_000)
  }

  @Test("In a full table idle keys make room before anything that still counts is dropped")
  func idleKeysGoFirst() {
    var engine = engine(.of(25, per: .hours(2)), keys: 100)
    let later = Timestamp.start + .minutes(123)
    for number in 0..<100 {
      let count = number % 4 == 0 ? 20 : 1
      for _ in 0..<count { _ = engine.decide(Self.message("key\(number)", at: .start)) }
    }
    for number in 0..<100 where number % 4 != 0 { _ = engine.decide(Self.message("key\(number)", at: later)) }
    for number in 0..<20 { _ = engine.decide(Self.message("new\(number)", at: later)) }
    let status = engine.status(at: later)
    #expect(status.evictedKeys == 0)
    for number in 0..<100 where number % 4 != 0 {
      #expect(engine.explain(.user("key\(number)"), at: later).standings.first?.count == 1)
    }
  }

  @Test("A key that still counts is never swept as idle")
  func countingKeysStay() {
    var engine = engine(.of(1, per: .hours(2)), keys: 10_000)
    _ = engine.decide(Self.message("alice", at: .start))
    let later = Timestamp.start + .hours(2) - .microsecond
    for number in 0..<2_000 { _ = engine.decide(Self.message("new\(number)", at: later)) }
    #expect(engine.decide(Self.message("alice", at: later)).isRefused)
  }

  private func shelf(keys: Int) -> Shelf {
    var shelf = Shelf(shape: .user, capacity: keys)
    shelf.install([Rule("rate", .messages, per: .user, .of(25, per: .hours(2)), .of(99, per: .days(1)))])
    return shelf
  }

  @Test("Places of dropped keys are used again")
  func placesAreUsedAgain() throws {
    var shelf = shelf(keys: 1_000)
    for round in 0..<5 {
      for number in 0..<100 { _ = shelf.add([.messages: 1], to: .user("\(round).\(number)"), at: .start) }
      for number in 0..<100 { shelf.forget(.user("\(round).\(number)")) }
    }
    #expect(shelf.table.count == 0)
    #expect(shelf.table.extent == 100)
    #expect(shelf.table.find(.user("0.1")) == nil)
  }

  @Test("However keys come and go, the table finds each of them and no other", arguments: 0..<10)
  func againstADictionary(seed: Int) {
    var random = SplitMix64(seed: seed)
    var shelf = shelf(keys: 1_000)
    var known: [Key: Int] = [:]
    for _ in 0..<600 {
      let key = Key.user("\(Int.random(in: 0..<60, using: &random))")
      if Int.random(in: 0..<3, using: &random) == 0 {
        shelf.forget(key)
        known[key] = nil
      } else {
        _ = shelf.add([.messages: 1], to: key, at: .start)
        known[key, default: 0] += 1
      }
      let isSound = known.allSatisfy { key, count in
        shelf.table.find(key).flatMap { shelf.table.key(at: $0) } == key
          && shelf.standings(of: key, at: .start).map(\.count) == [count, count]
      }
      guard isSound, shelf.table.count == known.count else {
        Issue.record("seed \(seed): the table does not hold what was put there")
        return
      }
    }
  }
}

/// No event may cost more the more is held: an attacker decides how much that is.
@Suite(.timeLimit(.minutes(1)))
struct FullTableTests {
  private static func broken(_ number: Int, at: Timestamp) -> Event {
    var subject = Subject()
    subject.ip = IPAddress(v6High: 0x2001_0db8_0000_0000, low: UInt64(number))
    return Event(at: at, step: .close, subject: subject, happened: [.brokenConnections: 5])
  }

  /// An event each millisecond. Cancelled where it takes longer than any test may.
  private func trip(_ numbers: Range<Int>, from start: Timestamp, _ engine: inout Engine) throws {
    for number in numbers {
      if number % 100 == 0 { try Task.checkCancellation() }
      let now = start + TimeSpan(microseconds: 1_000 * (number - numbers.lowerBound))
      _ = engine.decide(Self.broken(number, at: now))
    }
  }

  @Test("Events do not get dearer with the number of keys, episodes and penalties, nor when these end one by one")
  func costs() async throws {
    var engine = Engine(
      policy: Policy(rules: [.brokenConnections]),
      bounds: .init(keysPerShape: 50_000, penalties: 50_000, episodes: 30_000))
    try trip(0..<55_000, from: .start, &engine)
    #expect(engine.status(at: .start).droppedPenalties == 5_000)
    #expect(engine.status(at: .start).droppedEpisodes == 25_000)
    // Episodes fall quiet, then penalties end, a thousand a second.
    try trip(55_000..<58_000, from: .start + .hours(2), &engine)
    try trip(58_000..<61_000, from: .start + .days(3), &engine)
    #expect(engine.status(at: .start).penalties > 40_000)
  }
}
