import WardenCore

/// What has happened, looked at again under a policy, or under two side by side: who would have been stopped, when, and
/// what that would have spared.
///
/// Takes the events of a log or of a recording in the order of their times. What was refused in a trial is not counted in
/// it, exactly as on a live server; a client that would have come again later is not guessed at.
public struct Backtest {
  public struct Contender {
    public let name: String
    public let policy: Policy

    public init(name: String, policy: Policy) {
      self.name = name
      self.policy = policy
    }
  }

  private var trials: [Trial]
  private let shapes: [KeyShape]
  private var history = SendingHistory()
  private var traffic = BacktestResult.Traffic()
  private var users = Distinct()
  private var addresses = Distinct()

  /// - Parameters:
  ///   - contenders: one, or two to compare.
  ///   - enforcesAll: whether rules that only observe are tried as if they were enforced.
  ///   - bound: how many incidents of each are kept; beyond that those with the least mail go, and are counted.
  public init(_ contenders: [Contender], enforcesAll: Bool = false, incidents bound: Int = 20_000) {
    trials = contenders.map { contender in
      var policy = contender.policy
      if enforcesAll { for place in policy.rules.indices { policy.rules[place].mode = .enforce } }
      return Trial(name: contender.name, policy: policy, incidents: bound)
    }
    shapes = trials.flatMap(\.shapes).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  /// - Parameter isOfLog: whether the event was put together from the lines of a log, whose server turned nobody away for
  ///   us: then what comes from a client while it is blocked is not decided. What was recorded is, as it was on the server.
  public mutating func take(_ event: Event, isOfLog: Bool = false) {
    let isMessage = event.step == .endOfMessage && event.wants[.messages] > 0
    let keys = isMessage || trials.contains(where: \.hasOpen) ? keys(of: event, isMessage) : []
    let happening = Trial.Happening(event: event, keys: keys, isMessage: isMessage, isOfLog: isOfLog)
    traffic.note(happening)
    if let ip = event.subject.ip { addresses.note(ip) }
    if event.isAuthenticated, let user = event.subject.user { users.note(user) }
    if isMessage { for (key, sent) in keys { history.add(sent, by: key, at: event.at) } }
    for place in trials.indices { trials[place].take(happening, history) }
  }

  private func keys(of event: Event, _ isMessage: Bool) -> [(key: Key, sent: Sent)] {
    shapes.flatMap { shape -> [(Key, Sent)] in
      guard isMessage, shape.isPerRecipient else {
        let sent = isMessage ? Sent(messages: event.wants[.messages], recipients: event.wants[.recipients]) : Sent()
        return event.subject.key(shape).map { [($0, sent)] } ?? []
      }
      var recipients: [Key: Int] = [:]
      var subject = event.subject
      for recipient in event.recipients {
        subject.recipient = recipient
        if let key = subject.key(shape) { recipients[key, default: 0] += 1 }
      }
      return recipients.map { ($0.key, Sent(messages: event.wants[.messages], recipients: $0.value)) }
    }
  }

  /// Call it once, after the last event.
  public mutating func finish() -> BacktestResult {
    (traffic.users, traffic.addresses) = (users.count, addresses.count)
    traffic.isUsersLeast = users.isFull
    traffic.isAddressesLeast = addresses.isFull
    var sides: [BacktestResult.Side] = []
    for place in trials.indices { sides.append(trials[place].finish()) }
    return BacktestResult(traffic: traffic, sides: sides, droppedHistories: history.dropped)
  }
}

/// How many different values there were, up to a bound.
private struct Distinct {
  private var hashes: Set<Int> = []
  private static let capacity = 1_000_000

  var count: Int { hashes.count }
  var isFull: Bool { hashes.count >= Self.capacity }

  mutating func note(_ value: some Hashable) {
    if !isFull { hashes.insert(value.hashValue) }
  }
}

extension BacktestResult.Traffic {
  fileprivate mutating func note(_ happening: Trial.Happening) {
    let event = happening.event
    first = min(first ?? event.at, event.at)
    last = max(last ?? event.at, event.at)
    events += 1
    sent += happening.sent
  }
}
