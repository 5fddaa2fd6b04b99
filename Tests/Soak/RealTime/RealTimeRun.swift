import Foundation
import WardenCore
import WardenTestKit

/// A real daemon behind a real Postfix and a real Sendmail, under load from real SMTP clients and in the milter protocol, for
/// so many seconds of real time, while everything happens to it that happens in a year.
final class RealTimeRun: @unchecked Sendable {
  let seconds: Int
  let findings: Findings<DaemonAssertion>
  let clock: SteppedClock
  let base: Int
  let postfix: MTA
  let sendmail: MTA
  let daemon: TestDaemon
  let books = PlayedBooks()
  let absence = Absence()
  let reloading = Absence()

  let postfixTurnstile = Turnstile()
  let sendmailTurnstile = Turnstile()
  let milterTurnstile = Turnstile()
  /// For sessions that leave no trace where the daemon is away.
  let tracelessTurnstile = Turnstile()
  let isOver = Locked(false)
  var threads: [DispatchSemaphore] = []

  /// Of the daemon's latest process.
  struct Sample {
    let at: ContinuousClock.Instant
    let figures: ProcessFigures
  }
  let samples = Locked<[Sample]>([])
  let polls = Locked(0)
  var idle: ProcessFigures?
  var reference: (metrics: [String: Int], books: PlayedBooks.Pages)?
  /// How far the wall's clock is ahead of what it was set to at first, in seconds.
  var ahead = 0
  var version = 0
  var restarts = 0
  var complaints = 0
  var copies = 0
  var hasRestarted = false
  var logOfEarlier = ""
  var stream: ChildProcess?
  var top: ChildProcess?

  static let zone = "Europe/Berlin"
  /// 2027-03-28 01:00 UTC, when Berlin goes to summer time.
  static let change = 1_806_195_600

  init(seconds: Int, _ findings: Findings<DaemonAssertion>) throws {
    (self.seconds, self.findings) = (seconds, findings)
    // The wall's clock passes the change half-way.
    base = Self.change - seconds / 2 - Int(Date.now.timeIntervalSince1970)
    clock = try SteppedClock(ahead: base, zone: Self.zone)
    postfix = try MTA(.postfix, with: [.clock(clock.environment)])
    sendmail = try MTA(.sendmail, milterFolder: postfix.milterFolder)
    do {
      daemon = try TestDaemon(
        policy: Self.policy(postfix, version: 0), folder: postfix.milterFolder, environment: clock.environment)
    } catch {
      postfix.stop()
      sendmail.stop()
      throw error
    }
  }

  static func policy(_ postfix: MTA, version: Int) -> String {
    let many = 1_000_000 + version
    return """
      state: \(postfix.milterFolder.file("state"))
      realms: [test, local.test]
      feeds: {mail-log: \(postfix.logPath)}
      exempt: {networks: [127.255.255.254/32]}
      rules:
        - {name: volume, count: messages, per: user, limit: \(many) per 1d, then: tempfail}
        - {name: recipients, count: recipients, per: user, limit: \(many) per 1d, then: tempfail}
        - {name: cap, count: messages, per: user, only: user frank, limit: \(SMTPPlayer.cap) per 1d, then: tempfail}
        - {name: pace, count: messages, per: user, only: user erin, limit: \(SMTPPlayer.paceLimit) per 1m, then: tempfail}
        - name: leavers
          count: broken-connections
          per: ip
          only: network 127.0.66.0/24
          limit: 4 per 2h
          then: block for 2d
        - {name: unknown, count: unknown-recipients, per: ip, limit: \(many) per 1d, then: alert}
        - {name: relaying, count: relay-attempts, per: ip, limit: \(many) per 1d, then: alert}
        - {name: guessing, count: auth-failures, per: ip, limit: \(many) per 1d, then: alert}
        - {name: cut-off, count: cut-off-messages, per: ip, limit: \(many) per 1d, then: alert}
        - {name: bad-commands, count: bad-commands, per: ip, limit: \(many) per 1d, then: alert}
        - {name: delivered, count: delivered, per: user, limit: \(many) per 1d, then: alert}
        - {name: friends, count: distinct recipients, per: user, limit: 5000 per 1d, then: alert}
      """
  }

  // MARK: - The course of it

  func run() throws {
    defer {
      postfix.stop()
      sendmail.stop()
    }
    do {
      try play()
    } catch {
      say("the daemon's log ends so:\n\(((try? daemon.log) ?? "").suffix(3_000))")
      throw error
    }
  }

  func play() throws {
    try awaitReady()
    try block()
    begin()
    // Each round takes ten minutes, or less where there are fewer.
    let steps = (0..<max(1, seconds / 600)).flatMap { _ in course }
    let began = ContinuousClock.now
    for (number, step) in steps.enumerated() {
      let due = began + .seconds(Double(seconds) * Double(number) / Double(steps.count))
      wait(until: due)
      say("  \((ContinuousClock.now - began).components.seconds) s: \(step.name)")
      try step.perform()
    }
    wait(until: began + .seconds(seconds))
    // On a busy machine the limit may not have been reached by chance.
    let player = SMTPPlayer(
      mta: postfix, address: "127.0.70.96", books: books, absence: absence, reloading: reloading)
    for number in 0...SMTPPlayer.cap { try player.play(.capped, number: number) }
    try checkpoint()
    isOver.withLock { $0 = true }
    for thread in threads { thread.wait() }
    conclude()
    findings.check(.straddling, try daemon.stop() == 0, "the daemon's last exit status")
    keepLog()
    concludeLog()
  }

  struct Step {
    let name: String
    let perform: () throws -> Void
  }

  var course: [Step] {
    [
      Step(name: "reload", perform: reload),
      Step(name: "a bad reload", perform: badReload),
      Step(name: "postfix reload", perform: { try self.reloadPostfix("reload") }),
      Step(name: "the clock goes forward an hour", perform: { try self.step(to: 3_600) }),
      Step(name: "the log is rotated", perform: rotate),
      Step(name: "restart of the daemon, its clock ahead", perform: restart),
      Step(name: "the clock goes back an hour", perform: { try self.step(to: 0) }),
      Step(name: "the log is copied and truncated", perform: copyAndTruncate),
      Step(name: "restart of the daemon, its clock behind what is stored", perform: restart),
      Step(name: "restart of Postfix", perform: restartPostfix),
      Step(name: "the clock goes back an hour", perform: { try self.step(to: -3_600) }),
      Step(name: "restart of the daemon, its clock behind", perform: restart),
      Step(name: "the clock is right again", perform: { try self.step(to: 0) }),
      Step(name: "looking", perform: checkpoint),
      Step(name: "reload", perform: reload),
      Step(name: "the log is rotated", perform: rotate),
      Step(name: "restart of Postfix", perform: restartPostfix),
      Step(name: "a bad reload", perform: badReload),
      Step(name: "looking", perform: checkpoint),
      Step(name: "the clock goes forward an hour", perform: { try self.step(to: 3_600) }),
      Step(name: "the log is copied and truncated", perform: copyAndTruncate),
      Step(name: "postfix reload", perform: { try self.reloadPostfix("reload") }),
      Step(name: "the clock is right again", perform: { try self.step(to: 0) }),
      Step(name: "reload", perform: reload),
    ]
  }

  func wait(until due: ContinuousClock.Instant) {
    while ContinuousClock.now < due { poll(nil, 0, 50) }
  }

  func awaitReady() throws {
    // Postfix's own test of its port was the first session of all.
    try daemon.awaitNoSessions()
  }

  func block() throws {
    for _ in 0..<5 {
      let client = try SMTPClient(port: postfix.port, from: Prober.byRule)
      try client.command("QUIT")
      books.note([.connections: 1, .brokenConnections: 1])
      try daemon.awaitNoSessions()
    }
    _ = try daemon.command("block", "ip:\(Prober.byOrder)", "--for", "2d", "--reason", "soak")
    try eventually("both are blocked") {
      try Set(daemon.blockedKeys) == ["ip:\(Prober.byRule)", "ip:\(Prober.byOrder)"]
    }
  }
}
