import Testing

@testable import WardenCore

/// The table of keys under attack and in calm.
struct KeyTableTests {
  private static func message(_ user: String, at: Timestamp) -> Event {
    var subject = Subject()
    subject.user = user
    return Event(at: at, step: .endOfMessage, subject: subject, wants: [.messages: 1])
  }

  private static func engine(_ limit: Limit, memory: Int) -> Engine {
    Engine(policy: Policy(rules: [Rule("rate", .messages, per: .user, limit)], memory: memory))
  }

  @Test("A spray of random keys fills no more than the bound, and a busy key near its limit survives it")
  func spray() {
    var random = SplitMix64(seed: 7)
    let engine = Self.engine(.of(25, per: .hours(2)), memory: 300_000)
    for _ in 0..<24 { _ = engine.decide(Self.message("alice", at: .start)) }
    var now = Timestamp.start
    for _ in 0..<30_000 {
      now = now + TimeSpan(microseconds: 1_000)
      _ = engine.decide(Self.message(String(random.next(), radix: 36), at: now))
    }
    let status = engine.status(at: now)
    #expect(status.memory <= 300_000)
    #expect(status.keys > 2_000)
    #expect(status.keys + status.evictedKeys == 30_001)
    #expect(!engine.decide(Self.message("alice", at: now)).isRefused)
    #expect(engine.decide(Self.message("alice", at: now)).isRefused)
  }

  @Test("A spray does not wash away the counts of the few who are over a limit", arguments: 0..<4)
  func limitedSurvive(seed: Int) {
    var random = SplitMix64(seed: seed)
    let engine = Self.engine(.of(5, per: .hours(2)), memory: 256 * 1024)
    let limited = (0..<20).map { "limited\($0)" }
    var now = Timestamp.start
    for step in 0..<10_000 {
      now = now + TimeSpan(microseconds: 10_000)
      if step < 100 { _ = engine.decide(Self.message(limited[step % 20], at: now)) }
      _ = engine.decide(Self.message(String(random.next(), radix: 36), at: now))
    }
    #expect(engine.status(at: now).evictedKeys > 0)
    for user in limited { #expect(engine.decide(Self.message(user, at: now)).isRefused, "seed \(seed), \(user)") }
  }

  @Test("A key with few but weighty counts survives keys with many bytes")
  func weightIsTheShareOfTheLimit() {
    var random = SplitMix64(seed: 11)
    let engine = Engine(
      policy: Policy(
        rules: [
          Rule("bad", .badRecipients, per: .ip, .of(10, per: .hours(1))),
          Rule("bytes", .bytes, per: .ip, .of(1_000_000_000, per: .days(1))),
        ], memory: 256 * 1024))
    func subject(_ address: UInt32) -> Subject {
      var subject = Subject()
      subject.ip = IPAddress(v4: address)
      return subject
    }
    let harvester = subject(1)
    _ = engine.decide(Event(at: .start, step: .refusedRecipient, subject: harvester, happened: [.badRecipients: 10]))
    for _ in 0..<10_000 {
      let other = subject(UInt32.random(in: 2...(.max), using: &random))
      _ = engine.decide(Event(at: .start, step: .endOfMessage, subject: other, wants: [.bytes: 5_000]))
    }
    #expect(engine.status(at: .start).evictedKeys > 0)
    let one = engine.decide(
      Event(at: .start, step: .refusedRecipient, subject: harvester, happened: [.badRecipients: 1]))
    #expect(!one.isRefused)
    #expect(engine.decide(Event(at: .start, step: .mail, subject: harvester, wants: [.messages: 1])).isRefused)
  }

  @Test("An offence and what was learned over weeks outlive a spray of keys")
  func historySurvives() throws {
    let rule = Rule("rate", .messages, per: .user, .of(5, per: .hours(2)), then: .block(.hours(1), .days(1)))
    let server = Server(Policy(rules: [rule], memory: 256 * 1024))
    _ = try server.sent(6)
    server.wait(.days(1))
    for number in 0..<10_000 { _ = server.decide(Self.message("spray\(number)", at: server.now)) }
    #expect(server.engine.status(at: server.now).evictedKeys > 0)
    _ = try server.sent(6)
    #expect(server.penalty(.user("alice"))?.until == server.now + .days(1))
  }

  @Test("Idle keys go as new ones come, long before the table is full")
  func idleKeysGo() {
    let engine = Self.engine(.of(25, per: .hours(2)), memory: 1_000_000)
    for number in 0..<4_000 { _ = engine.decide(Self.message("old\(number)", at: .start)) }
    let later = Timestamp.start + .minutes(123)
    for number in 0..<4_000 { _ = engine.decide(Self.message("new\(number)", at: later)) }
    let status = engine.status(at: later)
    // What is left of the old ones lies in the segments that are being written.
    #expect(status.keys < 6_500)
    #expect(status.evictedKeys == 0)
  }

  @Test("A key that still counts is never swept as idle")
  func countingKeysStay() {
    let engine = Self.engine(.of(1, per: .hours(2)), memory: 4_000_000)
    _ = engine.decide(Self.message("alice", at: .start))
    let later = Timestamp.start + .hours(2) - .microsecond
    for number in 0..<2_000 { _ = engine.decide(Self.message("new\(number)", at: later)) }
    #expect(engine.decide(Self.message("alice", at: later)).isRefused)
  }

  @Test("Every shard of a large table is found and walked")
  func shards() {
    let table = KeyTable(bound: Policy.defaultMemory)
    #expect(table.shardCount == 64)
    var used: Set<Int> = []
    for number in 0..<2_000 {
      var names = KeyNames()
      used.insert(table.shard(of: names.append(Key.user("\(number)")).hash))
    }
    #expect(used == Set(0..<64))
  }

  @Test("Whatever the bound, the table keeps it", arguments: [0, 1, 10_000, 100_000, 600_000, 3_000_000])
  func anyBound(bound: Int) {
    let engine = Self.engine(.of(5, per: .hours(2)), memory: bound)
    for number in 0..<20_000 { _ = engine.decide(Self.message("user\(number % 7_000)", at: .start)) }
    let status = engine.status(at: .start)
    // The smallest table of all: one segment and an index for it, below which no policy may go.
    #expect(status.memory <= max(bound, 100_000))
  }
}

struct KeyNameTests {
  private static func text(using random: inout SplitMix64) -> String {
    let parts = ["a", "é", "\u{0}", "@", ",", "%2C", ",ip:", "日", "\u{301}", "🙂", ""]
    return (0..<Int.random(in: 0...60, using: &random)).map { _ in parts.randomElement(using: &random)! }.joined()
  }

  private static func part(_ kind: KeyKind, using random: inout SplitMix64) -> KeyPart {
    let text = Bounded.text(text(using: &random))
    let address = IPAddress.random(using: &random)
    return switch kind {
    case .user: .user(text)
    case .ip: .ip(address)
    case .network: .network(Network(of: address, prefix: Int.random(in: 0...(address.isV4 ? 32 : 128), using: &random)))
    case .helo: .helo(text)
    case .sender: .sender(text)
    case .senderDomain: .senderDomain(text)
    case .recipient: .recipient(text)
    case .recipientDomain: .recipientDomain(text)
    case .server: .server
    }
  }

  @Test("A key of any shape is read back from its name, and its shape too", arguments: 0..<20)
  func roundTrip(seed: Int) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<100 {
      let kinds = KeyKind.allCases.shuffled(using: &random)
      let second = Bool.random(using: &random) ? Self.part(kinds[1], using: &random) : nil
      let key = Key(Self.part(kinds[0], using: &random), second)
      var names = KeyNames()
      _ = names.append(Key(.server))
      let range = names.append(key).range
      let (back, shape) = names.bytes.withUnsafeBytes {
        let name = UnsafeRawBufferPointer(rebasing: $0[range])
        return (KeyNames.key(of: name), KeyNames.shape(of: name))
      }
      guard back == key, shape == key.shape, range.count <= KeyNames.largest else {
        Issue.record("seed \(seed): \(key) comes back as \(back)")
        return
      }
    }
  }

  @Test("A subject's key has the same name, and so the same record, as the key by itself", arguments: 0..<20)
  func subjects(seed: Int) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<100 {
      var subject = Subject()
      let name = "u" + Self.text(using: &random)
      subject.user = Bounded.text(name)
      subject.ip = IPAddress.random(using: &random)
      subject.network = NetworkPrefix().network(of: subject.ip!)
      subject.helo = Bool.random(using: &random) ? "h" : nil
      subject.sender = ["", "a@b.test"].randomElement(using: &random)!
      subject.senderDomain = subject.sender!.isEmpty ? nil : "b.test"
      subject.recipient = Bool.random(using: &random) ? Recipient(path: "<\(name)@x.test>") : nil
      let kinds = KeyKind.allCases.shuffled(using: &random)
      let shape = KeyShape(kinds[0], Bool.random(using: &random) ? kinds[1] : nil)
      var (names, others) = (KeyNames(), KeyNames())
      let found = names.append(shape, of: subject)
      let key = subject.key(shape)
      let wanted = key.map { others.append($0) }
      guard found?.hash == wanted?.hash, names.bytes == others.bytes else {
        Issue.record("seed \(seed): \(shape) is not \(String(describing: key))")
        return
      }
    }
  }

  @Test("No two keys share a name, however their parts are cut")
  func prefixFree() {
    let keys = [
      Key(.user("a"), .sender("b@c")), Key(.user("ab"), .sender("@c")), Key(.user("a")), Key(.sender("a")),
      Key(.user("")), Key(.user("\u{0}")), Key(.helo("a"), .sender("b@c")), Key(.server), Key(.user("a"), .helo("")),
    ]
    let names = keys.map { key in
      var names = KeyNames()
      _ = names.append(key)
      return names.bytes
    }
    #expect(Set(names).count == keys.count)
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
  private func trip(_ numbers: Range<Int>, from start: Timestamp, _ engine: Engine) throws {
    for number in numbers {
      if number % 100 == 0 { try Task.checkCancellation() }
      let now = start + TimeSpan(microseconds: 1_000 * (number - numbers.lowerBound))
      _ = engine.decide(Self.broken(number, at: now))
    }
  }

  @Test("Events do not get dearer with the number of keys, episodes and penalties, nor when these end one by one")
  func costs() async throws {
    let engine = Engine(
      policy: Policy(rules: [.brokenConnections], memory: 4_000_000),
      bounds: .init(penalties: 50_000, episodes: 30_000))
    try trip(0..<55_000, from: .start, engine)
    #expect(engine.status(at: .start).droppedPenalties == 5_000)
    #expect(engine.status(at: .start).droppedEpisodes == 25_000)
    // Episodes fall quiet, then penalties end, a thousand a second.
    try trip(55_000..<58_000, from: .start + .hours(2), engine)
    try trip(58_000..<61_000, from: .start + .days(3), engine)
    #expect(engine.status(at: .start).penalties > 40_000)
  }
}
