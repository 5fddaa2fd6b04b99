@testable import WardenCore

/// What SMTP sessions, feeds and an administrator do, a line each with tabs between the words, in any order:
///
///     on 1                                    the lines that follow are of session 1 (of 4)
///     connect 192.0.2.7 40000 mx.test smtp    address, port, the MTA's name, the daemon's; any can be empty
///     helo NAME
///     mail <a@example.org> alice              path, login
///     rcpt <b@far.test> 0                     path, Sendmail's count of refused recipients
///     refused 5.1.1 TEXT <b@far.test> 1       what the MTA says of it, then as above
///     data | header NAME VALUE | body 1000 | end 0 | abort | command | close
///     wait 60                                 seconds
///     heard auth-failures 3 192.0.2.7 alice hash
///     try 192.0.2.7 alice
///     block KEY 60 | release KEY | allow KEY 60 | reload
let sessionTarget = FuzzTarget(name: "session") { input in
  var play = SessionPlay()
  for line in String(decoding: input, as: UTF8.self).split(separator: "\n").prefix(500) {
    try play.perform(line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init))
  }
  try play.engine.checkState(at: play.now)
}

private struct SessionPlay {
  let engine = CheckedEngine(Fixture.engine())
  var now = Fixture.start
  private var sessions: [SMTPSession]
  private var place = 0

  init() { sessions = Array(repeating: SMTPSession(Self.setup(engine.engine)), count: 4) }

  private static func setup(_ engine: Engine) -> SMTPSession.Setup {
    SMTPSession.Setup(realms: engine.realms, networkPrefix: engine.policy.networkPrefix, needs: engine.needs)
  }

  /// Words that are missing are empty.
  private struct Words {
    let all: [String]
    subscript(place: Int) -> String { place < all.count ? all[place] : "" }
    func number(_ place: Int, _ range: ClosedRange<Int>) -> Int? {
      Int(self[place]).map { min(max($0, range.lowerBound), range.upperBound) }
    }
  }

  mutating func perform(_ line: [String]) throws {
    let words = Words(all: line)
    let (core, now) = (engine.engine, now)
    // Some ten thousand years are enough for everybody.
    let span = TimeSpan.seconds(words.number(2, 0...300_000_000_000) ?? 60)
    switch words[0] {
    case "on": place = words.number(1, 0...3) ?? 0
    case "connect":
      sessions[place] = SMTPSession(Self.setup(core))
      let daemon = words[4].isEmpty ? nil : words[4]
      try decide(
        sessions[place].connect(
          at: now, address: IPAddress(words[1]), port: words.number(2, 0...65_535) ?? 0,
          host: words[3].isEmpty ? nil : words[3], daemon: daemon))
    case "helo": sessions[place].helo(words[1])
    case "mail":
      try inOrder { try $0.mail(at: now, sender: words[1], login: words[2].isEmpty ? nil : words[2]) }
    case "rcpt":
      try inOrder { try $0.recipient(at: now, .accepted, path: words[1], refusals: Int(words[2])) }
    case "refused":
      try inOrder {
        try $0.recipient(
          at: now, .refused(enhancedCode: words[1], text: words[2]), path: words[3], refusals: Int(words[4]))
      }
    case "data": sessions[place].data()
    case "header":
      sessions[place].content(bytes: words[1].utf8.count + words[2].utf8.count)
      sessions[place].header(words[1], words[2])
    case "body": sessions[place].content(bytes: words.number(1, 0...1_000_000_000) ?? 0)
    case "end": try inOrder { try $0.endOfMessage(at: now, refusals: Int(words[1])) }
    case "abort": sessions[place].abort()
    case "command": try decide(sessions[place].badCommand(at: now))
    case "close": try decide(sessions[place].close(at: now))
    case "wait": self.now = now + .seconds(words.number(1, 0...40_000_000) ?? 1)
    case "heard":
      guard let signal = Signal(name: words[1]) else { return }
      var event = Event(
        at: now, step: .heard, subject: subject(words[3], words[4]),
        happened: [signal: words.number(2, 0...1_000_000) ?? 1], source: .dovecot)
      event.password = words[5].isEmpty ? nil : words[5]
      _ = try engine.decide(event)
    case "try":
      _ = try engine.decide(Event(at: now, step: .login, subject: subject(words[1], words[2]), source: .dovecot))
    case "block": if let key = key(words[1]) { _ = core.block(key, for: span, note: words[3], at: now) }
    case "release": if let key = key(words[1]) { _ = core.release(key, at: now) }
    case "allow":
      if let key = key(words[1]) {
        _ = core.allow(Override(.key(key), .exempt, until: now + span, origin: "fuzz"), at: now)
      }
    case "reload": core.replace(policy: core.policy)
    default: break
    }
  }

  private func key(_ text: String) -> Key? { try? Key(text, realms: engine.engine.realms) }

  private func subject(_ address: String, _ user: String) -> Subject {
    var subject = Subject()
    subject.address = IPAddress(address)
    subject.ip = subject.address
    subject.network = subject.ip.map { Fixture.policy.networkPrefix.network(of: $0) }
    subject.user = user.isEmpty ? nil : Bounded.text(engine.engine.realms.user(login: user))
    return subject
  }

  /// What comes out of order is a fault, which the fault policy answers.
  private mutating func inOrder(_ body: (inout SMTPSession) throws -> Event?) throws {
    var event: Event?
    do { event = try body(&sessions[place]) } catch is SMTPSession.OutOfOrder { return }
    try decide(event)
  }

  private mutating func decide(_ event: Event?) throws {
    guard let event else { return }
    let decision = try engine.decide(event)
    sessions[place].settle(decision, at: event.step)
    try require(
      !decision.isRefused || sessions[place].answers(at: event.step), "refused where nobody waits for an answer")
  }
}
