import Foundation
import Testing
import WardenCore

/// The first pages of the libraries' documentation: their code is code that is compiled and run.
@Suite("Landing pages")
struct LandingPageTests {
  private static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  @Test("One message passes, the next is refused")
  func wardenCore() throws {
    let rule = Rule(
      name: "cap", count: .messages, per: KeyShape(.user), limits: [Limit(count: 1, window: .hours(2))],
      then: Consequences(refusal: .tempfail))
    let engine = Engine(policy: Policy(rules: [rule]))

    var session = SMTPSession(.init(needs: engine.needs))
    var now = Timestamp(microseconds: 1_764_000_000_000_000)
    _ = session.connect(at: now, address: IPAddress("192.0.2.7"), port: 40_000, host: "mx.test", daemon: nil)
    for message in 1...2 {
      now = now + .minutes(1)
      let mail = engine.decide(try session.mail(at: now, sender: "<alice@example.org>", login: "alice"))
      guard case .goOn = mail.verdict else { return #expect(message == 2) }
      _ = engine.decide(try session.endOfMessage(at: now, refusals: nil))
    }
    Issue.record("both passed")
  }

  @Test(
    "Their code stands in what is compiled",
    arguments: [
      ("Sources/Milter/Milter.docc/Milter.md", "Examples/RecipientCount/main.swift"),
      ("Sources/WardenCore/WardenCore.docc/WardenCore.md", "Tests/WardenCoreTests/LandingPageTests.swift"),
    ])
  func compiled(page: String, source: String) throws {
    func lines(_ file: String) throws -> String {
      try String(contentsOf: Self.repository.appending(path: file), encoding: .utf8)
        .split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "\n")
    }
    let code = try lines(page).components(separatedBy: "```swift\n").dropFirst().map {
      $0.components(separatedBy: "\n```")[0]
    }
    #expect(!code.isEmpty)
    for block in code { #expect(try lines(source).contains(block), "\(block)") }
  }
}
