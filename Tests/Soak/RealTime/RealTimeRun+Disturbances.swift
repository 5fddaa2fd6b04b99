import Foundation
import MilterClient
import WardenTestKit

/// What happens to it.
extension RealTimeRun {
  func reload() throws {
    version += 1
    try daemon.write(policy: Self.policy(postfix, version: version))
    let result = try daemon.command("reload")
    findings.check(.badReloads, result.status == 0, "a good reload: \(result.errors)")
  }

  func badReload() throws {
    try daemon.write(
      policy: Self.policy(postfix, version: version).replacing("count: messages", with: "count: mesages"))
    let result = try daemon.command("reload")
    findings.check(.badReloads, result.status == 1, "a bad reload ended with \(result.status): \(result.output)")
    try daemon.write(policy: Self.policy(postfix, version: version))
  }

  func rotate() throws { try reloadPostfix("logrotate") }

  /// Either way its processes end when they have nothing to do, one after the other.
  func reloadPostfix(_ command: String) throws {
    reloading.begin()
    defer { reloading.end() }
    try postfix.administer("postfix", command)
    wait(until: .now + .seconds(2))
  }

  /// What is written between copying and truncating is lost to anybody: nobody writes then, and the daemon may still have to
  /// read what is there.
  func copyAndTruncate() throws {
    postfixTurnstile.close()
    defer { postfixTurnstile.open() }
    try awaitDeliveries()
    let path = postfix.logPath
    for number in (0..<copies).reversed() { rename("\(path).\(number + 1)", "\(path).\(number + 2)") }
    copies += 1
    try Shell.check("sh", ["-c", "cp '\(path)' '\(path).1' && : > '\(path)'"])
  }

  func restartPostfix() throws {
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

  func startPostfix() throws {
    try postfix.administer("postfix", "start")
    try eventually("Postfix answers") {
      guard let probe = try? SMTPClient(port: postfix.port, from: "127.255.255.254") else { return false }
      probe.drop()
      if probe.banner.code == 220 { books.note([.connections: 1]) }
      return probe.banner.code == 220
    }
  }

  /// Lines that are unread at a step are an hour old after it, and too late to count: nobody writes any meanwhile.
  func step(to seconds: Int) throws {
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

  func uptime() throws -> Int { try daemon.status("uptime_seconds") }

  /// SIGTERM under load, with a session of each kind open that is to be served to its end.
  func restart() throws {
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

  func keepLog() { logOfEarlier += (try? daemon.log) ?? "" }
}
