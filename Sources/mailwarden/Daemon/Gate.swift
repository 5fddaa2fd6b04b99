import Logging
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
  let meter: DecisionMeter
  /// Nothing where nobody else tells anything.
  let hearing: Hearing?
  /// Nothing where nothing is recorded.
  let recorder: Recorder?
  let logger: Logger

  /// - Parameter queueID: the MTA's name for the message; asked for only where it is needed.
  func decide(_ event: Event, queueID: () -> String?) -> Decision {
    let event = event.isTwiceTold ? hearing?.sift(event, from: .milter).first ?? event : event
    let decision = recorder?.decide(event, on: engine) ?? engine.decide(event)
    if event.step == .endOfMessage, decision.isRefused { hearing?.expectRefusal(of: event) }
    meter.note(event, decision)
    activity?.note(event, decision)
    let hasPassed = event.step == .endOfMessage && !decision.isRefused
    let name = hasPassed || !decision.notices.isEmpty ? queueID() : nil
    if hasPassed, let name { trail.add(Passage(event, decision, queueID: name)) }
    if !decision.notices.isEmpty { outbox.post(decision.notices, queueID: name) }
    watchers.tell(event, decision, queueID: name)
    if logger.logLevel <= .debug, let word = decision.quietWord {
      logger.debug("\(word)", metadata: Self.fields(event, queueID: name))
    }
    return decision
  }

  private static func fields(_ event: Event, queueID: String?) -> Logger.Metadata {
    let subject = event.subject
    var fields: Logger.Metadata = ["stage": "\(event.step.name)"]
    fields["queue_id"] = queueID.map { "\($0)" }
    fields["ip"] = subject.address.map { "\($0)" }
    fields["user"] = subject.user.map { "\($0)" }
    fields["sender"] = subject.sender.map { "\($0)" }
    return fields
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

extension Decision {
  /// What the log says of it where nobody is stopped, and the outbox has nothing to tell of the verdict.
  fileprivate var quietWord: String? {
    switch verdict {
    case .goOn: "go-on"
    case .exempt: "exempt"
    case .hold, .delay, .refuse: nil
    }
  }
}
