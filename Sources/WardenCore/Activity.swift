/// What happened, minute by minute: for the server, and for each user and address, on its way to the history.
public final class Activity: Sendable {
  /// Of one key in one minute.
  public struct Counts: Sendable, Equatable {
    public var signals = Tally()
    public var refused = 0
    public var held = 0
    public var observed = 0
    public var blocked = 0

    public init() {}

    /// What is counted, as the history calls it.
    public static let names =
      Signal.allCases.map(\.name) + ["refused", "held", "observed", "blocked"]
    /// In the order of `names`.
    public var values: [Int] { Signal.allCases.map { signals[$0] } + [refused, held, observed, blocked] }

    /// Whether something was done to the key.
    public var isNotable: Bool { refused + held + observed + blocked > 0 }

    mutating func add(_ tally: Tally) {
      var rest = tally.mask
      while rest != 0 {
        let signal = Signal(rawValue: UInt8(rest.trailingZeroBitCount))!
        signals[signal] += tally[signal]
        rest &= rest - 1
      }
    }

    mutating func add(_ other: Counts) {
      add(other.signals)
      refused += other.refused
      held += other.held
      observed += other.observed
      blocked += other.blocked
    }

    mutating func add(_ kind: Notice.Kind) {
      switch kind {
      case .refused: refused += 1
      case .held: held += 1
      case .observed: observed += 1
      case .blocked: blocked += 1
      case .alert, .run, .delayed: break
      }
    }
  }

  /// A minute that is over, with what each key did in it.
  public struct Slice: Sendable, Equatable {
    /// When the minute began.
    public let minute: Timestamp
    public let counts: [Key: Counts]
    public init(minute: Timestamp, counts: [Key: Counts]) {
      self.minute = minute
      self.counts = counts
    }
  }

  private struct State {
    var minute = 0
    var counts: [Key: Counts] = [:]
    /// How many there are of each kind, so that an attack from many addresses leaves the users room.
    var kinds = [Int](repeating: 0, count: KeyKind.allCases.count)
    var done: [Slice] = []
    var dropped = 0
  }

  private let state = Locked(State())
  /// Keys of a kind that are kept until they are taken.
  private let bound: Int
  /// Minutes that may wait to be taken.
  private static let mostWaiting = 10
  /// How many times `bound` keys of all kinds a minute has at most when its parts are put together.
  private static let partsOfMinute = 4

  public init(bound: Int = 4_096) { self.bound = bound }

  /// Counts of keys that had no room; the server's own always have.
  public var dropped: Int { state.withLock { $0.dropped } }

  /// Takes note of an event and what became of it.
  public func note(_ event: Event, _ decision: Decision) {
    let passes = event.step == .endOfMessage && !decision.isRefused
    let wants = passes && !event.wants.isEmpty
    guard wants || !event.happened.isEmpty || !decision.notices.isEmpty else { return }
    state.withLock { state in
      turn(&state, to: event.at)
      func note(_ key: Key, about notices: [Notice]) {
        add(to: key, &state) { counts in
          counts.add(event.happened)
          if wants { counts.add(event.wants) }
          for notice in notices { counts.add(notice.kind) }
        }
      }
      note(Key(.server), about: decision.notices)
      if let user = event.subject.user { note(Key(.user(user)), about: decision.notices) }
      if let ip = event.subject.ip { note(Key(.ip(ip)), about: decision.notices) }
      for notice in decision.notices where !Self.isCounted(notice.reason.key, event.subject) {
        add(to: notice.reason.key, &state) { $0.add(notice.kind) }
      }
    }
  }

  /// Whether the key was counted as the event's user or address already.
  private static func isCounted(_ key: Key, _ subject: Subject) -> Bool {
    guard key.second == nil else { return false }
    switch key.first {
    case .server: return true
    case .user(let user): return user == subject.user
    case .ip(let ip): return ip == subject.ip
    default: return false
    }
  }

  private func add(to key: Key, _ state: inout State, _ body: (inout Counts) -> Void) {
    if let place = state.counts.index(forKey: key) { return body(&state.counts.values[place]) }
    let kind = Int(key.first.kind.rawValue)
    guard state.kinds[kind] < bound else { return state.dropped += 1 }
    state.kinds[kind] += 1
    var counts = Counts()
    body(&counts)
    state.counts[key] = counts
  }

  /// Closes the minute in hand when another has begun; what comes late counts in the minute in hand.
  private func turn(_ state: inout State, to now: Timestamp) {
    let minute = now.microseconds / TimeSpan.minutes(1).microseconds
    guard minute > state.minute else { return }
    close(&state)
    state.minute = minute
  }

  private func close(_ state: inout State) {
    guard !state.counts.isEmpty else { return }
    let start = Timestamp(microseconds: state.minute * TimeSpan.minutes(1).microseconds)
    state.done.append(Slice(minute: start, counts: state.counts))
    if state.done.count > Self.mostWaiting { state.dropped += state.done.removeFirst().counts.count }
    state.counts = [:]
    state.kinds = state.kinds.map { _ in 0 }
  }

  /// What was counted since it was last taken; a minute can come in several parts.
  public func take() -> [Slice] {
    state.withLock { state in
      close(&state)
      defer { state.done = [] }
      return state.done
    }
  }

  /// What could not be stored: the parts of a minute become one again.
  public func giveBack(_ slices: [Slice]) {
    state.withLock { state in
      var minutes: [Slice] = []
      for slice in slices + state.done {
        if let last = minutes.last, last.minute == slice.minute {
          minutes[minutes.count - 1] = sum(last, slice, &state.dropped)
        } else {
          minutes.append(slice)
        }
      }
      state.done = minutes
      while state.done.count > Self.mostWaiting { state.dropped += state.done.removeFirst().counts.count }
    }
  }

  private func sum(_ first: Slice, _ second: Slice, _ dropped: inout Int) -> Slice {
    var counts = first.counts
    for (key, more) in second.counts {
      if let place = counts.index(forKey: key) {
        counts.values[place].add(more)
      } else if counts.count < Self.partsOfMinute * bound {
        counts[key] = more
      } else {
        dropped += 1
      }
    }
    return Slice(minute: first.minute, counts: counts)
  }
}
