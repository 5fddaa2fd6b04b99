import GRDB
import WardenCore

/// The penalty box in the database.
enum PenaltyRows {
  static func write(_ changes: [Key: Penalty?], _ database: Database) throws {
    guard !changes.isEmpty else { return }
    var terms = try TermsTable(database)
    let put = try RawStatement(
      database,
      """
      INSERT OR REPLACE INTO penalties (key, terms, found, reason_key, reason_until, since, until, attempts)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      """)
    let delete = try RawStatement(database, "DELETE FROM penalties WHERE key = ?")
    for (key, penalty) in changes {
      guard let penalty else {
        delete.bind(1, key.bytes)
        try delete.run()
        continue
      }
      put.bind(1, key.bytes)
      put.bind(2, try terms.id(of: Terms(penalty)))
      put.bind(3, Terms.found(penalty.reason.cause))
      put.bind(4, penalty.reason.key == key ? nil : penalty.reason.key.bytes)
      put.bind(5, penalty.reason.until.microseconds)
      put.bind(6, penalty.since.microseconds)
      put.bind(7, penalty.until.microseconds)
      put.bind(8, penalty.attempts)
      try put.run()
    }
  }

  /// - Returns: those that are in force, and how many could not be read.
  static func load(_ terms: [Int: Terms], at now: Timestamp, _ database: Database) throws -> ([Penalty], Int) {
    let rows = try RawStatement(
      database, "SELECT key, terms, found, reason_key, reason_until, since, until, attempts FROM penalties")
    var penalties: [Penalty] = []
    var unreadable = 0
    try rows.forEach {
      if let penalty = penalty(rows, terms) {
        if penalty.until > now { penalties.append(penalty) }
      } else {
        unreadable += 1
      }
    }
    return (penalties, unreadable)
  }

  private static func penalty(_ row: RawStatement, _ all: [Int: Terms]) -> Penalty? {
    guard let key = Key(bytes: row.blob(0)), let terms = all[row.int(1)], let code = terms.code,
      let filter = terms.filter, let reason = row.reason(of: key, terms, found: 2, key: 3, until: 4),
      let since = Timestamp(stored: row.int(5)), let until = Timestamp(stored: row.int(6)), Sound.count(row.int(7))
    else { return nil }
    return Penalty(
      key: key, reason: reason, code: code, reply: terms.reply, filter: filter, since: since, until: until,
      attempts: row.int(7))
  }
}

extension RawStatement {
  /// A reason from its terms and what stands in these columns.
  /// - Parameter other: the reason's own key, where that column holds nothing.
  func reason(of other: Key, _ terms: Terms, found: Int32, key: Int32, until: Int32) -> Reason? {
    guard let cause = terms.cause(found: blob(found)), let until = Timestamp(stored: int(until)) else { return nil }
    if isNull(key) { return Reason(rule: terms.rule, key: other, cause: cause, until: until) }
    guard let key = Key(bytes: blob(key)) else { return nil }
    return Reason(rule: terms.rule, key: key, cause: cause, until: until)
  }
}
