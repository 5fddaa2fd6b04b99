import GRDB
import WardenCore

/// How often a limit would have been gone over, at several numbers.
public struct HistoryLadder: Sendable, Equatable {
  public struct Rung: Sendable, Equatable {
    public let limit: Int
    /// How often a key's sum went over it; once for as long as it stayed over.
    public let trips: Int
    /// How many keys did.
    public let keys: Int
  }
  /// Of the first row that was looked at; nothing where there is none.
  public let start: Timestamp?
  public let rungs: [Rung]
  /// Whether there are earlier rows that were not looked at.
  public let isCut: Bool
}

extension Period {
  /// The longest of which a window is made up.
  public init?(dividing window: TimeSpan) {
    guard
      let period = Self.allCases.reversed().first(where: { period in
        window.microseconds > 0 && window.microseconds % TimeSpan.seconds(period.rawValue).microseconds == 0
      })
    else { return nil }
    self = period
  }
}

extension Store {
  /// So many rows take a second or so.
  public static let mostLadderRows = 500_000

  /// What keys of a kind had in any window of so many consecutive stretches, put to each of the limits.
  ///
  /// The windows begin and end with the clock's minutes, hours or days, so this is near what a rule does, not the same.
  /// - Parameters:
  ///   - window: whole stretches of the period.
  ///   - start, end: of the wall's clock; what goes over in between counts, with what came in the window before.
  ///   - isSpared: keys that are left out.
  public func ladder(
    of signal: Signal, kind: KeyKind, window: TimeSpan, by period: Period, limits: [Int], from start: Timestamp,
    to end: Timestamp, atMost most: Int = mostLadderRows, isSpared: (Key) -> Bool
  ) throws(StoreProblem) -> HistoryLadder {
    let rows = try ladderRows(of: signal, kind, period, (start - window).seconds..<end.seconds, atMost: most)
    var walk = LadderWalk(window: window, period: period, limits: limits, start: start.seconds)
    var (id, isLeftOut) = (0, false)
    // By key, and in order of time.
    for row in rows.counts.sorted(by: { ($0.key, $0.at) < ($1.key, $1.at) }) {
      if row.key != id {
        id = row.key
        // As it was named when it was stored: no realm is taken off any more.
        isLeftOut = rows.names[id].flatMap { try? Key($0, realms: LocalRealms(listed: [])) }.map(isSpared) ?? true
        walk.beginKey()
      }
      if !isLeftOut { walk.take(row.count, at: row.at) }
    }
    let first = rows.counts.lazy.map(\.at).min().map { max($0, start.seconds) }
    return HistoryLadder(start: first.map { Timestamp(seconds: $0) }, rungs: walk.rungs, isCut: rows.isCut)
  }

  private struct LadderRows {
    var counts: [(key: Int, at: Int, count: Int)] = []
    var names: [Int: String] = [:]
    var isCut = false
  }

  private func ladderRows(
    of signal: Signal, _ kind: KeyKind, _ period: Period, _ range: Range<Int>, atMost most: Int
  ) throws(StoreProblem) -> LadderRows {
    try read("read the history from") { database in
      var rows = LadderRows()
      // The bound is on what is read, whatever the keys are. One more says whether there are more.
      let row = try RawStatement(
        database,
        """
        SELECT c.at, c.key, c.count, k.kind, k.name FROM (
          SELECT at, key, \(signal.name.replacing("-", with: "_")) AS count FROM counts
          WHERE period = ? AND at >= ? AND at < ? ORDER BY at DESC LIMIT ?) c
        LEFT JOIN keys k ON k.id = c.key
        """)
      for (place, value) in [period.rawValue, range.lowerBound, range.upperBound, most + 1].enumerated() {
        row.bind(Int32(place + 1), value)
      }
      var seen = 0
      try row.forEach {
        seen += 1
        let (key, count) = (row.int(1), row.count(2))
        guard seen <= most, count > 0, row.text(3) == kind.name else { return }
        rows.counts.append((key: key, at: row.int(0), count: count))
        if rows.names[key] == nil { rows.names[key] = row.text(4) }
      }
      rows.isCut = seen > most
      return rows
    }
  }
}

/// A sum that slides over the stretches of one key after the other.
struct LadderWalk {
  private let window: Int
  private let period: Int
  private let limits: [Int]
  private let start: Int
  private var trips: [Int]
  private var keys: [Int]
  /// Of the key in hand.
  private var hasTripped: [Bool]
  private var rows: [(at: Int, count: Int)] = []
  private var oldest = 0
  private var sum = 0

  init(window: TimeSpan, period: Period, limits: [Int], start: Int) {
    (self.window, self.period) = (window.microseconds / 1_000_000, period.rawValue)
    (self.limits, self.start) = (limits, start)
    trips = limits.map { _ in 0 }
    (keys, hasTripped) = (trips, limits.map { _ in false })
  }

  var rungs: [HistoryLadder.Rung] {
    limits.indices.map { HistoryLadder.Rung(limit: limits[$0], trips: trips[$0], keys: keys[$0]) }
  }

  mutating func beginKey() {
    rows.removeAll(keepingCapacity: true)
    (oldest, sum) = (0, 0)
    for place in hasTripped.indices { hasTripped[place] = false }
  }

  /// - Parameter at: later than all before of the key.
  mutating func take(_ count: Int, at: Int) {
    // Between two rows the sum can only sink: the stretch before this one says how far it did.
    drop(before: at - period)
    let before = sum
    rows.append((at, count))
    sum += count
    drop(before: at)
    guard at >= start else { return }
    for (place, limit) in limits.enumerated() where before <= limit && limit < sum {
      trips[place] += 1
      if !hasTripped[place] { keys[place] += 1 }
      hasTripped[place] = true
    }
  }

  /// Drops what does not lie in the window whose last stretch begins then. Half a stretch of leeway: a day can be an hour
  /// longer or shorter.
  private mutating func drop(before last: Int) {
    while oldest < rows.count, last - rows[oldest].at >= window - period / 2 {
      sum -= rows[oldest].count
      oldest += 1
    }
  }
}
