import WardenCore

/// How high each key comes on a server, so that limits can be set where they hit nobody honest.
public struct Measurement {
  private let policy: Policy
  private let engine: Engine
  private let peaks: Peaks
  /// By their hashes; beyond the bound no more are learned.
  private var known: Set<Int> = []
  private static let mostKnown = 1_000_000
  private var from: Timestamp?
  private var to: Timestamp?

  /// - Parameter policy: says who is exempt, what a network is, which realms are the server's own, and how much memory may be
  ///   taken. Its rules are not looked at.
  public init(of policy: Policy) {
    self.policy = policy
    peaks = Peaks()
    engine = Engine(
      policy: Policy(
        rules: Candidate.all.map(\.measuring), exempt: policy.exempt, networkPrefix: policy.networkPrefix,
        realms: policy.realms, memory: policy.memory), peaks: peaks)
  }

  public mutating func take(_ event: Event) {
    var event = event
    if let ip = event.subject.ip { event.subject.network = policy.networkPrefix.network(of: ip) }
    _ = engine.decide(event)
    from = min(from ?? event.at, event.at)
    to = max(to ?? event.at, event.at)
    if event.showsLogin, let ip = event.subject.ip, known.count < Self.mostKnown { known.insert(ip.hashValue) }
  }

  /// - Parameter feeds: what was listened to.
  public func finish(feeds: Set<Source> = []) -> Proposals {
    var found: [Proposals.Peak] = []
    peaks.forEach {
      found.append(Proposals.Peak(candidate: $0.rule, window: $0.limit.window, key: $0.key, count: $0.count))
    }
    let start = from ?? Timestamp(microseconds: 0)
    return Proposals(
      peaks: found, from: start, to: to ?? start, knownAddresses: known.count,
      isKnown: { known.contains($0.hashValue) }, feeds: feeds, exempt: policy.exempt, realms: policy.realms,
      networkPrefix: policy.networkPrefix,
      dropped: peaks.dropped + engine.status(at: start).evictedKeys)
  }
}

extension Event {
  /// Whether it shows that somebody has logged in.
  fileprivate var showsLogin: Bool {
    happened[.authSuccesses] > 0 || happened[.logins] > 0 || step == .endOfMessage && subject.user != nil
  }
}
