import Foundation
import MilterClient
import WardenCore
import WardenTestKit

/// What holds in real time.
enum DaemonAssertion: String, CaseIterable {
  case noSessionBroken = "every session ends as is due, through reloads, restarts, rotation and steps of the clock"
  case straddling = "sessions that are open when SIGTERM comes are served to their end"
  case blocked = "not one MAIL of a blocked address is taken, by either MTA, at any time"
  case capped = "limits admit exactly what they say, over restarts and steps of the clock"
  case history = "the history is the books': nothing lost, nothing doubled by log and milter"
  case metrics = "/metrics and status count what the books do between two looks"
  case counters = "the counters of every user are the books'"
  case mtaLog = "the MTA's log has no word of a failing milter but while the daemon is restarted"
  case descriptors = "with no session open, descriptors are back at their number"
  case threads = "with no session open, threads are back at their number"
  case memory = "resident memory is flat"
  case nothingDropped = "nothing is dropped, and no fault is counted or logged"
  case steps = "the daemon's wall clock takes each step, and its own time does not"
  case utc = "the log is in UTC, whatever the zone, over a change of the clocks"
  case badReloads = "a bad policy is refused and changes nothing"
  case watchers = "streams, /metrics, status and top are served all the time"
}

/// A real daemon behind a real Postfix and a real Sendmail, under load from real SMTP clients and in the milter protocol, for
/// so many seconds of real time, while everything happens to it that happens in a year.
final class RealTimeRun: @unchecked Sendable {
  private let seconds: Int
  private let findings: Findings<DaemonAssertion>
  private let clock: SteppedClock
  private let base: Int
  private let postfix: MTA
  private let sendmail: MTA
  private let daemon: TestDaemon
  private let books = PlayedBooks()
  private let absence = Absence()

  private let postfixTurnstile = Turnstile()
  private let sendmailTurnstile = Turnstile()
  private let milterTurnstile = Turnstile()
  /// For sessions that leave no trace where the daemon is away.
  private let tracelessTurnstile = Turnstile()
  private let isOver = Locked(false)
  private let isProbing = Locked(false)
  private var threads: [DispatchSemaphore] = []

  /// Of the daemon's latest process.
  private struct Sample {
    let at: ContinuousClock.Instant
    let figures: ProcessFigures
  }
  private let samples = Locked<[Sample]>([])
  private let polls = Locked(0)
  private var idle: ProcessFigures?
  private var reference: (metrics: [String: Int], books: PlayedBooks.Pages)?
  private var ahead = 0
  private var restarts = 0
  private var complaints = 0
  private var copies = 0
  private var hasRestarted = false
  private var logOfEarlier = ""
  private var stream: ChildProcess?
  private var top: ChildProcess?

  static let zone = "Europe/Berlin"
  /// 2027-03-28 01:00 UTC, when Berlin goes to summer time.
  private static let change = 1_806_195_600

  init(seconds: Int, _ findings: Findings<DaemonAssertion>) throws {
    (self.seconds, self.findings) = (seconds, findings)
    // The wall's clock passes the change half-way.
    base = Self.change - seconds / 2 - Int(Date.now.timeIntervalSince1970)
    clock = try SteppedClock(ahead: base, zone: Self.zone)
    postfix = try MTA(.postfix, with: [.clock(clock.environment)])
    sendmail = try MTA(.sendmail, milterFolder: postfix.milterFolder)
    daemon = try TestDaemon(
      policy: Self.policy(postfix, version: 0), folder: postfix.milterFolder, environment: clock.environment)
  }

  private static func policy(_ postfix: MTA, version: Int) -> String {
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

  private func play() throws {
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
    try checkpoint()
    isOver.withLock { $0 = true }
    for thread in threads { thread.wait() }
    conclude()
    findings.check(.straddling, try daemon.stop() == 0, "the daemon's last exit status")
    keepLog()
    concludeLog()
  }

  private struct Step {
    let name: String
    let perform: () throws -> Void
  }

  private var course: [Step] {
    [
      Step(name: "reload", perform: reload),
      Step(name: "a bad reload", perform: badReload),
      Step(name: "postfix reload", perform: { try self.postfix.administer("postfix", "reload") }),
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
      Step(name: "postfix reload", perform: { try self.postfix.administer("postfix", "reload") }),
      Step(name: "the clock is right again", perform: { try self.step(to: 0) }),
      Step(name: "reload", perform: reload),
    ]
  }

  private func wait(until due: ContinuousClock.Instant) {
    while ContinuousClock.now < due { poll(nil, 0, 50) }
  }

  private func awaitReady() throws {
    // Postfix's own test of its port was the first session of all.
    try daemon.awaitNoSessions()
  }

  private func block() throws {
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
    isProbing.withLock { $0 = true }
  }

  // MARK: - Players

  private func begin() {
    watch()
    for number in 0..<3 { detach { self.playSMTP(self.postfix, self.postfixTurnstile, number) } }
    detach { self.playSMTP(self.sendmail, self.sendmailTurnstile, 7) }
    for number in 0..<2 { detach { self.playMilter(number) } }
    for mta in [postfix, sendmail] { detach { self.probe(mta) } }
    detach { self.sample() }
    detach { self.ask() }
  }

  private func detach(_ body: @escaping @Sendable () -> Void) {
    let done = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      body()
      done.signal()
    }
    threads.append(done)
  }

  private var goesOn: Bool { !isOver.withLock { $0 } }

  private func playSMTP(_ mta: MTA, _ turnstile: Turnstile, _ player: Int) {
    let player = (number: player, smtp: SMTPPlayer(mta, from: "127.0.70.\(player + 1)", books, absence))
    let plays = SMTPPlayer.plays(on: mta.kind)
    var number = player.number * 1_000
    while goesOn {
      number += 1
      // Half of all is honest mail.
      let play = number % 2 == 0 ? .mail : plays[number / 2 % plays.count]
      let perform = {
        do {
          try player.smtp.play(play, number: number)
          self.findings.check(.noSessionBroken, true, "")
        } catch {
          self.findings.check(.noSessionBroken, false, "\(error)")
        }
        self.books.note { $0.sessions += 1 }
      }
      if play == .broken {
        tracelessTurnstile.pass { turnstile.pass(perform) }
      } else {
        turnstile.pass(perform)
      }
    }
  }

  private func playMilter(_ player: Int) {
    let milter = MilterPlayer(socket: daemon.milterSocket, books: books, absence: absence)
    var number = player
    while goesOn {
      number += 2
      var wasThere = true
      milterTurnstile.pass {
        do {
          wasThere = try milter.play(number: number)
          findings.check(.noSessionBroken, true, "")
        } catch {
          findings.check(.noSessionBroken, false, "\(error)")
        }
        if wasThere { books.note { $0.sessions += 1 } }
      }
      // Leaves the MTAs something of the machine.
      poll(nil, 0, wasThere ? 5 : 20)
    }
  }

  private func probe(_ mta: MTA) {
    let prober = Prober(mta: mta, books: books)
    let turnstile = mta.kind == .postfix ? postfixTurnstile : sendmailTurnstile
    var number = 0
    while goesOn {
      number += 1
      turnstile.pass {
        do {
          let (isAccepted, words) = try prober.knock(from: number % 2 == 0 ? Prober.byRule : Prober.byOrder)
          findings.check(.blocked, !isAccepted, "\(mta.kind): \(words)")
        } catch {
          findings.check(.blocked, false, "\(mta.kind): \(error)")
        }
      }
      poll(nil, 0, 50)
    }
  }

  // MARK: - Watching

  private func watch() {
    for process in [stream, top].compactMap({ $0 }) {
      process.signal(SIGKILL)
      process.wait()
    }
    stream = try? ChildProcess(
      ["curl", "-sN", "--unix-socket", daemon.controlSocket, "http://x/v1/events"],
      output: daemon.folder.file("stream"))
    top = try? ChildProcess(
      [builtProgram("mailwarden"), "top", "--json", "--config", daemon.policyFile], output: daemon.folder.file("top"))
  }

  private func checkWatchers() {
    for name in ["stream", "top"] {
      let text = (try? daemon.folder.read(name)) ?? ""
      findings.check(.watchers, text.count > 200, "\(name) said \(text.count) bytes")
    }
  }

  private func sample() {
    while goesOn {
      if !absence.mark.isAway, let figures = ProcessFigures(daemon.pid) {
        samples.withLock { $0.append(Sample(at: .now, figures: figures)) }
      }
      poll(nil, 0, 500)
    }
  }

  private func ask() {
    while goesOn {
      let before = absence.mark
      for path in ["/metrics", "/v1/status"] {
        let isAnswered =
          (try? Shell.check(
            "curl", ["-sSf", "--max-time", "10", "--unix-socket", daemon.controlSocket, "http://x\(path)"])) != nil
        findings.check(.watchers, isAnswered || absence.wasAway(since: before), "\(path) was not answered")
      }
      polls.withLock { $0 += 1 }
      poll(nil, 0, 1_000)
    }
  }

  // MARK: - What happens to it

  private var version = 0

  private func reload() throws {
    version += 1
    try daemon.write(policy: Self.policy(postfix, version: version))
    let result = try daemon.command("reload")
    findings.check(.badReloads, result.status == 0, "a good reload: \(result.errors)")
  }

  private func badReload() throws {
    try daemon.write(
      policy: Self.policy(postfix, version: version).replacing("count: messages", with: "count: mesages"))
    let result = try daemon.command("reload")
    findings.check(.badReloads, result.status == 1, "a bad reload ended with \(result.status): \(result.output)")
    try daemon.write(policy: Self.policy(postfix, version: version))
  }

  private func rotate() throws { try postfix.administer("postfix", "logrotate") }

  /// What is written between copying and truncating is lost to anybody: nobody writes then, and the daemon may still have to
  /// read what is there.
  private func copyAndTruncate() throws {
    postfixTurnstile.close()
    defer { postfixTurnstile.open() }
    try awaitDeliveries()
    let path = postfix.logPath
    for number in (0..<copies).reversed() { rename("\(path).\(number + 1)", "\(path).\(number + 2)") }
    copies += 1
    try Shell.check("sh", ["-c", "cp '\(path)' '\(path).1' && : > '\(path)'"])
  }

  private func restartPostfix() throws {
    postfixTurnstile.close()
    defer { postfixTurnstile.open() }
    // One is cut short by it, in the middle of a transaction.
    let client = try SMTPClient(port: postfix.port, from: "127.0.70.99")
    try client.command("EHLO client.test")
    try client.command("MAIL FROM:<someone@far.test>")
    try client.command("RCPT TO:<alice@local.test>")
    books.note([.connections: 1])
    try postfix.administer("postfix", "stop")
    client.drop()
    try startPostfix()
  }

  private func startPostfix() throws {
    try postfix.administer("postfix", "start")
    try eventually("Postfix answers") {
      guard let probe = try? SMTPClient(port: postfix.port, from: "127.255.255.254") else { return false }
      probe.drop()
      if probe.banner.code == 220 { books.note([.connections: 1]) }
      return probe.banner.code == 220
    }
  }

  /// Lines that are unread at a step are an hour old after it, and too late to count: nobody writes any meanwhile.
  private func step(to seconds: Int) throws {
    postfixTurnstile.close()
    defer { postfixTurnstile.open() }
    try awaitDeliveries()
    try awaitFeed()
    // Postfix's own timers are by the wall's clock: where that goes back an hour, they come an hour late.
    try postfix.administer("postfix", "stop")
    let before = try uptime()
    try clock.set(ahead: base + seconds)
    ahead = seconds
    try startPostfix()
    // The reload's line is dated by the clock as it is set.
    let lines = try daemon.log.split(separator: "\n").count
    daemon.signal(SIGHUP)
    try eventually("it has reloaded") {
      try daemon.log.split(separator: "\n").dropFirst(lines).contains { $0.contains(" reloaded ") }
    }
    let line = try daemon.log.split(separator: "\n").last { $0.contains(" reloaded ") }!
    let shown =
      (try? Date(String(line.prefix { $0 != " " }), strategy: .iso8601.time(includingFractionalSeconds: true)))
      ?? (try? Date(String(line.prefix { $0 != " " }), strategy: .iso8601))
    let due = Date.now.timeIntervalSince1970 + Double(base + seconds)
    findings.check(
      .steps, abs((shown?.timeIntervalSince1970 ?? 0) - due) < 60, "the log says \(line.prefix(40)), not \(due)")
    let after = try uptime()
    findings.check(.steps, (before...before + 60).contains(after), "up for \(before) s, and then for \(after) s")
  }

  private func uptime() throws -> Int { try daemon.status("uptime_seconds") }

  /// SIGTERM under load, with a session of each kind open that is to be served to its end.
  private func restart() throws {
    try checkpoint()
    tracelessTurnstile.close()
    defer { tracelessTurnstile.open() }
    let milter = try MilterClient(.unix(daemon.milterSocket))
    try milter.negotiate()
    try milter.connect(address: .ipv4("198.51.99.99", port: 40_000))
    try milter.mail("<m0@b.test>", macros: [("{auth_authen}", "m0")])
    let clients = try [postfix, sendmail].map { mta in
      let client = try SMTPClient(port: mta.port, from: "127.0.70.98")
      try client.command("EHLO client.test")
      try client.command("MAIL FROM:<someone@far.test>")
      let reply = try client.command("RCPT TO:<alice@local.test>")
      findings.check(.straddling, reply.code == 250, "\(mta.kind) at RCPT: \(reply)")
      return client
    }
    checkWatchers()
    absence.begin()
    daemon.signal(SIGTERM)
    try eventually("it drains") { try daemon.log.contains(" stopping ") }
    _ = try milter.recipient("<friend@far.test>", macros: [("{rcpt_mailer}", "smtp"), ("i", "STRADDLE")])
    _ = try milter.data()
    _ = try milter.endOfHeaders()
    let end = try milter.endOfMessage(macros: [("i", "STRADDLE")])
    findings.check(.straddling, !end.isRefusal, "in the milter protocol: \(end)")
    try milter.quit()
    milter.close()
    for client in clients {
      let end = try client.message(bytes: 500)
      findings.check(.straddling, end.code == 250, "\(end.code) \(end.text)")
      try client.command("QUIT")
    }
    books.note([.connections: 3, .logins: 1, .messages: 3, .submissions: 1, .recipients: 3])
    books.note { $0.users["m0", default: 0] += 1 }
    findings.check(.straddling, try daemon.awaitExit() == 0, "the daemon's exit status")
    findings.check(.straddling, try !daemon.log.contains("still open"), "sessions were left open")
    keepLog()
    // A process begins with the wall's time, where that is ahead.
    if ahead > 0 { books.note { $0.paced.append([]) } }
    samples.withLock { $0 = [] }
    try daemon.start()
    absence.end()
    watch()
    restarts += 1
    hasRestarted = true
    (reference, idle) = (nil, nil)
  }

  private func keepLog() { logOfEarlier += (try? daemon.log) ?? "" }

  // MARK: - Comparing

  /// With nobody in a session, all that was counted is compared with the books.
  private func checkpoint() throws {
    for turnstile in [tracelessTurnstile, postfixTurnstile, sendmailTurnstile, milterTurnstile] { turnstile.close() }
    defer {
      for turnstile in [tracelessTurnstile, postfixTurnstile, sendmailTurnstile, milterTurnstile] { turnstile.open() }
    }
    try daemon.awaitNoSessions()
    try awaitDeliveries()
    try awaitFeed()
    var pages = books.now
    pages.figures[.delivered] = try writtenDeliveries()
    let metrics = try readMetrics()
    try compareHistory(pages)
    try compareCounters(pages)
    compareMetrics(metrics, pages)
    checkComplaints()
    try checkProcess()
    findings.check(
      .blocked, try Set(daemon.blockedKeys) == ["ip:\(Prober.byRule)", "ip:\(Prober.byOrder)"],
      "\((try? daemon.blockedKeys) ?? [])")
  }

  /// Postfix writes of each delivery when it has made it.
  private func awaitDeliveries() throws {
    try eventually("Postfix has delivered all") { try postfix.administer("postqueue", "-j").isEmpty }
  }

  /// What Postfix has written of deliveries. Stopped or reloaded, it now and then leaves one out.
  private func writtenDeliveries() throws -> Int {
    let lines = try Shell.run("sh", ["-c", "zcat -f '\(postfix.logPath)'* | grep -c ' status=sent '"])
    return Int(lines.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
  }

  /// Waits until the daemon has heard of a last failed login.
  private func awaitFeed() throws {
    let before = try heard()
    let client = try SMTPClient(port: postfix.port, from: "127.0.70.97")
    try client.command("EHLO client.test")
    _ = try client.logIn("nobody", password: "marker")
    try client.command("MAIL FROM:<someone@far.test>")
    try client.command("QUIT")
    books.note([.connections: 1, .authFailures: 1])
    try eventually("the daemon has read the log's last line") { try heard() > before }
    try daemon.awaitNoSessions()
  }

  private func heard() throws -> Int { try daemon.count("ip:127.0.70.97", rule: "guessing") ?? 0 }

  private func compareHistory(_ pages: PlayedBooks.Pages) throws {
    // An order is answered once all is stored.
    _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
    func sums(_ key: String) throws -> [String: Int] {
      let answer = try daemon.curl("/v1/history?key=\(key)&by=hour&from=2027-03-26T00:00:00Z&to=2027-03-30T00:00:00Z")
      let rows = (answer as? [String: Any])?["rows"] as? [[String: Any]] ?? []
      return rows.reduce(into: [:]) { sums, row in
        sums.merge(row["counts"] as? [String: Int] ?? [:], uniquingKeysWith: +)
      }
    }
    let found = try sums("server")
    for figure in PlayedBooks.Figure.allCases {
      findings.check(
        .history, "after \(restarts) restarts, \(figure.rawValue)", found[figure.rawValue] ?? 0,
        is: pages.figures[figure, default: 0])
    }
    for user in ["alice", "bob", "carol", "dave", "erin", "frank"] {
      findings.check(
        .history, "after \(restarts) restarts, messages of \(user)", try sums("user:\(user)")["messages"] ?? 0,
        is: pages.users[user, default: 0])
    }
  }

  private func compareCounters(_ pages: PlayedBooks.Pages) throws {
    for (user, messages) in pages.users where user != "erin" {
      findings.check(
        .counters, "after \(restarts) restarts, \(user)", try daemon.count("user:\(user)", rule: "volume") ?? 0,
        is: messages)
    }
    for (address, guesses) in pages.guesses {
      findings.check(
        .counters, "after \(restarts) restarts, wrong passwords of \(address)",
        try daemon.count("ip:\(address)", rule: "guessing") ?? 0, is: guesses)
    }
    let capped = pages.users["frank", default: 0]
    findings.check(.capped, capped <= SMTPPlayer.cap, "frank has sent \(capped)")
    for stretch in pages.paced {
      let sorted = stretch.sorted { $0.sent < $1.sent }
      for (first, last) in zip(sorted, sorted.dropFirst(SMTPPlayer.paceLimit)) {
        let span = last.answered - first.sent
        findings.check(.capped, span >= .seconds(60), "erin sent \(SMTPPlayer.paceLimit + 1) messages in \(span)")
      }
    }
  }

  private func readMetrics() throws -> [String: Int] {
    let text = try Shell.check("curl", ["-sSf", "--unix-socket", daemon.controlSocket, "http://x/metrics"])
    return Dictionary(
      text.split(separator: "\n").compactMap { line in
        guard !line.hasPrefix("#"), let space = line.lastIndex(of: " "), let value = Double(line[space...].dropFirst())
        else { return nil }
        return (String(line[..<space]), Int(value))
      }, uniquingKeysWith: { $1 })
  }

  private func compareMetrics(_ metrics: [String: Int], _ pages: PlayedBooks.Pages) {
    for (name, value) in metrics where name.hasPrefix("mailwarden_dropped_total") {
      findings.check(.nothingDropped, name, value, is: 0)
    }
    for name in [
      "mailwarden_milter_faults_total", #"mailwarden_feed_late_total{feed="\#(postfix.logPath)"}"#,
    ] { findings.check(.nothingDropped, name, metrics[name] ?? -1, is: 0) }
    if let reference {
      for figure in PlayedBooks.Figure.allCases {
        let name = #"mailwarden_events_total{signal="\#(figure.rawValue)"}"#
        findings.check(
          .metrics, figure.rawValue, (metrics[name] ?? 0) - (reference.metrics[name] ?? 0),
          is: pages.figures[figure, default: 0] - reference.books.figures[figure, default: 0])
      }
    }
    reference = (metrics, pages)
  }

  private func checkComplaints() {
    let count =
      (try? Shell.run("sh", ["-c", "zcat -f '\(postfix.logPath)'* | grep -c \"can't read SMFIC\\|warning: milter\""]))
      .flatMap { Int($0.output.trimmingCharacters(in: .whitespacesAndNewlines)) } ?? 0
    if !hasRestarted {
      findings.check(.mtaLog, count <= complaints, "\(count - complaints) more complaints of the milter")
    }
    (complaints, hasRestarted) = (count, false)
  }

  private func checkProcess() throws {
    guard let figures = ProcessFigures(daemon.pid) else { return }
    if let idle {
      findings.check(
        .descriptors, figures.descriptors <= idle.descriptors + 4, "\(idle.descriptors), then \(figures.descriptors)")
      findings.check(.threads, figures.threads <= idle.threads + 8, "\(idle.threads), then \(figures.threads)")
    }
    idle = idle ?? figures
    say("      \(figures.descriptors) descriptors, \(figures.threads) threads, \(figures.residentKilobytes / 1_024) MB")
  }

  // MARK: - The end

  private func conclude() {
    checkWatchers()
    for process in [stream, top].compactMap({ $0 }) {
      process.signal(SIGKILL)
      process.wait()
    }
    let pages = books.now
    findings.check(.capped, "what frank has sent in all", pages.users["frank", default: 0], is: SMTPPlayer.cap)
    let resident = samples.withLock { $0.map(\.figures.residentKilobytes) }
    let quarter = resident.count / 4
    if quarter > 0 {
      let second = Self.median(resident[quarter..<2 * quarter])
      let last = Self.median(resident.suffix(quarter))
      // Allocators keep what a busy moment took: a fifth, and as much as the pools of a page or two take.
      findings.check(.memory, last <= second * 6 / 5 + 8_192, "\(second) kB, then \(last) kB")
      say("  resident in the last process: \(second) kB in the second quarter, \(last) kB in the last")
    }
    say(
      """
        \(pages.sessions) sessions, \(pages.probes) knocks of blocked addresses, \(pages.unfiltered) sessions while the daemon was \
      away, \(restarts) restarts, \(polls.withLock { $0 }) scrapes
        \(PlayedBooks.Figure.allCases.map { "\($0.rawValue) \(pages.figures[$0, default: 0])" }.joined(separator: ", "))
      """)
  }

  private func concludeLog() {
    let lines = logOfEarlier.split(separator: "\n")
    let odd = lines.filter { $0.prefixMatch(of: #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z /#) == nil }
    findings.check(.utc, odd.isEmpty && !lines.isEmpty, "\(odd.first ?? "no log")")
    let faults = lines.filter {
      $0.contains(" fault ") || $0.contains("dropped")
        || $0.contains(" error ") && !$0.contains("keeping the running policy")
    }
    findings.check(.nothingDropped, faults.isEmpty, "\(faults.first ?? "")")
  }

  private static func median(_ values: some Collection<Int>) -> Int { values.sorted()[values.count / 2] }
}
