/// An event with what was decided, as it is kept to be decided again under another policy. By the words of the policy file,
/// like all that is stored.
///
/// A password's hash never goes in as it is: only a keyed hash of it, which tells different ones apart.
public struct RecordedEvent: Sendable {
  public let event: Event
  public let outcome: Outcome

  /// What was decided.
  public struct Outcome: Sendable, Equatable {
    /// `go-on`, `exempt`, `hold`, `delay`, `refuse`.
    public let verdict: String
    public let rule: String?
    /// The key's text.
    public let key: String?
    /// The SMTP code of a refusal.
    public let code: Int?

    public init(_ decision: Decision) {
      switch decision.verdict {
      case .goOn: self.init("go-on")
      case .exempt: self.init("exempt")
      case .hold(let reason): self.init("hold", reason)
      case .delay(_, let reason): self.init("delay", reason)
      case .refuse(let refusal): self.init("refuse", refusal.reason, refusal.code.code)
      }
    }

    private init(_ verdict: String, _ reason: Reason? = nil, _ code: Int? = nil) {
      self.init(verdict: verdict, rule: reason?.rule, key: reason?.key.description, code: code)
    }

    fileprivate init(verdict: String, rule: String?, key: String?, code: Int?) {
      (self.verdict, self.rule, self.key, self.code) = (verdict, rule, key, code)
    }
  }

  /// An event and what was decided, as they are recorded; the seed, a secret of whoever records, hides passwords.
  public init(_ event: Event, _ decision: Decision, hashing seed: HashSeed) {
    var event = event
    event.password = event.password.map { password in
      var password = password
      return String(password.withUTF8 { seed.hash(UnsafeRawBufferPointer($0)) }, radix: 16)
    }
    self.event = event
    outcome = Outcome(decision)
  }
}

extension RecordedEvent: Codable {
  private enum CodingKeys: String, CodingKey {
    case at, step, source, host, answered
    case address, ip, network, user, sender, helo, recipient, daemon
    case senderDomain = "sender_domain"
    case happened, wants, kind, recipients, unnamed, hidden, password
    case verdict, rule, key, code
  }

  private static let kinds: [(word: String, kind: MailKind)] = [
    ("bounce", .bounce), ("forward", .forward), ("list", .list),
  ]

  /// What is the rule is left out.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(event.at, forKey: .at)
    try container.encode(event.step.name, forKey: .step)
    if event.source != .milter { try container.encode(event.source.name, forKey: .source) }
    try container.encodeIfPresent(event.host, forKey: .host)
    if !event.isAnswered { try container.encode(false, forKey: .answered) }
    let subject = event.subject
    try container.encodeIfPresent(subject.address, forKey: .address)
    try container.encodeIfPresent(subject.ip, forKey: .ip)
    try container.encodeIfPresent(subject.network, forKey: .network)
    try container.encodeIfPresent(subject.user, forKey: .user)
    try container.encodeIfPresent(subject.sender, forKey: .sender)
    try container.encodeIfPresent(subject.senderDomain, forKey: .senderDomain)
    try container.encodeIfPresent(subject.helo, forKey: .helo)
    try container.encodeIfPresent(subject.recipient.map(RecordedRecipient.init), forKey: .recipient)
    try container.encodeIfPresent(subject.daemon, forKey: .daemon)
    if !event.happened.isEmpty { try container.encode(event.happened.byName, forKey: .happened) }
    if !event.wants.isEmpty { try container.encode(event.wants.byName, forKey: .wants) }
    let words = Self.kinds.filter { event.kind.contains($0.kind) }.map(\.word)
    if !words.isEmpty { try container.encode(words, forKey: .kind) }
    if !event.recipients.isEmpty {
      try container.encode(event.recipients.map(RecordedRecipient.init), forKey: .recipients)
    }
    if event.unnamed != 0 { try container.encode(event.unnamed, forKey: .unnamed) }
    if event.hidden != 0 { try container.encode(event.hidden, forKey: .hidden) }
    try container.encodeIfPresent(event.password, forKey: .password)
    if outcome.verdict != "go-on" { try container.encode(outcome.verdict, forKey: .verdict) }
    try container.encodeIfPresent(outcome.rule, forKey: .rule)
    try container.encodeIfPresent(outcome.key, forKey: .key)
    try container.encodeIfPresent(outcome.code, forKey: .code)
  }

  /// Until the year 3000: times are multiplied.
  private static let times = 0..<32_503_680_000_000_000

  /// Checks what the engine takes for granted: the file may come from anywhere.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)

    func known<Value>(_ key: CodingKeys, _ read: (String) -> Value?) throws -> Value {
      let text = try container.decode(String.self, forKey: key)
      if let value = read(text) { return value }
      throw DecodingError.dataCorruptedError(
        forKey: key, in: container, debugDescription: "\"\(text)\" is no \(key.stringValue)")
    }
    func text(_ key: CodingKeys) throws -> String? {
      try container.decodeIfPresent(String.self, forKey: key).map(Bounded.text)
    }
    func count(_ key: CodingKeys) throws -> Int {
      let count = try container.decodeIfPresent(Int.self, forKey: key) ?? 0
      if (0...Int(Int32.max)).contains(count) { return count }
      throw DecodingError.dataCorruptedError(
        forKey: key, in: container, debugDescription: "\(count) is no number of them")
    }
    func tally(_ key: CodingKeys) throws -> Tally {
      let counts = try container.decodeIfPresent([String: Int].self, forKey: key) ?? [:]
      var tally = Tally()
      for (name, count) in counts {
        // A signal of a later version's is passed over.
        guard let signal = Signal(name: name) else { continue }
        guard count >= 0 else {
          throw DecodingError.dataCorruptedError(
            forKey: key, in: container, debugDescription: "\(count) \(name) cannot be")
        }
        tally[signal] = count
      }
      return tally
    }

    let at = try container.decode(Timestamp.self, forKey: .at)
    guard Self.times.contains(at.microseconds) else {
      throw DecodingError.dataCorruptedError(forKey: .at, in: container, debugDescription: "no time")
    }
    var subject = Subject()
    subject.address = try container.decodeIfPresent(IPAddress.self, forKey: .address)
    subject.ip = try container.decodeIfPresent(IPAddress.self, forKey: .ip)
    subject.network = try container.decodeIfPresent(Network.self, forKey: .network)
    subject.user = try text(.user)
    subject.sender = try text(.sender)
    subject.senderDomain = try text(.senderDomain)
    subject.helo = try text(.helo)
    subject.recipient = try container.decodeIfPresent(RecordedRecipient.self, forKey: .recipient)?.recipient
    subject.daemon = try text(.daemon)
    let words = try container.decodeIfPresent([String].self, forKey: .kind) ?? []
    let happened = try tally(.happened)
    event = Event(
      at: at, step: try known(.step) { name in Step.allCases.first { $0.name == name } }, subject: subject,
      happened: happened, wants: try tally(.wants),
      kind: Self.kinds.reduce(into: []) { if words.contains($1.word) { $0.insert($1.kind) } },
      recipients: (try container.decodeIfPresent([RecordedRecipient].self, forKey: .recipients) ?? []).map(\.recipient),
      unnamed: try count(.unnamed), hidden: min(try count(.hidden), happened[.badRecipients]), host: try text(.host),
      isAnswered: try container.decodeIfPresent(Bool.self, forKey: .answered) ?? true,
      source: container.contains(.source)
        ? try known(.source) { name in Source.allCases.first { $0.name == name } } : .milter,
      password: try text(.password))
    outcome = Outcome(
      verdict: try container.decodeIfPresent(String.self, forKey: .verdict) ?? "go-on",
      rule: try container.decodeIfPresent(String.self, forKey: .rule),
      key: try container.decodeIfPresent(String.self, forKey: .key),
      code: try container.decodeIfPresent(Int.self, forKey: .code))
  }
}

/// An address alone, where its domain is what follows the last `@`; else both.
private struct RecordedRecipient: Codable {
  let recipient: Recipient

  init(_ recipient: Recipient) { self.recipient = recipient }

  private enum CodingKeys: String, CodingKey { case address, domain }

  func encode(to encoder: any Encoder) throws {
    if recipient.domain == Mailbox.domain(of: recipient.address) {
      var container = encoder.singleValueContainer()
      try container.encode(recipient.address)
    } else {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(recipient.address, forKey: .address)
      try container.encodeIfPresent(recipient.domain, forKey: .domain)
    }
  }

  init(from decoder: any Decoder) throws {
    if let address = try? decoder.singleValueContainer().decode(String.self) {
      recipient = Recipient(address: address, domain: Mailbox.domain(of: address))
    } else {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      recipient = Recipient(
        address: try container.decode(String.self, forKey: .address),
        domain: try container.decodeIfPresent(String.self, forKey: .domain))
    }
  }
}

extension Recipient {
  fileprivate init(address: String, domain: String?) {
    self.address = Bounded.text(address)
    self.domain = domain.map(Bounded.text)
  }
}

extension Tally {
  fileprivate var byName: [String: Int] {
    Signal.allCases.reduce(into: [:]) { if has($1) { $0[$1.name] = self[$1] } }
  }
}
