import Foundation
import MilterClient
import Testing
import WardenTestKit

/// `/metrics`: what Prometheus, its rules and Grafana find there.
@Suite("Metrics")
struct MetricsTests {
  private let folder: TemporaryFolder
  private static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../..").standardizedFileURL.path
  private static func file(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(repository)/\(path)")), as: UTF8.self)
  }

  /// What a client says, as it must never be seen here.
  private static let hostile = ["mallory\"} 1\n", "mallory{x=\"y\"}", "mallory\\", "mallory\u{1b}[2J", "mallory#"]

  init() throws { folder = try TemporaryFolder() }

  /// A daemon that has seen something of everything, so that every metric is there.
  private func daemon() throws -> TestDaemon {
    try folder.write("", to: "mail.log")
    let daemon = try TestDaemon(
      policy: """
        state: \(folder.file("state"))
        commands: {tell: [/bin/true]}
        alerts: {run: tell}
        feeds: {mail-log: \(folder.file("mail.log"))}
        rules:
          - {name: cap, count: messages, per: user, limit: 2 per 1h, then: [alert, block for 1h]}
          - {name: watch, count: messages, per: ip, limit: 1 per 1h, mode: observe, then: tempfail}
          - {name: many, count: recipients, per: helo, limit: 100 per 1h, then: tempfail}
        """, folder: folder)
    for name in Self.hostile {
      let client = try MilterClient(.unix(daemon.milterSocket))
      try client.negotiate()
      try client.connect(host: name, address: .ipv4("192.0.2.7", port: 1))
      _ = try client.helo(name)
      for _ in 0..<4 where try client.mail("<\(name)>", macros: [("{auth_authen}", name)]) == .continue {
        _ = try client.recipient("<\(name)@b.test>")
        _ = try client.endOfMessage(macros: [("i", "Q7")])
      }
      try client.quit()
    }
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.8", port: 1))
    try client.mail("<stranger@b.test>")
    try client.recipient("<friend@b.test>")
    try client.endOfMessage(macros: [("i", "Q8")])
    try client.quit()
    try daemon.awaitNoSessions()
    try append(
      "\(Self.logTime) mx postfix/smtpd[7]: connect from unknown[192.0.2.9]\n"
        + "\(Self.logTime) mx postfix/smtpd[7]: warning: unknown[192.0.2.9]: SASL LOGIN authentication failed: x\n"
        + "\(Self.logTime) mx postfix/smtpd[7]: disconnect from unknown[192.0.2.9] ehlo=1 auth=0/1 commands=1/2\n")
    try eventually("the feed is heard, and state is stored") {
      let text = try metrics(daemon)
      return text.contains("mailwarden_feed_last_heard_timestamp_seconds{")
        && text.contains("mailwarden_state_last_stored_timestamp_seconds ")
    }
    return daemon
  }

  private static var logTime: String { Date().formatted(.iso8601) }

  private func append(_ text: String) throws {
    let handle = try #require(FileHandle(forWritingAtPath: folder.file("mail.log")))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data(text.utf8))
  }

  private func metrics(_ daemon: TestDaemon) throws -> String {
    try Shell.check("curl", ["-s", "--unix-socket", daemon.controlSocket, "http://x/metrics"])
  }

  /// The names of the samples and, for each, of its labels.
  private static func series(_ text: String) throws -> [String: Set<String>] {
    var series: [String: Set<String>] = [:]
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let sample = try #require(line.wholeMatch(of: /([a-z_]+)(?:\{(.*)\})? [0-9.e+-]+/), "\(line)")
      let labels = (sample.output.2 ?? "").matches(of: /([a-z]+)="(?:[^"\\]|\\.)*"/).map { String($0.output.1) }
      series[String(sample.output.1), default: []].formUnion(labels)
    }
    return series
  }

  /// Metrics by name, those of a histogram as one.
  private static func families(_ text: String) -> Set<String> {
    Set(text.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map { String($0.split(separator: " ")[2]) })
  }

  @Test("promtool finds nothing to say, and what was counted is right")
  func format() throws {
    let daemon = try daemon()
    var text = ""
    // A block is told once it is stored.
    try eventually("the blocks are told") {
      text = try metrics(daemon)
      return text.contains(#"mailwarden_rule_notices_total{rule="cap",kind="blocked"} 5"# + "\n")
    }
    try folder.write(text, to: "metrics")
    let lint = try Shell.run("sh", ["-c", "promtool check metrics < '\(folder.file("metrics"))'"])
    #expect(lint.status == 0 && lint.errors + lint.output == "", "\(lint.errors)\(lint.output)")
    // Each of the five users sends two that pass, and then is blocked.
    for sample in [
      #"mailwarden_messages_total{authenticated="yes"} 10"#, #"mailwarden_messages_total{authenticated="no"} 1"#,
      #"mailwarden_recipients_total{authenticated="yes"} 10"#,
      #"mailwarden_decisions_total{stage="end-of-message",decision="go-on",authenticated="yes"} 10"#,
      #"mailwarden_rule_penalties{rule="cap",kind="user"} 5"#, #"mailwarden_rule_episodes_open{rule="cap"} 5"#,
      #"mailwarden_rule_info{rule="watch",mode="observe"} 1"#,
      #"mailwarden_answer_seconds_count{stage="connect"} 6"#, #"mailwarden_answer_seconds_count{stage="close"} 6"#,
      #"mailwarden_policy_last_reload_successful 1"#,
    ] { #expect(text.contains(sample + "\n"), "\(sample)") }
    let refused = try #require(
      text.firstMatch(of: /mailwarden_decisions_total\{stage="mail",decision="refused",authenticated="yes"\} (\d+)/))
    #expect(text.contains("mailwarden_rule_refused_total{rule=\"cap\"} \(refused.output.1)\n"))
  }

  @Test("Nothing that a client says is there")
  func hostile() throws {
    let text = try metrics(daemon())
    #expect(!text.contains("mallory") && !text.contains("192.0.2.") && !text.contains("stranger"))
  }

  @Test("Reloads are counted, and a bad one stands out")
  func reloads() throws {
    let daemon = try daemon()
    #expect(try daemon.command("reload").status == 0)
    try daemon.write(policy: "rules: [nonsense]")
    #expect(try daemon.command("reload").status != 0)
    let text = try metrics(daemon)
    #expect(text.contains(#"mailwarden_policy_reloads_total{result="ok"} 1"#))
    #expect(text.contains(#"mailwarden_policy_reloads_total{result="failed"} 1"#))
    #expect(text.contains("mailwarden_policy_last_reload_successful 0\n"))
  }

  @Test("docs/metrics.md has every metric, with its labels, and no other")
  func documented() throws {
    let text = try metrics(daemon())
    let rows = try Self.file("docs/metrics.md").matches(of: /\n\| `([a-z_]+)` \|([^|]*)\|([^|]*)\|/)
    let documented = Dictionary(
      rows.map { (String($0.output.1), Set($0.output.3.matches(of: /`([a-z]+)`/).map { String($0.output.1) })) }
    ) { first, _ in first }
    #expect(Set(documented.keys) == Self.families(text))
    let series = try Self.series(text)
    for (name, labels) in documented {
      let shown = series[name] ?? series["\(name)_bucket"]?.subtracting(["le"]) ?? []
      #expect(labels == shown, "\(name)")
    }
  }

  @Test(
    "Each query of the dashboard and of the alert rules names metrics, labels and signals that are there",
    arguments: ["Examples/grafana/mailwarden.json", "Examples/prometheus/mailwarden.rules.yml"])
  func queries(_ file: String) throws {
    let text = try metrics(daemon())
    let series = try Self.series(text)
    // Those that Prometheus brings itself.
    let added: Set<String> = ["instance", "job", "le"]
    let queries = try Self.file(file).replacing(#"\""#, with: "\"")
    var found = 0
    for use in queries.matches(of: /\b((?:mailwarden|process)_[a-z_]+)(?:\{([^}]*)\})?/) {
      let name = String(use.output.1)
      let labels = try #require(series[name], "\(name)")
      found += 1
      for match in (use.output.2 ?? "").matches(of: /([a-z]+)(=~|!=|=)"([^"]*)"/) {
        let (label, values) = (String(match.output.1), match.output.3)
        #expect(labels.contains(label) || added.contains(label), "\(name){\(label)}")
        guard !added.contains(label), !values.contains(/[.*]/) else { continue }
        for value in values.split(separator: "|") {
          let sample = try Regex("\(name)\\{[^}]*\(label)=\"\(value)\"")
          #expect(text.contains(sample), "\(name){\(label)=\(value)}")
        }
      }
    }
    #expect(found > 20)
  }

  @Test("promtool accepts the example files, and each alert comes when it must and only then")
  func rules() throws {
    for name in ["prometheus.yml", "mailwarden.rules.yml", "tests.yml"] {
      try folder.write(Self.file("Examples/prometheus/\(name)"), to: name)
    }
    try folder.write("secret", to: "mailwarden.token")
    try Shell.check("promtool", ["check", "config", folder.file("prometheus.yml")])
    try Shell.check("promtool", ["check", "rules", folder.file("mailwarden.rules.yml")])
    try Shell.check("promtool", ["test", "rules", folder.file("tests.yml")])
    let alerts = try Self.file("Examples/prometheus/mailwarden.rules.yml").matches(of: /- alert: (\w+)/)
    let tests = try Self.file("Examples/prometheus/tests.yml")
    for alert in alerts {
      let uses = tests.matches(of: try Regex("alertname: \(alert.output.1)\\b[^-]*?exp_alerts:( \\[\\])?"))
      #expect(uses.contains { $0.output[1].substring == nil }, "\(alert.output.1) comes in a test")
      #expect(uses.contains { $0.output[1].substring != nil }, "\(alert.output.1) is seen not to come")
    }
  }

  @Test("Debian's Prometheus scrapes it")
  func scraped() throws {
    let daemon = try daemon()
    let port = try freePort()
    // Prometheus knows no UNIX sockets.
    let forwarder = try Forwarder(to: daemon.controlSocket, output: folder.file("forwarder"))
    defer { forwarder.end() }
    try folder.write(
      """
      global: {scrape_interval: 1s, scrape_timeout: 1s}
      scrape_configs: [{job_name: mailwarden, static_configs: [{targets: ["127.0.0.1:\(forwarder.port)"]}]}]
      """, to: "scrape.yml")
    let prometheus = try ChildProcess(
      [
        "prometheus", "--config.file=\(folder.file("scrape.yml"))", "--storage.tsdb.path=\(folder.file("tsdb"))",
        "--web.listen-address=127.0.0.1:\(port)", "--log.level=warn",
      ], output: folder.file("prometheus.out"))
    defer { end(prometheus) }
    func value(_ query: String) throws -> String? {
      let answer = try Shell.run(
        "curl", ["-s", "-G", "--data-urlencode", "query=\(query)", "http://127.0.0.1:\(port)/api/v1/query"])
      guard let json = try? JSONSerialization.jsonObject(with: Data(answer.output.utf8)) as? [String: Any] else {
        return nil
      }
      let result = (json["data"] as? [String: Any])?["result"] as? [[String: Any]]
      return (result?.first?["value"] as? [Any])?.last as? String
    }
    try eventually("Prometheus has scraped it", within: 60) { try value("up") == "1" }
    #expect(try value(#"mailwarden_messages_total{authenticated="yes"}"#) == "10")
    #expect(try value("sum(mailwarden_answer_seconds_count)") != nil)
    #expect(try value("scrape_samples_scraped").flatMap(Double.init).map { $0 > 200 } == true)
  }

  private func end(_ process: ChildProcess) {
    process.signal(SIGKILL)
    process.wait()
  }
}
