import Testing

@testable import WardenCore

extension Meter {
  /// A meter by itself, as no policy has it.
  init(_ kind: Kind, id: UInt16 = 0, window: TimeSpan = .hours(1), limit: Int = 25, capacity: Int = .max) {
    self.init(id: id, kind: kind, window: window, smallestLimit: limit, capacity: capacity)
  }
}

/// A shard with the values that each key has shown, and a dictionary that says what should be there.
private struct Twins {
  let meter: Meter
  let layout: Shard.Layout
  var shard: Shard
  var now = Timestamp.start
  /// Every value with its time.
  private(set) var known: [String: [Int: Timestamp]] = [:]
  /// Keys that were gone when they came again, though they counted.
  private(set) var lost = 0

  init(bound: Int, limit: Int = 5_000) {
    meter = Meter(.distinct(.recipients), limit: limit, capacity: limit + 1)
    layout = Shard.Layout(meters: [meter])
    shard = Shard(bound: bound)
  }

  /// Few different hashes, so that names collide.
  static func hash(_ name: String) -> UInt32 {
    UInt32(truncatingIfNeeded: name.utf8.count * 0x0101) ^ UInt32(name.utf8.last!)
  }

  private mutating func find(_ name: String) -> Shard.Record? {
    Array(name.utf8).withUnsafeBytes { shard.find($0, Self.hash(name)) }
  }

  private func alive(_ name: String) -> Int {
    let oldest = meter.slot(now) - Meter.slotsPerWindow
    return known[name]?.values.count { meter.slot($0) >= oldest } ?? 0
  }

  mutating func add(_ values: Range<Int>, to name: String) {
    shard.advance(to: now)
    if find(name) == nil {
      if alive(name) > 0 { lost += 1 }
      known[name] = [:]
    }
    let (layout, hash) = (layout, Self.hash(name))
    let record = Array(name.utf8).withUnsafeBytes { shard.record(for: $0, hash, roomFor: values.count, layout) }
    guard let record else { return }
    var cells = record.cells
    // By hand: what a meter does with its cells is not the matter here.
    for value in values where known[name]![value] == nil {
      cells.insert(Cell(meter: 0, number: value, slot: UInt32(truncatingIfNeeded: meter.slot(now))), at: cells.count)
      known[name]![value] = now
    }
    record.cells = cells
  }

  mutating func remove(_ name: String) {
    if alive(name) > 0, find(name) == nil { lost += 1 }
    Array(name.utf8).withUnsafeBytes { shard.remove($0, Self.hash(name)) }
    known[name] = nil
  }

  /// Keys that are not there though they count.
  var missing: Int {
    mutating get { known.keys.filter { alive($0) > 0 }.count { find($0) == nil } }
  }

  /// Whether every key that is there has its own values.
  var isSound: Bool {
    mutating get {
      known.keys.allSatisfy { name in
        guard let record = find(name) else { return true }
        return Array(record.name) == Array(name.utf8) && meter.distinct(record.cells, at: now) == alive(name)
      }
    }
  }
}

struct ShardTests {
  private static func names(_ count: Int, using random: inout SplitMix64) -> [String] {
    (0..<count).map { number in
      "\(number)."
        + String(repeating: "x", count: Int.random(in: 0...260, using: &random) * Int.random(in: 0...1, using: &random))
    }
  }

  @Test(
    "However keys are made, grow, go and fall idle, a shard with room holds what a dictionary holds", arguments: 0..<10)
  func withRoom(seed: Int) {
    var random = SplitMix64(seed: seed)
    let names = Self.names(200, using: &random)
    var twins = Twins(bound: 64_000_000)
    defer { twins.shard.deallocate() }
    for step in 0..<2_000 {
      let name = names.randomElement(using: &random)!
      switch Int.random(in: 0..<20, using: &random) {
      case 0: twins.remove(name)
      case 1: twins.now = twins.now + .seconds(Int.random(in: 1...900, using: &random))
      case 2: twins.add(0..<Int.random(in: 1...400, using: &random), to: name)
      default:
        let value = Int.random(in: 0...20, using: &random)
        twins.add(value..<value + Int.random(in: 1...3, using: &random), to: name)
      }
      guard step % 50 != 0 || twins.isSound && twins.missing == 0 && twins.shard.evicted == 0 else {
        Issue.record("seed \(seed), step \(step): \(twins.missing) missing, \(twins.shard.evicted) evicted")
        return
      }
    }
    #expect(twins.lost == 0, "seed \(seed)")
  }

  @Test("A full shard stays within its bound, mixes up nothing, and counts what it drops", arguments: 0..<10)
  func full(seed: Int) {
    var random = SplitMix64(seed: seed)
    let bound = [256 * 1024, 300_000, 1_000_000].randomElement(using: &random)!
    let names = Self.names(2_000, using: &random)
    let most = [3, 30, 600].randomElement(using: &random)!
    var twins = Twins(bound: bound)
    defer { twins.shard.deallocate() }
    for step in 0..<5_000 {
      let name = names.randomElement(using: &random)!
      if Int.random(in: 0..<10, using: &random) == 0 {
        twins.remove(name)
      } else {
        twins.add(0..<Int.random(in: 1...most, using: &random), to: name)
      }
      guard twins.shard.bytes <= bound, step % 500 != 0 || twins.isSound else {
        Issue.record("seed \(seed), step \(step), bound \(bound), \(most) cells: \(twins.shard.bytes) bytes")
        return
      }
    }
    let missing = twins.missing
    #expect(twins.shard.evicted == twins.lost + missing, "seed \(seed)")
  }

  @Test(
    "Records of thousands of cells do not break a small shard's bound", arguments: [256 * 1024, 400_000, 1_500_000])
  func largeRecords(bound: Int) {
    var random = SplitMix64(seed: bound)
    var twins = Twins(bound: bound)
    defer { twins.shard.deallocate() }
    for _ in 0..<100 {
      let name = "\(Int.random(in: 0..<20, using: &random))"
      twins.add(0..<Int.random(in: 1...5_000, using: &random), to: name)
      #expect(twins.shard.bytes <= bound)
    }
    let isSound = twins.isSound
    #expect(isSound)
  }

  @Test("Cells of meters that a thread's older policy does not know stay, and do not fault")
  func newerMeters() {
    var shard = Shard(bound: 1_000_000)
    defer { shard.deallocate() }
    shard.advance(to: .start)
    let meters = [Meter(.count, id: 0), Meter(.count, id: 1)]
    let (older, newer) = (Shard.Layout(meters: [meters[0]]), Shard.Layout(meters: meters))
    func add(_ meter: Meter, _ name: String, _ layout: Shard.Layout) {
      Array(name.utf8).withUnsafeBytes {
        let record = shard.record(for: $0, 7, roomFor: 1, layout)!
        var cells = record.cells
        meter.add(1, to: &cells, at: .start)
        record.cells = cells
      }
    }
    add(meters[1], "alice", newer)
    for number in 0..<10 { add(meters[0], "other\(number)", older) }
    add(meters[0], "alice", older)
    let cells = Array("alice".utf8).withUnsafeBytes { shard.find($0, 7)!.cells }
    #expect(meters.map { $0.count(cells, at: .start) } == [1, 1])
    #expect(shard.count == 11)
    // A release that began under the older policy takes them away with the rest.
    Array("alice".utf8).withUnsafeBytes { shard.forgetCounts($0, 7, older) }
    #expect(shard.count == 10)
  }
}
