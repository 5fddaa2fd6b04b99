import WardenCore

// What comes from the file may be anything. These are the bounds within which the engine can calculate with it.

extension Timestamp {
  /// From 1970 to the year 2223.
  init?(stored microseconds: Int) {
    guard (0...8_000_000_000_000_000).contains(microseconds) else { return nil }
    self.init(microseconds: microseconds)
  }
}

enum Sound {
  static let largestCount = 1 << 53
  static func count(_ number: Int) -> Bool { (0...largestCount).contains(number) }
}

extension Limit {
  var isSound: Bool {
    guard window >= .seconds(1), window <= Limit.longestWindow else { return false }
    switch bound {
    case .count(let count): return (0...Limit.largestCount).contains(count)
    case .usual(let usual):
      return (1...1_000_000).contains(usual.tenths) && (0...Limit.largestCount).contains(usual.atLeast)
        && (0...Limit.largestCount).contains(usual.atFirst)
    case .share(let share):
      return (0...1_000_000).contains(share.percent) && (0...Limit.largestCount).contains(share.atLeast)
    }
  }
}

extension Override {
  var isSound: Bool {
    if let until, Timestamp(stored: until.microseconds) == nil { return false }
    if case .limits(_, let limits) = effect { return !limits.isEmpty && limits.allSatisfy(\.isSound) }
    return true
  }
}

extension ReplyCode {
  var isSound: Bool { (400...599).contains(code) }
}

extension Engine.Roots {
  /// Meters are numbered from 0 without a gap.
  var isSound: Bool { Set(meters.values.map(Int.init)) == Set(0..<meters.count) }
}
