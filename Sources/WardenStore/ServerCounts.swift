import WardenCore

extension Store {
  /// What the whole server had, hour by hour and oldest first; hours in which nothing happened are left out.
  /// - Parameters:
  ///   - start, end: of the wall's clock; hours that began in between.
  public func serverHours(from start: Timestamp, to end: Timestamp) throws(StoreProblem) -> [Trend.Stretch] {
    try serverCounts(by: .hour, from: start, to: end)
  }

  public func serverMinutes(from start: Timestamp, to end: Timestamp) throws(StoreProblem) -> [Trend.Stretch] {
    try serverCounts(by: .minute, from: start, to: end)
  }

  private func serverCounts(
    by period: Period, from start: Timestamp, to end: Timestamp
  ) throws(StoreProblem) -> [Trend.Stretch] {
    try read("read the history from") { database in
      let row = try RawStatement(
        database,
        """
        SELECT at, \(CountRows.columns.joined(separator: ", ")) FROM counts
        WHERE key = (SELECT id FROM keys WHERE name = ?) AND period = ? AND at >= ? AND at < ? ORDER BY at
        """)
      row.bind(1, Key(.server).description)
      for (place, value) in [period.rawValue, start.seconds, end.seconds].enumerated() {
        row.bind(Int32(place + 2), value)
      }
      var found: [Trend.Stretch] = []
      try row.forEach {
        let values = CountRows.columns.indices.map { row.count(Int32($0 + 1)) }
        found.append(Trend.Stretch(start: Timestamp(seconds: row.int(0)), values: values))
      }
      return found
    }
  }
}
