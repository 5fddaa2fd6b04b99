import Milter
import WardenControl
import WardenCore

/// What every session shares: the engine, the clock, what remembers what passed, and the way out for notices.
struct Gate: Sendable {
  let engine: Engine
  let clock: LiveClock
  /// Nothing where there is no history.
  let activity: Activity?
  let trail: Trail
  let outbox: Outbox
  let watchers: Watchers
  /// Nothing where nobody else tells anything.
  let hearing: Hearing?
  /// Nothing where nothing is recorded.
  let recorder: Recorder?

  /// - Parameter queueID: the MTA's name for the message; asked for only where it is needed.
  func decide(_ event: Event, queueID: () -> String?) -> Decision {
    let event = event.isTwiceTold ? hearing?.sift(event, from: .milter).first ?? event : event
    let decision = recorder?.decide(event, on: engine) ?? engine.decide(event)
    if event.step == .endOfMessage, decision.isRefused { hearing?.expectRefusal(of: event) }
    activity?.note(event, decision)
    let hasPassed = event.step == .endOfMessage && !decision.isRefused
    let name = hasPassed || !decision.notices.isEmpty ? queueID() : nil
    if hasPassed, let name { trail.add(Passage(event, decision, queueID: name)) }
    if !decision.notices.isEmpty { outbox.post(decision.notices, queueID: name) }
    watchers.tell(event, decision, queueID: name)
    return decision
  }

  /// A session's set-up under the policy of this moment.
  func setup() -> SMTPSession.Setup {
    SMTPSession.Setup(realms: engine.realms, networkPrefix: engine.policy.networkPrefix, needs: engine.needs)
  }
}

extension Event {
  /// Whether the MTA shows what its log tells, too.
  fileprivate var isTwiceTold: Bool {
    step == .refusedRecipient && (happened[.relayAttempts] > 0 || happened[.dnsblRejections] > 0)
  }
}

extension Passage {
  init(_ event: Event, _ decision: Decision, queueID: String) {
    let isHeld = if case .hold = decision.verdict { true } else { false }
    let subject = event.subject
    self.init(
      at: event.at, queueID: queueID, user: subject.user, ip: subject.ip, sender: subject.sender,
      recipients: event.wants[.recipients], recipient: event.recipients.first?.address, isHeld: isHeld)
  }
}
