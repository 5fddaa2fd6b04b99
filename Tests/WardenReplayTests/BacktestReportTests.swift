import Foundation
import Testing
import WardenCore

@testable import WardenReplay

/// What people and programs get to read.
@Suite("Backtest report")
struct BacktestReportTests {
  private static let cap = Rule("account-cap", .messages, per: .user, .of(5, per: .hours(2)), then: .block(.days(1)))

  private static func result(_ user: String = "bob") -> BacktestResult {
    let near = (0..<4).map { message("newsletter", from: "192.0.2.9", at: .start + .minutes($0)) }
    let mail = (0..<9).map { message(user, at: .start + .minutes(10 * $0), recipients: 3) }
    return backtest([Self.cap], near + mail)
  }

  @Test("The text opens with who would have been stopped, and ends with what could not be seen")
  func text() {
    let report = BacktestReport(Self.result(), blindness: ["The log does not show recipients' names."])
    #expect(
      report.text == """
        bob would have been blocked at 2026-11-03 10:50:00 by account-cap after 6 messages; it went on to send 3 more until 11:20, 30m later

        mail.log: 2026-11-03 10:00:00 to 2026-11-03 11:20:00, 13 events, 13 messages to 31 recipients, 2 users, 2 addresses
        policy.yaml: 1 incident, 4 messages to 12 recipients refused

        What would have happened
          bob would have been blocked at 2026-11-03 10:50:00 by account-cap after 6 messages; it went on to send 3 more until 11:20, 30m later
              account-cap, 2026-11-03 10:50:00: user bob: 6 messages in 2h (limit 5)
              4 messages to 12 recipients refused; blocked until 2026-11-04 10:50:00

        Near a limit without reaching it: look whether they are honest
          newsletter: 4 of 5 messages in 2h (80%) by account-cap, 2026-11-03 10:03:00

        By rule
          account-cap (enforce): 1 incident, 4 messages to 12 recipients refused

        What this could not show
          The log does not show recipients' names.

        """)
  }

  @Test("Where nothing would have happened that is said first")
  func quiet() {
    let text = BacktestReport(backtest([Self.cap], [message("bob", at: .start)])).text
    #expect(text.hasPrefix("no rule would have tripped\n"))
    #expect(BacktestReport(backtest([Self.cap], [])).text.contains("mail.log: no events"))
  }

  private static func sentence(_ rules: [Rule], _ events: [Event], isOfLog: Bool = false) -> String {
    let report = BacktestReport(backtest(rules, events, isOfLog: isOfLog))
    return report.result.sides[0].incidents.first.map(report.sentence) ?? ""
  }

  @Test("What was done, when, by which rule and after how much are told of one trip; an earlier one has its own")
  func severalTrips() {
    let guesses = (0..<3).map {
      happening(.authFailures, "bob", from: "198.51.100.9", at: .start + .seconds($0), step: .heard, source: .log)
    }
    let rules = [
      Rule("guessed", .authFailures, per: .user, .of(2, per: .hours(1)), then: .alert),
      Rule("cap", .messages, per: .user, .of(5, per: .hours(2)), then: .tempfail),
    ]
    let mail = (0..<9).map { message("bob", at: .start + .minutes(1 + $0)) }
    #expect(
      Self.sentence(rules, guesses + mail)
        == "bob would have been reported at 2026-11-03 10:00:02 by guessed after 3 AUTH failures, "
        + "and tempfailed at 10:06:00 by cap after 6 messages; it went on to send 9 more until 10:09, 8m58s later")
    var both = Backtest([.init(name: "a", policy: Policy(rules: rules)), .init(name: "b", policy: Policy())])
    for event in guesses + mail { both.take(event) }
    let report = BacktestReport(both.finish())
    #expect(
      report.result.differences.first.map { report.fate($0.first) }
        == "stopped 2026-11-03 10:06:00 by cap after 6 messages, 4 messages to 4 recipients refused")
    #expect(report.html.contains("; tempfailed at 2026-11-03 10:06:00</title>"))
  }

  @Test("A rule that counts no mail tells its own count, with the mail that is certainly of the same")
  func ownCount() {
    func bounces(_ count: Int) -> [Event] {
      (0..<count).map {
        happening(.bounced, "news", from: nil, at: .start + .minutes(10 + $0), step: .heard, source: .log)
      }
    }
    let mail = (0..<7).map { message("news", at: .start + .minutes($0)) }
    var rule = Rule("bounces", .bounced, per: .user, .of(3, per: .hours(1)), then: .alert)
    #expect(
      Self.sentence([rule], mail + bounces(6)) == "news would have been reported at 2026-11-03 10:13:00 by bounces "
        + "after 4 bounced recipients and 7 messages; 2 more came until 10:15, 2m later")
    rule = Rule("bytes", .bytes, per: .user, .of(50_000_000, per: .hours(1)), then: .alert)
    var large = message("news", at: .start)
    large.wants[.bytes] = 72_040_000
    #expect(
      Self.sentence([rule], [large]) == "news would have been reported at 2026-11-03 10:00:00 by bytes "
        + "after 72.1MB and 1 message; nothing more came of it")
    // Of what the rule leaves out nobody can tell here.
    var filtered = Rule("signed", .messages, per: .user, .of(3, per: .hours(1)), then: .alert)
    filtered.filter = Filter(only: [.authenticated])
    #expect(Self.sentence([filtered], mail).contains("by signed after 4 messages; it went on to send 3 more"))
    filtered = Rule("wide", .recipients, per: .user, .of(3, per: .hours(1)), then: .alert)
    filtered.filter = Filter(only: [.authenticated])
    #expect(Self.sentence([filtered], mail).contains("by wide after 4 recipients; it went on to send 3 more"))
  }

  @Test("Of the whole server it is not told who logged in, nor what went on")
  func server() {
    let rule = Rule("rate", .messages, per: .server, .of(3, per: .hours(1)), then: .alert)
    let report = BacktestReport(backtest([rule], (0..<9).map { message("bob", at: .start + .minutes($0)) }))
    #expect(
      report.text.hasPrefix(
        "server would have been reported at 2026-11-03 10:03:00 by rate after 4 messages\n"))
    #expect(report.balance(report.result.sides[0].incidents[0]) == nil)
    #expect(report.text.contains("\npolicy.yaml: 1 incident, nothing refused\n"))
  }

  @Test("Rules that did nothing are only counted")
  func idleRules() {
    let idle = (0..<3).map { Rule("idle\($0)", .messages, per: .ip, .of(900, per: .hours(1)), then: .alert) }
    let mail = (0..<9).map { message("bob", at: .start + .minutes($0)) }
    let text = BacktestReport(backtest([idle[0], Self.cap, idle[1], idle[2]], mail)).text
    #expect(
      text.contains(
        """

        By rule
          account-cap (enforce): 1 incident, 4 messages to 4 recipients refused
          3 other rules: nothing

        """))
    #expect(!BacktestReport(backtest(idle, mail)).text.contains("By rule"))
  }

  @Test("Times are local in what people read, and a later day is named")
  func zone() throws {
    let mail = (0..<9).map { message("bob", at: .start + .hours($0 < 6 ? 0 : 20) + .seconds($0)) }
    let result = backtest([Self.cap], mail)
    let zone = try #require(TimeZone(secondsFromGMT: 3_600))
    let report = BacktestReport(result, source: "x", blindness: [], zone: zone)
    #expect(
      report.text.contains(
        "at 2026-11-03 11:00:05 by account-cap after 6 messages; it went on to send 3 more until 2026-11-04 07:00, 20h1m later"
      ))
    #expect(report.document.policies[0].incidents[0].opened == "2026-11-03T10:00:05Z")
  }

  @Test("JSON keeps its names, and reads back")
  func json() throws {
    let report = BacktestReport(Self.result(), blindness: ["Blind."])
    let document = try JSONDecoder().decode(BacktestDocument.self, from: Data(report.json.utf8))
    #expect(document == report.document)
    #expect(
      document.policies[0].incidents[0].hours == [
        BacktestDocument.Hour(at: "2026-11-03T10:00:00Z", passed: 5, refused: 1),
        BacktestDocument.Hour(at: "2026-11-03T11:00:00Z", passed: 0, refused: 3),
      ])
    #expect(document.policies[0].near.map(\.key) == ["user:newsletter"] && document.not_shown == ["Blind."])
    for name in ["\"blocked_until\" : \"2026-11-04T10:50:00Z\"", "\"messages_before\" : 6", "\"messages_refused\" : 4"]
    {
      #expect(report.json.contains(name))
    }
  }

  @Test("CSV has a row for each incident and for what could not be seen, all of one length")
  func csv() {
    let rows = BacktestReport(Self.result(), blindness: ["Blind, quite."]).csv.components(separatedBy: "\r\n")
    #expect(rows.count == 4 && rows[3] == "")
    #expect(
      rows[1] == "policy.yaml,user:bob,2026-11-03T10:50:00Z,2026-11-03T11:20:00Z,account-cap,blocked refused,"
        + "2026-11-04T10:50:00Z,6,18,3,9,4,12,0,0,0,bob,user bob: 6 messages in 2h (limit 5)")
    #expect(rows[2].hasSuffix(",\"Blind, quite.\""))
  }

  @Test(
    "A spreadsheet takes no cell for a formula, and no cell ends a row",
    arguments: [
      ("=1+1", "\"'=1+1\""), ("+x", "\"'+x\""), ("-x", "\"'-x\""), ("@x", "\"'@x\""), ("\t=x", "\"'\\u{9}=x\""),
      ("\r\n=x", "\"'\\u{d}\\u{a}=x\""), ("＝x", "\"'＝x\""), ("a\"b", "\"a\"\"b\""), ("a,b", "\"a,b\""),
      ("a\nb", "a\\u{a}b"),
      ("", ""), ("é", "é"),
    ])
  func cell(text: String, cell: String) { #expect(Shown.cell(text) == cell) }

  private static let words = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onload='x", "&lt;b&gt;", "]]>--><svg/onload=x>",
    "\u{1b}[2J\u{7}", "a\r\nb\u{85}\u{2028}\u{2029}c", "\u{202e}evil\u{2066}", "=cmd|' /C calc'!A0", "\u{0}",
    "${x} {{y}}",
    "</title></style>", String(repeating: "<", count: 300),
  ]

  @Test("What clients wrote is text on the page, in the graphics and on the terminal", arguments: words)
  func hostile(name: String) {
    let rules = [Self.cap, Rule("net", .messages, per: .ip, .of(3, per: .hours(2)), then: .alert)]
    let mail = (0..<9).map { message(name, at: .start + .minutes($0)) }
    var both = Backtest([
      .init(name: name, policy: Policy(rules: rules)), .init(name: "b\(name)", policy: Policy(rules: [])),
    ])
    for event in mail { both.take(event) }
    let report = BacktestReport(both.finish(), source: name, blindness: [name], zone: .gmt)
    let page = report.html
    let plain = BacktestReport(
      {
        var plain = Backtest([.init(name: "a", policy: Policy(rules: rules)), .init(name: "b", policy: Policy())])
        for event in mail.map({ message("bob", at: $0.at) }) { plain.take(event) }
        return plain.finish()
      }(), source: "s", blindness: ["x"], zone: .gmt
    ).html
    for mark in ["<", ">", "\"", "'"] {
      #expect(page.components(separatedBy: mark).count == plain.components(separatedBy: mark).count, "\(mark)")
    }
    for made in [report.text, page, report.csv] {
      #expect(
        made.unicodeScalars.allSatisfy { scalar in
          scalar == "\n" || scalar == "\r"
            || !["\u{202e}", "\u{2066}", "\u{85}", "\u{2028}", "\u{2029}"].contains(scalar)
              && scalar.value >= 0x20 && scalar != "\u{7f}"
        })
    }
    // Rows end where they are meant to.
    let rows = report.csv.components(separatedBy: "\r\n")
    #expect(rows.count == 1 + 2 + 1 + 1 && !report.csv.replacing("\r\n", with: "").contains { $0.isNewline })
  }

  @Test("The page loads and runs nothing, and draws each incident with its stop")
  func page() {
    let page = BacktestReport(Self.result()).html
    #expect(page.contains("default-src 'none'; style-src 'unsafe-inline'"))
    for word in ["<script", "http://", "https://", "src=", "href=", "url(", "@import"] { #expect(!page.contains(word)) }
    #expect(page.components(separatedBy: "<svg").count == 2)
    #expect(page.contains("<line class=\"stop\" x1=\"20.0\" x2=\"20.0\""))
    #expect(page.components(separatedBy: "class=\"refused\"").count == 3)
    #expect(page.contains("prefers-color-scheme: dark"))
  }

  @Test("A timeline of months is drawn within its frame")
  func longTimeline() throws {
    let rule = Rule("cap", .messages, per: .user, .of(5, per: .days(31)), then: .tempfail)
    let mail = (0..<1_500).map { message("bob", at: .start + .hours($0)) }
    let page = BacktestReport(backtest([rule], mail)).html
    let places = page.matches(of: /<rect class="[a-z]+" x="([0-9.]+)"/).compactMap { Double($0.1) }
    #expect((100...480).contains(places.count) && places.allSatisfy { $0 < 720 })
  }

  @Test("A stop long after the last mail is drawn where it belongs")
  func lateStop() {
    let rule = Rule("broken", .brokenConnections, per: .ip, .of(0, per: .hours(1)), then: .block(.days(1)))
    let page = BacktestReport(
      backtest(
        [rule],
        [
          message("bob", at: .start), happening(.brokenConnections, from: "192.0.2.7", at: .start + .minutes(630)),
        ])
    ).html
    #expect(page.contains("<line class=\"stop\" x1=\"252.0\" x2=\"252.0\""))
  }

  @Test("Two policies are told side by side")
  func against() {
    let strict = Rule("cap", .messages, per: .user, .of(2, per: .hours(2)), then: .tempfail)
    var both = Backtest([
      .init(name: "now.yaml", policy: Policy(rules: [Self.cap])),
      .init(name: "new.yaml", policy: Policy(rules: [strict])),
    ])
    for place in 0..<9 { both.take(message("bob", at: .start + .minutes(place))) }
    let report = BacktestReport(both.finish())
    #expect(report.text.hasPrefix("now.yaml: bob would have been blocked at"))
    #expect(
      report.text.contains(
        "  bob: now.yaml: stopped 2026-11-03 10:05:00 by account-cap after 6 messages, 4 messages to 4 recipients refused; "
          + "new.yaml: stopped 2026-11-03 10:02:00 by cap after 3 messages, 7 messages to 7 recipients refused\n"))
    #expect(report.document.differences.map { $0.fates.map(\.messages_refused) } == [[4, 7]])
    #expect(report.html.contains("What the two would have done otherwise"))
  }
}
