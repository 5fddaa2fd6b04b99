import HijackTraffic
import WardenCore

/// What became of a message.
enum Fate {
  case passed(recipients: Int)
  case held(rule: String)
  case refused(rule: String, isTemporary: Bool)
  /// The MTA itself took no recipient of it.
  case noRecipients
}

/// Plays traffic through sessions and an engine, as the daemon does, and notes what comes of it.
///
/// Every message is a session of its own. While the warm-up lasts, every rule only observes.
struct Playback {
  private let engine: Engine
  private let policy: Policy
  private let traffic: Traffic
  private var book: Bookkeeper
  private var retries = RetryQueue()

  /// Midnight UTC of a Monday: 2026-03-02.
  private static let beginning = Timestamp(microseconds: 1_772_409_600_000_000)

  static func figures(of policy: Policy, named name: String, _ traffic: Traffic) throws -> Figures {
    var playback = Playback(policy, named: name, traffic)
    try playback.run()
    return playback.book.figures
  }

  private init(_ policy: Policy, named name: String, _ traffic: Traffic) {
    var observing = policy
    for index in observing.rules.indices { observing.rules[index].mode = .observe }
    engine = Engine(policy: observing)
    self.policy = policy
    self.traffic = traffic
    book = Bookkeeper(policy: name, traffic)
  }

  private mutating func run() throws {
    var isWarm = false
    for (index, mail) in traffic.mail.enumerated() {
      while let retry = retries.next(before: mail.at) { try again(retry) }
      if !isWarm, mail.at >= Traffic.warmUpEnd {
        isWarm = true
        engine.replace(policy: policy)
      }
      let fate = try play(mail, at: mail.at)
      book.note(mail, fate)
      if isWarm, case .refused(let rule, true) = fate { comeBack(index, mail, rule, attempt: 0, at: mail.at) }
    }
    while let retry = retries.next(before: Moment(milliseconds: .max)) { try again(retry) }
  }

  // MARK: - Coming back

  /// A queue tries again for two days, a person three times. A hijacker's next message is the next attempt.
  private static let queuePauses: [Double] = [300, 600, 1_200, 2_400] + Array(repeating: 3_600, count: 47)
  private static let personPauses: [Double] = [300, 1_800, 10_800]

  private mutating func comeBack(_ index: Int, _ mail: Mail, _ rule: String, attempt: Int, at: Moment) {
    guard case .honest(let occasion) = mail.origin else { return }
    let pauses = occasion.hasQueue ? Self.queuePauses : Self.personPauses
    if attempt < pauses.count {
      retries.add(RetryQueue.Retry(at: at + pauses[attempt], mail: index, rule: rule, attempt: attempt + 1))
    } else {
      book.giveUp(mail, rule: rule)
    }
  }

  private mutating func again(_ retry: RetryQueue.Retry) throws {
    let mail = traffic.mail[retry.mail]
    let fate = try play(mail, at: retry.at)
    switch fate {
    case .refused(_, isTemporary: true): comeBack(retry.mail, mail, retry.rule, attempt: retry.attempt, at: retry.at)
    case .refused(_, isTemporary: false): book.giveUp(mail, rule: retry.rule)
    case .passed, .held, .noRecipients: book.getThrough(mail, rule: retry.rule, at: retry.at)
    }
  }

  // MARK: - One session

  private mutating func play(_ mail: Mail, at moment: Moment) throws -> Fate {
    let at = Self.beginning + TimeSpan(microseconds: moment.milliseconds * 1_000)
    var session = SMTPSession(
      SMTPSession.Setup(realms: engine.realms, networkPrefix: policy.networkPrefix, needs: engine.needs))
    let fate = try submit(mail, at, &session)
    if let close = session.close(at: at) { _ = answer(close, mail, &session) }
    return fate
  }

  private mutating func submit(_ mail: Mail, _ at: Timestamp, _ session: inout SMTPSession) throws -> Fate {
    let connect = session.connect(
      at: at, address: mail.client, port: 50_000, host: Organisation.host, daemon: "submission")
    if let refusal = answer(connect, mail, &session) { return refusal }
    session.helo(mail.helo)
    let beginning = try session.mail(at: at, sender: mail.sender, login: Organisation.login(of: mail.account))
    if let refusal = answer(beginning, mail, &session) { return refusal }

    let needs = engine.needs
    var accepted = 0
    var refusal: Fate?
    for recipient in mail.recipients {
      guard needs.contains(recipient.isRefused ? .refusedRecipients : .recipients) else {
        accepted += recipient.isRefused ? 0 : 1
        continue
      }
      let fate: SMTPSession.RecipientFate =
        recipient.isRefused ? .refused(enhancedCode: "5.1.1", text: "User unknown") : .accepted
      let event = try session.recipient(
        at: at, fate, path: needs.contains(.recipientNames) ? recipient.path : "", refusals: nil)
      if let event, let answer = answer(event, mail, &session) {
        refusal = refusal ?? answer
      } else if !recipient.isRefused {
        accepted += 1
      }
    }
    guard accepted > 0 else {
      session.abort()
      return refusal ?? .noRecipients
    }
    session.data()
    if let (name, value) = mail.mark.header { session.header(name, value) }
    session.content(bytes: mail.bytes)
    let end = try session.endOfMessage(at: at, refusals: nil)
    if let refusal = answer(end, mail, &session) { return refusal }
    return .passed(recipients: accepted)
  }

  /// - Returns: nothing where the session goes on.
  private mutating func answer(_ event: Event, _ mail: Mail, _ session: inout SMTPSession) -> Fate? {
    let decision = engine.decide(event)
    session.settle(decision, at: event.step)
    for notice in decision.notices { book.note(notice, about: mail) }
    guard session.answers(at: event.step) else { return nil }
    switch decision.verdict {
    case .goOn, .exempt, .delay: return nil
    case .hold(let reason): return .held(rule: reason.rule)
    case .refuse(let refusal): return .refused(rule: refusal.reason.rule, isTemporary: refusal.code.isTemporary)
    }
  }
}

extension Mail.Mark {
  fileprivate var header: (String, String)? {
    switch self {
    case .none: nil
    case .list: ("List-Id", "<news.org.example>")
    case .bulk: ("Precedence", "bulk")
    }
  }
}

/// Refused messages that are tried again, the next one first (a binary heap).
private struct RetryQueue {
  struct Retry {
    let at: Moment
    let mail: Int
    let rule: String
    let attempt: Int

    fileprivate func comes(before other: Retry) -> Bool { (at, mail) < (other.at, other.mail) }
  }

  private var heap: [Retry] = []

  mutating func add(_ retry: Retry) {
    heap.append(retry)
    var place = heap.count - 1
    while place > 0, heap[place].comes(before: heap[(place - 1) / 2]) {
      heap.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  mutating func next(before end: Moment) -> Retry? {
    guard let first = heap.first, first.at < end else { return nil }
    heap[0] = heap[heap.count - 1]
    heap.removeLast()
    var place = 0
    while true {
      let children = [2 * place + 1, 2 * place + 2].filter { $0 < heap.count }
      guard let child = children.min(by: { heap[$0].comes(before: heap[$1]) }), heap[child].comes(before: heap[place])
      else { return first }
      heap.swapAt(place, child)
      place = child
    }
  }
}
