import GRDB
import WardenCore

/// The open episodes in the database.
enum EpisodeRows {
  private static let columns = """
    rule, key, terms, found, reason_key, reason_until, opened, last, quiet_at, trips, observed, alert, refused, held,
    block_key, block_since, block_until, told_at, told_level, ran
    """

  static func write(_ changes: [Episode.ID: Episode?], _ database: Database) throws {
    guard !changes.isEmpty else { return }
    var terms = try TermsTable(database)
    let put = try RawStatement(
      database,
      "INSERT OR REPLACE INTO episodes (\(columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    let delete = try RawStatement(database, "DELETE FROM episodes WHERE rule = ? AND key = ?")
    for (id, episode) in changes {
      guard let episode else {
        delete.bind(1, id.rule)
        delete.bind(2, id.key.bytes)
        try delete.run()
        continue
      }
      put.bind(1, id.rule)
      put.bind(2, id.key.bytes)
      put.bind(3, try terms.id(of: Terms(episode.worst)))
      put.bind(4, Terms.found(episode.worst.cause))
      put.bind(5, episode.worst.key == id.key ? nil : episode.worst.key.bytes)
      put.bind(6, episode.worst.until.microseconds)
      put.bind(7, episode.opened.microseconds)
      put.bind(8, episode.last.microseconds)
      put.bind(9, episode.quietAt.microseconds)
      put.bind(10, episode.trips)
      put.bind(11, episode.isObserved ? 1 : 0)
      put.bind(12, episode.isAlert ? 1 : 0)
      put.bind(13, episode.refused)
      put.bind(14, episode.held)
      put.bind(15, episode.block?.key.bytes)
      put.bind(16, episode.block?.since.microseconds)
      put.bind(17, episode.block?.until.microseconds)
      put.bind(18, episode.told?.at.microseconds)
      put.bind(19, episode.told?.level)
      // Names of commands have no spaces.
      put.bind(20, episode.ran.sorted().joined(separator: " "))
      try put.run()
    }
  }

  /// - Returns: those that could be read, and how many could not.
  static func load(_ terms: [Int: Terms], _ database: Database) throws -> ([Episode], Int) {
    let rows = try RawStatement(database, "SELECT \(columns) FROM episodes")
    var episodes: [Episode] = []
    var unreadable = 0
    try rows.forEach {
      if let episode = episode(rows, terms) { episodes.append(episode) } else { unreadable += 1 }
    }
    return (episodes, unreadable)
  }

  private static func episode(_ row: RawStatement, _ all: [Int: Terms]) -> Episode? {
    guard let key = Key(bytes: row.blob(1)), let terms = all[row.int(2)],
      let worst = row.reason(of: key, terms, found: 3, key: 4, until: 5),
      let opened = Timestamp(stored: row.int(6)), let last = Timestamp(stored: row.int(7)),
      let quietAt = Timestamp(stored: row.int(8)), Sound.count(row.int(9)), Sound.count(row.int(12)),
      Sound.count(row.int(13))
    else { return nil }
    var block: Episode.Block?
    if !row.isNull(14) {
      guard let key = Key(bytes: row.blob(14)), let since = Timestamp(stored: row.int(15)),
        let until = Timestamp(stored: row.int(16))
      else { return nil }
      block = Episode.Block(key: key, since: since, until: until)
    }
    var told: Episode.Told?
    if !row.isNull(17) {
      guard let at = Timestamp(stored: row.int(17)), Sound.count(row.int(18)) else { return nil }
      told = Episode.Told(at: at, level: row.int(18))
    }
    return Episode(
      id: Episode.ID(rule: row.text(0), key: key), opened: opened, last: last, quietAt: quietAt, trips: row.int(9),
      worst: worst, isObserved: row.int(10) != 0, isAlert: row.int(11) != 0, refused: row.int(12), held: row.int(13),
      block: block, told: told, ran: Set(row.text(19).split(separator: " ").map(String.init)))
  }
}
