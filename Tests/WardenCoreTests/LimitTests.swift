import Testing

@testable import WardenCore

/// "N per T" through the engine, held against the list of everything that it admitted.
struct LimitTests {
  private static func end(at: Timestamp, recipients: Int = 1) -> Event {
    var subject = Subject()
    subject.user = "alice"
    return Event(at: at, step: .endOfMessage, subject: subject, wants: [.messages: 1, .recipients: recipients])
  }

  private static func mail(at: Timestamp) -> Event {
    var event = end(at: at)
    event.step = .mail
    return event
  }

  @Test("Every window holds at most the limit, and a refusal comes at most a sixtieth too late", arguments: 0..<60)
  func oneWindow(seed: Int) {
    var random = SplitMix64(seed: seed)
    let limit = Limit(count: Int.random(in: 1...50, using: &random), window: .randomWindow(using: &random))
    let engine = Engine(policy: Policy(rules: [Rule("rule", .messages, per: .user, limit)]))
    var times = HostileTimes(seed: seed, window: limit.window)
    var admitted = ExactCounter()
    for step in 0..<200 {
      let now = times.next()
      let isRefused = engine.decide(Self.end(at: now)).isRefused
      if !isRefused { admitted.add(1, at: now) }
      let inWindow = admitted.count(at: now, window: limit.window)
      let withSlack = admitted.count(at: now, window: limit.window.withSlack)
      guard inWindow <= limit.count, !isRefused || withSlack >= limit.count else {
        Issue.record(
          "seed \(seed), step \(step), \(limit): refused \(isRefused) with \(inWindow) (\(withSlack)) admitted")
        return
      }
    }
  }

  @Test("Recipients are counted in the message's own number, and every window holds them", arguments: 0..<40)
  func amounts(seed: Int) {
    var random = SplitMix64(seed: seed)
    let limit = Limit(count: Int.random(in: 1...200, using: &random), window: .randomWindow(using: &random))
    let engine = Engine(policy: Policy(rules: [Rule("rule", .recipients, per: .user, limit)]))
    var times = HostileTimes(seed: seed, window: limit.window)
    var admitted = ExactCounter()
    for step in 0..<150 {
      let now = times.next()
      let asked = Int.random(in: 1...(limit.count + 3), using: &random)
      let isRefused = engine.decide(Self.end(at: now, recipients: asked)).isRefused
      if !isRefused { admitted.add(asked, at: now) }
      let inWindow = admitted.count(at: now, window: limit.window)
      let withSlack = admitted.count(at: now, window: limit.window.withSlack)
      guard inWindow <= limit.count, !isRefused || withSlack + asked > limit.count else {
        Issue.record("seed \(seed), step \(step), \(limit): \(asked) more, refused \(isRefused), \(inWindow) admitted")
        return
      }
    }
  }

  @Test("All windows of one rule hold at once, and none refuses for another", arguments: 0..<40)
  func severalWindows(seed: Int) {
    var random = SplitMix64(seed: seed)
    let limits = [
      Limit.of(Int.random(in: 2...6, using: &random), per: .minutes(1)),
      .of(Int.random(in: 5...15, using: &random), per: .hours(1)),
      .of(Int.random(in: 10...40, using: &random), per: .days(1)),
    ].shuffled(using: &random)
    let rule = Rule(name: "rule", count: .messages, per: .user, limits: limits, then: .tempfail)
    let engine = Engine(policy: Policy(rules: [rule]))
    var times = HostileTimes(seed: seed, window: limits.randomElement(using: &random)!.window)
    var admitted = ExactCounter()
    for step in 0..<200 {
      let now = times.next()
      let isRefused = engine.decide(Self.end(at: now)).isRefused
      if !isRefused { admitted.add(1, at: now) }
      let isWithin = limits.allSatisfy { admitted.count(at: now, window: $0.window) <= $0.count }
      let isFull = limits.contains { admitted.count(at: now, window: $0.window.withSlack) >= $0.count }
      guard isWithin, !isRefused || isFull else {
        Issue.record("seed \(seed), step \(step), \(limits): refused \(isRefused)")
        return
      }
    }
  }

  @Test("A clock that goes backwards never admits more in the key's own time", arguments: 0..<40)
  func clockGoesBackwards(seed: Int) {
    var random = SplitMix64(seed: seed)
    let limit = Limit(count: Int.random(in: 1...20, using: &random), window: .randomWindow(using: &random))
    let engine = Engine(policy: Policy(rules: [Rule("rule", .messages, per: .user, limit)]))
    var times = HostileTimes(seed: seed, window: limit.window)
    var admitted = ExactCounter()
    for step in 0..<200 {
      let now = times.next()
      let back = Bool.random(using: &random) ? 0 : Int.random(in: 0...(3 * limit.window.microseconds), using: &random)
      // What comes with an earlier time counts as if now: the latest time seen is the key's.
      if back > 0 { _ = engine.decide(Self.mail(at: now)) }
      let isRefused = engine.decide(Self.end(at: now - TimeSpan(microseconds: back))).isRefused
      if !isRefused { admitted.add(1, at: now) }
      guard admitted.count(at: now, window: limit.window) <= limit.count else {
        Issue.record("seed \(seed), step \(step), \(limit): too many after a step back of \(back)")
        return
      }
    }
  }

  @Test("At the promised time the same request passes, a microsecond before it does not", arguments: 0..<20)
  func promiseIsKept(seed: Int) throws {
    var random = SplitMix64(seed: seed)
    let limits = [
      Limit(count: Int.random(in: 1...20, using: &random), window: .randomWindow(using: &random)),
      Limit(count: Int.random(in: 1...20, using: &random), window: .randomWindow(using: &random)),
    ]
    let rule = Rule(name: "rule", count: .recipients, per: .user, limits: limits, then: .tempfail)
    let policy = Policy(rules: [rule])
    let engine = Engine(policy: policy)
    var times = HostileTimes(seed: seed, window: limits[0].window)
    var admitted = ExactCounter()
    /// Another engine that has seen the same.
    func copy() -> Engine {
      let copy = Engine(policy: policy)
      for (at, count) in admitted.counts { _ = copy.decide(Self.end(at: at, recipients: count)) }
      return copy
    }
    let most = limits.map(\.count).min()!
    for step in 0..<60 {
      let now = times.next()
      let asked = Int.random(in: 1...most, using: &random)
      guard let refusal = engine.decide(Self.end(at: now, recipients: asked)).refusal else {
        admitted.add(asked, at: now)
        continue
      }
      let promised = refusal.reason.until
      let isKept = !copy().decide(Self.end(at: promised, recipients: asked)).isRefused
      let isFirst = copy().decide(Self.end(at: promised - .microsecond, recipients: asked)).isRefused
      // No more than a slot after the exact time.
      let isNear = limits.contains {
        admitted.count(at: promised - .microsecond, window: $0.window.withSlack) + asked > $0.count
      }
      guard isKept, isFirst, isNear, promised > now else {
        Issue.record("seed \(seed), step \(step), \(limits): kept \(isKept), first \(isFirst), near \(isNear)")
        return
      }
    }
  }

  @Test("25 in 2 hours means 25 however they are spread, and the next two hours after the first")
  func twentyFiveInTwoHours() throws {
    let server = Server(.userMessages)
    for _ in 0..<25 {
      #expect(try server.send() == nil)
      server.wait(.minutes(4))
    }
    let refusal = try #require(try server.send())
    #expect(refusal.code == ReplyCode(code: 450, enhanced: "4.7.1"))
    #expect(refusal.reason.cause == .over(signal: .messages, count: 26, limit: 25, window: .hours(2)))
    #expect(refusal.reason.until <= .start + .hours(2) + .minutes(2))
    server.now = refusal.reason.until
    #expect(try server.send() == nil)
    #expect(try server.send() != nil)
  }

  @Test("A refused message is not counted: whoever waits is let in again")
  func refusedIsNotCounted() throws {
    let server = Server(Rule("rule", .messages, per: .user, .of(1, per: .minutes(10))))
    try server.send()
    for _ in 0..<50 {
      #expect(try server.send() != nil)
      server.wait(.seconds(10))
    }
    server.wait(.minutes(2))
    #expect(try server.send() == nil)
  }

  @Test("Keys are counted apart from each other")
  func keysAreApart() throws {
    let server = Server(
      Rule("user", .messages, per: .user, .of(1, per: .hours(1))),
      Rule("pair", .messages, per: KeyShape(.user, .ip), .of(1, per: .hours(1)), then: .reject))
    #expect(try server.send("alice") == nil)
    #expect(try server.send("bob") == nil)
    #expect(try server.send("alice", from: "192.0.2.8")?.reason.key == .user("alice"))
    server.reload(Rule("pair", .messages, per: KeyShape(.user, .ip), .of(1, per: .hours(1)), then: .reject))
    #expect(try server.send("alice", from: "192.0.2.8") == nil)
    let refusal = try #require(try server.send("alice"))
    #expect(refusal.reason.key == Key(.user("alice"), .ip(ip("192.0.2.7"))))
    #expect(refusal.code == ReplyCode(code: 550, enhanced: "5.7.1"))
  }

  @Test("A message of unknown sender, user or address is counted by no rule for that key, but by the server's")
  func missingKeys() throws {
    let server = Server(
      Rule("user", .messages, per: .user, .of(1, per: .hours(1))),
      Rule("ip", .messages, per: .ip, .of(1, per: .hours(1))),
      Rule("domain", .messages, per: .senderDomain, .of(1, per: .hours(1))),
      Rule("server", .messages, per: .server, .of(3, per: .hours(1))))
    for _ in 0..<3 {
      let local = server.connect("127.0.0.1", port: 0)
      #expect(try local.send(nil, sender: "root") == nil)
      local.close()
    }
    #expect(try server.connect("127.0.0.1", port: 0).send(nil, sender: "root")?.reason.rule == "server")
  }

  @Test("All the world's bounces are no one sender: they come under no limit of a sender")
  func nullSender() throws {
    let server = Server(
      Rule("sender", .messages, per: .sender, .of(1, per: .hours(1))),
      Rule("pair", .messages, per: KeyShape(.sender, .ip), .of(1, per: .hours(1))))
    for _ in 0..<5 { #expect(try server.send(nil, sender: "<>") == nil) }
    try server.send(nil, sender: "<eve@spam.test>")
    #expect(try server.send(nil, sender: "<Eve@spam.test>") != nil)
  }

  @Test("A message's bytes count as one, and those beyond the limit are refused at its end")
  func bytes() throws {
    let server = Server(Rule("bytes", .bytes, per: .user, .of(1_000_000, per: .hours(1))))
    func send(_ bytes: Int) throws -> Refusal? {
      let client = server.connect()
      defer { client.close() }
      try client.mail()
      try client.recipient()
      client.data()
      for _ in 0..<4 { client.content(bytes: bytes / 4) }
      return try client.end().refusal
    }
    #expect(try send(600_000) == nil)
    #expect(try send(400_004) != nil)
    #expect(try send(400_000) == nil)
    #expect(try send(4) != nil)
    // More than 32 bits can hold is no less than a little.
    #expect(try send(3_000_000_000) != nil)
    #expect(try send(5_000_000_000) != nil)
    server.wait(.hours(2))
    #expect(try send(3_000_000_000) != nil)
  }

  @Test("What has happened counts even when nothing is refused for it, and refuses the next message")
  func occurrencesRefuseLater() throws {
    let server = Server(Rule("bad", .badRecipients, per: .user, .of(2, per: .hours(1))))
    let client = server.connect()
    try client.mail()
    for _ in 0..<2 { try client.recipient(.refused(enhancedCode: "5.1.1", text: "User unknown")) }
    #expect(try client.recipient()?.refusal == nil)
    try client.recipient(.refused(enhancedCode: "5.1.1", text: "User unknown"))
    let refusal = try #require(try client.recipient()?.refusal)
    #expect(refusal.reason.cause == .over(signal: .badRecipients, count: 3, limit: 2, window: .hours(1)))
    #expect(try client.end().refusal != nil)
    #expect(try server.send() != nil)
    server.now = refusal.reason.until
    #expect(try server.send() == nil)
  }
}
