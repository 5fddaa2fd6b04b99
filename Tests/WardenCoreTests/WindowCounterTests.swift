import Testing

@testable import WardenCore

/// What a window counter must say: every count with its time, nothing forgotten.
struct ExactCounter {
  private(set) var counts: [(at: Timestamp, count: Int)] = []

  mutating func add(_ count: Int, at now: Timestamp) { counts.append((at: now, count: count)) }

  /// The count within `(now - window, now]`.
  func count(at now: Timestamp, window: TimeSpan) -> Int {
    counts.reduce(0) { $1.at.microseconds > now.microseconds - window.microseconds ? $0 + $1.count : $0 }
  }
}

/// Times that are hard on a window: bursts, slot edges, window edges and a microsecond beside them.
struct HostileTimes {
  private var random: SplitMix64
  private let window: Int
  private(set) var now: Timestamp
  /// Times from which a window may be measured.
  private var past: [Timestamp]

  init(seed: Int, window: TimeSpan, from now: Timestamp = .start) {
    random = SplitMix64(seed: seed)
    self.window = window.microseconds
    self.now = now
    past = [now]
  }

  /// Never before the last one.
  mutating func next() -> Timestamp {
    let slot = window / Meter.slotsPerWindow
    let time =
      switch Int.random(in: 0..<8, using: &random) {
      case 0: now.microseconds
      case 1: now.microseconds + Int.random(in: 0...(window / 50), using: &random)
      case 2: now.microseconds + Int.random(in: 0...(window / 4), using: &random)
      case 3: now.microseconds + slot
      // The next slot's first microsecond, or one beside it.
      case 4: firstOfSlot(after: now.microseconds) + Int.random(in: -1...1, using: &random)
      // A window after something that counted, or a window and a slot.
      case 5, 6: past.randomElement(using: &random)!.microseconds + window + Int.random(in: -1...1, using: &random)
      default:
        past.randomElement(using: &random)!.microseconds + window + slot + Int.random(in: -1...1, using: &random)
      }
    now = max(now, Timestamp(microseconds: time))
    past.append(now)
    if past.count > 40 { past.removeFirst() }
    return now
  }

  private func firstOfSlot(after time: Int) -> Int {
    let slots = Meter.slotsPerWindow
    let next = time * slots / window + 1
    return (next * window + slots - 1) / slots
  }
}

extension TimeSpan {
  /// From a second to the longest window, short ones as often as long ones.
  static func randomWindow(using random: inout SplitMix64) -> TimeSpan {
    let longest = [60, 3_600, 86_400, 31 * 86_400].randomElement(using: &random)!
    return .seconds(Int.random(in: 1...longest, using: &random))
  }

  /// With the longest that a count may stay in the window: a sixtieth more.
  var withSlack: TimeSpan {
    TimeSpan(microseconds: microseconds + (microseconds + 59) / Meter.slotsPerWindow + 1)
  }
}

struct WindowCounterTests {
  @Test("A count is never too small and stays for at most a sixtieth of the window too long", arguments: 0..<60)
  func countsAreExactToASlot(seed: Int) {
    var random = SplitMix64(seed: seed)
    let window = TimeSpan.randomWindow(using: &random)
    var times = HostileTimes(seed: seed, window: window)
    var counter = WindowCounter(window: window)
    var exact = ExactCounter()
    for step in 0..<150 {
      let now = times.next()
      let count = counter.count(at: now)
      let least = exact.count(at: now, window: window)
      let most = exact.count(at: now, window: window.withSlack)
      guard (least...most).contains(count) else {
        Issue.record("seed \(seed), step \(step), window \(window): \(count) is not in \(least)...\(most)")
        return
      }
      let added = Int.random(in: 1...9, using: &random)
      counter.add(added, at: now)
      exact.add(added, at: now)
    }
  }

  @Test("The promised time is the very first at which the count is low enough", arguments: 0..<60)
  func promisedTimeIsTheFirst(seed: Int) {
    var random = SplitMix64(seed: seed)
    let window = TimeSpan.randomWindow(using: &random)
    var times = HostileTimes(seed: seed, window: window)
    var counter = WindowCounter(window: window)
    for step in 0..<60 {
      let now = times.next()
      counter.add(Int.random(in: 1...9, using: &random), at: now)
      let rest = Int.random(in: 0...20, using: &random)
      let promised = counter.time(untilAtMost: rest, now: now)
      var atPromise = counter
      guard atPromise.count(at: promised) <= rest else {
        Issue.record("seed \(seed), step \(step), window \(window): more than \(rest) at the promised time")
        return
      }
      guard promised > now else { continue }
      var justBefore = counter
      guard justBefore.count(at: Timestamp(microseconds: promised.microseconds - 1)) > rest else {
        Issue.record("seed \(seed), step \(step), window \(window): at most \(rest) before the promised time")
        return
      }
    }
  }

  @Test("What was counted a window and a slot ago is gone, a microsecond before it is not")
  func leavesAfterAWindowAndASlot() {
    let window = TimeSpan.minutes(1)
    let edge = Timestamp(microseconds: 1_795_515_240_000_000)
    var counter = WindowCounter(window: window)
    counter.add(1, at: edge)
    #expect(counter.count(at: edge + .seconds(61) - .microsecond) == 1)
    #expect(counter.count(at: edge + .seconds(61)) == 0)
  }

  @Test("Sums that no cell holds stay at the largest instead of wrapping round")
  func saturates() {
    var counter = WindowCounter(window: .hours(1))
    for _ in 0..<3 { counter.add(.max, at: .start) }
    #expect(counter.count(at: .start) == Cell.largestNumber)
    counter.add(.max, at: .start + .minutes(5))
    #expect(counter.count(at: .start + .minutes(62)) == Cell.largestNumber)
    #expect(counter.count(at: .start + .minutes(67)) == 0)
    #expect(Cell.largestNumber > Limit.largestCount)
  }
}

extension TimeSpan {
  static let microsecond = TimeSpan(microseconds: 1)
}
