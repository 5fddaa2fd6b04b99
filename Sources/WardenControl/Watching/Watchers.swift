import Foundation
import NIOCore
import Synchronization
import WardenCore

/// Who watches, and the thread that tells them. Whoever has something to tell never waits.
public final class Watchers: Sendable {
  /// Where a watcher comes from. Those of whom less is known leave room to the others.
  enum Place: Int, CaseIterable {
    /// The control socket.
    case control
    /// The page, logged in.
    case login
    /// The page, where reading needs no login.
    case guest

    /// Streams at once, of this place and those below.
    var most: Int {
      switch self {
      case .control: 64
      case .login: 48
      case .guest: 32
      }
    }
  }

  /// Events that may wait to be told.
  private static let mostWaiting = 8_192
  /// What comes meanwhile is told together: a write for each record and watcher would take the mail's cores.
  private static let pauseMicroseconds: useconds_t = 250_000
  private static let pulseSeconds = 2
  private static let keepAliveSeconds = 15

  private enum News: Sendable {
    case event(Event, Decision, queueID: String?)
    case action(AdministratorAction)
  }

  private struct State {
    var waiting: [News] = []
    var skipped = 0
    var watchers: [ObjectIdentifier: Watcher] = [:]
    var places: [ObjectIdentifier: Place] = [:]
    var hasThread = false
    var isOver = false

    func hasRoom(for place: Place) -> Bool {
      Place.allCases.prefix { $0.rawValue <= place.rawValue }.allSatisfy { bound in
        places.values.count { $0.rawValue >= bound.rawValue } < bound.most
      }
    }
  }

  /// Figures for `pulse`, read by the telling thread.
  public struct Pulse: Sendable {
    let sessionsOpen: Int
    let penalties: Int
    let totals: [Totals.Figure]
    public init(sessionsOpen: Int, penalties: Int, totals: [Totals.Figure]) {
      self.sessionsOpen = sessionsOpen
      self.penalties = penalties
      self.totals = totals
    }
  }

  private let state = Locked(State())
  private let isWatched = Atomic(false)
  private let dropCount = Atomic(0)
  private let skipCount = Atomic(0)
  private let arrived = DispatchSemaphore(value: 0)
  private let now: @Sendable () -> Timestamp
  /// An engine's moment as the wall clock shows it.
  private let wall: @Sendable (Timestamp) -> Timestamp
  private let pulse: @Sendable () -> Pulse

  public init(
    now: @escaping @Sendable () -> Timestamp, wall: @escaping @Sendable (Timestamp) -> Timestamp,
    pulse: @escaping @Sendable () -> Pulse
  ) {
    self.now = now
    self.wall = wall
    self.pulse = pulse
  }

  public var count: Int { state.withLock { $0.watchers.count } }
  /// Watchers that did not read.
  public var dropped: Int { dropCount.load(ordering: .relaxed) }
  /// Records that had no room, in all streams.
  public var skipped: Int { skipCount.load(ordering: .relaxed) }

  // MARK: - Telling

  /// Costs a look at one flag where nobody watches.
  public func tell(_ event: Event, _ decision: Decision, queueID: String?) {
    guard isWatched.load(ordering: .relaxed) else { return }
    put(.event(event, decision, queueID: queueID))
  }

  /// - Parameter action: in the wall's time.
  func tell(_ action: AdministratorAction) {
    guard isWatched.load(ordering: .relaxed) else { return }
    put(.action(action))
  }

  private func put(_ news: News) {
    let isFirst = state.withLock { state in
      guard state.waiting.count < Self.mostWaiting else {
        state.skipped += 1
        return false
      }
      state.waiting.append(news)
      return state.waiting.count == 1
    }
    if isFirst { arrived.signal() }
  }

  // MARK: - Watching

  func haveRoom(for place: Place) -> Bool { state.withLock { $0.hasRoom(for: place) } }

  /// - Parameter close: closes the watcher's connection.
  /// - Returns: nothing where there are too many already.
  func watch(_ filter: WatchFilter, from place: Place, close: @escaping @Sendable () -> Void) -> Watcher? {
    let watcher = Watcher(filter, close: close)
    let (hasRoom, needsThread) = state.withLock { state in
      guard state.hasRoom(for: place), !state.isOver else { return (false, false) }
      state.watchers[ObjectIdentifier(watcher)] = watcher
      state.places[ObjectIdentifier(watcher)] = place
      isWatched.store(true, ordering: .relaxed)
      defer { state.hasThread = true }
      return (true, !state.hasThread)
    }
    guard hasRoom else { return nil }
    if needsThread { Thread.detachNewThread { self.work() } }
    return watcher
  }

  func leave(_ watcher: Watcher) {
    watcher.end()
    state.withLock { state in
      state.watchers[ObjectIdentifier(watcher)] = nil
      state.places[ObjectIdentifier(watcher)] = nil
      if state.watchers.isEmpty { isWatched.store(false, ordering: .relaxed) }
    }
  }

  /// Ends all streams, so that nobody holds up the end of the daemon.
  public func end() {
    let all = state.withLock { state in
      state.isOver = true
      return Array(state.watchers.values)
    }
    for watcher in all { watcher.end() }
  }

  // MARK: - The telling thread

  /// Until nobody watches any more.
  private func work() {
    // Mail comes first. 0 is this thread alone, on Linux.
    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
    var nextPulse = Timestamp(microseconds: 0)
    var nextKeepAlive = now() + .seconds(Self.keepAliveSeconds)
    while true {
      if arrived.wait(timeout: .now() + 1) == .success { usleep(Self.pauseMicroseconds) }
      let (news, skipped, watchers) = state.withLock { state in
        defer { (state.waiting, state.skipped) = ([], 0) }
        if state.watchers.isEmpty { state.hasThread = false }
        return (state.waiting, state.skipped, Array(state.watchers.values))
      }
      if watchers.isEmpty { return }
      for item in news { tell(item, watchers) }
      let time = now()
      tellSkipped(skipped, watchers, at: time)
      if time >= nextPulse {
        tellPulse(watchers, at: time)
        nextPulse = time + .seconds(Self.pulseSeconds)
      }
      if time >= nextKeepAlive {
        for watcher in watchers { send(ByteBuffer(string: ": still here\n\n"), to: watcher) }
        nextKeepAlive = time + .seconds(Self.keepAliveSeconds)
      }
    }
  }

  private func tell(_ news: News, _ watchers: [Watcher]) {
    var text: ByteBuffer?
    for watcher in watchers {
      switch news {
      case .event(let event, let decision, let queueID):
        let isQuiet = decision.reason == nil && decision.notices.isEmpty
        guard watcher.filter.takes(event, decision), watcher.admits(at: event.at, isQuiet: isQuiet) else { continue }
        if text == nil {
          text = Self.message("event", EventRecord(event, decision, queueID: queueID, wall: wall))
        }
      case .action(let action):
        guard watcher.filter.takes(action) else { continue }
        if text == nil {
          text = Self.message(
            "action",
            ActionRecord(
              at: action.at.rfc3339, who: action.who, action: action.action, key: action.key, detail: action.detail))
        }
      }
      if let text { send(text, to: watcher) }
    }
  }

  /// - Parameter common: what had no room before anybody could look whether a watcher wants it.
  private func tellSkipped(_ common: Int, _ watchers: [Watcher], at time: Timestamp) {
    for watcher in watchers {
      let count = watcher.takeSkipped() + common
      guard count > 0 else { continue }
      skipCount.add(count, ordering: .relaxed)
      send(Self.message("skipped", SkippedRecord(at: wall(time).rfc3339, count: count)), to: watcher)
    }
  }

  private func tellPulse(_ watchers: [Watcher], at time: Timestamp) {
    let wanting = watchers.filter(\.filter.wantsPulse)
    guard !wanting.isEmpty else { return }
    let pulse = pulse()
    let figures = pulse.totals.filter { $0.lastMinute > 0 }.map { ($0.name, $0.lastMinute) }
    let text = Self.message(
      "pulse",
      PulseRecord(
        at: wall(time).rfc3339, sessions_open: pulse.sessionsOpen, penalties: pulse.penalties,
        watchers: watchers.count, last_minute: Dictionary(uniqueKeysWithValues: figures)))
    for watcher in wanting { send(text, to: watcher) }
  }

  private func send(_ text: ByteBuffer, to watcher: Watcher) {
    if !watcher.put(text) { dropCount.add(1, ordering: .relaxed) }
  }

  /// JSON has no line ends of its own, so a client's words cannot end the record.
  private static func message(_ kind: String, _ record: some Encodable) -> ByteBuffer {
    ByteBuffer(string: "event: \(kind)\ndata: \(JSONCoding.text(record))\n\n")
  }
}
