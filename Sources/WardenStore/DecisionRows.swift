import GRDB
import WardenCore

/// Decisions in the history: one row for each that differs within a minute.
enum DecisionRows {
  static func add(_ decisions: [NotedDecision], _ keys: inout KeyIDs, _ database: Database) throws {
    guard !decisions.isEmpty else { return }
    let put = try RawStatement(
      database,
      """
      INSERT INTO decisions
        (minute, kind, rule, key, user, ip, sender, count, first, last, reason, stage, queue_id, until)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (minute, kind, rule, key, user, ip, sender) DO UPDATE SET
        count = count + excluded.count, last = excluded.last, reason = excluded.reason, stage = excluded.stage,
        queue_id = coalesce(excluded.queue_id, queue_id), until = excluded.until
      """)
    for decision in decisions {
      put.bind(1, decision.id.minute.seconds)
      put.bind(2, decision.id.kind)
      put.bind(3, decision.id.rule)
      put.bind(4, try keys.id(of: decision.id.key))
      put.bind(5, try decision.id.user.map { try keys.id(of: Key(.user($0))) } ?? 0)
      put.bind(6, try decision.id.ip.map { try keys.id(of: Key(.ip($0))) } ?? 0)
      put.bind(7, decision.id.sender ?? "")
      put.bind(8, decision.count)
      put.bind(9, decision.first.seconds)
      put.bind(10, decision.last.seconds)
      put.bind(11, decision.reason)
      put.bind(12, decision.stage)
      put.bind(13, decision.queueID)
      put.bind(14, decision.until.seconds)
      try put.run()
    }
  }
}

/// What administrators did.
enum ActionRows {
  static func add(_ actions: [AdministratorAction], _ database: Database) throws {
    guard !actions.isEmpty else { return }
    let put = try RawStatement(
      database, "INSERT INTO actions (at, who, action, key, detail) VALUES (?, ?, ?, ?, ?)")
    for action in actions {
      put.bind(1, action.at.seconds)
      put.bind(2, action.who)
      put.bind(3, action.action)
      put.bind(4, action.key)
      put.bind(5, action.detail)
      try put.run()
    }
  }
}
