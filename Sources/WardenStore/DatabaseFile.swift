import Foundation
import GRDB
import WardenCore

/// The file: opened with care, looked over, set aside.
enum DatabaseFile {
  /// Below this a whole look at start costs less than 50 ms; a larger one is looked at as it is read.
  static let largestChecked = 16 << 20
  /// What the log is cut back to once it has been moved into the database.
  static let largestLog = 16 << 20

  static func makeFolder(_ folder: String) throws(StoreProblem) {
    if mkdir(folder, 0o700) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, let slash = folder.lastIndex(of: "/"), slash > folder.startIndex else {
      throw .system(errno, doing: "make the folder", path: folder)
    }
    try makeFolder(String(folder[..<slash]))
    guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
      throw .system(errno, doing: "make the folder", path: folder)
    }
  }

  /// - Parameter largest: up to how many bytes all of it is looked at.
  static func open(_ path: String, checkedUpTo largest: Int) throws(StoreProblem) -> DatabasePool {
    // Nobody else may read who writes to whom; SQLite gives its other files the same mode.
    if access(path, F_OK) != 0 {
      let file = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
      guard file >= 0 else { throw .system(errno, doing: "make", path: path) }
      Glibc.close(file)
    }
    // With any other SQLite would say that it may not write, as if it were a matter of permission.
    if let version = formatVersion(path), !(1...2).contains(version) {
      throw StoreProblem(
        .damaged, doing: "open", path: path, why: "it is in format \(version), which SQLite does not write")
    }
    do {
      let pool = try DatabasePool(path: path, configuration: configuration(path, largest))
      try pool.writeWithoutTransaction { database in
        try database.execute(sql: "PRAGMA synchronous = FULL")
        try database.execute(sql: "PRAGMA journal_size_limit = \(largestLog)")
      }
      try Schema.migrator.migrate(pool)
      try pool.read { database in
        guard try Schema.description(of: database) == Schema.expected else {
          throw StoreProblem(.damaged, doing: "open", path: path, why: "its tables are not those of Mailwarden")
        }
      }
      return pool
    } catch {
      throw StoreProblem(error, doing: "open", path: path)
    }
  }

  /// What a disk that cannot be written still tells. There SQLite cannot make the files that it shares a database through.
  static func openReadOnly(_ path: String) throws(StoreProblem) -> DatabasePool {
    var configuration = configuration(path, 0)
    configuration.readonly = true
    let escaped = path.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed) ?? path
    do {
      // With a log that was left behind the database alone would be an old one; SQLite reads that log without the shared file.
      let pool = try DatabasePool(
        path: size(path + "-wal") > 0 ? path : "file:\(escaped)?immutable=1", configuration: configuration)
      try pool.read { database in
        guard try Schema.description(of: database) == Schema.expected else {
          throw StoreProblem(.damaged, doing: "read", path: path, why: "its tables are not those of Mailwarden")
        }
      }
      return pool
    } catch {
      throw StoreProblem(error, doing: "read", path: path)
    }
  }

  private static func configuration(_ path: String, _ largest: Int) -> Configuration {
    var configuration = Configuration()
    configuration.label = "mailwarden"
    configuration.foreignKeysEnabled = false
    configuration.maximumReaderCount = 3
    configuration.busyMode = .timeout(1)
    configuration.prepareDatabase { database in
      // A timeout here, because those that only read would wait ten seconds.
      try database.execute(sql: "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; PRAGMA busy_timeout = 1000")
      // Before anything is written, also before the journal's mode: what is not ours stays as it is.
      if !database.configuration.readonly { try inspect(database, path, largest) }
    }
    return configuration
  }

  private static func inspect(_ database: Database, _ path: String, _ largest: Int) throws {
    func refuse(_ why: String) throws -> Never { throw StoreProblem(.damaged, doing: "open", path: path, why: why) }
    let id = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
    if try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") == 0, id == 0 {
      try database.execute(
        sql: "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = \(Schema.applicationID)")
      return
    }
    if id != Schema.applicationID { try refuse("it is a database of another program") }
    if try Schema.migrator.hasBeenSuperseded(database) { try refuse("it was written by a newer version of Mailwarden") }
    // A file that is shorter than it says SQLite notices by itself.
    if size(path) <= largest {
      let answer = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? ""
      if answer != "ok" { try refuse(answer) }
    }
  }

  /// Which format the file is written in: byte 18 of SQLite's database header.
  private static func formatVersion(_ path: String) -> UInt8? {
    guard let file = FileHandle(forReadingAtPath: path) else { return nil }
    defer { try? file.close() }
    guard let header = try? file.read(upToCount: 100), header.count == 100 else { return nil }
    return header[18]
  }

  /// In bytes; nothing where there is no such file.
  static func size(_ path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
  }

  /// Renames the database with what belongs to it.
  /// - Returns: its new path.
  static func setAside(_ path: String, wall now: Timestamp) throws(StoreProblem) -> String {
    let stamp = now.rfc3339.filter { $0 != "-" && $0 != ":" }
    var name = "\(path).set-aside-\(stamp)"
    var number = 1
    while ["", "-wal", "-shm"].contains(where: { access(name + $0, F_OK) == 0 }) {
      number += 1
      name = "\(path).set-aside-\(stamp)-\(number)"
    }
    for suffix in ["-wal", "-shm", ""] where rename(path + suffix, name + suffix) != 0 && errno != ENOENT {
      throw .system(errno, doing: "set aside", path: path + suffix)
    }
    return name
  }
}
