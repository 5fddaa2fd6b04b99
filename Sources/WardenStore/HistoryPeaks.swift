import GRDB
import WardenCore

/// The most that one key had in an hour or a day.
public struct HistoryPeak: Sendable, Equatable {
  public let key: Key
  public let count: Int
}

extension Store {
  /// The most of a signal that each key of a kind had in any one hour or day, by the clock; keys that had none are left out.
  ///
  /// Of a stretch that is over only the busiest keys are kept, and those that something was done to.
  /// - Parameters:
  ///   - start, end: of the wall's clock; stretches that began in between.
  public func peaks(
    of signal: Signal, kind: KeyKind, by period: Period, from start: Timestamp, to end: Timestamp
  ) throws(StoreProblem) -> [HistoryPeak] {
    try read("read the history from") { database in
      let column = signal.name.replacing("-", with: "_")
      let row = try RawStatement(
        database,
        """
        SELECT k.name, max(c.\(column)) FROM counts c JOIN keys k ON k.id = c.key
        WHERE c.period = ? AND c.at >= ? AND c.at < ? AND k.kind = '\(kind.name)' AND c.\(column) > 0
        GROUP BY c.key ORDER BY 2 DESC, 1
        """)
      for (place, value) in [period.rawValue, start.seconds, end.seconds].enumerated() {
        row.bind(Int32(place + 1), value)
      }
      var peaks: [HistoryPeak] = []
      try row.forEach {
        // As they were named when they were stored: no realm is taken off any more.
        guard let key = try? Key(row.text(0), realms: LocalRealms(listed: [])) else { return }
        peaks.append(HistoryPeak(key: key, count: row.count(1)))
      }
      return peaks
    }
  }

  /// When the history of hours begins; nothing where there is none.
  public func historyStart() throws(StoreProblem) -> Timestamp? {
    try read("read the history from") { database in
      try Int.fetchOne(database, sql: "SELECT min(at) FROM counts WHERE period = \(Period.hour.rawValue)")
        .map { Timestamp(microseconds: $0 * 1_000_000) }
    }
  }
}
