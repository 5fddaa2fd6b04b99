import Testing

@testable import WardenCore

/// A flood of refusals is no flood of lines, and nothing that was decided is missing from the log's sums.
@Suite("What the log tells one by one")
struct LogThrottleTests {
  typealias Item = LogThrottle.Item

  static func refused(_ key: String, by rule: String = "cap") -> Item { Item(kind: .refused, rule: rule, key: key) }

  @Test("The first refusals of a key by a rule are told, the rest in one sum a minute later")
  func firsts() {
    var throttle = LogThrottle()
    let told = (0..<1_317).count { throttle.admits(Self.refused("user:eve"), at: .start + .seconds($0 / 50)) }
    #expect(told == LogThrottle.firsts)
    let before = throttle.sums(at: .start + .seconds(59))
    let due = throttle.sums(at: .start + .seconds(60))
    let after = throttle.sums(at: .start + .seconds(600))
    #expect(before == [] && after == [])
    #expect(
      due == [
        LogThrottle.Sum(
          kind: .refused, rule: "cap", key: "user:eve", times: 1_312, keys: 1, span: .seconds(60))
      ])
    #expect(throttle.summarised == 1_312)
  }

  @Test("The next minute begins anew, and peace has no sums")
  func anew() {
    var throttle = LogThrottle()
    for minute in 0..<3 {
      let told = (0..<LogThrottle.firsts).count { _ in
        throttle.admits(Self.refused("user:eve"), at: .start + .minutes(minute))
      }
      #expect(told == LogThrottle.firsts)
      let sums = throttle.sums(at: .start + .minutes(minute) + .seconds(60))
      #expect(sums == [])
    }
  }

  @Test("A spray from 100,000 addresses is told by rule, with how many keys there were")
  func spray() throws {
    var throttle = LogThrottle()
    let told = (0..<100_000).count {
      throttle.admits(Self.refused("ip:\($0)"), at: .start + TimeSpan(microseconds: $0 * 100))
    }
    #expect(told == LogThrottle.rate.burst + 10 * LogThrottle.rate.perSecond - 1)
    let sums = throttle.sums(at: .start + .seconds(60))
    let sum = try #require(sums.first)
    #expect(sums.count == 1 && sum.times == 100_000 - told)
    #expect(sum.key == nil && sum.keys == 100_000 - told)
  }

  @Test("Blocks and alerts are told while refusals flood, and have a bound, too")
  func urgent() {
    var throttle = LogThrottle()
    for number in 0..<10_000 { _ = throttle.admits(Self.refused("ip:\(number)"), at: .start) }
    let told = (0..<5_000).count { throttle.admits(Item(kind: .blocked, rule: "cap", key: "ip:\($0)"), at: .start) }
    #expect(told == LogThrottle.urgentRate.burst)
    let isAdmitted = throttle.admits(Self.refused("user:bob"), at: .start)
    #expect(!isAdmitted)
  }

  @Test("Each held message is told while there is room: somebody has to find it")
  func held() {
    var throttle = LogThrottle()
    let told = (0..<300).count { _ in throttle.admits(Item(kind: .held, rule: "cap", key: "user:eve"), at: .start) }
    #expect(told == LogThrottle.rate.burst)
  }

  @Test("The end tells what was counted")
  func end() {
    var throttle = LogThrottle()
    for _ in 0..<8 { _ = throttle.admits(Self.refused("user:eve"), at: .start) }
    let rest = throttle.rest(at: .start + .seconds(3))
    let more = throttle.rest(at: .start + .seconds(4))
    #expect(rest.map(\.times) == [3] && more == [])
  }

  @Test("Told and summed up are all decisions, rule by rule, and lines stay within bounds", arguments: 0..<20)
  func anything(seed: Int) {
    var random = SplitMix64(seed: seed)
    var throttle = LogThrottle()
    var decided: [Item: Int] = [:]
    var accounted: [String: Int] = [:]
    var byItem: [Item: Int] = [:]
    var lines: [(second: Int, isUrgent: Bool)] = []
    var now = Timestamp.start
    let kinds: [Notice.Kind] = [.refused, .refused, .delayed, .held, .blocked, .alert, .observed, .run("lock")]
    func account(_ sums: [LogThrottle.Sum], isEnd: Bool = false) {
      for sum in sums {
        accounted["\(sum.kind) \(sum.rule)", default: 0] += sum.times
        #expect(sum.times > 0 && (sum.keys > 0 || sum.key == nil))
        if let key = sum.key { byItem[Item(kind: sum.kind, rule: sum.rule, key: key), default: 0] += sum.times }
        if !isEnd { lines.append((now.microseconds, Self.isUrgent(sum.kind))) }
      }
    }
    for _ in 0..<200 {
      let keys = [1, 5, 100, 50_000].randomElement(using: &random)!
      let pause = [0, 50, 2_000, 300_000].randomElement(using: &random)!
      for _ in 0..<Int.random(in: 1...400, using: &random) {
        let item = Item(
          kind: kinds.randomElement(using: &random)!, rule: "r\(Int.random(in: 0..<4, using: &random))",
          key: "k\(Int.random(in: 0..<keys, using: &random))")
        decided[item, default: 0] += 1
        // Threads come late now and then.
        let late = TimeSpan(microseconds: Int.random(in: 0...3, using: &random) == 0 ? 500 : 0)
        if throttle.admits(item, at: now - late) {
          accounted["\(item.kind) \(item.rule)", default: 0] += 1
          byItem[item, default: 0] += 1
          lines.append((now.microseconds, Self.isUrgent(item.kind)))
        }
        now = now + TimeSpan(microseconds: pause)
      }
      account(throttle.sums(at: now))
      #expect(throttle.remembered <= 1_000 + 100_000 + 2 * 32 + 20)
    }
    account(throttle.rest(at: now), isEnd: true)
    var all: [String: Int] = [:]
    for (item, count) in decided { all["\(item.kind) \(item.rule)", default: 0] += count }
    #expect(accounted == all)
    for (item, count) in byItem { #expect(count <= decided[item, default: 0]) }
    for isUrgent in [false, true] {
      let (perSecond, burst) = isUrgent ? LogThrottle.urgentRate : LogThrottle.rate
      let times = lines.filter { $0.isUrgent == isUrgent }.map(\.second)
      var first = 0
      for (index, time) in times.enumerated() {
        while time - times[first] >= 1_000_000 { first += 1 }
        #expect(index - first + 1 <= perSecond + burst)
      }
    }
  }

  private static func isUrgent(_ kind: Notice.Kind) -> Bool {
    switch kind {
    case .blocked, .alert, .run: true
    default: false
    }
  }
}
