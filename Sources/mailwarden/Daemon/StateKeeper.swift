import Foundation
import Logging
import WardenControl
import WardenCore
import WardenStore

/// Keeps the database up with the engine, on a thread of its own: nothing of it is on the way of an SMTP reply.
///
/// What cannot be stored stays marked in the engine and is stored when it can be; meanwhile mail goes on, and whoever asks
/// is told.
final class StateKeeper: Sendable {
  /// Between two writes of the counters: a crash loses at most this and the time of one write, 5 s together.
  private static let interval = 3.0
  /// Between two writes where nothing has changed, so that the next process knows the time.
  private static let idleInterval = TimeSpan.minutes(1)
  private static let tidyInterval = 60.0
  /// The first time comes sooner: what ended while nobody was there.
  private static let firstTidy = 5.0
  /// How long an order waits to be stored before its answer says that it is not.
  private static let patience = 5.0
  /// How long the start waits for what is stored.
  private static let startPatience = 10.0
  /// Administrators' actions that may wait to be stored.
  private static let mostActions = 10_000

  private let folder: String
  private let engine: Engine
  private let clock: LiveClock
  private let books: Books
  private let logger: Logger
  private let settings: Locked<HistorySettings>

  private struct State {
    var store: Store?
    var problem: String?
    var stored: Timestamp?
    var setAside: String?
    var actions: [AdministratorAction] = []
    var droppedActions = 0
    var waiting: [Ticket] = []
    var wantsAll = false
    var isToStop = false
    /// Whether everything that was stored has been read.
    var hasLoaded = false
    var isTidying = false
    /// By the wall's clock, as of the latest tidying.
    var historyStart: Timestamp?
    /// What tidying has found, for the thread that writes.
    var damage: StoreProblem?
  }
  private let state = Locked(State())
  private let wake = DispatchSemaphore(value: 0)
  private let isLoaded = DispatchSemaphore(value: 0)
  private let isDone = DispatchSemaphore(value: 0)

  /// What is kept beside the engine's own state.
  struct Books: Sendable {
    let activity = Activity()
    let trail = Trail()
    let decisions = DecisionLog()
    let documents: Documents
    let positions = FeedPositions()
    let tokens: WebTokens

    init() {
      let documents = Documents()
      self.documents = documents
      tokens = WebTokens(keep: documents.put)
    }
  }

  init(
    folder: String, settings: HistorySettings, engine: Engine, clock: LiveClock, books: Books, logger: Logger
  ) {
    self.folder = folder
    self.settings = Locked(settings)
    self.engine = engine
    self.clock = clock
    self.books = books
    self.logger = logger
  }

  func replace(settings new: HistorySettings) { settings.withLock { $0 = new } }

  // MARK: - Asked by others

  /// The open database, for questions.
  var store: Store? { state.withLock { $0.store } }

  var dropped: Int { books.activity.dropped + books.decisions.dropped + state.withLock { $0.droppedActions } }

  /// Why nothing can be stored at present.
  var problem: String? { state.withLock { $0.problem } }

  var report: StateReport {
    let bound = settings.withLock { $0.size }
    return state.withLock { state in
      StateReport(
        folder: folder, problem: state.problem, stored: state.stored.map { clock.wall($0).rfc3339 },
        size_bytes: state.store?.size ?? 0, size_bound_bytes: bound, set_aside: state.setAside,
        history_days: state.historyStart.map { start in
          max(0, (clock.wall(clock.now()) - start).microseconds / TimeSpan.days(1).microseconds)
        } ?? 0)
    }
  }

  enum Scope { case penalties, all }

  /// Waits until all that has changed so far is stored.
  /// - Returns: why it is not; nothing when it is.
  func store(_ scope: Scope, entering action: AdministratorAction? = nil) async -> String? {
    let ticket = Ticket()
    state.withLock { state in
      if let action {
        if state.actions.count < Self.mostActions { state.actions.append(action) } else { state.droppedActions += 1 }
      }
      state.waiting.append(ticket)
      if scope == .all { state.wantsAll = true }
    }
    wake.signal()
    return await ticket.wait(seconds: Self.patience)
  }

  // MARK: - The thread

  /// Reads what is stored and then keeps it up. Returns once it is read, or when that takes too long: then it is read while
  /// mail goes on.
  func start() {
    Thread.detachNewThread { [self] in
      open()
      isLoaded.signal()
      keep()
      isDone.signal()
    }
    if isLoaded.wait(timeout: .now() + Self.startPatience) == .timedOut {
      logger.error(
        "the state is still being read; mail goes on without it until then", metadata: ["state": "\(folder)"])
    }
  }

  /// Stores what is left and ends.
  func stop() {
    state.withLock { $0.isToStop = true }
    wake.signal()
    if isDone.wait(timeout: .now() + Self.patience) == .timedOut {
      logger.error("the state could not be stored in time; what has changed lately is lost")
    }
  }

  private func keep() {
    var nextWrite = DispatchTime.now() + Self.interval
    var nextTidy = DispatchTime.now() + Self.firstTidy
    while true {
      _ = wake.wait(timeout: nextWrite)
      let (tickets, wantsAll, isToStop) = state.withLock { state in
        defer { (state.waiting, state.wantsAll) = ([], false) }
        return (state.waiting, state.wantsAll, state.isToStop)
      }
      let writesAll = wantsAll || isToStop || .now() >= nextWrite
      guard writesAll || !tickets.isEmpty else { continue }
      if state.withLock({ $0.store == nil }) { open() }
      if writesAll { nextWrite = .now() + Self.interval }
      let problem = write(all: writesAll, evenIfEmpty: isToStop || self.problem != nil)
      for ticket in tickets { ticket.settle(problem) }
      if isToStop {
        if let problem { logger.critical("stopping; what has changed and could not be stored is lost: \(problem)") }
        return close()
      }
      if problem == nil, .now() >= nextTidy {
        nextTidy = .now() + Self.tidyInterval
        startTidying()
      }
    }
  }

  private func close() {
    let store = state.withLock { state in
      defer { state.store = nil }
      return state.store
    }
    store?.close()
  }

  // MARK: - Reading

  private func open() {
    do throws(StoreProblem) {
      let opened = try Store.open(folder: folder, wall: clock.wall(clock.now()))
      if let setAside = opened.setAside { tell(setAside) }
      do throws(StoreProblem) {
        try load(opened.store)
      } catch  where error.kind == .damaged {
        tell(try opened.store.beginAnew(because: error, wall: clock.wall(clock.now())))
      }
      // Whether it can be written the first write shows.
      state.withLock { $0.store = opened.store }
    } catch {
      note(error)
      // Who is blocked stays blocked, even if no more can be stored.
      if error.kind == .forbidden, let store = try? Store.openReadOnly(folder: folder) {
        try? load(store)
        store.close()
      }
    }
  }

  private func tell(_ setAside: Store.SetAside) {
    logger.critical("\(setAside); going on with an empty one")
    state.withLock { $0.setAside = setAside.path }
    forgetStored()
  }

  /// All that is in memory is to be written anew.
  private func forgetStored() {
    engine.forgetStored()
    books.trail.forgetStored()
    books.documents.forgetStored()
    books.positions.forgetStored()
    writtenRoots.withLock { $0 = nil }
  }

  private func load(_ store: Store) throws(StoreProblem) {
    let stored = try store.load(at: clock.now())
    if state.withLock({ $0.hasLoaded }) {
      // What has happened since it was read is newer. In another's place, or an empty one, there is nothing of ours yet.
      if let roots = stored.roots, roots.seed == engine.roots.seed {
        writtenRoots.withLock { $0 = (roots, engine.tableNumber) }
      } else {
        forgetStored()
      }
      return
    }
    if let saved = stored.savedAt { clock.advance(to: saved) }
    let now = clock.now()
    if let roots = stored.roots {
      engine.adopt(roots)
      // What the policy has brought since is not among them, and has to be written.
      writtenRoots.withLock { $0 = (roots, engine.tableNumber) }
    }
    engine.restore(penalties: stored.penalties, orders: stored.orders, episodes: stored.episodes, at: now)
    books.trail.restore(stored.passages)
    books.documents.restore(stored.documents.filter { !FeedPositions.isOne($0.key) })
    books.tokens.restore(books.documents.all)
    books.positions.restore(stored.documents)
    for passage in stored.passages where passage.user != nil {
      if let ip = passage.ip { engine.noteLogin(from: ip, at: passage.at) }
    }
    var (keys, left) = (0, stored.unreadable)
    // Without their roots counters mean nothing.
    if stored.roots != nil {
      try store.forEachRecord(at: now) { name, touched, cells in
        if engine.restore(name: name, touched: touched, cells: cells, at: now) { keys += 1 } else { left += 1 }
      }
    }
    state.withLock { $0.hasLoaded = true }
    try seedTrend(from: store, at: now)
    logger.notice(
      "state read",
      metadata: [
        "state": "\(folder)", "keys": "\(keys)", "penalties": "\(stored.penalties.count)",
        "overrides": "\(stored.orders.count)", "episodes": "\(stored.episodes.count)", "unreadable": "\(left)",
      ])
  }

  /// What earlier processes have counted, as far back as the trend goes.
  private func seedTrend(from store: Store, at now: Timestamp) throws(StoreProblem) {
    let wall = clock.wall(now)
    // The history has the wall's time, the trend the engine's, which goes on where an earlier process was ahead.
    let minute = TimeSpan.minutes(1).microseconds
    let ahead = TimeSpan(
      microseconds: Int((Double((now - wall).microseconds) / Double(minute)).rounded()) * minute)
    func inOurTime(_ stretches: [Trend.Stretch]) -> [Trend.Stretch] {
      stretches.map { Trend.Stretch(start: $0.start + ahead, values: $0.values) }
    }
    engine.restore(
      minutes: inOurTime(try store.serverMinutes(from: wall - .days(1), to: wall)),
      hours: inOurTime(try store.serverHours(from: wall - .days(8), to: wall)))
  }

  // MARK: - Writing

  /// What the records in the database were written under.
  private let writtenRoots = Locked<(roots: Engine.Roots, table: Int)?>(nil)

  /// - Returns: why nothing was stored.
  private func write(all: Bool, evenIfEmpty: Bool) -> String? {
    let (open, damage) = state.withLock { state in
      defer { state.damage = nil }
      return (state.store, state.damage)
    }
    guard let store = open else { return problem }
    if let damage { beginAnew(store, because: damage) }
    let feeds = all ? books.positions.hold() : nil
    var batch = Batch(now: clock.now())
    // Changes before documents: an episode that is marked as told has left its message among the documents before.
    batch.changes = engine.takeChanges(attempts: all)
    batch.documents = books.documents.take()
    if all { batch.documents.merge(books.positions.take()) { $1 } }
    batch.actions = state.withLock { state in
      defer { state.actions = [] }
      return state.actions
    }
    let table = engine.tableNumber
    if all, let written = writtenRoots.withLock({ $0 }), written.table != table { engine.forgetStored() }
    let roots = engine.roots
    if all {
      batch.passages = books.trail.takeChanges()
      batch.slices = books.activity.take().map { Activity.Slice(minute: clock.wall($0.minute), counts: $0.counts) }
      batch.decisions = books.decisions.take()
      let written = writtenRoots.withLock { $0 }
      if written?.roots != roots { batch.roots = roots }
      batch.voidsRecords = written.map { $0.table != table } ?? true
    }
    let isFresh = state.withLock { $0.stored.map { batch.now < $0 + Self.idleInterval } ?? false }
    if !evenIfEmpty, isFresh, batch.holdsNothing, !(all && engine.hasChangedRecords) { return nil }
    var taken: [(shard: Int, hashes: [UInt32])] = []
    do throws(StoreProblem) {
      var written = roots
      try store.write(batch) { sink in
        guard all else { return nil }
        defer { feeds?.release() }
        for shard in 0..<engine.shardCount {
          taken.append((shard, engine.takeChangedRecords(ofShard: shard, at: batch.now) { sink.put($0) }))
        }
        // A reload meanwhile may have named meters that these records count by.
        written = engine.roots
        return written == roots ? nil : written
      }
      if all { writtenRoots.withLock { $0 = (written, table) } }
      state.withLock { $0.stored = batch.now }
      note(nil)
      return nil
    } catch {
      giveBack(batch, taken)
      note(error)
      if error.kind == .damaged { beginAnew(store, because: error) }
      // A file that was opened while nothing could be written stays so until it is opened anew.
      if error.kind == .forbidden { close() }
      if error.kind == .moved {
        close()
        forgetStored()
      }
      return error.description
    }
  }

  private func giveBack(_ batch: Batch, _ records: [(shard: Int, hashes: [UInt32])]) {
    engine.giveBack(batch.changes)
    for (shard, hashes) in records { engine.giveBack(records: hashes, ofShard: shard) }
    books.documents.giveBack(batch.documents.filter { !FeedPositions.isOne($0.key) })
    books.positions.giveBack(batch.documents)
    books.trail.giveBack(batch.passages.count)
    books.activity.giveBack(batch.slices)
    books.decisions.giveBack(batch.decisions)
    state.withLock { $0.actions = batch.actions + $0.actions }
  }

  private func beginAnew(_ store: Store, because problem: StoreProblem) {
    do throws(StoreProblem) {
      tell(try store.beginAnew(because: problem, wall: clock.wall(clock.now())))
    } catch {
      note(error)
    }
  }

  /// On a thread of its own: it takes many short transactions, and a penalty must not wait for the last of them.
  private func startTidying() {
    guard let store = state.withLock({ $0.isTidying ? nil : $0.store }) else { return }
    state.withLock { $0.isTidying = true }
    Thread.detachNewThread { [self] in
      do throws(StoreProblem) {
        let now = clock.now()
        let engine = engine
        _ = try store.tidy(
          at: now, wall: clock.wall(now), settings: settings.withLock { $0 }, keys: engine.status(at: now).keys
        ) { engine.counts($0) }
        let start = try store.historyStart()
        state.withLock { $0.historyStart = start }
      } catch {
        // Any other fault the next write meets, too.
        if error.kind == .damaged { state.withLock { $0.damage = error } }
      }
      state.withLock { $0.isTidying = false }
    }
  }

  /// Says once that something has begun to go wrong, and once that it is over.
  private func note(_ problem: StoreProblem?) {
    let before = state.withLock { state in
      defer { state.problem = problem?.description }
      return state.problem
    }
    if let problem, before != problem.description {
      logger.error(
        "\(problem); mail goes on, and what changes is stored once it can be", metadata: ["state": "\(folder)"])
    } else if problem == nil, before != nil {
      logger.notice("the state is stored again", metadata: ["state": "\(folder)"])
    }
  }
}

/// Somebody who waits for a write.
private final class Ticket: Sendable {
  private enum State {
    case open
    case waited(CheckedContinuation<String?, Never>)
    case settled(String?)
  }
  private let state = Locked(State.open)

  func wait(seconds: Double) async -> String? {
    DispatchQueue.global().asyncAfter(deadline: .now() + seconds) { self.settle("the disk has not answered in time") }
    return await withCheckedContinuation { continuation in
      let known: String?? = state.withLock { state in
        if case .settled(let problem) = state { return problem }
        state = .waited(continuation)
        return nil
      }
      if let known { continuation.resume(returning: known) }
    }
  }

  /// The first time counts.
  func settle(_ problem: String?) {
    let waiting: CheckedContinuation<String?, Never>? = state.withLock { state in
      defer { if case .settled = state {} else { state = .settled(problem) } }
      if case .waited(let continuation) = state { return continuation }
      return nil
    }
    waiting?.resume(returning: problem)
  }
}

/// Small documents of other parts that are to survive: a name and a text.
final class Documents: Sendable {
  private struct State {
    var texts: [String: String] = [:]
    var changed: Set<String> = []
  }
  private let state = Locked(State())

  var all: [String: String] { state.withLock { $0.texts } }

  func put(_ changes: [String: String?]) {
    state.withLock { state in
      for (name, text) in changes {
        state.texts[name] = text
        state.changed.insert(name)
      }
    }
  }

  /// - Returns: what has changed; nothing for what is gone.
  func take() -> [String: String?] {
    state.withLock { state in
      defer { state.changed = [] }
      return Dictionary(uniqueKeysWithValues: state.changed.map { ($0, state.texts[$0]) })
    }
  }

  func giveBack(_ changes: [String: String?]) { state.withLock { $0.changed.formUnion(changes.keys) } }

  func forgetStored() { state.withLock { $0.changed.formUnion($0.texts.keys) } }

  /// Takes back what was stored; what has come since is newer.
  func restore(_ stored: [String: String]) {
    state.withLock { state in
      for (name, text) in stored where !state.changed.contains(name) { state.texts[name] = text }
    }
  }
}

extension Batch {
  fileprivate var holdsNothing: Bool {
    changes.isEmpty && roots == nil && !voidsRecords && passages.isEmpty && slices.isEmpty && decisions.isEmpty
      && actions.isEmpty && documents.isEmpty
  }
}
