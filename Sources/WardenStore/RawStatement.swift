import GRDB
import GRDBSQLite

/// A prepared statement without copies of what it binds and reads: a million rows at a start go through here.
struct RawStatement {
  // Owns the pointer.
  private let statement: Statement
  private let pointer: OpaquePointer

  init(_ database: Database, _ sql: String) throws {
    statement = try database.cachedStatement(sql: sql)
    pointer = statement.sqliteStatement
    sqlite3_reset(pointer)
    sqlite3_clear_bindings(pointer)
  }

  // MARK: - Parameters, counted from 1

  func bind(_ place: Int32, _ value: Int) { sqlite3_bind_int64(pointer, place, Int64(value)) }

  func bind(_ place: Int32, _ value: Int?) {
    if let value { bind(place, value) } else { sqlite3_bind_null(pointer, place) }
  }

  func bind(_ place: Int32, _ text: String?) {
    guard var text else {
      sqlite3_bind_null(pointer, place)
      return
    }
    text.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) {
        // Nothing has no address, which would bind a null.
        _ = sqlite3_bind_text(
          pointer, place, $0.baseAddress ?? UnsafePointer(Self.nothing), Int32($0.count), Self.copied)
      }
    }
  }

  func bind(_ place: Int32, _ bytes: [UInt8]?) {
    guard let bytes else {
      sqlite3_bind_null(pointer, place)
      return
    }
    _ = bytes.withUnsafeBytes { sqlite3_bind_blob(pointer, place, $0.baseAddress, Int32($0.count), Self.copied) }
  }

  /// - Parameter bytes: have to be valid until the statement has run.
  func bind(_ place: Int32, raw bytes: UnsafeRawBufferPointer) {
    sqlite3_bind_blob(pointer, place, bytes.baseAddress, Int32(bytes.count), nil)
  }

  nonisolated(unsafe) private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
  nonisolated(unsafe) private static let nothing = UnsafeMutablePointer<CChar>.allocate(capacity: 1)

  // MARK: - Running

  func run() throws { try forEach {} }

  /// - Parameter body: reads the columns.
  func forEach(_ body: () throws -> Void) throws {
    defer { sqlite3_reset(pointer) }
    while true {
      switch sqlite3_step(pointer) {
      case SQLITE_ROW: try body()
      case SQLITE_DONE: return
      case let code:
        let message = sqlite3_db_handle(pointer).flatMap { sqlite3_errmsg($0) }.map { String(cString: $0) }
        throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message, sql: statement.sql)
      }
    }
  }

  // MARK: - Columns, counted from 0

  func isNull(_ column: Int32) -> Bool { sqlite3_column_type(pointer, column) == SQLITE_NULL }
  func int(_ column: Int32) -> Int { Int(sqlite3_column_int64(pointer, column)) }
  /// A number that can be calculated with, whatever the file says.
  func count(_ column: Int32) -> Int { min(max(0, int(column)), Sound.largestCount) }

  /// Valid until the next row.
  func blob(_ column: Int32) -> UnsafeRawBufferPointer {
    let start = sqlite3_column_blob(pointer, column)
    return UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : Int(sqlite3_column_bytes(pointer, column)))
  }

  func text(_ column: Int32) -> String { String(decoding: blob(column), as: UTF8.self) }
  func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }
}

extension Database {
  /// The first column of the first row: a number of things, or an id.
  func number(_ sql: String, _ arguments: Int...) throws -> Int? {
    let statement = try RawStatement(self, sql)
    for (place, argument) in arguments.enumerated() { statement.bind(Int32(place + 1), argument) }
    var found: Int?
    try statement.forEach { if found == nil, !statement.isNull(0) { found = statement.count(0) } }
    return found
  }
}
