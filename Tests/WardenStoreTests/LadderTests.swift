import Foundation
import Testing
@testable import WardenCore

@testable import WardenStore

@Suite("How often a limit would have been gone over")
struct LadderTests {
  /// Seconds of the stretches in which users had so many messages.
  private typealias Past = [String: [Int: Int]]

  private func store(_ past: Past, _ folder: TestFolder, zone: TimeZone = .gmt) throws -> Store {
    let store = try folder.open(zone: zone).store
    var minutes: [Int: [Key: Activity.Counts]] = [:]
    for (user, rows) in past {
      for (at, count) in rows {
        var counts = Activity.Counts()
        counts.signals[.messages] = count
        minutes[at, default: [:]][Key(.user(user))] = counts
        // Of another kind: not to be counted.
        minutes[at, default: [:]][Key(.ip(ip("192.0.2.7")))] = counts
      }
    }
    var batch = Batch(now: .start)
    batch.slices = minutes.sorted { $0.key < $1.key }.map {
      Activity.Slice(minute: Timestamp(seconds: $0.key), counts: $0.value)
    }
    try store.write(batch)
    return store
  }

  /// Stretch by stretch, each sum anew.
  private func naive(_ past: Past, window: Int, period: Int, limit: Int, _ range: Range<Int>) -> HistoryLadder.Rung {
    var (trips, keys) = (0, 0)
    for rows in past.values {
      func sum(_ at: Int) -> Int { stride(from: at, to: at - window, by: -period).reduce(0) { $0 + (rows[$1] ?? 0) } }
      let own = stride(from: range.lowerBound, to: range.upperBound, by: period).count {
        sum($0) > limit && sum($0 - period) <= limit
      }
      trips += own
      if own > 0 { keys += 1 }
    }
    return HistoryLadder.Rung(limit: limit, trips: trips, keys: keys)
  }

  @Test("is what summing up each window anew says", arguments: [Period.minute, .hour, .day], 0..<20)
  func isWhatSumsSay(period: Period, seed: Int) throws {
    var generator = Generator(seed: seed)
    let length = period.rawValue
    let first = Timestamp.start.seconds / length * length
    var past: Past = [:]
    for user in 0..<generator.number(1...4) {
      var rows: [Int: Int] = [:]
      for _ in 0..<generator.number(0...40) {
        rows[first + generator.number(0...60) * length] = generator.number(1...9)
      }
      past["user\(user)"] = rows
    }
    let folder = try TestFolder()
    let store = try store(past, folder)
    let window = generator.number(1...12) * length
    let range = (first + generator.number(0...20) * length)..<(first + generator.number(30...61) * length)
    let limits = [0, 1, 3, 8, 12, 20, 40, 1_000]
    let ladder = try store.ladder(
      of: .messages, kind: .user, window: .seconds(window), by: period, limits: limits,
      from: Timestamp(seconds: range.lowerBound), to: Timestamp(seconds: range.upperBound), isSpared: { _ in false })
    #expect(
      ladder.rungs == limits.map { naive(past, window: window, period: length, limit: $0, range) }, "seed \(seed)")
    #expect(!ladder.isCut)
  }

  @Test("counts one trip for as long as the key stays over, and another after it was below")
  func trips() throws {
    let hour = Timestamp.start.seconds / 3_600 * 3_600
    let folder = try TestFolder()
    // Over 25 in two hours from the second hour to the fourth; at 25 in the fifth; over again in the tenth.
    let past = [
      "alice": [hour: 20, hour + 3_600: 20, hour + 7_200: 10, hour + 10_800: 20, hour + 14_400: 5, hour + 36_000: 26],
      "bob": [hour: 25],
    ]
    let store = try store(past, folder)
    let ladder = try store.ladder(
      of: .messages, kind: .user, window: .hours(2), by: .hour, limits: [24, 25], from: Timestamp(seconds: hour),
      to: Timestamp(seconds: hour + 86_400), isSpared: { _ in false })
    #expect(ladder.rungs == [.init(limit: 24, trips: 3, keys: 2), .init(limit: 25, trips: 2, keys: 1)])
    #expect(ladder.start == Timestamp(seconds: hour))
    let others = try store.ladder(
      of: .messages, kind: .user, window: .hours(2), by: .hour, limits: [24], from: Timestamp(seconds: hour),
      to: Timestamp(seconds: hour + 86_400), isSpared: { $0 == Key(.user("alice")) })
    #expect(others.rungs == [.init(limit: 24, trips: 1, keys: 1)])
  }

  @Test("takes days of 23 and 25 hours for days")
  func longDays() throws {
    for (day, week) in [("2026-03-29", -3...3), ("2026-10-25", -3...3)] {
      let days = LocalDays(zone: .berlin)
      let middle = try #require(days.range(of: day)).lowerBound
      let starts = week.map { days.start($0, after: middle) }
      let folder = try TestFolder()
      let store = try store(["alice": Dictionary(uniqueKeysWithValues: starts.map { ($0, 1) })], folder, zone: .berlin)
      // Three days hold three, never two or four.
      let ladder = try store.ladder(
        of: .messages, kind: .user, window: .days(3), by: .day, limits: [1, 2, 3], from: Timestamp(seconds: starts[0]),
        to: Timestamp(seconds: starts[6] + 1), isSpared: { _ in false })
      #expect(ladder.rungs.map(\.trips) == [1, 1, 0])
    }
  }

  @Test("says that it has looked at the latest only where there is more than it reads")
  func cut() throws {
    let hour = Timestamp.start.seconds / 3_600 * 3_600
    let folder = try TestFolder()
    let store = try store(["alice": [hour: 9, hour + 3_600: 9, hour + 7_200: 9]], folder)
    func ladder(atMost most: Int) throws -> HistoryLadder {
      try store.ladder(
        of: .messages, kind: .user, window: .hours(1), by: .hour, limits: [5], from: Timestamp(seconds: hour),
        to: Timestamp(seconds: hour + 86_400), atMost: most, isSpared: { _ in false })
    }
    // Each hour has a row of the address beside the user's.
    #expect(
      try ladder(atMost: 6)
        == HistoryLadder(start: Timestamp(seconds: hour), rungs: [.init(limit: 5, trips: 1, keys: 1)], isCut: false))
    let cut = try ladder(atMost: 4)
    #expect(cut.isCut && cut.start == Timestamp(seconds: hour + 3_600))
  }

  @Test(
    "is made up of the longest stretches that divide the window",
    arguments: [
      (TimeSpan.days(7), "day"), (.days(1), "day"), (.hours(36), "hour"), (.hours(2), "hour"), (.minutes(90), "minute"),
      (.minutes(1), "minute"), (.seconds(90), "none"), (.seconds(10), "none"),
    ])
  func periods(window: TimeSpan, period: String) {
    #expect(Period(dividing: window)?.name ?? "none" == period)
  }
}

@Suite("The server's counts")
struct ServerCountsTests {
  @Test("are those that the history tells of the key server, oldest first", arguments: 0..<5)
  func asHistory(seed: Int) throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    var generator = Generator(seed: seed)
    var batch = Batch(now: .start)
    batch.slices = (0..<40).map { _ in
      let minute = Timestamp(seconds: (Timestamp.start.seconds + generator.number(0...20_000)) / 60 * 60)
      return Activity.Slice(
        minute: minute, counts: [Key(.server): generator.counts(), Key(.user("alice")): generator.counts()])
    }
    try store.write(batch)
    let (start, end) = (Timestamp.start + .hours(1), Timestamp.start + .hours(4))
    for (period, found) in [
      (Period.hour, try store.serverHours(from: start, to: end)),
      (.minute, try store.serverMinutes(from: start, to: end)),
    ] {
      let rows = try store.history(key: Key(.server), from: start, to: end, period: period).rows
      #expect(!rows.isEmpty)
      #expect(
        found.map { counts in
          HistoryReport.Row(
            at: counts.start.rfc3339,
            counts: Dictionary(
              uniqueKeysWithValues: zip(Activity.Counts.names, counts.values).filter { $0.1 != 0 }))
        } == rows)
    }
  }

  @Test("of every minute with traffic are kept, however few, when others' are tidied away")
  func isKept() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let activity = Activity()
    for minute in 0..<10 {
      // More addresses than are kept of a minute.
      for number in 1...60 {
        var subject = Subject()
        subject.ip = ip("192.0.2.\(number)")
        let event = Event(
          at: .start + .minutes(minute), step: .connect, subject: subject, happened: [.connections: 1])
        activity.note(event, Decision())
      }
      var batch = Batch(now: .start)
      batch.slices = activity.take()
      try store.write(batch)
    }
    _ = try store.tidy(
      at: .start + .hours(3), wall: .start + .hours(3), settings: HistorySettings(), keys: 0, isKnown: { _ in true })
    let minutes = try store.serverMinutes(from: .start - .minutes(1), to: .start + .hours(1))
    #expect(minutes.map { $0.values[0] } == Array(repeating: 60, count: 10))
    let hours = try store.serverHours(from: .start - .hours(1), to: .start + .hours(1))
    #expect(hours.map { $0.values[0] } == [600])
    #expect(try store.serverMinutes(from: .start + .days(1), to: .start + .days(2)) == [])
  }

  @Test("of a database without any are none")
  func none() throws {
    let folder = try TestFolder()
    #expect(try folder.open().store.serverHours(from: .start - .days(8), to: .start) == [])
  }
}
