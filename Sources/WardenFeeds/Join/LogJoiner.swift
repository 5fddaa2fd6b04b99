import WardenCore

/// Makes events of a log's facts: what belongs to one session or one message stands in many lines.
///
/// Pure: the time is that of the lines, and so is the order. Bounded in all that it remembers.
public struct LogJoiner: ~Copyable {
  public enum Mode: Sendable {
    /// Only what the milter cannot see.
    case live
    /// Also what the milter would have shown, as far as the log has it.
    case replay
  }

  public struct Bounds: Sendable {
    public var sessions = 50_000
    public var messages = 200_000
    /// How long a session or message is remembered that nothing is heard of.
    public var memory = TimeSpan.days(1)
    public init() {}
  }

  /// What is done with an event.
  ///
  /// Its answer is whether things go on, which matters in a replay: nothing more is shown of a connection or a message that
  /// was refused or exempt there, as with `SMTPSession.settle`.
  public typealias Tell = (Event, Teller) -> Bool

  /// What the MTA does to a connection within this time, it does at once.
  private static let connecting = TimeSpan.seconds(1)
  /// For the queue manager, or another filter, to speak of a message that the client has sent.
  private static let ending = TimeSpan.minutes(1)

  var view: JoinedView
  var sessions: RecentTable<ProcessID, JoinedSession>
  var messages: RecentTable<QueueID, JoinedMessage>
  private var sessionCount = 0
  private var hosts = WordTable()
  private var programs = WordTable()
  private var users = TextTable<String>()
  private var senders = TextTable<EnvelopeSender>()
  /// Sendmail does so since 8.16.1, Postfix since 3.7.8. saslauthd, which knows no address, is then not heard of SMTP: its
  /// line comes first, and would take the user away from the MTA's, which has both.
  private var mtaNamesUsers: Bool?
  private var connects: Waiting<(process: ProcessID, session: Int)>
  private var ends: Waiting<QueueID>

  public init(_ mode: Mode, _ setup: SMTPSession.Setup, bounds: Bounds = Bounds()) {
    view = JoinedView(mode: mode, setup: setup)
    sessions = RecentTable(capacity: bounds.sessions, memory: bounds.memory)
    messages = RecentTable(capacity: bounds.messages, memory: bounds.memory)
    connects = Waiting(Self.connecting, bound: bounds.sessions)
    ends = Waiting(Self.ending, bound: bounds.messages)
  }

  /// The policy's, with what the engine has learned from the MTA.
  public var setup: SMTPSession.Setup {
    get { view.setup }
    set {
      if newValue.realms != view.setup.realms { users.removeAll() }
      view.setup = newValue
    }
  }

  /// Sessions and messages forgotten for want of room.
  public var dropped: Int { sessions.dropped + messages.dropped }

  /// Takes the next line.
  public mutating func join(_ header: LogHeader, _ fact: LogFact, _ tell: Tell) {
    view.now = max(view.now, header.at)
    view.at = view.mode == .live ? header.at : view.now
    while let connect = connects.next(at: now) { show(connect, tell) }
    while let message = ends.next(at: now) { settle(message, tell) }
    if case .other = fact.kind { return }
    let host = number(ofHost: header.host)
    switch (fact.kind, fact.program) {
    case (.distress, _): view.hear([.mtaDistress: 1], client: nil, .postfix, tell)
    case (_, .postfix): joinPostfix(header, fact, host, tell)
    case (_, .sendmail): joinSendmail(header, fact, host, tell)
    case (_, .dovecot):
      joinLogin(fact, fact.service?.bytes.is("auth") ?? true ? .dovecotAttempt : .dovecotSession, tell)
    case (_, .saslauthd):
      if !(fact.service?.bytes.is("smtp") ?? true) || mtaNamesUsers == false { joinLogin(fact, .saslauthd, tell) }
    }
  }

  /// The log is at its end: nothing more can come up against what waits.
  public mutating func finish(_ tell: Tell) {
    while let connect = connects.take() { show(connect, tell) }
    while let message = ends.take() { settle(message, tell) }
  }

  // MARK: - Logins

  private mutating func joinLogin(_ fact: LogFact, _ teller: Teller, _ tell: Tell) {
    switch fact.kind {
    case .loginFailed(let attempts, let failure):
      hearFailures(attempts, failure, fact, client: fact.client, teller, tell)
    case .loggedIn: view.hear([.authSuccesses: 1], client: fact.client, user: user(fact.user), teller, tell)
    default: break
    }
  }

  mutating func hearFailures(
    _ attempts: Int, _ failure: LogFact.Failure, _ fact: LogFact, client: IPAddress?, _ teller: Teller, _ tell: Tell
  ) {
    switch failure {
    case .refused, .aborted:
      if teller == .postfix || teller == .sendmail, failure == .refused, fact.user?.bytes.is("(unavailable)") != true {
        // Once it has, a client that gives no name must not make it seem otherwise.
        mtaNamesUsers = mtaNamesUsers == true || fact.user != nil
      }
      view.hear([.authFailures: attempts], client: client, user: user(fact.user), teller, tell)
    // Says nothing about the client; a policy server that refuses knows why.
    case .server, .policy: break
    }
  }

  // MARK: - Names

  /// The one name of a login's owner; nothing where the log only says that it has none.
  mutating func user(_ login: Text?) -> String? {
    guard let login, !login.isEmpty, !login.bytes.is("(unavailable)") else { return nil }
    if let known = users[login] { return known }
    let user = Bounded.text(view.setup.realms.user(login: login.string))
    users[login] = user
    return user
  }

  mutating func sender(_ path: Text?) -> EnvelopeSender? {
    guard let path else { return nil }
    if let known = senders[path] { return known }
    let sender = EnvelopeSender(path: path.string)
    senders[path] = sender
    return sender
  }

  private mutating func number(ofHost host: Text?) -> UInt32 {
    let (number, isNew) = hosts.number(of: host)
    // Live, the engine has learned it from the MTA itself; here there is nobody else to learn from.
    if isNew, view.mode == .replay, let name = host?.string, name.contains(".") { setup.realms.learn(host: name) }
    return number
  }

  mutating func process(_ header: LogHeader, _ host: UInt32) -> ProcessID {
    ProcessID(header.pid, program: programs.number(of: header.program).number, host: host)
  }

  // MARK: - Sessions and messages

  var now: Timestamp { view.now }

  mutating func session(client: IPAddress?, isWhole: Bool) -> JoinedSession {
    sessionCount += 1
    return JoinedSession(
      number: sessionCount, client: client, lastHeard: now, isWhole: isWhole, isConnectTold: !isWhole)
  }

  /// A client has connected: shown when nothing has come up against it.
  mutating func connect(_ fact: LogFact, _ process: ProcessID) {
    let session = session(client: fact.client, isWhole: true)
    sessions.set(process, session, at: now)
    if view.mode == .replay { connects.add((process, session.number), at: now) }
  }

  private mutating func show(_ connect: (process: ProcessID, session: Int), _ tell: Tell) {
    guard let place = sessions.find(connect.process), sessions[place].number == connect.session else { return }
    view.showConnect(&sessions[place], tell)
  }

  /// The client is done with the message: what has become of it shows in a while.
  mutating func expectEnd(of message: QueueID) {
    if view.mode == .replay { ends.add(message, at: now) }
  }

  private mutating func settle(_ id: QueueID, _ tell: Tell) {
    guard let place = messages.find(id) else { return }
    view.settle(&messages[place], tell)
  }
}
