import GRDB
import WardenCore

/// What is to be stored together.
public struct Batch: Sendable {
  /// The engine's time: where it goes on after a restart.
  public var now: Timestamp
  public var changes = StateChanges()
  /// Where they have changed.
  public var roots: Engine.Roots?
  /// Whether all counters that are stored have lost their meaning.
  public var voidsRecords = false
  public var passages: [Passage] = []
  public var slices: [Activity.Slice] = []
  public var decisions: [NotedDecision] = []
  public var actions: [AdministratorAction] = []
  /// Small texts of other parts, by name; nothing where one is to be forgotten.
  public var documents: [String: String?] = [:]

  public init(now: Timestamp) { self.now = now }
}

/// What was stored, but for the counters.
public struct StoredState: Sendable {
  /// Nothing where there are none: counters that are stored must then be left alone.
  public var roots: Engine.Roots?
  /// The engine's time at the last write.
  public var savedAt: Timestamp?
  public var penalties: [Penalty] = []
  public var orders: [Override] = []
  public var episodes: [Episode] = []
  /// Oldest first.
  public var passages: [Passage] = []
  public var documents: [String: String] = [:]
  /// Rows that were left out, because this version cannot read them.
  public var unreadable = 0

  public init() {}
}

extension Store {
  /// One transaction; durable when it returns, and not there at all where it throws.
  /// - Parameter records: puts what has changed of the counters into the sink, and says under which roots, where those have
  ///   changed since the batch was made.
  public func write(
    _ batch: Batch, records: (RecordSink) -> Engine.Roots? = { _ in nil }
  ) throws(StoreProblem) {
    try write("write to") { database in
      if batch.voidsRecords { try database.execute(sql: "DELETE FROM records") }
      let sink = try RecordSink(database)
      let roots = records(sink)
      if let problem = sink.problem { throw problem }
      try RootRows.write(roots ?? batch.roots, at: batch.now, database)
      try PenaltyRows.write(batch.changes.penalties, database)
      try EpisodeRows.write(batch.changes.episodes, database)
      try OrderRows.write(batch.changes.orders, database)
      try PassageRows.write(batch.passages, database)
      try DocumentRows.write(batch.documents, database)
      var keys = try KeyIDs(database)
      try CountRows.add(batch.slices, days, &keys, database)
      try DecisionRows.add(batch.decisions, &keys, database)
      try ActionRows.add(batch.actions, database)
    }
    try checkPlace()
  }

  /// Everything but the counters.
  /// - Parameter now: the engine's time; penalties that are over are left out.
  public func load(at now: Timestamp) throws(StoreProblem) -> StoredState {
    try read("read the state from") { database in
      var state = StoredState()
      try RootRows.load(&state, database)
      let terms = try TermsTable.all(database)
      let (penalties, unreadablePenalties) = try PenaltyRows.load(terms, at: now, database)
      let (episodes, unreadableEpisodes) = try EpisodeRows.load(terms, database)
      (state.penalties, state.episodes) = (penalties, episodes)
      state.unreadable += unreadablePenalties + unreadableEpisodes
      try OrderRows.load(&state, database)
      try PassageRows.load(&state, database)
      try DocumentRows.load(&state, database)
      return state
    }
  }
}
