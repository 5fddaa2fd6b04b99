import WardenCore

/// Connections and MAIL commands that were refused, until it is known what came of them: a session that is turned away
/// counts once, however many of its lines a log has, and not at all beside its messages, which count themselves.
///
/// Bounded: where there are too many they stay counted as they are.
struct Attempts {
  /// Where an attempt was counted.
  struct Count {
    let rule: String
    /// Incidents, with the time at which each opened.
    var incidents: [(key: Key, opened: Timestamp)] = []
    var bystanders: [(key: Key, opened: Timestamp)] = []
  }

  private struct Mail: Hashable {
    let client: IPAddress?
    let user: String?
    let sender: String?

    init(_ subject: Subject) { (client, user, sender) = (subject.address, subject.user, subject.sender) }
  }

  /// A client's latest connection.
  private struct Knock {
    /// Where it was refused: until a message or a MAIL has taken its place.
    var counts: [(at: Timestamp, count: Count)] = []
    var lastHeard: Timestamp
  }

  /// Those that came lately, and those before them.
  private var knocks: [IPAddress: Knock] = [:]
  private var olderKnocks: [IPAddress: Knock] = [:]
  private var mails: [Mail: [Count]] = [:]
  private static let capacity = 10_000
  /// More sessions at a time than one client has.
  private static let mostCounts = 100
  /// As long as a server waits for the next command, at least (RFC 5321, 4.5.3.2.7).
  private static let patience = TimeSpan.minutes(5)

  private subscript(client: IPAddress) -> Knock? {
    get { knocks[client] ?? olderKnocks[client] }
    set {
      if knocks.count >= Self.capacity { (olderKnocks, knocks) = (knocks, [:]) }
      knocks[client] = newValue
    }
  }

  /// Whether what is told of the client belongs to its latest connection, as far as that is known.
  mutating func belongsToKnock(_ subject: Subject, at now: Timestamp) -> Bool {
    guard let client = subject.address, var knock = self[client], now <= knock.lastHeard + Self.patience else {
      return false
    }
    knock.lastHeard = max(knock.lastHeard, now)
    self[client] = knock
    return true
  }

  /// - Parameter count: where it was counted, if it was refused.
  mutating func noteKnock(_ subject: Subject, at now: Timestamp, _ count: Count?) {
    guard let client = subject.address else { return }
    // Sessions of one client may overlap.
    let counts = count.map { pending(client, at: now) + [(now, $0)] } ?? []
    self[client] = Knock(counts: counts.suffix(Self.mostCounts), lastHeard: now)
  }

  private func pending(_ client: IPAddress, at now: Timestamp) -> [(at: Timestamp, count: Count)] {
    (self[client]?.counts ?? []).filter { now <= $0.at + Self.patience }
  }

  /// - Returns: the count of the connection in which it comes, if that counts and brought nothing else so far.
  mutating func takeKnock(_ subject: Subject, at now: Timestamp) -> Count? {
    guard let client = subject.address, let count = pending(client, at: now).last?.count else { return nil }
    self[client]!.counts.removeLast()
    return count
  }

  mutating func noteMail(_ subject: Subject, at now: Timestamp, _ count: Count) {
    if mails.count >= Self.capacity { mails = [:] }
    mails[Mail(subject)] = ((mails[Mail(subject)] ?? []) + [count]).suffix(Self.mostCounts)
    // Not every log shows connections.
    if let client = subject.address, self[client] == nil { self[client] = Knock(lastHeard: now) }
  }

  /// - Returns: the count of the MAIL, or of the connection, that this message makes needless.
  mutating func takeMail(_ subject: Subject, at now: Timestamp) -> Count? {
    let mail = Mail(subject)
    guard let count = mails[mail]?.popLast() else { return takeKnock(subject, at: now) }
    if mails[mail]!.isEmpty { mails[mail] = nil }
    return count
  }

  /// What comes now was let in: what was refused before brought no message.
  mutating func passed(_ event: Event) {
    if event.step == .connect { noteKnock(event.subject, at: event.at, nil) }
    if event.step == .mail { mails[Mail(event.subject)] = nil }
  }
}
