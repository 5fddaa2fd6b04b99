import Glibc
import Testing

@testable import WardenCore

/// One meter with cells of its own.
private struct Run {
  let meter: Meter
  private(set) var cells: Cells
  private let room: UnsafeMutablePointer<Cell>

  init(_ meter: Meter, room count: Int = 2_000) {
    self.meter = meter
    room = .allocate(capacity: count)
    cells = Cells(base: room, count: 0, capacity: count)
  }

  func deallocate() { room.deallocate() }
  mutating func add(_ value: Int, at now: Timestamp) { meter.add(ValueHash(value), to: &cells, at: now) }
  mutating func add(count: Int, at now: Timestamp) { meter.add(count, to: &cells, at: now) }
  mutating func remember(_ value: Int, at now: Timestamp) { meter.remember(ValueHash(value), in: &cells, at: now) }
  mutating func learn(_ count: Int, at now: Timestamp) { meter.learn(count, in: &cells, at: now) }
}

struct MeterTests {
  @Test("Different values are counted exactly up to one more than the limit, as the window slides", arguments: 0..<20)
  func distinct(seed: Int) {
    var random = SplitMix64(seed: seed)
    let limit = Int.random(in: 1...12, using: &random)
    let window = TimeSpan.randomWindow(using: &random)
    var run = Run(Meter(.distinct(.recipients), window: window, limit: limit, capacity: limit + 1))
    defer { run.deallocate() }
    var times = HostileTimes(seed: seed, window: window)
    var last: [Int: Timestamp] = [:]
    for step in 0..<300 {
      let now = times.next()
      let alive = last.values.count { run.meter.slot(now) - run.meter.slot($0) <= Meter.slotsPerWindow }
      let exact = last.values.count { now.microseconds - $0.microseconds < window.microseconds }
      guard run.meter.distinct(run.cells, at: now) == min(alive, limit + 1), exact <= alive else {
        Issue.record("seed \(seed), step \(step), \(limit) per \(window): not \(alive)")
        return
      }
      let value = Int.random(in: 0..<limit * 2 + 2, using: &random)
      run.add(value, at: now)
      last[value] = now
    }
  }

  @Test("Of more values than fit, those seen latest are kept")
  func distinctKeepsTheLatest() {
    var run = Run(Meter(.distinct(.recipients), limit: 3, capacity: 4))
    defer { run.deallocate() }
    for value in 0..<4 { run.add(value, at: .start + .minutes(value)) }
    run.add(0, at: .start + .minutes(10))
    run.add(9, at: .start + .minutes(11))
    // The first that was seen is not the one that goes: it was seen again.
    let later = Timestamp.start + .minutes(12)
    #expect(run.meter.unseen([0, 2, 3, 9].map { ValueHash($0) }, run.cells, at: later) == 0)
    #expect(run.meter.unseen([ValueHash(1)], run.cells, at: later) == 1)
  }

  @Test("A value is new until it was ever shown, and of the values shown 1,024 are remembered", arguments: 0..<5)
  func memory(seed: Int) {
    var random = SplitMix64(seed: seed)
    var run = Run(Meter(.memory, window: Meter.forgetting, limit: 1, capacity: Meter.remembered))
    defer { run.deallocate() }
    // Oldest first.
    var known: [Int] = []
    var now = Timestamp.start
    for step in 0..<2_000 {
      now = now + .hours(1)
      // Some come again and again.
      let value = Int.random(in: 0..<10, using: &random) < 3 ? Int.random(in: 0..<50, using: &random) : step + 100
      let isUnknown = run.meter.unknown([ValueHash(value)], run.cells, born: .start - .days(7), at: now) == 1
      guard isUnknown == !known.contains(value) else {
        Issue.record("seed \(seed), step \(step): \(value)")
        return
      }
      run.remember(value, at: now)
      known.removeAll { $0 == value }
      known.append(value)
      if known.count > Meter.remembered { known.removeFirst() }
    }
  }

  @Test("Nothing is new to a key that has not been known for a week")
  func learning() {
    let run = Run(Meter(.memory, window: Meter.forgetting, limit: 1, capacity: 4))
    defer { run.deallocate() }
    func unknown(_ at: Timestamp) -> Int { run.meter.unknown([ValueHash(1)], run.cells, born: .start, at: at) }
    #expect(unknown(.start + .days(7) - .microsecond) == 0)
    #expect(unknown(.start + .days(7)) == 1)
    #expect(run.meter.unknown([ValueHash(1)], run.cells, born: nil, at: .start + .days(99)) == 0)
  }

  @Test("A network is new for two weeks after it was first used, but not one from the time of learning")
  func newNetwork() {
    var run = Run(Meter(.memory, window: Meter.forgetting, limit: 1, capacity: 4))
    defer { run.deallocate() }
    func isNew(_ value: Int, _ at: Timestamp) -> Bool {
      run.meter.isNew(ValueHash(value), run.cells, born: .start, at: at)
    }
    run.remember(1, at: .start + .days(6))
    run.remember(2, at: .start + .days(8))
    #expect(!isNew(1, .start + .days(8)))
    #expect(isNew(2, .start + .days(8)))
    run.remember(2, at: .start + .days(21))
    let end = Timestamp.start + .days(8) + Meter.novelty
    #expect(isNew(2, end))
    #expect(!isNew(2, end + .hours(1)))
    #expect(isNew(3, .start + .days(8)))
  }

  // MARK: - The usual

  /// The documented rule, one window of the clock after the other: a high-water mark that halves in 14 days and rises
  /// freely in the first 14 days, then by no more than doubling in a week beyond what is free.
  private struct Usual {
    let free: Double
    let windowsPerWeek: Double
    private(set) var mark = 0.0
    private var windowOfMark = 0
    private var first: Int?

    init(free: Int, window: TimeSpan) {
      self.free = Double(free)
      windowsPerWeek = Double(TimeSpan.days(7).microseconds / window.microseconds)
    }

    func mark(at window: Int) -> Double { mark * pow(0.5, Double(window - windowOfMark) / (2 * windowsPerWeek)) }

    /// A window in which anything was counted has ended.
    mutating func end(_ window: Int, _ count: Int, isFirst: Bool) {
      first = first ?? window
      let isDiscovered = Double(window - first!) >= 2 * windowsPerWeek
      let weeks = isFirst ? 0 : min(1, Double(window - windowOfMark) / windowsPerWeek)
      let ceiling = isDiscovered ? max(mark * pow(2, weeks), free) : .infinity
      mark = max(isFirst ? 0 : mark(at: window), min(Double(count), ceiling))
      windowOfMark = window
    }
  }

  @Test("What is usual is what the documented rule says", arguments: 0..<20)
  func usual(seed: Int) {
    var random = SplitMix64(seed: seed)
    let window = Limit.usualWindows.randomElement(using: &random)!
    let free = Int.random(in: 0...20, using: &random)
    var run = Run(Meter(.usual(free: free), window: window, limit: 1))
    defer { run.deallocate() }
    var oracle = Usual(free: free, window: window)
    var place = Timestamp.start.microseconds / window.microseconds
    var isFirst = true
    for step in 0..<300 {
      let begin = Timestamp(microseconds: place * window.microseconds)
      let usual = run.meter.usual(run.cells, at: begin)
      // 256ths, rounded down at each step.
      guard usual <= oracle.mark(at: place) + 0.001, usual >= oracle.mark(at: place) - 2 else {
        Issue.record("seed \(seed), step \(step): \(usual) is not \(oracle.mark(at: place))")
        return
      }
      let counts = (0..<Int.random(in: 1...3, using: &random)).map { _ in Int.random(in: 1...60, using: &random) }
      for count in counts {
        run.learn(count, at: begin + TimeSpan(microseconds: Int.random(in: 0..<window.microseconds, using: &random)))
      }
      oracle.end(place, counts.reduce(0, +), isFirst: isFirst)
      isFirst = false
      place += [1, 1, 1, 2, 24, 200].randomElement(using: &random)!
    }
  }

  @Test(
    "An attacker who ramps up by a fifth a day never gets more than double in a week", arguments: Limit.usualWindows)
  func rampingUp(window: TimeSpan) {
    var run = Run(Meter(.usual(free: 10), window: window, limit: 1))
    defer { run.deallocate() }
    var daily: [Double] = []
    // Two honest weeks, in which what is usual is discovered.
    for day in -14..<0 { run.learn(10, at: .start + .days(day)) }
    let before = max(10, run.meter.usual(run.cells, at: .start))
    var wanted = 20.0
    for day in 0..<30 {
      for hour in 0..<24 { run.learn(Int(wanted), at: .start + .days(day) + .hours(hour)) }
      daily.append(run.meter.usual(run.cells, at: .start + .days(day + 1)))
      wanted *= 1.2
    }
    #expect(wanted > 20 * 200)
    for day in 7..<30 { #expect(daily[day] <= max(10, daily[day - 7]) * 2.01) }
    // 30 days are less than five weeks.
    #expect(daily[29] < before * 32.1)
  }

  @Test("Silence builds nothing up: after a month of it, one more doubling and no more is learned")
  func silence() {
    var run = Run(Meter(.usual(free: 10), window: .hours(1), limit: 1))
    defer { run.deallocate() }
    run.learn(10, at: .start)
    run.learn(1_000, at: .start + .days(28))
    #expect(run.meter.usual(run.cells, at: .start + .days(28) + .hours(1)) <= 20)
  }

  @Test("What a key sends in its first two weeks is usual at once, later no more")
  func discovery() {
    for (day, isFree) in [(13, true), (14, false)] {
      var run = Run(Meter(.usual(free: 10), window: .hours(1), limit: 1))
      defer { run.deallocate() }
      run.learn(10, at: .start)
      run.learn(1_000, at: .start + .days(day))
      let usual = run.meter.usual(run.cells, at: .start + .days(day) + .hours(1))
      #expect(isFree ? usual > 990 : usual <= 20)
    }
  }

  @Test("To a key that has shown few values nothing counts as strange, and a flood is not its own circle")
  func circle() {
    var run = Run(Meter(.memory, window: Meter.forgetting, limit: 1, capacity: 100))
    defer { run.deallocate() }
    for value in 0..<Meter.circle { run.remember(value, at: .start + .days(8)) }
    #expect(!run.meter.hasCircle(run.cells, at: .start + .days(8) + .hours(23)))
    #expect(run.meter.hasCircle(run.cells, at: .start + .days(9)))
    var small = Run(Meter(.memory, window: Meter.forgetting, limit: 1, capacity: 100))
    defer { small.deallocate() }
    for value in 1..<Meter.circle { small.remember(value, at: .start) }
    #expect(!small.meter.hasCircle(small.cells, at: .start + .days(9)))
  }

  // MARK: - Slots

  @Test(
    "Counts go on over the wrap of the slots' 32 bits: for windows of a second every two years",
    arguments: [TimeSpan.seconds(1), .seconds(10), .minutes(7)])
  func wrap(window: TimeSpan) {
    // The moment at which the slot's low 32 bits come to zero.
    let multiple = (Timestamp.start.microseconds / window.microseconds * 60 >> 32) + 1
    let zero = Timestamp(microseconds: ((multiple << 32) * window.microseconds + 59) / 60)
    var run = Run(Meter(.count, window: window), room: 62)
    defer { run.deallocate() }
    #expect(UInt32(truncatingIfNeeded: run.meter.slot(zero)) == 0)
    let part = TimeSpan(microseconds: window.microseconds / 4)
    for _ in 0..<10 { run.add(count: 1, at: zero - part) }
    run.add(count: 1, at: zero)
    #expect(run.meter.count(run.cells, at: zero + part) == 11)
    #expect(run.meter.time(untilAtMost: 10, run.cells, at: zero + part) > zero + part + part)
    let last = zero + window + part
    #expect(run.meter.count(run.cells, at: last) == 0)
    #expect(run.meter.isIdle(0..<run.cells.count, run.cells, at: last))
  }

  @Test("A run never outgrows a slot for each sixtieth, the one being left and the one in hand", arguments: 0..<10)
  func room(seed: Int) {
    var random = SplitMix64(seed: seed)
    let window = TimeSpan.randomWindow(using: &random)
    var run = Run(Meter(.count, window: window), room: 61)
    defer { run.deallocate() }
    var now = Timestamp.start
    for _ in 0..<500 {
      now = now + TimeSpan(microseconds: Int.random(in: 0...window.microseconds / 60, using: &random))
      run.add(count: 1, at: now)
    }
    #expect(run.cells.count <= 61)
  }
}

extension ValueHash {
  fileprivate init(_ number: Int) { self.init(String(number), HashSeed(1, 2)) }
}
