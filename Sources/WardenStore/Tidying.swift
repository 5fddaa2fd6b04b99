import GRDB
import WardenCore

/// Where the work goes on next time.
struct TidyCursor: Sendable {
  /// The last name looked at; nothing at the beginning of a round.
  var record: [UInt8]?
  /// Whether in this round stored keys go that are no longer in memory.
  var dropsUnknown = false
  var key = 0
}

/// What was dropped.
public struct Tidied: Sendable, Equatable {
  /// Keys whose counters no longer matter, or are no longer in memory.
  public var records = 0
  public var penalties = 0
  /// Rows of counts: of stretches that are over and of keys that did not stand out, and those older than is kept.
  public var counts = 0
  public var decisions = 0
  public var actions = 0
  /// Of these, rows that went before their time because the database had grown too large.
  public var early = 0

  public init() {}
}

extension Store {
  /// Drops what is over. Many short transactions, so that no write waits for long, and only so many of them; what is left
  /// is for the next call.
  /// - Parameters:
  ///   - now: the engine's time.
  ///   - wall: the wall's clock.
  ///   - keys: how many the engine has in memory.
  ///   - isKnown: whether a key is among them, by its `Key.bytes`. Only once all that was stored has been taken back.
  public func tidy(
    at now: Timestamp, wall: Timestamp, settings: HistorySettings, keys: Int,
    isKnown: (UnsafeRawBufferPointer) -> Bool
  ) throws(StoreProblem) -> Tidied {
    var tidied = Tidied()
    try dropRecords(at: now, keys: keys, isKnown, &tidied)
    try dropPenalties(at: now, &tidied)
    try prune(at: wall, &tidied)
    try dropOld(at: wall, settings, &tidied)
    try keepSize(within: settings.size, &tidied)
    try dropUnusedKeys()
    try shrink()
    return tidied
  }

  /// Rows changed in one transaction: some ten milliseconds.
  private static let rowsAtOnce = 1_000
  /// Transactions of one kind in a call.
  private static let steps = 100
  private static let rowsPerCall = steps * rowsAtOnce
  /// Stored keys looked at in a call, all of them within half an hour.
  private static let recordsPerCall = 50_000

  // MARK: - Counters and penalties

  private func dropRecords(
    at now: Timestamp, keys: Int, _ isKnown: (UnsafeRawBufferPointer) -> Bool, _ tidied: inout Tidied
  ) throws(StoreProblem) {
    var cursor = tidying.withLock { $0 }
    var gone: [[UInt8]] = []
    var last: [UInt8]?
    try read("look through the counters in") { database in
      if cursor.record == nil {
        let stored = try database.number("SELECT count(*) FROM records") ?? 0
        cursor.dropsUnknown = stored > keys + keys / 4 + 10_000
      }
      var seen = 0
      let rows = try RawStatement(database, "SELECT name, last FROM records WHERE name > ? ORDER BY name LIMIT ?")
      rows.bind(1, cursor.record ?? [])
      rows.bind(2, Self.recordsPerCall)
      try rows.forEach {
        let name = rows.blob(0)
        seen += 1
        if seen == Self.recordsPerCall { last = Array(name) }
        if rows.int(1) < now.seconds || cursor.dropsUnknown && !isKnown(name) { gone.append(Array(name)) }
      }
    }
    cursor.record = last
    let (record, dropsUnknown) = (cursor.record, cursor.dropsUnknown)
    for start in stride(from: 0, to: gone.count, by: Self.rowsAtOnce) {
      let part = gone[start..<min(gone.count, start + Self.rowsAtOnce)]
      tidied.records += try write("drop counters from") { database in
        let delete = try RawStatement(database, "DELETE FROM records WHERE name = ? AND (last < ? OR ?)")
        let before = database.totalChangesCount
        for name in part {
          // It may have come back meanwhile.
          let isGone = dropsUnknown && !name.withUnsafeBytes(isKnown)
          delete.bind(1, name)
          delete.bind(2, now.seconds)
          delete.bind(3, isGone ? 1 : 0)
          try delete.run()
        }
        return database.totalChangesCount - before
      }
    }
    tidying.withLock { ($0.record, $0.dropsUnknown) = (record, dropsUnknown) }
  }

  private func dropPenalties(at now: Timestamp, _ tidied: inout Tidied) throws(StoreProblem) {
    let over = try read("look through the penalties in") { database in
      let rows = try RawStatement(database, "SELECT key FROM penalties WHERE until <= ? LIMIT ?")
      rows.bind(1, now.microseconds)
      rows.bind(2, Self.rowsPerCall)
      var keys: [[UInt8]] = []
      try rows.forEach { keys.append(Array(rows.blob(0))) }
      return keys
    }
    for start in stride(from: 0, to: over.count, by: Self.rowsAtOnce) {
      tidied.penalties += try write("drop penalties from") { database in
        let delete = try RawStatement(database, "DELETE FROM penalties WHERE key = ? AND until <= ?")
        let before = database.totalChangesCount
        for key in over[start..<min(over.count, start + Self.rowsAtOnce)] {
          delete.bind(1, key)
          delete.bind(2, now.microseconds)
          try delete.run()
        }
        return database.totalChangesCount - before
      }
    }
    try dropTerms()
  }

  /// Few at any time: there are as many as rules, and as many more as rules have been changed.
  private func dropTerms() throws(StoreProblem) {
    let unused = "FROM terms WHERE id NOT IN (SELECT terms FROM penalties UNION SELECT terms FROM episodes)"
    guard try read("look through the terms in", { try $0.number("SELECT count(*) \(unused)") }) != 0 else { return }
    try write("drop terms from") { try $0.execute(sql: "DELETE \(unused)") }
  }

  // MARK: - History

  /// Of each stretch that is over, only what stands out stays.
  private func prune(at wall: Timestamp, _ tidied: inout Tidied) throws(StoreProblem) {
    for period in Period.allCases {
      // What was counted in the last minute may still be on its way.
      let end = period.start(of: wall + .minutes(-2), days)
      for _ in 0..<Self.steps {
        guard let start = try unpruned(period, before: end) else { break }
        let gone = try prune(period, start)
        tidied.counts += gone
        // There may be more.
        if gone == Self.rowsPerCall { return }
        try write("note in") { database in
          try database.execute(
            sql: "INSERT OR REPLACE INTO pruned (period, at) VALUES (?, ?)", arguments: [period.rawValue, start])
        }
      }
    }
  }

  private func unpruned(_ period: Period, before end: Int) throws(StoreProblem) -> Int? {
    try read("look through the history in") { database in
      let done = try database.number("SELECT at FROM pruned WHERE period = ?", period.rawValue) ?? -1
      return try database.number(
        "SELECT min(at) FROM counts WHERE period = ? AND at > ? AND at < ?", period.rawValue, done, end)
    }
  }

  /// - Returns: how many rows went, at most `rowsPerCall`.
  private func prune(_ period: Period, _ start: Int) throws(StoreProblem) -> Int {
    let gone = try read("look through the history in") { database in
      var kept: Set<Int> = []
      let busiest = try RawStatement(
        database,
        """
        SELECT c.key FROM counts c JOIN keys k ON k.id = c.key WHERE c.period = ? AND c.at = ? AND k.kind = ?
        ORDER BY c.messages DESC, c.connections DESC, c.key LIMIT ?
        """)
      for kind in [KeyKind.user, .ip] {
        busiest.bind(1, period.rawValue)
        busiest.bind(2, start)
        busiest.bind(3, kind.name)
        busiest.bind(4, period.busiest)
        try busiest.forEach { kept.insert(busiest.int(0)) }
      }
      let rest = try RawStatement(
        database,
        """
        SELECT c.key FROM counts c LEFT JOIN keys k ON k.id = c.key
        WHERE c.period = ? AND c.at = ? AND NOT (\(CountRows.isNotable)) AND coalesce(k.kind, '') <> ?
        """)
      rest.bind(1, period.rawValue)
      rest.bind(2, start)
      rest.bind(3, KeyKind.server.name)
      var gone: [Int] = []
      try rest.forEach {
        if gone.count < Self.rowsPerCall, !kept.contains(rest.int(0)) { gone.append(rest.int(0)) }
      }
      return gone
    }
    for first in stride(from: 0, to: gone.count, by: Self.rowsAtOnce) {
      try write("drop history from") { database in
        let delete = try RawStatement(
          database, "DELETE FROM counts WHERE period = ? AND at = ? AND key = ? AND NOT (\(CountRows.isNotable))")
        for key in gone[first..<min(gone.count, first + Self.rowsAtOnce)] {
          delete.bind(1, period.rawValue)
          delete.bind(2, start)
          delete.bind(3, key)
          try delete.run()
        }
      }
    }
    return gone.count
  }

  private func dropOld(at wall: Timestamp, _ settings: HistorySettings, _ tidied: inout Tidied) throws(StoreProblem) {
    func before(_ span: TimeSpan) -> Int { wall.seconds - span.microseconds / 1_000_000 }
    let ages: [(Period, TimeSpan)] = [
      (.minute, settings.minutes), (.hour, settings.hours), (.day, settings.days),
    ]
    for (period, age) in ages {
      tidied.counts += try steps { () throws(StoreProblem) in try dropCounts(period, before: before(age)) }
    }
    let end = before(settings.decisions)
    tidied.decisions += try steps { () throws(StoreProblem) in try dropDecisions(before: end) }
    tidied.actions += try steps { () throws(StoreProblem) in
      try drop("DELETE FROM actions WHERE id IN (SELECT id FROM actions WHERE at < ? ORDER BY at LIMIT ?)", end)
    }
  }

  /// Goes on while there is something to drop, but not for ever.
  private func steps(_ step: () throws(StoreProblem) -> Int) throws(StoreProblem) -> Int {
    var all = 0
    for _ in 0..<Self.steps {
      let dropped = try step()
      all += dropped
      if dropped < Self.rowsAtOnce { break }
    }
    return all
  }

  private func dropCounts(_ period: Period, before end: Int) throws(StoreProblem) -> Int {
    try drop(
      """
      DELETE FROM counts WHERE (period, at, key) IN
        (SELECT period, at, key FROM counts WHERE period = \(period.rawValue) AND at < ? ORDER BY at, key LIMIT ?)
      """, end)
  }

  private func dropDecisions(before end: Int) throws(StoreProblem) -> Int {
    try drop(
      """
      DELETE FROM decisions WHERE (minute, kind, rule, key, user, ip, sender) IN
        (SELECT minute, kind, rule, key, user, ip, sender FROM decisions WHERE minute < ? ORDER BY minute LIMIT ?)
      """, end)
  }

  private func drop(_ sql: String, _ end: Int) throws(StoreProblem) -> Int {
    try write("drop history from") { database in
      let statement = try RawStatement(database, sql)
      statement.bind(1, end)
      statement.bind(2, Self.rowsAtOnce)
      try statement.run()
      return database.changesCount
    }
  }

  // MARK: - Size

  /// The oldest goes before its time: minutes first, then decisions, hours, days.
  private func keepSize(within bound: Int, _ tidied: inout Tidied) throws(StoreProblem) {
    // The log grows as rows are dropped, and is cut back later: it has a share of its own.
    let share = bound - min(DatabaseFile.largestLog, bound / 8)
    for _ in 0..<Self.steps {
      guard try usedSize() > share else { return }
      let counts: (Period) throws(StoreProblem) -> Int = { period throws(StoreProblem) in
        try self.dropCounts(period, before: .max)
      }
      var dropped = try counts(.minute)
      tidied.counts += dropped
      if dropped == 0 {
        dropped = try dropDecisions(before: .max)
        tidied.decisions += dropped
      }
      for period in [Period.hour, .day] where dropped == 0 {
        dropped = try counts(period)
        tidied.counts += dropped
      }
      tidied.early += dropped
      if dropped == 0 { return }
    }
  }

  /// In bytes, without the log.
  private func usedSize() throws(StoreProblem) -> Int {
    try read("measure") { database in
      let pages = try database.number("PRAGMA page_count") ?? 0
      let free = try database.number("PRAGMA freelist_count") ?? 0
      return (pages - free) * (try database.number("PRAGMA page_size") ?? 0)
    }
  }

  private func dropUnusedKeys() throws(StoreProblem) {
    let first = tidying.withLock { $0.key }
    var key = first
    for _ in 0..<20 {
      let from = key
      let last = try write("drop keys from") { database in
        let last = try database.number(
          "SELECT max(id) FROM (SELECT id FROM keys WHERE id > ? ORDER BY id LIMIT ?)", from, Self.rowsAtOnce)
        guard let last else { return 0 }
        let delete = try RawStatement(
          database,
          """
          DELETE FROM keys WHERE id > ? AND id <= ?
            AND NOT EXISTS (SELECT 1 FROM counts WHERE counts.key = keys.id)
            AND NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.key = keys.id)
            AND NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.user = keys.id AND decisions.user <> 0)
            AND NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.ip = keys.id AND decisions.ip <> 0)
          """)
        delete.bind(1, from)
        delete.bind(2, last)
        try delete.run()
        return last
      }
      key = last
      if last == 0 { break }
    }
    let next = key
    tidying.withLock { $0.key = next }
  }

  /// Gives room that is free back to the disk.
  private func shrink() throws(StoreProblem) {
    for _ in 0..<Self.steps {
      let free = try outsideTransaction("shrink") { database in
        try RawStatement(database, "PRAGMA incremental_vacuum(1000)").run()
        return try database.number("PRAGMA freelist_count") ?? 0
      }
      // Some is left for what comes next.
      if free < 1_000 { break }
    }
    // A long log is cut back, for which readers have to be waited for. If they take too long the next time will do.
    let isLong = DatabaseFile.size(path + "-wal") > DatabaseFile.largestLog
    _ = try? outsideTransaction("move the log into") { try $0.checkpoint(isLong ? .truncate : .passive) }
  }
}
