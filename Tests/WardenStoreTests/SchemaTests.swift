import GRDB
import Testing
import WardenCore

@testable import WardenStore

@Suite("The tables")
struct SchemaTests {
  @Test("Changes to the tables are only ever added: who has been through these must not find others in their place")
  func migrations() { #expect(Schema.migrator.migrations == ["1-state", "2-history", "3-feeds", "4-submissions"]) }

  @Test("Everything that is counted has its column")
  func columns() throws {
    let folder = try TestFolder()
    let columns = try folder.open().store.read("ask") { try $0.columns(in: "counts").map(\.name) }
    #expect(
      columns.sorted()
        == (["period", "at", "key"] + Activity.Counts.names.map { $0.replacing("-", with: "_") }).sorted())
  }

  @Test("The tables are those that docs/history.md tells of")
  func tables() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let tables = try store.read("ask") {
      try String.fetchAll($0, sql: "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    }
    #expect(
      tables == [
        "actions", "counts", "decisions", "documents", "episodes", "grdb_migrations", "keys", "orders", "passages",
        "penalties", "pruned", "records", "roots", "terms",
      ])
    let columns = try store.read("ask") { database in
      try ["keys", "decisions", "actions"].map { try database.columns(in: $0).map(\.name).joined(separator: " ") }
    }
    #expect(
      columns == [
        "id kind name",
        "minute kind rule key user ip sender count first last reason stage queue_id until",
        "id at who action key detail",
      ])
  }

  @Test("What is written is on the disk before it counts as written, and gone room is given back")
  func pragmas() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let found = try store.outsideTransaction("ask") { database in
      try ["journal_mode", "synchronous", "auto_vacuum", "application_id"].map {
        try String.fetchOne(database, sql: "PRAGMA \($0)")
      }
    }
    #expect(found == ["wal", "2", "2", "\(Schema.applicationID)"])
  }
}
