import Testing
import WardenCore

@testable import WardenReplay

extension Timestamp {
  /// 2026-11-03T10:00:00Z
  static let start = Timestamp(microseconds: 1_793_700_000_000_000)
}

extension Rule {
  init(
    _ name: String, _ count: Signal, per: KeyKind, _ limits: Limit..., then: Consequences, mode: Mode = .enforce
  ) {
    self.init(name: name, count: count, per: KeyShape(per), limits: limits, then: then, mode: mode)
  }
}

extension Limit {
  static func of(_ count: Int, per window: TimeSpan) -> Limit { Limit(count: count, window: window) }
}

extension Consequences {
  static let alert = Consequences(alert: true)
  static let tempfail = Consequences(refusal: .tempfail)
  static func block(_ span: TimeSpan, _ kind: KeyKind? = nil) -> Consequences {
    Consequences(block: Block([span], kind: kind))
  }
}

extension Key {
  static func user(_ name: String) -> Key { Key(.user(name)) }
  static func ip(_ text: String) -> Key { Key(.ip(IPAddress(text)!)) }
}

// MARK: - Traffic

func subject(_ user: String?, from ip: String?) -> Subject {
  var subject = Subject()
  subject.user = user
  subject.ip = ip.map { IPAddress($0)! }
  subject.address = subject.ip
  subject.network = subject.ip.map { NetworkPrefix().network(of: $0) }
  subject.sender = user.map { "\($0)@example.org" }
  subject.senderDomain = user.map { _ in "example.org" }
  return subject
}

func message(
  _ user: String?, from ip: String? = "192.0.2.7", at time: Timestamp, recipients: Int = 1, to names: [String] = []
) -> Event {
  Event(
    at: time, step: .endOfMessage, subject: subject(user, from: ip),
    wants: [.messages: 1, .recipients: max(recipients, names.count)], recipients: names.map { Recipient(path: $0) })
}

/// A session as a log shows it: whoever was refused is seen to go on.
func session(_ user: String?, from ip: String, at time: Timestamp, messages: Int = 1) -> [Event] {
  var mail = message(user, from: ip, at: time + .seconds(1))
  (mail.step, mail.happened) = (.mail, user == nil ? [:] : [.logins: 1])
  var connect = Event(at: time, step: .connect, subject: subject(nil, from: ip), happened: [.connections: 1])
  connect.isAnswered = true
  return [connect] + (0..<messages).flatMap { _ in [mail, message(user, from: ip, at: time + .seconds(2))] }
}

func happening(
  _ signal: Signal, _ user: String? = nil, from ip: String?, at time: Timestamp, step: Step = .close,
  source: Source = .milter
) -> Event {
  Event(at: time, step: step, subject: subject(user, from: ip), happened: [signal: 1], source: source)
}

// MARK: - Backtests

func backtest(
  _ rules: [Rule], _ events: [Event], enforcesAll: Bool = false, incidents: Int = 1_000, isOfLog: Bool = false
) -> BacktestResult {
  var backtest = Backtest(
    [.init(name: "policy.yaml", policy: Policy(rules: rules))], enforcesAll: enforcesAll, incidents: incidents)
  for event in events { backtest.take(event, isOfLog: isOfLog) }
  return backtest.finish()
}

extension BacktestReport {
  init(_ result: BacktestResult, blindness: [String] = []) {
    self.init(result, source: "mail.log", blindness: blindness, zone: .gmt)
  }
}
