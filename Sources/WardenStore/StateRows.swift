import GRDB
import WardenCore

/// The engine's roots, and when the state was last stored.
enum RootRows {
  static func write(_ roots: Engine.Roots?, at now: Timestamp, _ database: Database) throws {
    let save = try RawStatement(
      database,
      "INSERT INTO roots (id, saved_at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET saved_at = excluded.saved_at")
    save.bind(1, now.microseconds)
    try save.run()
    guard let roots else { return }
    let put = try RawStatement(database, "UPDATE roots SET seed = ?, meters = ?")
    put.bind(1, [roots.seed.low, roots.seed.high].flatMap { word in withUnsafeBytes(of: word.bigEndian, Array.init) })
    put.bind(2, JSON.text(roots.meters))
    try put.run()
  }

  static func load(_ state: inout StoredState, _ database: Database) throws {
    let row = try RawStatement(database, "SELECT saved_at, seed, meters FROM roots")
    try row.forEach {
      state.savedAt = Timestamp(stored: row.int(0))
      guard !row.isNull(1) else { return }
      state.roots = roots(seed: row.blob(1), meters: row.text(2))
      if state.roots == nil { state.unreadable += 1 }
    }
  }

  private static func roots(seed: UnsafeRawBufferPointer, meters: String) -> Engine.Roots? {
    guard seed.count == 16, let meters = JSON.decode([String: UInt16].self, meters) else { return nil }
    let words = [0, 8].map { UInt64(bigEndian: seed.loadUnaligned(fromByteOffset: $0, as: UInt64.self)) }
    let roots = Engine.Roots(seed: HashSeed(words[0], words[1]), meters: meters)
    return roots.isSound ? roots : nil
  }
}

/// Overrides given at run time, the latest first.
enum OrderRows {
  static func write(_ orders: [Override]?, _ database: Database) throws {
    guard let orders else { return }
    try database.execute(sql: "DELETE FROM orders")
    let put = try RawStatement(database, "INSERT INTO orders (place, text) VALUES (?, ?)")
    for (place, order) in orders.enumerated() {
      put.bind(1, place)
      put.bind(2, JSON.text(order))
      try put.run()
    }
  }

  static func load(_ state: inout StoredState, _ database: Database) throws {
    let rows = try RawStatement(database, "SELECT text FROM orders ORDER BY place")
    try rows.forEach {
      if let order = JSON.decode(Override.self, rows.text(0)), order.isSound {
        state.orders.append(order)
      } else {
        state.unreadable += 1
      }
    }
  }
}

/// The latest messages that passed, oldest first.
enum PassageRows {
  /// As many as a trail holds.
  static let most = 100_000

  static func write(_ passages: [Passage], _ database: Database) throws {
    guard !passages.isEmpty else { return }
    let put = try RawStatement(
      database,
      "INSERT INTO passages (at, queue_id, user, ip, sender, recipients, recipient, held) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    )
    for passage in passages {
      put.bind(1, passage.at.microseconds)
      put.bind(2, passage.queueID)
      put.bind(3, passage.user)
      put.bind(4, passage.ip?.description)
      put.bind(5, passage.sender)
      put.bind(6, passage.recipients)
      put.bind(7, passage.recipient)
      put.bind(8, passage.isHeld ? 1 : 0)
      try put.run()
    }
    let bound = try RawStatement(database, "DELETE FROM passages WHERE id <= (SELECT max(id) FROM passages) - ?")
    bound.bind(1, most)
    try bound.run()
  }

  static func load(_ state: inout StoredState, _ database: Database) throws {
    let row = try RawStatement(
      database,
      "SELECT at, queue_id, user, ip, sender, recipients, recipient, held FROM passages ORDER BY id DESC LIMIT \(most)")
    try row.forEach {
      let ip = row.optionalText(3)
      let address = ip.flatMap { IPAddress($0) }
      guard let at = Timestamp(stored: row.int(0)), (ip == nil) == (address == nil), Sound.count(row.int(5)) else {
        state.unreadable += 1
        return
      }
      state.passages.append(
        Passage(
          at: at, queueID: row.text(1), user: row.optionalText(2), ip: address, sender: row.optionalText(4),
          recipients: row.int(5), recipient: row.optionalText(6), isHeld: row.int(7) != 0))
    }
    state.passages.reverse()
  }
}

/// Small texts of other parts.
enum DocumentRows {
  static func write(_ documents: [String: String?], _ database: Database) throws {
    let put = try RawStatement(database, "INSERT OR REPLACE INTO documents (name, text) VALUES (?, ?)")
    let delete = try RawStatement(database, "DELETE FROM documents WHERE name = ?")
    for (name, text) in documents {
      let statement = text == nil ? delete : put
      statement.bind(1, name)
      if let text { statement.bind(2, text) }
      try statement.run()
    }
  }

  static func load(_ state: inout StoredState, _ database: Database) throws {
    let rows = try RawStatement(database, "SELECT name, text FROM documents")
    try rows.forEach { state.documents[rows.text(0)] = rows.text(1) }
  }
}
