import Testing
import WardenCore

@testable import WardenPolicy

@Suite("Feeds in a policy")
struct FeedsTests {
  private static func rule(_ count: String, per: String = "ip", then: String = "alert", only: String = "") -> String {
    "rules: [{name: a, count: \(count), per: \(per), limit: 5 per 10m, then: \(then)\(only)}]\n"
  }

  private static func read(_ text: String) throws -> (settings: FeedSettings, policy: Policy, warnings: [String]) {
    let read = PolicyReader.read(text, file: "f")
    #expect(read.errors == [])
    let configuration = try #require(read.configuration)
    return (configuration.feeds, configuration.policy, read.warnings.map(\.message))
  }

  @Test("One text is enough for each")
  func short() throws {
    let found = try Self.read(
      "feeds:\n  dovecot-policy: 127.0.0.1:4001\n  mail-log: /var/log/mail.log\n" + Self.rule("auth-failures"))
    #expect(found.settings.dovecot == .init(host: "127.0.0.1", port: 4_001))
    #expect(found.settings.logs == [.file("/var/log/mail.log")])
    #expect(found.settings.timeZone == nil)
    #expect(!found.policy.trustsLog)
    #expect(found.warnings == ["without a \"token-file\" every program of this machine can tell of failed logins"])
  }

  @Test("Everything can be said")
  func long() throws {
    let text = """
      feeds:
        dovecot-policy: {listen: "[2001:db8::1]:4001", token-file: /etc/mailwarden/token}
        mail-log: {from: [/var/log/mail.log, journal, "journal:/var/log/journal"], trusted: true, time-zone: Europe/Berlin}

      """
    let found = try Self.read(text + Self.rule("auth-failures"))
    #expect(found.settings.dovecot == .init(host: "2001:db8::1", port: 4_001, tokenFile: "/etc/mailwarden/token"))
    #expect(
      found.settings.logs == [.file("/var/log/mail.log"), .journal(folder: nil), .journal(folder: "/var/log/journal")])
    #expect(found.settings.timeZone == "Europe/Berlin")
    #expect(found.policy.trustsLog)
    #expect(
      found.warnings == ["most systems write the same lines to the journal and to files: they would count twice"])
  }

  @Test(
    "A rule that nobody tells anything is warned of",
    arguments: [
      ("mail-log: journal", "distinct passwords", "dovecot-policy"),
      ("mail-log: journal", "auth-failures", nil), ("mail-log: journal", "relay-attempts", nil),
      ("dovecot-policy: {listen: 127.0.0.1:4001, token-file: /t}", "auth-failures", nil),
      ("dovecot-policy: {listen: 127.0.0.1:4001, token-file: /t}", "distinct passwords", nil),
      ("dovecot-policy: {listen: 127.0.0.1:4001, token-file: /t}", "bounced", "mail-log"),
    ] as [(String, String, String?)])
  func untold(feed: String, count: String, feedNamed: String?) throws {
    let warnings = try Self.read("feeds: {\(feed)}\n" + Self.rule(count)).warnings
    #expect(warnings.count == (feedNamed == nil ? 0 : 1))
    let phrase = try #require(Measure(name: count)).phrase
    #expect(warnings.allSatisfy { $0.hasPrefix("nobody tells of \(phrase), so the rule never trips") })
  }

  @Test("A delay that nobody asks for, or of a rule that is not about logins, is warned of")
  func delay() throws {
    let then = Self.rule("auth-failures", then: "delay for 3s")
    #expect(try Self.read(PolicyText.feeds + then).policy.rules.map(\.then) == [Consequences(delay: .seconds(3))])
    #expect(try Self.read(PolicyText.feeds + then).warnings == [])
    #expect(
      try Self.read("feeds: {mail-log: journal}\n" + then).warnings
        == ["delay has no effect: no \"feeds: dovecot-policy\" asks us"])
    #expect(
      try Self.read(PolicyText.feeds + Self.rule("messages", then: "[alert, delay for 3s]")).warnings
        == ["delay has no effect: the rule is not about logins"])
    #expect(
      try Self.read(PolicyText.feeds + Self.rule("auth-failures", then: "delay for 9s")).warnings
        == ["Postfix waits for Dovecot for 10s at most; with more than 8s its logins fail"])
  }

  @Test("What failed logins show can be counted of them alone", arguments: ["users", "ips", "networks", "passwords"])
  func failedLogins(attribute: String) throws {
    let per = attribute == "users" ? "ip" : "user"
    let found = try Self.read(
      PolicyText.feeds + Self.rule("distinct \(attribute)", per: per, only: ", only: failed-logins"))
    #expect(found.policy.rules.map(\.filter) == [Filter(only: [.failedLogins])])
    #expect(found.warnings == [])
  }
}
