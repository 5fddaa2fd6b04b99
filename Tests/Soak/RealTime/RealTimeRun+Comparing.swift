import Foundation
import WardenTestKit

/// What was counted, beside the books.
extension RealTimeRun {
  /// With nobody in a session, all that was counted is compared with the books.
  func checkpoint() throws {
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
  func awaitDeliveries() throws {
    try eventually("Postfix has delivered all") { try postfix.administer("postqueue", "-j").isEmpty }
  }

  /// What Postfix has written of deliveries. Stopped or reloaded, it now and then leaves one out.
  func writtenDeliveries() throws -> Int {
    let lines = try Shell.run("sh", ["-c", "zcat -f '\(postfix.logPath)'* | grep -c ' status=sent '"])
    return Int(lines.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
  }

  /// Waits until the daemon has heard of a last failed login.
  func awaitFeed() throws {
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

  func heard() throws -> Int { try daemon.count("ip:127.0.70.97", rule: "guessing") ?? 0 }

  func compareHistory(_ pages: PlayedBooks.Pages) throws {
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

  func compareCounters(_ pages: PlayedBooks.Pages) throws {
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

  func readMetrics() throws -> [String: Int] {
    let text = try Shell.check("curl", ["-sSf", "--unix-socket", daemon.controlSocket, "http://x/metrics"])
    return Dictionary(
      text.split(separator: "\n").compactMap { line in
        guard !line.hasPrefix("#"), let space = line.lastIndex(of: " "), let value = Double(line[space...].dropFirst())
        else { return nil }
        return (String(line[..<space]), Int(value))
      }, uniquingKeysWith: { $1 })
  }

  func compareMetrics(_ metrics: [String: Int], _ pages: PlayedBooks.Pages) {
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

  func checkComplaints() {
    let count =
      (try? Shell.run("sh", ["-c", "zcat -f '\(postfix.logPath)'* | grep -c \"can't read SMFIC\\|warning: milter\""]))
      .flatMap { Int($0.output.trimmingCharacters(in: .whitespacesAndNewlines)) } ?? 0
    if !hasRestarted {
      findings.check(.mtaLog, count <= complaints, "\(count - complaints) more complaints of the milter")
    }
    (complaints, hasRestarted) = (count, false)
  }

  func checkProcess() throws {
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

  func conclude() {
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
        \(PlayedBooks.Figure.allCases.filter { $0 != .delivered }.map { "\($0.rawValue) \(pages.figures[$0, default: 0])" }.joined(separator: ", "))
      """)
  }

  func concludeLog() {
    let lines = logOfEarlier.split(separator: "\n")
    let odd = lines.filter { $0.prefixMatch(of: #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z /#) == nil }
    findings.check(.utc, odd.isEmpty && !lines.isEmpty, "\(odd.first ?? "no log")")
    let faults = lines.filter {
      $0.contains(" fault ") || $0.contains("dropped")
        || $0.contains(" error ") && !$0.contains("keeping the running policy")
    }
    findings.check(.nothingDropped, faults.isEmpty, "\(faults.first ?? "")")
  }

  static func median(_ values: some Collection<Int>) -> Int { values.sorted()[values.count / 2] }
}
