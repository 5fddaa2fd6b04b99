import Foundation
import Testing
import WardenCore
import WardenTestKit

@testable import WardenAlerts

/// What mail programs make of our mail, whatever clients call themselves.
@Suite("Mail") struct MailTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  /// What Python's mail parser sees.
  private struct Seen: Decodable {
    let headers: [[String]]
    let body: String
    let defects: [String]
    let parts: Int
    let longest: Int
    let is_ascii: Bool
    func header(_ name: String) -> [String] { headers.filter { $0[0] == name }.map { $0[1] } }
  }

  private func parse(_ file: String) throws -> Seen {
    let json = try Shell.check("sh", ["-c", "python3 \"$1\" < \"$2\"", "-", Receiver.path("letter"), file])
    return try JSONDecoder().decode(Seen.self, from: Data(json.utf8))
  }

  /// Sends through a program that keeps what it got.
  private func mail(
    _ message: AlertMessage, subject: String? = nil, body: String? = nil, to: [String] = ["postmaster@example.org"]
  ) async throws -> Seen {
    let keeper = try program("cat > \"$0.mail\"; printf '%s\\n' \"$@\" > \"$0.arguments\"", in: folder)
    let settings = AlertSettings.Mail(to: to, way: .program([keeper]), subject: subject, body: body)
    let mail = Mail(settings: settings, host: "mx.example.org", wall: { .start }, admit: { _ in })
    #expect(await failure(of: mail, message) == nil)
    let seen = try parse(folder.file("program.mail"))
    #expect(seen.defects == [])
    #expect(seen.parts == 1)
    #expect(seen.is_ascii)
    #expect(seen.longest <= 998)
    return seen
  }

  @Test("An alert is a proper message, which nothing answers automatically")
  func proper() async throws {
    let message = AlertMessage.of()
    let seen = try await mail(message, to: ["postmaster@example.org", "root@example.org"])
    #expect(seen.header("From") == ["Mailwarden <mailwarden@mx.example.org>"])
    #expect(seen.header("To") == ["postmaster@example.org, root@example.org"])
    #expect(seen.header("Date") == ["Tue, 24 Nov 2026 10:14:05 +0000"])
    #expect(seen.header("Message-ID") == ["<mailwarden.\(message.id)@mx.example.org>"])
    #expect(seen.header("Auto-Submitted") == ["auto-generated"])
    #expect(
      seen.header("Subject") == ["[mailwarden mx.example.org] new: user alice: 26 messages in 2h (limit 25)"])
    #expect(
      seen.body == """
        new: user alice: 26 messages in 2h (limit 25)
          12 refused; user:alice blocked until 2026-11-25T10:14:05Z, 40 attempts since
          rule account-cap, since 2026-11-24T10:14:05Z, last at 2026-11-24T10:14:05Z: 1 times over the limit
          26 messages to 78 recipients had passed
          from 192.0.2.0/24
          to alice@example.net

          mailwarden explain user:alice
          mailwarden release user:alice
          postsuper -h 4f9XyZ12AB

        --
        mailwarden 1.0 on mx.example.org, 2026-11-24T10:14:05Z, message \(message.id)

        """)
    // Sent again, it is the same message.
    #expect(try await mail(message, to: ["root@example.org"]).header("Message-ID") == seen.header("Message-ID"))
  }

  @Test(
    "No name of a client makes a header, a line or a terminal's command",
    arguments: [
      hostile, "x\ny", "\r\nSubject: other", "\u{85}\u{2028}\u{2029}", "=?UTF-8?Q?=0D=0ABcc:_x?=", ".\r\n.\r\nQUIT",
      "{{host}}{{#episodes}}", String(repeating: "é", count: 5_000), String(repeating: "a", count: 5_000),
    ])
  func names(name: String) async throws {
    let message = AlertMessage.of(name, ids: [name, "4f9"])
    let plain = try await mail(.of())
    let seen = try await mail(message)
    #expect(seen.headers.map { $0[0] } == plain.headers.map { $0[0] })
    #expect(seen.header("To") == ["postmaster@example.org"])
    #expect(seen.header("Subject") == ["[mailwarden mx.example.org] \(message.summary)"])
    #expect(seen.body.unicodeScalars.allSatisfy { ("\u{20}"..."\u{7e}").contains($0) || $0 == "\n" })
    // The lines are those of any other such message; recipients that no address can be are not shown.
    func lines(_ seen: Seen) -> [Substring] {
      seen.body.split(separator: "\n").map { $0.prefix(4) }.filter { $0 != "  to" }
    }
    #expect(lines(seen) == lines(plain))
  }

  @Test(
    "A command that is pasted means the key, and nothing else",
    arguments: [
      "alice", "o'brien", "$(touch pwned)", "`touch pwned`; touch pwned", hostile.replacing("\u{0}", with: ""), "jörg",
      "a\\'b\n1\u{1}2", "-x",
    ])
  func commands(name: String) async throws {
    let seen = try await mail(.of(name))
    let line = try #require(seen.body.split(separator: "\n").first { $0.hasPrefix("  mailwarden explain") })
    let script = "cd \"$1\"; mailwarden() { printf %s \"$2\" > typed; }; \(line)"
    try Shell.check("bash", ["-c", script, "-", folder.path])
    #expect(try folder.read("typed") == "user:\(name)")
    #expect(!FileManager.default.fileExists(atPath: folder.file("pwned")))
  }

  @Test("Templates of one's own are used, whatever letters they have")
  func templates() async throws {
    let seen = try await mail(
      .of(), subject: "Größter Ärger auf {{host}}: 警报 \(String(repeating: "ü", count: 100))\nBcc: x@example.org",
      body: "Schön:\n{{#episodes}}{{rule}} {{key}} {{refused}} {{held}} <&>{{/episodes}}\n.\n")
    #expect(
      seen.header("Subject") == [
        "Größter Ärger auf mx.example.org: 警报 \(String(repeating: "ü", count: 100)) Bcc: x@example.org"
      ])
    #expect(seen.header("Bcc") == [])
    #expect(seen.body == "Schön:\naccount-cap user:alice 12 0 <&>\n.\n")
  }

  @Test("A line too long for mail is carried all the same")
  func longLine() async throws {
    let line = String(repeating: "x", count: 3_000)
    #expect(try await mail(.of(), body: "\(line)\n").body == "\(line)\n")
  }

  @Test("Each hour's envelope sender is new, and admitted before it is used")
  func sender() async throws {
    let keeper = try program("cat > /dev/null; printf '%s\\n' \"$@\" > \"$0.arguments\"", in: folder)
    let now = Locked(Timestamp.start)
    let admitted = Locked<[String]>([])
    let mail = Mail(
      settings: .init(to: ["root"], from: "alerts@example.net", way: .program([keeper, "-C", "x"])), host: "mx",
      wall: { now.withLock { $0 } }, admit: { sender in admitted.withLock { $0.append(sender) } })
    var senders: [String] = []
    for _ in 0..<3 {
      #expect(await failure(of: mail) == nil)
      let words = try folder.read("program.arguments").split(separator: "\n").map(String.init)
      senders.append(words[4])
      #expect(words == ["-C", "x", "-i", "-f", senders.last, "--", "root"])
      now.withLock { $0 = $0 + .minutes(40) }
    }
    #expect(senders == admitted.withLock { $0 })
    #expect(senders.allSatisfy { $0.hasPrefix("mailwarden-") && $0.hasSuffix("@example.net") && $0.utf8.count > 30 })
    #expect(senders[0] == senders[1] && senders[1] != senders[2])
  }

  @Test("A program that fails is told with what it said")
  func fails() async throws {
    let path = try program("echo queue full >&2; exit 75", in: folder)
    let mail = Mail(settings: .init(to: ["root"], way: .program([path])), host: "mx", wall: { .start }, admit: { _ in })
    #expect(await failure(of: mail)?.description == "\(path) ended with exited(75): queue full")
  }

  // MARK: - Templates

  @Test(
    "A bad template is told with its line",
    arguments: [
      ("{{summary}}", nil), ("{{#episodes}}{{ key }}{{^last()}}, {{/last()}}{{/episodes}}{{! a note }}", nil),
      ("fine\n{{sumary}}", "line 2: unknown name {{sumary}} (did you mean \"summary\"?)"),
      ("{{#episodes}}\n{{key}}", "line 2: a section is never closed"),
      ("fine\n\n{{#episodes}}{{/more}}", "line 3: this closes another section than the one that is open"),
      ("{{key", "line 1: a \"{{\" is never closed"),
      ("{{>other}}", "line 1: {{>...}} is not known here; there are values, {{#sections}} and {{^sections}}"),
      (
        "{{$block}}x{{/block}}",
        "line 1: {{$...}} is not known here; there are values, {{#sections}} and {{^sections}}"
      ),
    ])
  func problems(text: String, problem: String?) { #expect(AlertTemplate.problem(in: text) == problem) }
}
