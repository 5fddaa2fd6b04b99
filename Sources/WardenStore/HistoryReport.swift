import GRDB
import WardenCore

/// What is known of one key. Times are RFC 3339 in UTC.
public struct HistoryReport: Codable, Sendable, Equatable {
  public struct Row: Codable, Sendable, Equatable {
    /// When the minute, hour or day began.
    public let at: String
    /// By signal, and `refused`, `held`, `observed`, `blocked`; what is not named is zero.
    public let counts: [String: Int]
  }

  public let key: String
  /// `minute`, `hour` or `day`.
  public let by: String
  public let from: String
  public let to: String
  /// Oldest first.
  public let rows: [Row]
  /// About the key, its user or its address; oldest first.
  public let decisions: [DecisionReport]
  public let actions: [ActionReport]
  /// Whether there is more, of which the latest is told.
  public let is_cut: Bool
}

/// One decision, and how often it was taken within a minute.
public struct DecisionReport: Codable, Sendable, Equatable {
  public let first: String
  public let last: String
  public let count: Int
  /// `refused`, `held`, `blocked`, `observed`, `alert`, `run NAME`.
  public let kind: String
  public let rule: String
  public let key: String
  public let user: String?
  public let ip: String?
  public let sender: String?
  public let reason: String
  public let stage: String
  /// One of the messages.
  public let queue_id: String?
  public let until: String
}

public struct ActionReport: Codable, Sendable, Equatable {
  public let at: String
  public let who: String
  public let action: String
  public let key: String
  public let detail: String
}

extension Store {
  /// What happened to a key between two moments.
  /// - Parameters:
  ///   - start, end: of the wall's clock; stretches that began in between.
  ///   - limit: how many rows, decisions and actions are told at most, each.
  public func history(
    key: Key, from start: Timestamp, to end: Timestamp, period: Period, limit: Int = 1_000
  ) throws(StoreProblem) -> HistoryReport {
    try read("read the history from") { database in
      let id = try KeyIDs.known(key, database)
      let range = start.seconds..<max(start.seconds, end.seconds)
      // One more than is told says whether there are more.
      let rows = try id.map { try HistoryQuery.rows(of: $0, period, range, limit + 1, database) } ?? []
      let decisions = try id.map { try HistoryQuery.decisions(about: $0, range, limit + 1, database) } ?? []
      let actions = try HistoryQuery.actions(about: key.description, range, limit + 1, database)
      return HistoryReport(
        key: key.description, by: period.name, from: start.rfc3339, to: end.rfc3339,
        rows: rows.prefix(limit).reversed(), decisions: decisions.prefix(limit).reversed(),
        actions: actions.prefix(limit).reversed(),
        is_cut: rows.count > limit || decisions.count > limit || actions.count > limit)
    }
  }
}

/// Questions to the history; latest first.
enum HistoryQuery {
  static func rows(
    of key: Int, _ period: Period, _ range: Range<Int>, _ limit: Int, _ database: Database
  ) throws -> [HistoryReport.Row] {
    let row = try RawStatement(
      database,
      """
      SELECT at, \(CountRows.columns.joined(separator: ", ")) FROM counts
      WHERE key = ? AND period = ? AND at >= ? AND at < ? ORDER BY at DESC LIMIT ?
      """)
    for (place, value) in [key, period.rawValue, range.lowerBound, range.upperBound, limit].enumerated() {
      row.bind(Int32(place + 1), value)
    }
    var rows: [HistoryReport.Row] = []
    try row.forEach { rows.append(HistoryReport.Row(at: row.time(0), counts: row.counts(from: 1))) }
    return rows
  }

  static func decisions(
    about key: Int, _ range: Range<Int>, _ limit: Int, _ database: Database
  ) throws -> [DecisionReport] {
    let row = try RawStatement(
      database,
      """
      SELECT d.first, d.last, d.count, d.kind, d.rule, k.name, u.name, i.name, d.sender, d.reason, d.stage, d.queue_id,
        d.until
      FROM decisions d LEFT JOIN keys k ON k.id = d.key LEFT JOIN keys u ON u.id = d.user LEFT JOIN keys i ON i.id = d.ip
      WHERE (d.key = ?1 OR (d.user = ?1 AND d.user <> 0) OR (d.ip = ?1 AND d.ip <> 0)) AND d.minute >= ?2 AND d.minute < ?3
      ORDER BY d.minute DESC, d.first DESC LIMIT ?4
      """)
    for (place, value) in [key, range.lowerBound, range.upperBound, limit].enumerated() {
      row.bind(Int32(place + 1), value)
    }
    var decisions: [DecisionReport] = []
    try row.forEach {
      let sender = row.text(8)
      decisions.append(
        DecisionReport(
          first: row.time(0), last: row.time(1), count: row.count(2), kind: row.text(3), rule: row.text(4),
          key: row.text(5), user: row.value(6), ip: row.value(7), sender: sender.isEmpty ? nil : sender,
          reason: row.text(9), stage: row.text(10), queue_id: row.optionalText(11), until: row.time(12)))
    }
    return decisions
  }

  /// - Parameter key: nothing for all.
  static func actions(
    about key: String?, _ range: Range<Int>, _ limit: Int, _ database: Database
  ) throws -> [ActionReport] {
    let row = try RawStatement(
      database,
      """
      SELECT at, who, action, key, detail FROM actions WHERE at >= ?1 AND at < ?2 AND (?3 IS NULL OR key = ?3)
      ORDER BY at DESC, id DESC LIMIT ?4
      """)
    row.bind(1, range.lowerBound)
    row.bind(2, range.upperBound)
    row.bind(3, key)
    row.bind(4, limit)
    var actions: [ActionReport] = []
    try row.forEach {
      actions.append(
        ActionReport(
          at: row.time(0), who: row.text(1), action: row.text(2), key: row.text(3), detail: row.text(4)))
    }
    return actions
  }
}

extension RawStatement {
  /// Seconds since 1970 as people read them.
  func time(_ column: Int32) -> String {
    Timestamp(seconds: min(count(column), 8_000_000_000)).rfc3339
  }

  /// Those that are not zero, by their names.
  func counts(from column: Int32) -> [String: Int] {
    var counts: [String: Int] = [:]
    for (place, name) in Activity.Counts.names.enumerated() {
      let value = count(column + Int32(place))
      if value != 0 { counts[name] = value }
    }
    return counts
  }

  /// A key's name without its kind.
  func value(_ column: Int32) -> String? {
    optionalText(column).map { name in name.firstIndex(of: ":").map { String(name[name.index(after: $0)...]) } ?? name }
  }
}
