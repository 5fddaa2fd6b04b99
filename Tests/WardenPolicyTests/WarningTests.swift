import Testing
import WardenCore

@testable import WardenPolicy

/// What `check` says of rules that can never do anything, and what it must not say.
struct WarningTests {
  /// A policy of rules, each on one line: rule `a` on line 2, `b` on line 3.
  private static func policy(_ rules: [String], head: String = "") -> String {
    head + "rules:\n"
      + zip(["a", "b", "c"], rules).map { "  - {name: \($0), \($1)}\n" }.joined()
  }

  private static func warnings(_ text: String, now: Timestamp? = nil) -> [String] {
    let read = PolicyReader.read(text, file: "f", now: now)
    #expect(read.errors == [])
    return read.diagnostics.map { "\($0.line) \($0.message)" }
  }

  @Test(
    "A limit behind another of the same rule is told",
    arguments: [
      ("[200 per 1m, 100 per 1h]", "\"200 per 1m\" is never reached: 100 per 1h comes first"),
      ("[100 per 1m, 100 per 1h]", "\"100 per 1m\" is never reached: 100 per 1h comes first"),
      ("[100 per 1d, 200 per 1h]", "\"200 per 1h\" is never reached: 100 per 1d comes first"),
      (
        "[\"5x usual, at least 50, at first 60 per 1h\", 40 per 1h]",
        "\"5x usual, at least 50, at first 60 per 1h\" is never reached: 40 per 1h comes first"
      ),
    ])
  func idle(limit: String, message: String) {
    #expect(
      Self.warnings(Self.policy(["count: messages, per: user, limit: \(limit), then: alert"])) == ["2 \(message)"])
  }

  @Test(
    "Limits that all matter are not",
    arguments: [
      "[60 per 1m, 200 per 1h, 1000 per 1d]", "[1000 per 1d, 200 per 1h]",
      "[\"5x usual, at least 50 per 1h\", 500 per 1h]",
      "[\"5x usual, at least 50, at first 20 per 1h\", 30 per 1h]", "[\"5x usual, at least 50 per 1d\", 50 per 1h]",
    ])
  func notIdle(limit: String) {
    #expect(Self.warnings(Self.policy(["count: messages, per: user, limit: \(limit), then: alert"])) == [])
  }

  @Test(
    "A filter that leaves nothing is told",
    arguments: [
      (
        "count: sender-mismatch, per: user, only: bounces",
        "bounces have no sender, and are never a sender mismatch"
      ),
      ("count: messages, per: sender, only: bounces", "bounces have no sender, and the rule counts per sender"),
      (
        "count: messages, per: ip, only: [bounces, sender-domain example.org]",
        "bounces have no sender, and \"only\" asks for a sender's domain"
      ),
      (
        "count: messages, per: user, only: anonymous",
        "a user is known of authenticated mail alone, which is left out here"
      ),
      (
        "count: messages, per: [user, ip], except: authenticated",
        "a user is known of authenticated mail alone, which is left out here"
      ),
      ("count: logins, per: ip, only: anonymous", "logins come with authenticated mail alone, which is left out here"),
      (
        "count: messages, per: ip, only: [anonymous, user alice]",
        "\"only\" asks for authenticated mail, which is left out here"
      ),
      (
        "count: messages, per: ip, only: forwards, except: forwards",
        "\"except: forwards\" takes away all that \"only: forwards\" leaves"
      ),
      (
        "count: messages, per: ip, only: [network 192.0.2.0/25, network 192.0.2.9], except: network 192.0.2.0/24",
        "\"except: network 192.0.2.0/24\" takes away all that \"only: network 192.0.2.0/25\" leaves"
      ),
      (
        "count: messages, per: ip, only: user alice, except: authenticated",
        "\"except: authenticated\" takes away all that \"only: user alice\" leaves"
      ),
      (
        "count: messages, per: ip, except: [authenticated, anonymous]",
        "all mail is either authenticated or anonymous"
      ),
      ("count: messages, per: ip, only: network 198.51.100.7", "network 198.51.100.7/32 is exempt"),
      ("count: messages, per: user, only: user Backup", "user backup is exempt"),
    ])
  func nothingLeft(rule: String, message: String) {
    let head = "exempt: {networks: [198.51.100.0/24], users: [backup]}\n"
    let text = Self.policy(["\(rule), limit: 5 per 1h, then: alert"], head: head)
    #expect(Self.warnings(text) == ["3 the rule never trips: \(message)"])
  }

  @Test(
    "A filter that leaves something is not",
    arguments: [
      "count: sender-mismatch, per: user, only: [bounces, forwards]", "count: messages, per: user, only: bounces",
      "count: messages, per: ip, only: [anonymous, authenticated]", "count: messages, per: ip, only: anonymous",
      "count: connections, per: ip, only: anonymous",
      "count: messages, per: ip, only: [user alice, user bob], except: user bob",
      "count: messages, per: ip, only: [network 192.0.2.0/24, network 198.51.100.7]",
      "count: messages, per: ip, only: [bounces, forwards], except: bounces",
      "count: messages, per: ip, only: network 192.0.2.0/24, except: network 192.0.2.0/25",
      "count: bad-recipients, per: ip, except: authenticated", "count: messages, per: user, only: new-network",
      "count: messages, per: user, only: [authenticated, group staff], include: bounces",
    ])
  func somethingLeft(rule: String) {
    let head =
      "exempt: {networks: [198.51.100.0/24], users: [backup]}\ngroups: {staff: [alice]}\noverrides: {group staff: exempt}\n"
    let warnings = Self.warnings(Self.policy(["\(rule), limit: 5 per 1h, then: alert"], head: head))
    #expect(warnings == [])
  }

  @Test(
    "A share that can never be exceeded is told, one that can is not",
    arguments: [
      ("unknown-recipients / bad-recipients", 100, true), ("spam / messages", 120, true),
      ("unknown-recipients / bad-recipients", 99, false), ("bad-recipients / recipients", 100, false),
      ("broken-connections / connections", 150, false), ("recipients / messages", 500, false),
    ])
  func share(count: String, percent: Int, warns: Bool) {
    let text = Self.policy(["count: \(count), per: ip, limit: \"\(percent)% per 1h, at least 20\", then: alert"])
    let sides = count.replacing("-", with: " ").split(separator: " / ")
    let warning =
      "2 \"\(percent)% per 1h, at least 20\" is never exceeded: there are never more \(sides[0]) than \(sides[1])"
    #expect(Self.warnings(text) == (warns ? [warning] : []))
  }

  @Test(
    "A limit that another rule keeps from being reached is told",
    arguments: [
      ("limit: 200 per 1h, then: alert", "\"200 per 1h\" is never reached: rule \"a\" refuses at 100 per 1h"),
      ("limit: 101 per 30m, then: block for 1d", "\"101 per 30m\" is never reached: rule \"a\" refuses at 100 per 1h"),
      ("limit: 100 per 30m, then: hold", "\"100 per 30m\" adds nothing: rule \"a\" refuses at 100 per 1h"),
      ("limit: 150 per 1h, then: reject", "\"150 per 1h\" is never reached: rule \"a\" refuses at 100 per 1h"),
      ("limit: 100 per 1h, then: tempfail", "\"100 per 1h\" adds nothing: rule \"a\" refuses at 100 per 1h"),
      (
        "limit: 200 per 1h, then: tempfail, mode: observe",
        "\"200 per 1h\" is never reached: rule \"a\" refuses at 100 per 1h"
      ),
      (
        "limit: 200 per 1h, then: alert, only: network 192.0.2.0/24",
        "\"200 per 1h\" is never reached: rule \"a\" refuses at 100 per 1h"
      ),
      (
        "limit: \"5x usual, at least 100 per 1h\", then: alert",
        "\"5x usual, at least 100 per 1h\" is never reached: rule \"a\" refuses at 100 per 1h"
      ),
    ])
  func shadowed(rule: String, message: String) {
    let first = "count: messages, per: user, limit: 100 per 1h, then: tempfail"
    let second = "count: messages, per: user, \(rule)"
    #expect(Self.warnings(Self.policy([first, second])) == ["3 \(message)"])
    // Of the same two rules the order matters only where they are the same.
    if rule != "limit: 100 per 1h, then: tempfail" {
      let turned = message.replacing("rule \"a\"", with: "rule \"b\"")
      #expect(Self.warnings(Self.policy([second, first])) == ["2 \(turned)"])
    }
  }

  @Test(
    "A limit that can be reached is not",
    arguments: [
      // Another key, another window, a lower limit, another signal.
      ("", "count: messages, per: ip, limit: 200 per 1h, then: alert"),
      ("", "count: messages, per: user, limit: 200 per 1d, then: alert"),
      ("", "count: messages, per: user, limit: 99 per 1h, then: alert"),
      ("", "count: recipients, per: user, limit: 200 per 1h, then: alert"),
      // The first does not enforce, does not refuse, or does not see all.
      (", mode: observe", "count: messages, per: user, limit: 200 per 1h, then: alert"),
      (", only: network 192.0.2.0/24", "count: messages, per: user, limit: 200 per 1h, then: alert"),
      (", except: lists", "count: messages, per: user, limit: 200 per 1h, then: alert"),
      ("", "count: messages, per: user, limit: 200 per 1h, then: alert, include: bounces"),
      // Who goes on trying gets there.
      ("", "count: messages, per: user, limit: 200 per 1h, count-refused: true, then: alert"),
      ("", "count: messages, per: user, limit: 100 per 1h, then: block for 1d"),
      ("", "count: messages, per: user, limit: 100 per 1h, then: [alert, hold]"),
      // At the same limit both trip, and each does something of its own.
      (
        ", then: [tempfail, run lock]",
        "count: messages, per: user, limit: 100 per 1h, then: [alert, tempfail]"
      ),
    ])
  func notShadowed(first: String, second: String) {
    let then = first.contains("then:") ? "" : ", then: tempfail"
    let rules = ["count: messages, per: user, limit: 100 per 1h\(then)\(first)", second]
    let head = first.contains("run lock") ? "commands: {lock: /bin/lock}\n" : ""
    #expect(Self.warnings(Self.policy(rules, head: head)) == [])
  }

  @Test("One message can go over a higher limit of recipients that also refuses")
  func manyAtOnce() {
    let first = "count: recipients, per: user, limit: 100 per 1h, then: tempfail"
    let rules = ["reject", "[tempfail, block for 1d]", "[alert, tempfail]", "block for 1d", "[run lock, hold]"]
    for then in rules {
      let second = "count: recipients, per: user, limit: 1000 per 1h, then: \(then)"
      let head = then.contains("run") ? "commands: {lock: /bin/lock}\n" : ""
      #expect(Self.warnings(Self.policy([first, second], head: head)) == [])
    }
  }

  @Test("An override of the first rule lets some reach the second")
  func overridden() {
    let rules = [
      "count: messages, per: user, limit: 100 per 1h, then: tempfail",
      "count: messages, per: user, limit: 200 per 1h, then: alert",
    ]
    #expect(Self.warnings(Self.policy(rules, head: "overrides: {newsletter: a 5000 per 1h}\n")) == [])
  }

  @Test(
    "Of what just happens, a block at connect keeps the count down",
    arguments: [
      ("ip", "connections", "block for 3d", "20 per 2h", true),
      ("ip", "bad-recipients", "block for 3d", "20 per 2h", true),
      ("ip", "connections", "block for 1h", "20 per 2h", false), ("ip", "connections", "tempfail", "20 per 2h", false),
      ("ip", "connections", "block for 3d", "4 per 2h", false), ("user", "logins", "block for 3d", "20 per 2h", false),
    ])
  func blocked(per: String, count: String, then: String, limit: String, warns: Bool) {
    let rules = [
      "count: \(count), per: \(per), limit: 4 per 2h, then: \(then)",
      "count: \(count), per: \(per), limit: \(limit), then: alert",
    ]
    let warning = "3 \"\(limit)\" is hardly ever reached: rule \"a\" blocks at 4 per 2h"
    #expect(Self.warnings(Self.policy(rules)) == (warns ? [warning] : []))
  }

  @Test(
    "Words without effect are told",
    arguments: [
      (
        "count: logins, per: user, include: bounces, then: alert",
        "include has no effect: logins count, whatever mail they come with"
      ),
      (
        "count: messages, per: user, include: bounces, only: bounces, then: alert",
        "include has no effect: \"only\" and \"except\" speak of bounces already"
      ),
      (
        "count: logins, per: user, count-refused: true, then: alert",
        "count-refused has no effect: logins count in any case"
      ),
      (
        "count: messages, per: user, then: [tempfail, hold]",
        "what is refused is never held: beside tempfail, hold has no effect"
      ),
      (
        "count: connections, per: ip, except: authenticated, then: tempfail",
        "\"authenticated\" spares nobody: connections are counted before that is known, and the rule blocks nobody"
      ),
      (
        "count: messages, per: user, then: block for 1d, forget: 3d",
        "there is nothing to forget: only blocks of several lengths remember offences"
      ),
      (
        "count: messages, per: user, then: [block for 1d, 40d]",
        "an offence is forgotten after 30d, before its block of 40d has ended"
      ),
      (
        "count: messages, per: user, then: [block for 1d, 7d], forget: 7d",
        "an offence is forgotten after 7d, before its block of 7d has ended"
      ),
      (
        "count: messages, per: user, then: [block for 1d, 1h]",
        "the next offence is blocked no longer (1h) than the one before (1d)"
      ),
    ])
  func withoutEffect(rule: String, message: String) {
    #expect(Self.warnings(Self.policy(["\(rule), limit: 5 per 1h"])) == ["2 \(message)"])
  }

  @Test("Commands and groups that nothing names are told")
  func unused() {
    let head = "commands: {lock: /bin/lock, page: /bin/page}\ngroups:\n  staff: [alice]\n  robots: [bob]\n  all: []\n"
    let rule = "count: messages, per: user, only: group staff, limit: 5 per 1h, then: run lock"
    #expect(
      Self.warnings(Self.policy([rule], head: head + "overrides: {group robots: exempt}\n")) == [
        "1 nothing runs \"page\"", "5 no rule and no override names group \"all\"",
      ])
  }

  @Test("An override that has ended is told, but only to whoever says what time it is")
  func ended() throws {
    let overrides = "overrides:\n  alice: a off until 2026-12-01\n  bob: exempt until 2026-12-02\n"
    let text = Self.policy(["count: messages, per: user, limit: 5 per 1h, then: alert"], head: overrides)
    let december = try #require(DateText.timestamp("2026-12-01"))
    #expect(Self.warnings(text, now: december) == ["2 this override has ended (2026-12-01T00:00:00Z)"])
    #expect(Self.warnings(text, now: december + .seconds(-1)) == [])
    #expect(Self.warnings(text) == [])
  }

  @Test("An override that exempts everybody, or for a rule that counts something else, is told")
  func overrideWarnings() {
    let rule = "count: connections, per: ip, limit: 5 per 1h, then: tempfail"
    #expect(
      Self.warnings(Self.policy([rule], head: "overrides:\n  0.0.0.0/0: exempt\n  alice: a 50 per 1h\n")) == [
        "2 0.0.0.0/0 is everybody",
        "3 rule \"a\" counts per ip: nobody gets this limit",
      ])
  }

  @Test("A rule whose block waits for the login turns no exempt user away", arguments: [true, false])
  func waits(spares: Bool) {
    let except = spares ? ", except: authenticated" : ""
    let rule = "count: bad-recipients, per: [user, ip], limit: 5 per 1h, then: block ip for 1h"
    let other = "count: bad-recipients, per: ip, limit: 5 per 1h, then: block for 1h"
    for rule in spares ? [other] : [rule, other] {
      let text = Self.policy([rule + except], head: "exempt: {users: [backup]}\n")
      #expect(Self.warnings(text).count == (spares ? 0 : 1))
    }
  }

  @Test("A policy with an error is not looked at further")
  func errors() {
    let rules = ["count: messages, per: user, limit: [200 per 1m, 100 per 1h], then: alert", "count: mesages"]
    let read = PolicyReader.read(Self.policy(rules), file: "f")
    #expect(read.warnings == [])
  }
}
