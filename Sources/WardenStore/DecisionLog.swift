import WardenCore

/// One decision other than to go on, and how often it was taken within a minute.
public struct NotedDecision: Sendable, Equatable {
  /// What makes it the same decision.
  public struct ID: Sendable, Hashable {
    /// When the minute began.
    public let minute: Timestamp
    /// `refused`, `held`, `blocked`, `observed`, `alert`, `run NAME`.
    public let kind: String
    public let rule: String
    public let key: Key
    public let user: String?
    public let ip: IPAddress?
    public let sender: String?
  }

  public let id: ID
  public internal(set) var count: Int
  public let first: Timestamp
  // Of the latest:
  public internal(set) var last: Timestamp
  public internal(set) var reason: String
  public internal(set) var stage: String
  public internal(set) var queueID: String?
  public internal(set) var until: Timestamp

  mutating func add(_ other: NotedDecision) {
    count += other.count
    (last, reason, stage, until) = (other.last, other.reason, other.stage, other.until)
    queueID = other.queueID ?? queueID
  }
}

/// Decisions on their way to the history: a flood of the same is one entry a minute.
public final class DecisionLog: Sendable {
  private struct State {
    var decisions: [NotedDecision.ID: NotedDecision] = [:]
    var dropped = 0
  }

  private let state = Locked(State())
  private let bound: Int

  /// - Parameter bound: different decisions that wait at once.
  public init(bound: Int = 10_000) { self.bound = bound }

  /// Decisions that had no room.
  public var dropped: Int { state.withLock { $0.dropped } }

  /// - Parameter wall: the wall's clock.
  public func note(_ notice: Notice, queueID: String?, at wall: Timestamp) {
    let minute = Timestamp(seconds: wall.seconds / 60 * 60)
    let subject = notice.subject
    let kind = if case .run(let name) = notice.kind { "run \(name)" } else { notice.kind.name }
    let id = NotedDecision.ID(
      minute: minute, kind: kind, rule: notice.reason.rule, key: notice.reason.key, user: subject.user, ip: subject.ip,
      sender: subject.sender)
    let decision = NotedDecision(
      id: id, count: 1, first: wall, last: wall, reason: notice.reason.sentence, stage: notice.step.name,
      queueID: queueID, until: wall + (notice.reason.until - notice.at))
    state.withLock { Self.add(decision, bound, &$0) }
  }

  private static func add(_ decision: NotedDecision, _ bound: Int, _ state: inout State) {
    if state.decisions[decision.id] != nil {
      state.decisions[decision.id]!.add(decision)
    } else if state.decisions.count < bound {
      state.decisions[decision.id] = decision
    } else {
      state.dropped += decision.count
    }
  }

  /// What was noted since it was last taken.
  public func take() -> [NotedDecision] {
    state.withLock { state in
      defer { state.decisions = [:] }
      return Array(state.decisions.values)
    }
  }

  /// What could not be stored.
  public func giveBack(_ decisions: [NotedDecision]) {
    state.withLock { state in
      for earlier in decisions {
        guard let later = state.decisions.removeValue(forKey: earlier.id) else {
          Self.add(earlier, bound, &state)
          continue
        }
        var both = earlier
        both.add(later)
        state.decisions[earlier.id] = both
      }
    }
  }
}
