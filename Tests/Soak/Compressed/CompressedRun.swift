import WardenCore
import WardenTestKit

/// Some days of mixed traffic in a few seconds: real sessions, engine, history and database, in simulated time, around a
/// change to or from summer time in Berlin.
struct CompressedRun {
  struct Change {
    let name: String
    /// When Berlin's clocks change, and how far they are ahead of UTC before and after, in seconds.
    let at: Timestamp
    let before: Int
    let after: Int

    /// 2026-03-29 and 2026-10-25, 01:00 UTC.
    static let spring = Change(
      name: "to summer time", at: Timestamp(microseconds: 1_774_746_000_000_000), before: 3_600, after: 7_200)
    static let autumn = Change(
      name: "to winter time", at: Timestamp(microseconds: 1_792_890_000_000_000), before: 7_200, after: 3_600)

    /// Local days since 1970.
    func day(_ wall: Timestamp) -> Int {
      (wall.microseconds / 1_000_000 + (wall < at ? before : after)) / 86_400
    }
  }

  struct Tally {
    var events = 0
    var sessions = 0
    var restarts = 0
    var crashes = 0
    var reloads = 0
    var orders = 0
    var blocks = 0
    var steps = 0
    var keys: [Int] = []
    var memory: [Int] = []
    var database = 0
  }

  /// No more than the history by day keeps each by name.
  static let users = 900
  /// Longer than any pause or block.
  static let wheelSeconds = 2 * 86_400

  let change: Change
  let days: Int
  let findings: Findings<CoreAssertion>
  var random: SeededGenerator
  let server: StoredEngine
  var books = Books(users: Self.users)
  /// The books as they were when the state was last stored.
  var stored: Books
  var tally = Tally()
  var clients: [Client] = []
  var wheel = [[Int]](repeating: [], count: Self.wheelSeconds)
  var strangers: UInt32 = 0x5000_0000
  var version = 0

  let start: Timestamp
  /// The engine's time. Never goes back.
  var now: Timestamp
  /// Simulated seconds since the start; the engine's time jumps where a process begins with a clock that was set forward.
  var second = 0
  var jumped = TimeSpan.seconds(0)
  /// How far the wall's clock is ahead of the engine's time.
  var ahead = TimeSpan.seconds(0)

  static func run(_ change: Change, days: Int, seed: Int, _ findings: Findings<CoreAssertion>) throws -> Tally {
    var run = try CompressedRun(change, days: days, seed: seed, findings)
    try run.play()
    return run.tally
  }

  private init(_ change: Change, days: Int, seed: Int, _ findings: Findings<CoreAssertion>) throws {
    (self.change, self.days, self.findings) = (change, days, findings)
    random = SeededGenerator(seed: seed)
    // The change comes at three fifths of the way.
    start = change.at - .hours(days * 24 * 3 / 5)
    now = start
    stored = books
    server = try StoredEngine(policy: try Scenario.policy(0), at: start)
    for user in 0..<Self.users {
      clients.append(Client(kind: .person(user: user), address: 0x0a00_0000 + UInt32(user) << 8))
    }
    for number in 0..<10 { clients.append(Client(kind: .hijacker(user: number * 31 + 7), address: 0x2000_0000)) }
    let groups: [(Client.Kind, Int, UInt32)] = [
      (.robot, 150, 0x3000_0000), (.harvester, 60, 0x3100_0000), (.guesser, 60, 0x3200_0000), (.stranger, 10, 0),
    ]
    // Two share an address, and so do their sessions its counts.
    for (kind, count, base) in groups {
      for number in 0..<UInt32(count) { clients.append(Client(kind: kind, address: base + number / 2)) }
    }
    for number in clients.indices { schedule(number, in: Int.random(in: 1...600, using: &random)) }
  }

  mutating func schedule(_ client: Int, in seconds: Int) {
    wheel[(second + max(1, seconds)) % Self.wheelSeconds].append(client)
  }

  // MARK: - Time

  mutating func play() throws {
    var nextSave = 300
    var stepsLeft = [TimeSpan.hours(1), .hours(-1), .hours(-1), .hours(1)]
    let end = days * 86_400
    let stepEvery = end / (stepsLeft.count + 1)
    while second < end {
      try tick()
      if second % 7_200 == 0 { try order() }
      if second % 1_800 == 0 { compareCounters() }
      if second % 3_600 == 0 { noteMemory() }
      if second == nextSave {
        try save()
        // Ten minutes of history may wait.
        nextSave += Int.random(in: 300...540, using: &random)
        switch Int.random(in: 0..<30, using: &random) {
        case 0:
          compareTotals()
          try restart(inGoodOrder: true)
        case 1: try crash()
        case 2...4: try reload()
        default: break
        }
      }
      if second % stepEvery == 0, !stepsLeft.isEmpty {
        // What was counted before has the time of before.
        try save()
        ahead = TimeSpan(microseconds: ahead.microseconds + stepsLeft.removeFirst().microseconds)
        tally.steps += 1
      }
    }
    try save()
    try compareHistory()
    tally.database = server.store.size
  }

  mutating func tick() throws {
    second += 1
    now = start + jumped + .seconds(second)
    let due = wheel[second % Self.wheelSeconds]
    wheel[second % Self.wheelSeconds] = []
    for client in due {
      now = now + TimeSpan(microseconds: Int.random(in: 1...20, using: &random))
      try wake(client)
    }
  }

  var wall: Timestamp { now + ahead }
  var hour: Int { wall.microseconds / TimeSpan.hours(1).microseconds }
  var day: Int { change.day(wall) }

  mutating func save() throws {
    try server.save(at: now, ahead: ahead)
    if Int.random(in: 0..<10, using: &random) == 0 { try server.tidy(at: now, wall: wall) }
    if Int.random(in: 0..<10, using: &random) == 0 { books.forget(before: now - .hours(25)) }
    stored = books
  }

  mutating func reload() throws {
    version = 1 - version
    server.engine.replace(policy: try Scenario.policy(version))
    tally.reloads += 1
  }

  /// - Parameter inGoodOrder: right after the state was stored, with open sessions going on; else some time after.
  mutating func restart(inGoodOrder: Bool) throws {
    // A process begins with the wall's time where that is ahead, and goes on from what was stored where it is behind.
    if ahead > .seconds(0) {
      jumped = TimeSpan(microseconds: jumped.microseconds + ahead.microseconds)
      now = now + ahead
      ahead = .seconds(0)
    }
    let lost = try server.restart(
      policy: try Scenario.policy(version), at: now, wall: wall, inGoodOrder: inGoodOrder)
    findings.check(.nothingUnread, "records that were not taken back", lost, is: 0)
    books.life = Books.Figures()
    stored.life = Books.Figures()
    if tally.steps == 0 { compareTrend() }
    tally.restarts += 1
  }

  /// Some time after the state was stored; what has happened since is lost, with the sessions that were open.
  mutating func crash() throws {
    for _ in 0..<Int.random(in: 1...5, using: &random) { try tick() }
    compareTotals()
    books = stored
    for number in clients.indices where clients[number].visit != nil { clients[number].visit = nil }
    tally.crashes += 1
    try restart(inGoodOrder: false)
  }

  // MARK: - Administrators

  mutating func order() throws {
    let user = Int.random(in: 0..<Self.users / 10, using: &random) * 10
    let key = Key(.user("user\(user)"))
    let span = TimeSpan.hours(Int.random(in: 1...5, using: &random))
    switch Int.random(in: 0..<3, using: &random) {
    case 0:
      let penalty = server.engine.block(key, for: span, note: "soak", at: now)
      books.users[user].blockedUntil = max(books.users[user].blockedUntil, now + span)
      findings.check(
        .blockedWhenDue, penalty?.until == books.users[user].blockedUntil, "\(key): \(String(describing: penalty))")
    case 1:
      let order = Override(.key(key), .exempt, until: now + span, origin: "soak")
      let isTaken = server.engine.allow(order, at: now)
      if isTaken { books.users[user].exemptUntil = now + span }
    default:
      // Mostly somebody whom a limit refuses.
      let user = clients.compactMap { if case .hijacker(let user) = $0.kind { user } else { nil } }
        .randomElement(using: &random)!
      _ = server.engine.release(Key(.user("user\(user)")), at: now)
      books.users[user].messages.removeAll()
      books.users[user].recipients.removeAll()
      books.users[user].blockedUntil = now
    }
    tally.orders += 1
  }
}
