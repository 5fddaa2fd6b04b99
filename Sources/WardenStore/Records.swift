import GRDB
import WardenCore

/// Takes the counts that have changed, within a write.
public final class RecordSink {
  private let put: RawStatement
  private let delete: RawStatement
  /// The first thing that went wrong; whoever walks over records cannot be stopped.
  private(set) var problem: (any Error)?
  /// How many were taken.
  public private(set) var count = 0

  init(_ database: Database) throws {
    put = try RawStatement(
      database,
      """
      INSERT INTO records (name, touched, last, cells) VALUES (?, ?, ?, ?)
      ON CONFLICT (name) DO UPDATE SET touched = excluded.touched, last = excluded.last, cells = excluded.cells
      """)
    delete = try RawStatement(database, "DELETE FROM records WHERE name = ?")
  }

  /// The bytes are not needed after the call.
  public func put(_ record: Engine.StoredRecord) {
    guard problem == nil else { return }
    count += 1
    do {
      if record.cells.isEmpty {
        delete.bind(1, raw: record.name)
        try delete.run()
      } else {
        put.bind(1, raw: record.name)
        put.bind(2, Int(record.touched))
        put.bind(3, Int(record.last))
        put.bind(4, raw: record.cells)
        try put.run()
      }
    } catch {
      problem = error
    }
  }
}

extension Store {
  /// The counts as they were stored, for `Engine.restore(name:touched:cells:at:)`, which says what is no record; nothing of
  /// what no longer matters. Without the roots they mean nothing. The bytes are valid during the call only.
  public func forEachRecord(
    at now: Timestamp,
    _ body: (_ name: UnsafeRawBufferPointer, _ touched: UInt32, _ cells: UnsafeRawBufferPointer) -> Void
  ) throws(StoreProblem) {
    try read("read the counters from") { database in
      let rows = try RawStatement(database, "SELECT name, touched, cells FROM records WHERE last >= ?")
      rows.bind(1, now.seconds)
      try rows.forEach { body(rows.blob(0), UInt32(clamping: rows.int(1)), rows.blob(2)) }
    }
  }
}
