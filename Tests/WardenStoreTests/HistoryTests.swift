import Foundation
import Testing
@testable import WardenCore

@testable import WardenStore

@Suite("The history of counts")
struct HistoryTests {
  private static let alice = Key(.user("alice"))

  @Test("says what a plain sum says, by minutes, hours and days", arguments: 0..<10)
  func sums(seed: Int) throws {
    let folder = try TestFolder()
    let store = try folder.open(zone: .berlin).store
    var generator = Generator(seed: seed)
    let keys = [Key(.server)] + generator.list(1...8) { $0.key() }
    var sums: [Period: [Key: [Int: [Int]]]] = [:]
    for _ in 0..<20 {
      var batch = Batch(now: .start)
      batch.slices = generator.list(0...3) { generator in
        let minute = Timestamp(seconds: (Timestamp.start.seconds + generator.number(0...400_000)) / 60 * 60)
        var counts: [Key: Activity.Counts] = [:]
        for key in keys where generator.flag() { counts[key] = generator.counts() }
        return Activity.Slice(minute: minute, counts: counts)
      }
      for slice in batch.slices {
        for (key, counts) in slice.counts {
          for period in Period.allCases {
            let seconds = slice.minute.seconds
            // Central European Time; no change of clocks in these days.
            let start =
              period == .day ? (seconds + 3_600) / 86_400 * 86_400 - 3_600 : seconds / period.rawValue * period.rawValue
            let before = sums[period]?[key]?[start] ?? counts.values.map { _ in 0 }
            sums[period, default: [:]][key, default: [:]][start] = zip(before, counts.values).map(+)
          }
        }
      }
      try store.write(batch)
    }
    for (period, keys) in sums {
      for (key, rows) in keys {
        let report = try store.history(key: key, from: Timestamp(seconds: 0), to: .start + .days(100), period: period)
        let expected = rows.sorted { $0.key < $1.key }.map { start, values in
          HistoryReport.Row(
            at: Timestamp(seconds: start).rfc3339,
            counts: Dictionary(uniqueKeysWithValues: zip(Activity.Counts.names, values).filter { $0.1 != 0 }))
        }
        #expect(report.rows == expected, "\(period) \(key)")
      }
    }
  }

  @Test("A day is from midnight to midnight where the server is, be it of 23 or of 25 hours")
  func days() throws {
    let days = LocalDays(zone: .berlin)
    func hours(_ name: String) throws -> Int { try #require(days.range(of: name)).count / 3_600 }
    #expect(try hours("2026-03-28") == 24)
    #expect(try hours("2026-03-29") == 23)
    #expect(try hours("2026-10-25") == 25)
    let long = try #require(days.range(of: "2026-10-25"))
    #expect(Timestamp(seconds: long.lowerBound).rfc3339 == "2026-10-24T22:00:00Z")
    #expect(days.start(of: Timestamp(seconds: long.upperBound - 1)) == long.lowerBound)
    #expect(days.start(of: Timestamp(seconds: long.upperBound)) == long.upperBound)
    #expect(days.start(-1, after: long.upperBound) == long.lowerBound)
    #expect(days.start(1, after: long.lowerBound) == long.upperBound)
    #expect(days.range(of: "2026-02-30") == nil)
    // Where midnight does not exist on one day, and far from Greenwich.
    for (zone, name) in [
      ("America/Santiago", "2026-09-06"), ("Pacific/Kiritimati", "2026-01-01"), ("Pacific/Pago_Pago", "2026-12-31"),
    ] {
      let days = LocalDays(zone: try #require(TimeZone(identifier: zone)))
      let range = try #require(days.range(of: name))
      #expect(days.name(of: range.lowerBound) == name)
      #expect(days.name(of: range.upperBound - 1) == name)
      #expect(days.name(of: range.upperBound) != name)
    }
  }

  @Test("On the day on which the clocks go back both of its hours count")
  func longDay() throws {
    let folder = try TestFolder()
    let store = try folder.open(zone: .berlin).store
    let day = try #require(store.days.range(of: "2026-10-25"))
    for second in stride(from: day.lowerBound, to: day.upperBound, by: 1_800) {
      try store.add(Self.alice, Activity.Counts([.messages: 1]), at: Timestamp(seconds: second))
    }
    try store.add(Self.alice, Activity.Counts([.messages: 1]), at: Timestamp(seconds: day.upperBound))
    let report = try store.history(
      key: Self.alice, from: Timestamp(seconds: day.lowerBound), to: Timestamp(seconds: day.upperBound), period: .day)
    #expect(report.rows.map(\.counts) == [["messages": 50]])
  }

  @Test("After a minute its quiet keys go; the server, what stood out and the busiest stay")
  func pruning() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    func busy(_ messages: Int, refused: Int = 0) -> Activity.Counts {
      Activity.Counts([.messages: messages], refused: refused)
    }
    var counts: [Key: Activity.Counts] = [
      Key(.server): Activity.Counts(), Key(.helo("stopped")): busy(0, refused: 1),
      Key(.user("stopped")): busy(0, refused: 1),
      Key(.helo("quiet")): busy(1_000),
    ]
    for number in 0..<300 {
      counts[Key(.user("user\(number)"))] = busy(number)
      counts[Key(.ip(IPAddress(v4: UInt32(number))))] = Activity.Counts([.connections: number])
    }
    try store.write({ $0.slices = [Activity.Slice(minute: .start, counts: counts)] })
    func names(_ period: Period) throws -> Set<String> {
      Set(
        try store.read("ask") { database in
          let row = try RawStatement(
            database, "SELECT k.name FROM counts c JOIN keys k ON k.id = c.key WHERE period = \(period.rawValue)")
          var names: [String] = []
          try row.forEach { names.append(row.text(0)) }
          return names
        })
    }
    try store.tidy(wall: .start + .minutes(1))
    #expect(try names(.minute).count == counts.count)
    try store.tidy(wall: .start + .minutes(4))
    func expected(_ busiest: Int) -> Set<String> {
      Set(["server", "helo:stopped", "user:stopped"])
        .union((300 - busiest..<300).map { "user:user\($0)" })
        .union((300 - busiest..<300).map { Key(.ip(IPAddress(v4: UInt32($0)))).description })
    }
    #expect(try names(.minute) == expected(50))
    #expect(try names(.hour).count == counts.count)
    try store.tidy(wall: .start + .hours(2))
    #expect(try names(.hour) == expected(200))
    try store.tidy(wall: .start + .hours(10))
    #expect(try names(.day).contains("user:user0"))

    // What comes late for the minute is tidied up, too.
    try store.add(Key(.helo("late")), busy(5), at: .start)
    #expect(try names(.minute).contains("helo:late"))
    try store.tidy(wall: .start + .hours(3))
    #expect(try names(.minute) == expected(50))
  }

  @Test("Each kind of row goes at its age, and keys that nothing refers to go with the last of them")
  func ages() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    try store.add(Self.alice, Activity.Counts([.messages: 1]), at: .start)
    let log = DecisionLog()
    log.note(.of(.refused, Self.alice, user: "bob", ip: ip("192.0.2.7")), queueID: nil, at: .start)
    try store.add(log)
    try store.write {
      $0.actions = [AdministratorAction(at: .start, who: "root", action: "block", key: "", detail: "")]
    }
    func left(_ days: Int) throws -> [Int] {
      try store.tidy(wall: .start + .days(days))
      return try [
        "counts WHERE period = 60", "counts WHERE period = 3600", "counts WHERE period = 86400", "decisions", "actions",
        "keys",
      ].map { try store.number("SELECT count(*) FROM \($0)") }
    }
    #expect(try left(1) == [1, 1, 1, 1, 1, 3])
    #expect(try left(3) == [0, 1, 1, 1, 1, 3])
    #expect(try left(61) == [0, 0, 1, 1, 1, 3])
    #expect(try left(91) == [0, 0, 1, 0, 0, 1])
    #expect(try left(732) == [0, 0, 0, 0, 0, 0])
  }

  @Test("Beyond the bound the oldest goes first, minutes before the rest, and the file shrinks")
  func size() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    for number in 0..<60 {
      var counts: [Key: Activity.Counts] = [:]
      for user in 0..<400 {
        counts[Key(.user("user\(user) of example.org"))] = Activity.Counts([.messages: 1], refused: 1)
      }
      try store.write { $0.slices = [Activity.Slice(minute: .start + .minutes(number), counts: counts)] }
    }
    try store.write { $0.changes.penalties[Self.alice] = .some(.of(Self.alice, until: .start + .days(9))) }
    try store.tidy(wall: .start + .minutes(61))
    store.close()
    let again = try folder.open().store
    #expect(again.size < 20_000_000)
    let before = try again.number("SELECT count(*) FROM counts WHERE period = 60")
    try again.outsideTransaction("fill") { _ = try $0.checkpoint(.truncate) }
    let used = again.size
    let tidied = try again.tidy(wall: .start + .minutes(62), settings: HistorySettings(size: used * 3 / 4))
    #expect(tidied.early > 1_000)
    let after = try again.number("SELECT count(*) FROM counts WHERE period = 60")
    #expect(after == before - tidied.early)
    #expect(try again.number("SELECT min(at) FROM counts WHERE period = 60") > Timestamp.start.seconds + 120)
    #expect(try again.number("SELECT count(*) FROM counts WHERE period = 3600") == 2 * 400)
    #expect(try again.load(at: .start).penalties.count == 1)
    again.close()
    #expect(try folder.open().store.size < used)
  }

  @Test("Once there are no minutes left to drop, decisions go before hours, and hours before days")
  func sizeOrder() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let log = DecisionLog()
    var counts: [Key: Activity.Counts] = [:]
    for number in 0..<1_500 {
      counts[Key(.user("user\(number)"))] = Activity.Counts([.messages: 1])
      log.note(.of(.refused, Key(.user("user\(number)"))), queueID: nil, at: .start)
    }
    try store.write { $0.slices = [Activity.Slice(minute: .start, counts: counts)] }
    try store.add(log)
    func rows() throws -> [Int] {
      try ["counts WHERE period = 60", "decisions", "counts WHERE period = 3600", "counts WHERE period = 86400"].map {
        try store.number("SELECT count(*) FROM \($0)")
      }
    }
    var settings = HistorySettings(minutes: .seconds(0))
    try store.tidy(wall: .start + .minutes(1), settings: settings)
    #expect(try rows() == [0, 1_500, 1_500, 1_500])
    for expected in [[0, 500, 1_500, 1_500], [0, 0, 1_500, 1_500], [0, 0, 500, 1_500]] {
      // A page less than there is, beside the log's eighth.
      let pages = try store.number("PRAGMA page_count") - store.number("PRAGMA freelist_count")
      settings.size = (pages - 1) * 4_096 * 8 / 7
      try store.tidy(wall: .start + .minutes(1), settings: settings)
      #expect(try rows() == expected)
    }
  }

  @Test("A key that nothing is known of has an empty history, and much of it is cut to the latest")
  func limits() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let range = (Timestamp.start + .days(-1), Timestamp.start + .days(1))
    let none = try store.history(key: Self.alice, from: range.0, to: range.1, period: .minute)
    #expect(none.rows.isEmpty && none.decisions.isEmpty && !none.is_cut)
    for minute in 0..<10 {
      try store.add(Self.alice, Activity.Counts([.messages: minute + 1]), at: .start + .minutes(minute))
    }
    let some = try store.history(key: Self.alice, from: range.0, to: range.1, period: .minute, limit: 3)
    #expect(some.rows.map { $0.counts["messages"] } == [8, 9, 10])
    #expect(some.is_cut)
  }
}

@Suite("Decisions in the history")
struct DecisionTests {
  private static let alice = Key(.user("alice"))

  @Test("A flood of the same is one row a minute, with every one of them counted")
  func flood() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let log = DecisionLog()
    let minute = Timestamp(seconds: Timestamp.start.seconds / 60 * 60)
    for number in 0..<5_000 {
      log.note(
        .of(.refused, Self.alice, user: "alice", sender: "a@example.org"), queueID: "Q\(number)",
        at: minute + .seconds(number % 60))
      if number % 1_000 == 0 { try store.add(log) }
    }
    log.note(.of(.held, Self.alice, user: "alice"), queueID: nil, at: minute + .seconds(60))
    log.note(.of(.run("page"), Self.alice), queueID: nil, at: minute + .seconds(60))
    try store.add(log)
    let decisions = try store.history(key: Self.alice, from: minute, to: minute + .days(1), period: .minute).decisions
    #expect(decisions.map(\.kind).sorted() == ["held", "refused", "run page"])
    let refused = try #require(decisions.first)
    #expect(refused.count == 5_000)
    #expect(refused.queue_id == "Q4999")
    #expect(refused.first == minute.rfc3339)
    #expect(refused.until == (minute + .seconds(4_999 % 60) + .hours(1)).rfc3339)
    #expect(refused.reason == "user alice: 26 messages in 2h (limit 25)")
  }

  @Test("are found under the key, the user and the address; null characters and quotes do no harm")
  func found() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let log = DecisionLog()
    let bad = "x'; DROP TABLE decisions; --\0\n🦆"
    log.note(
      .of(.refused, Key(.ip(ip("192.0.2.7"))), user: bad, ip: ip("192.0.2.7"), sender: bad), queueID: bad, at: .start)
    try store.add(log)
    for key in [Key(.ip(ip("192.0.2.7"))), Key(.user(bad))] {
      let decisions = try store.history(key: key, from: .start + .days(-1), to: .start + .days(1), period: .day)
        .decisions
      #expect(decisions.map(\.user) == [bad])
      #expect(decisions.map(\.sender) == [bad])
      #expect(decisions.map(\.queue_id) == [bad])
    }
    #expect(
      try store.history(key: Self.alice, from: .start + .days(-1), to: .start + .days(1), period: .day).decisions
        .isEmpty)
  }

  @Test("What has no room is counted, what comes back adds up")
  func bounds() {
    let log = DecisionLog(bound: 2)
    for user in ["a", "b", "c", "a", "c"] { log.note(.of(.refused, Key(.user(user))), queueID: nil, at: .start) }
    #expect(log.dropped == 2)
    let taken = log.take()
    #expect(Set(taken.map(\.count)) == [1, 2])
    #expect(log.take().isEmpty)
    log.note(.of(.refused, Key(.user("a"))), queueID: "later", at: .start + .seconds(1))
    log.giveBack(taken)
    let again = log.take()
    #expect(again.map(\.count).reduce(0, +) == 4)
    let both = again.first { $0.count == 3 }
    #expect(both?.first == .start)
    #expect(both?.queueID == "later")
  }
}
