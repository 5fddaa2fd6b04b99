import WardenCore

// What the event stream says, as JSON. What is not known is left out.

/// An event, and what was decided. `event: event`.
public struct EventRecord: Codable, Sendable {
  public struct NoticeRecord: Codable, Sendable {
    /// `refused`, `held`, `delayed`, `blocked`, `observed`, `alert`, `run`.
    public let kind: String
    public let rule: String
    public let key: String
    public let reason: String
    public let until: String
    /// Of `run`: which.
    public let command: String?
  }

  public let at: String
  public let stage: String
  /// Who told of it: `milter`, `dovecot`, `log`.
  public let source: String
  /// `go-on`, `exempt`, `refused`, `held`, `delayed`.
  public let decision: String
  public let queue_id: String?
  public let ip: String?
  public let network: String?
  public let user: String?
  public let sender: String?
  public let helo: String?
  /// Of the message in hand.
  public let recipients: Int
  /// What was counted, by signal.
  public let counted: [String: Int]
  /// Of the decision, where it is not to go on.
  public let rule: String?
  public let key: String?
  public let reason: String?
  public let until: String?
  public let notices: [NoticeRecord]
}

/// What an administrator did. `event: action`.
public struct ActionRecord: Codable, Sendable {
  public let at: String
  public let who: String
  public let action: String
  public let key: String
  public let detail: String
}

/// How many records were left out. `event: skipped`.
public struct SkippedRecord: Codable, Sendable {
  public let at: String
  public let count: Int
}

/// The server's figures, every two seconds where asked for. `event: pulse`.
public struct PulseRecord: Codable, Sendable {
  public let at: String
  public let sessions_open: Int
  public let penalties: Int
  public let watchers: Int
  /// By signal, and `refusals` and `held`; what is not named is zero.
  public let last_minute: [String: Int]
}

extension EventRecord {
  init(_ event: Event, _ decision: Decision, queueID: String?, wall: (Timestamp) -> Timestamp) {
    let subject = event.subject
    let reason = decision.reason
    let passes = event.step == .endOfMessage && !decision.isRefused
    var counted: [String: Int] = [:]
    for signal in Signal.allCases {
      let count = event.happened[signal] + (passes ? event.wants[signal] : 0)
      if count > 0 { counted[signal.name] = count }
    }
    self.init(
      at: wall(event.at).rfc3339, stage: event.step.name, source: event.source.name, decision: decision.name,
      queue_id: queueID, ip: subject.address?.description, network: subject.network?.description, user: subject.user,
      sender: subject.sender, helo: subject.helo, recipients: event.wants[.recipients], counted: counted,
      rule: reason?.rule, key: reason?.key.description, reason: reason?.sentence,
      until: reason.map { wall($0.until).rfc3339 }, notices: decision.notices.map { NoticeRecord($0, wall: wall) })
  }
}

extension EventRecord.NoticeRecord {
  init(_ notice: Notice, wall: (Timestamp) -> Timestamp) {
    let command: String? = if case .run(let name) = notice.kind { name } else { nil }
    self.init(
      kind: notice.kind.name, rule: notice.reason.rule, key: notice.reason.key.description,
      reason: notice.reason.sentence, until: wall(notice.reason.until).rfc3339, command: command)
  }
}

extension Decision {
  /// As the stream and its filter write it.
  static let names = ["go-on", "exempt", "refused", "held", "delayed"]

  var name: String {
    switch verdict {
    case .goOn: "go-on"
    case .exempt: "exempt"
    case .refuse: "refused"
    case .hold: "held"
    case .delay: "delayed"
    }
  }

  var reason: Reason? {
    switch verdict {
    case .goOn, .exempt: nil
    case .refuse(let refusal): refusal.reason
    case .hold(let reason), .delay(_, let reason): reason
    }
  }
}
