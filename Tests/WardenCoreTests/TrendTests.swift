import Testing

@testable import WardenCore

/// What the whole server did, to draw it and to say what is usual.
@Suite("Trend")
struct TrendTests {
  private let hour = 3_600
  /// Midnight, UTC.
  private let midnight = 1_795_478_400

  private func at(_ second: Int) -> Timestamp { Timestamp(microseconds: (midnight + second) * 1_000_000) }

  private func stretch(_ second: Int, _ count: Int) -> Trend.Stretch {
    var counts = Activity.Counts()
    counts.signals[.messages] = count
    return Trend.Stretch(start: at(second), values: counts.values)
  }

  private func value(_ name: String, _ values: [Int]) -> Int {
    values[Activity.Counts.names.firstIndex(of: name)!]
  }

  private func series(_ trend: Trend, _ span: Trend.Span, at second: Int) -> [Int] {
    trend.series(span, at: at(second)).values.map { value("messages", $0) }
  }

  @Test("Each step has what happened in it, at whatever pace it came", arguments: 1...20)
  func oracle(seed: Int) {
    var random = SplitMix64(seed: seed)
    var trend = Trend()
    var all: [(second: Int, count: Int)] = []
    var second = Int.random(in: 0..<hour, using: &random)
    let longest = [2, 90, 4 * 3_600].randomElement(using: &random)!
    for _ in 0..<3_000 {
      second += Int.random(in: 0...longest, using: &random)
      // Threads come late by a little.
      let late = max(0, second - Int.random(in: 0...2, using: &random))
      let count = Int.random(in: 1...9, using: &random)
      trend.note([.messages: count], at: at(late))
      all.append((late, count))
    }
    second += Int.random(in: 0...longest, using: &random)
    for span in Trend.Span.allCases {
      let found = trend.series(span, at: at(second))
      let step = span.step.microseconds / 1_000_000
      let last = (midnight + second) / step
      #expect(found.start == Timestamp(microseconds: (last - found.values.count + 1) * step * 1_000_000))
      for (place, values) in found.values.enumerated() {
        let number = last - found.values.count + 1 + place
        let expected = all.filter { (midnight + $0.second) / step == number }.reduce(0) { $0 + $1.count }
        #expect(value("messages", values) == expected, "\(span) step \(place)")
      }
    }
  }

  @Test("What an earlier process has counted is drawn with what this one has")
  func restored() {
    var trend = Trend()
    trend.note([.messages: 5], at: at(10 * hour))
    trend.add(
      minutes: [stretch(10 * hour - 120, 3), stretch(10 * hour, 2)],
      hours: [stretch(8 * hour, 40), stretch(9 * hour, 50), stretch(10 * hour, 2), stretch(-30 * 24 * hour, 7)])
    #expect(series(trend, .hour, at: 10 * hour).suffix(3) == [3, 0, 7])
    #expect(series(trend, .week, at: 10 * hour).suffix(4) == [0, 40, 50, 7])
  }

  @Test("More bytes than a signed number of 32 bits holds are drawn")
  func bytes() {
    var trend = Trend()
    for _ in 0..<3 { trend.note([.bytes: 2_000_000_000], at: at(0)) }
    #expect(value("bytes", trend.series(.week, at: at(0)).values.last!) == 6_000_000_000)
  }

  @Test("Usual is the median of the same hour on the days before")
  func usualOfDays() {
    var trend = Trend()
    for (day, count) in [10, 500, 20, 30, 12].enumerated() {
      trend.add(
        minutes: [], hours: [stretch(day * 24 * hour + 14 * hour, count), stretch(day * 24 * hour + 3 * hour, 1)])
    }
    let today = 5 * 24 * hour
    #expect(trend.usualHour(at: at(today + 15 * hour), of: "messages") == 20)
    #expect(trend.usualHour(at: at(today + 4 * hour), of: "messages") == 1)
    // Half of it lies in the hour from 14:00 on, half in the one before.
    #expect(trend.usualHour(at: at(today + 14 * hour + hour / 2), of: "messages") == 10)
  }

  @Test("Of a young server the mean of its hours is usual, and nothing before three are known")
  func usualOfHours() {
    var trend = Trend()
    trend.note([.messages: 30], at: at(0))
    trend.note([.messages: 60], at: at(2 * hour))
    #expect(trend.usualHour(at: at(2 * hour + 60), of: "messages") == nil)
    trend.note([.messages: 1_000], at: at(3 * hour))
    #expect(trend.usualHour(at: at(3 * hour + 60), of: "messages") == 30)
    #expect(trend.usualHour(at: at(3 * hour + 60), of: "nothing") == nil)
  }

  @Test("The engine counts into it what passed, what was refused, and what rules did")
  func engine() {
    let engine = Engine(
      policy: Policy(rules: [Rule("cap", .messages, per: .user, .of(1, per: .hours(1)), then: .tempfail)]))
    var subject = Subject()
    subject.user = "alice"
    for _ in 0..<3 {
      _ = engine.decide(
        Event(at: at(0), step: .endOfMessage, subject: subject, wants: [.messages: 1, .submissions: 1]))
    }
    let values = engine.trend { $0.series(.hour, at: at(0)) }.values.last!
    #expect(["messages", "submissions", "refused"].map { value($0, values) } == [1, 1, 2])
  }
}
