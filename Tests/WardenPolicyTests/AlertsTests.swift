import Testing
import WardenCore

@testable import WardenPolicy

/// What is kept, and who is told.
struct AlertsTests {
  private func read(_ text: String) throws -> Configuration { try readGood(text + "\n" + PolicyText.rule) }

  @Test("Every key of history, state and alerts means what it says")
  func full() throws {
    let configuration = try readGood(
      """
      state: /var/lib/mailwarden
      history: {minutes: 1d, hours: 30d, days: 365d, decisions: 10d, size: 500MB}
      commands: {page: [/usr/local/bin/page, --now]}
      alerts:
        mail:
          to: [postmaster@example.org, root]
          from: alerts@example.org
          program: [/usr/sbin/sendmail, -C, /etc/other.cf]
          subject: "{{summary}}"
          body: |
            {{summary}}
            Größe
        webhook: {url: "https://hooks.example.org:8443/a?b=c", secret-file: /etc/secret}
        run: page
        wait: 0s
        interval: 1m
        repeat: 1d
        at-most: 3 per 10m
        silence: 2.5x

      """ + PolicyText.rule)
    #expect(configuration.state == "/var/lib/mailwarden")
    #expect(
      configuration.history
        == HistorySettings(
          minutes: .days(1), hours: .days(30), days: .days(365), decisions: .days(10), size: 500_000_000))
    let mail = AlertSettings.Mail(
      to: ["postmaster@example.org", "root"], from: "alerts@example.org",
      way: .program(["/usr/sbin/sendmail", "-C", "/etc/other.cf"]), subject: "{{summary}}",
      body: "{{summary}}\nGröße\n")
    #expect(
      configuration.alerts
        == AlertSettings(
          mail: mail,
          webhook: .init(url: "https://hooks.example.org:8443/a?b=c", secretFile: "/etc/secret"),
          run: ["/usr/local/bin/page", "--now"], wait: .seconds(0), interval: .minutes(1), again: .days(1), most: 3,
          mostWindow: .minutes(10), silence: 25))
  }

  @Test("What is not said has its default")
  func defaults() throws {
    let configuration = try read("alerts: {mail: {to: root@example.org}}")
    #expect(configuration.alerts == AlertSettings(mail: .init(to: ["root@example.org"])))
    #expect(configuration.alerts.mail?.way == .program(["/usr/sbin/sendmail"]))
    #expect(configuration.state == nil && configuration.history == HistorySettings())
    #expect(try read("").alerts == AlertSettings())
    #expect(try read("alerts: {webhook: {url: http://127.0.0.1/}, silence: off}").alerts.silence == nil)
  }

  @Test(
    "A server's place is read in every form",
    arguments: [
      ("mail.example.org:25", "mail.example.org", 25), ("mail.example.org", "mail.example.org", 25),
      ("192.0.2.7:2525", "192.0.2.7", 2_525), ("[2001:db8::1]:25", "2001:db8::1", 25), ("[::1]", "::1", 25),
    ])
  func smtp(text: String, host: String, port: Int) throws {
    let alerts = try read("alerts: {mail: {to: root, smtp: \"\(text)\"}}").alerts
    #expect(alerts.mail?.way == .smtp(host: host, port: port))
  }

  @Test("Alerts without a way to anybody are told")
  func nowhere() throws {
    let warning =
      "good.yaml:1:9: warning: neither \"mail\", \"webhook\" nor \"run\" is named: alerts go to the log alone"
    _ = try readGood("alerts: {interval: 1m}\n" + PolicyText.rule, warnings: [warning])
  }

  @Test("A bad template is told with its place")
  func template() {
    let text = "alerts:\n  mail:\n    to: root\n    subject: bad\n    body: |\n      worse\n" + PolicyText.rule
    let read = PolicyReader.read(text, file: "f", templateCheck: { "line 1: \($0.prefix(5))" })
    #expect(
      read.errors.map(\.description) == [
        "f:4:14: alerts.mail.subject: line 1: bad", "f:5:11: alerts.mail.body: line 1: worse",
      ])
  }
}
