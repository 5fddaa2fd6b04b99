import Milter
import WardenCore

/// What every session shares: the engine, the clock and the way out for notices.
struct Gate: Sendable {
  let engine: Engine
  let clock: LiveClock
  let outbox: Outbox

  /// - Parameter queueID: the MTA's name for the message; asked for only where something has to be told.
  func decide(_ event: Event, queueID: () -> String?) -> Decision {
    let decision = engine.decide(event)
    if !decision.notices.isEmpty { outbox.post(decision.notices, queueID: queueID()) }
    return decision
  }

  /// A session's set-up under the policy of this moment.
  func setup() -> SMTPSession.Setup {
    SMTPSession.Setup(realms: engine.realms, networkPrefix: engine.policy.networkPrefix, needs: engine.needs)
  }
}
