import Milter
import WardenCore

/// What every session shares: the engine behind its lock, the clock and the way out for notices.
struct Gate: Sendable {
  let engine: Locked<Engine>
  let clock: LiveClock
  let outbox: Outbox

  /// - Parameter queueID: the MTA's name for the message; asked for only where something has to be told.
  func decide(_ event: Event, queueID: () -> String?) -> Decision {
    let decision = engine.withLock { $0.decide(event) }
    if !decision.notices.isEmpty { outbox.post(decision.notices, queueID: queueID()) }
    return decision
  }

  /// A session's set-up under the policy of this moment.
  func setup() -> SMTPSession.Setup {
    engine.withLock {
      SMTPSession.Setup(realms: $0.realms, networkPrefix: $0.policy.networkPrefix, needs: $0.needs)
    }
  }
}
