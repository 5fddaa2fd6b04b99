import Foundation
import GRDB
import WardenCore

/// What survives a restart, and what happened: one SQLite database in a folder of its own.
///
/// One thread writes; questions are answered on other connections, and never hold a write up.
public final class Store: Sendable {
  public let path: String
  let days: LocalDays
  /// Nothing where an attempt to begin anew has failed: the next access tries again.
  private let pool: Locked<DatabasePool?>
  /// Which files they were when they were opened.
  private let files: Locked<[FileIdentity]>
  /// Nothing where it is only read; let go when it is closed.
  let lock: Locked<FolderLock?>
  /// Where `tidy` goes on next time.
  let tidying = Locked(TidyCursor())

  public struct Opened: Sendable {
    public let store: Store
    /// What was there before and could not be used.
    public let setAside: SetAside?
  }

  public struct SetAside: Sendable, Equatable, CustomStringConvertible {
    /// Where it is now.
    public let path: String
    public let why: String
    public var description: String { "the database was set aside as \(path): \(why)" }
  }

  private init(path: String, pool: DatabasePool, lock: FolderLock?, zone: TimeZone) {
    self.path = path
    self.pool = Locked(pool)
    files = Locked(Self.files(at: path))
    self.lock = Locked(lock)
    days = LocalDays(zone: zone)
  }

  /// Opens the database in the folder, made if need be. One that cannot be used is set aside, and an empty one begins.
  /// - Parameters:
  ///   - now: the wall's clock, for the name of what is set aside.
  ///   - zone: where days begin at midnight.
  public static func open(folder: String, wall now: Timestamp, zone: TimeZone = .current) throws(StoreProblem) -> Opened
  {
    try open(folder: folder, wall: now, zone: zone, checkedUpTo: DatabaseFile.largestChecked)
  }

  /// Opens a database to be read alone, where nothing can be written.
  public static func openReadOnly(folder: String, zone: TimeZone = .current) throws(StoreProblem) -> Store {
    let path = folder + "/mailwarden.sqlite"
    return Store(path: path, pool: try DatabaseFile.openReadOnly(path), lock: nil, zone: zone)
  }

  static func open(
    folder: String, wall now: Timestamp, zone: TimeZone, checkedUpTo largest: Int
  ) throws(StoreProblem) -> Opened {
    try DatabaseFile.makeFolder(folder)
    let lock = try FolderLock(folder)
    let path = folder + "/mailwarden.sqlite"
    var setAside: SetAside?
    let pool: DatabasePool
    do {
      pool = try DatabaseFile.open(path, checkedUpTo: largest)
    } catch {
      guard error.kind == .damaged else { throw error }
      setAside = SetAside(path: try DatabaseFile.setAside(path, wall: now), why: error.why)
      pool = try DatabaseFile.open(path, checkedUpTo: largest)
    }
    return Opened(store: Store(path: path, pool: pool, lock: lock, zone: zone), setAside: setAside)
  }

  /// Sets a database aside that turned out to be damaged, and goes on with an empty one. Only for the thread that writes:
  /// what another one has begun anew is not damaged.
  public func beginAnew(because problem: StoreProblem, wall now: Timestamp) throws(StoreProblem) -> SetAside {
    close { try? $0.close() }
    let setAside = SetAside(path: try DatabaseFile.setAside(path, wall: now), why: problem.why)
    _ = try connections()
    return setAside
  }

  /// Ends in good order: the log is moved into the database.
  public func close() {
    close { pool in
      _ = try? pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
      try? pool.close()
    }
    lock.withLock { $0 = nil }
  }

  private func close(_ body: (DatabasePool) -> Void) {
    pool.withLock { pool in
      if let pool { body(pool) }
      pool = nil
    }
  }

  // MARK: - Its place

  private struct FileIdentity: Equatable, Sendable {
    let device: UInt
    let number: UInt
  }

  private static func files(at path: String) -> [FileIdentity] {
    [path, path + "-wal"].map { path in
      var status = stat()
      return stat(path, &status) == 0
        ? FileIdentity(device: UInt(status.st_dev), number: UInt(status.st_ino)) : FileIdentity(device: 0, number: 0)
    }
  }

  /// Whether what was written is where the next process looks for it: SQLite goes on in files that have been removed.
  func checkPlace() throws(StoreProblem) {
    guard files.withLock({ $0 != Self.files(at: path) }) else { return }
    throw StoreProblem(.moved, doing: "write to", path: path, why: "another file is in its place, or none")
  }

  // MARK: - Access

  private func connections() throws(StoreProblem) -> DatabasePool {
    let path = path
    let result: Result<DatabasePool, StoreProblem> = pool.withLock { pool in
      if let pool { return .success(pool) }
      do throws(StoreProblem) {
        let new = try DatabaseFile.open(path, checkedUpTo: 0)
        pool = new
        files.withLock { $0 = Self.files(at: path) }
        return .success(new)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// One transaction; durable when it returns.
  func write<Value>(_ doing: String, _ body: (Database) throws -> Value) throws(StoreProblem) -> Value {
    try access(doing) { try $0.write(body) }
  }

  func read<Value>(_ doing: String, _ body: (Database) throws -> Value) throws(StoreProblem) -> Value {
    try access(doing) { try $0.read(body) }
  }

  func outsideTransaction<Value>(_ doing: String, _ body: (Database) throws -> Value) throws(StoreProblem) -> Value {
    try access(doing) { try $0.writeWithoutTransaction(body) }
  }

  private func access<Value>(_ doing: String, _ body: (DatabasePool) throws -> Value) throws(StoreProblem) -> Value {
    let pool = try connections()
    do { return try body(pool) } catch { throw StoreProblem(error, doing: doing, path: path) }
  }

  /// What the database takes on the disk, in bytes, with its log.
  public var size: Int { DatabaseFile.size(path) + DatabaseFile.size(path + "-wal") }
}
