import GRDB

/// The tables, as a list of changes that only ever grows: a database that was made by an earlier version goes through what
/// it has not seen yet. See docs/history.md for what they mean.
enum Schema {
  /// Says whose file it is, where `file` and `sqlite3` look: "MWdn".
  static let applicationID = 0x4d57_646e

  static let migrations: [(name: String, sql: String)] = [
    ("1-state", state),
    ("2-history", history),
    ("3-feeds", feeds),
    ("4-submissions", "ALTER TABLE counts ADD COLUMN submissions INTEGER NOT NULL DEFAULT 0;"),
  ]

  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    for migration in migrations {
      migrator.registerMigration(migration.name, foreignKeyChecks: .immediate) { try $0.execute(sql: migration.sql) }
    }
    return migrator
  }

  private static let state = """
    CREATE TABLE roots (
      id INTEGER PRIMARY KEY CHECK (id = 1), saved_at INTEGER NOT NULL, seed BLOB, meters TEXT);
    CREATE TABLE records (
      name BLOB PRIMARY KEY, touched INTEGER NOT NULL, last INTEGER NOT NULL, cells BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE terms (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
    CREATE TABLE penalties (
      key BLOB PRIMARY KEY, terms INTEGER NOT NULL, found TEXT NOT NULL, reason_key BLOB, reason_until INTEGER NOT NULL,
      since INTEGER NOT NULL, until INTEGER NOT NULL, attempts INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE orders (place INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE episodes (
      rule TEXT NOT NULL, key BLOB NOT NULL, terms INTEGER NOT NULL, found TEXT NOT NULL, reason_key BLOB,
      reason_until INTEGER NOT NULL, opened INTEGER NOT NULL, last INTEGER NOT NULL, quiet_at INTEGER NOT NULL,
      trips INTEGER NOT NULL, observed INTEGER NOT NULL, alert INTEGER NOT NULL, refused INTEGER NOT NULL,
      held INTEGER NOT NULL, block_key BLOB, block_since INTEGER, block_until INTEGER, told_at INTEGER,
      told_level INTEGER, ran TEXT NOT NULL, PRIMARY KEY (rule, key)) WITHOUT ROWID;
    CREATE TABLE passages (
      id INTEGER PRIMARY KEY, at INTEGER NOT NULL, queue_id TEXT NOT NULL, user TEXT, ip TEXT, sender TEXT,
      recipients INTEGER NOT NULL, recipient TEXT, held INTEGER NOT NULL);
    CREATE TABLE documents (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
    """

  // What feeds tell of. SQLite adds columns one at a time.
  private static let feeds = [
    "auth_failures", "auth_successes", "refused_connections", "rcpt_floods", "filter_rejections", "delivered",
    "deferred",
    "bounced", "mta_distress",
  ].map { "ALTER TABLE counts ADD COLUMN \($0) INTEGER NOT NULL DEFAULT 0;" }.joined(separator: "\n")

  // The columns are written out: another signal is another migration.
  private static let history = """
    CREATE TABLE keys (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL UNIQUE);
    CREATE TABLE counts (
      period INTEGER NOT NULL, at INTEGER NOT NULL, key INTEGER NOT NULL,
      connections INTEGER NOT NULL, broken_connections INTEGER NOT NULL, bad_commands INTEGER NOT NULL,
      logins INTEGER NOT NULL, messages INTEGER NOT NULL, recipients INTEGER NOT NULL, bytes INTEGER NOT NULL,
      sender_mismatch INTEGER NOT NULL, bad_recipients INTEGER NOT NULL, unknown_recipients INTEGER NOT NULL,
      relay_attempts INTEGER NOT NULL, dnsbl_rejections INTEGER NOT NULL, cut_off_messages INTEGER NOT NULL,
      spam INTEGER NOT NULL, refused INTEGER NOT NULL, held INTEGER NOT NULL, observed INTEGER NOT NULL,
      blocked INTEGER NOT NULL, PRIMARY KEY (period, at, key)) WITHOUT ROWID;
    CREATE INDEX counts_by_key ON counts (key, period, at);
    CREATE TABLE pruned (period INTEGER PRIMARY KEY, at INTEGER NOT NULL);
    CREATE TABLE decisions (
      minute INTEGER NOT NULL, kind TEXT NOT NULL, rule TEXT NOT NULL, key INTEGER NOT NULL, user INTEGER NOT NULL,
      ip INTEGER NOT NULL, sender TEXT NOT NULL, count INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
      reason TEXT NOT NULL, stage TEXT NOT NULL, queue_id TEXT, until INTEGER,
      PRIMARY KEY (minute, kind, rule, key, user, ip, sender)) WITHOUT ROWID;
    CREATE INDEX decisions_by_key ON decisions (key, minute);
    CREATE INDEX decisions_by_user ON decisions (user, minute) WHERE user <> 0;
    CREATE INDEX decisions_by_ip ON decisions (ip, minute) WHERE ip <> 0;
    CREATE TABLE actions (
      id INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, key TEXT NOT NULL,
      detail TEXT NOT NULL);
    CREATE INDEX actions_by_at ON actions (at);
    """

  /// Every table and index with its words; what the file has must be this.
  static func description(of database: Database) throws -> [String] {
    try String.fetchAll(
      database, sql: "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master ORDER BY type, name")
  }

  static let expected: [String] = {
    // In memory: there is nothing that could fail.
    let database = try! DatabaseQueue()
    try! migrator.migrate(database)
    return try! database.read(description)
  }()
}
