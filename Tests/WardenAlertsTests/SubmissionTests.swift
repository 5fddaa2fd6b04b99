import Foundation
import Testing
import WardenCore
import WardenTestKit

@testable import WardenAlerts

@Suite("Mail by SMTP") struct SubmissionTests {
  private func mail(
    _ receiver: Receiver, to: [String] = ["root@example.org"], host: String = "127.0.0.1",
    limit: Duration = .seconds(30)
  ) -> Mail {
    var mail = Mail(
      settings: .init(to: to, way: .smtp(host: host, port: receiver.port), body: ".\n..two\ntext {{summary}}\n"),
      host: "mx.example.org", wall: { .start }, admit: { _ in })
    mail.limit = limit
    return mail
  }

  /// The lines of the message in what a server heard.
  private func message(_ heard: [String]) -> [String] {
    Array(heard.drop { $0 != "DATA" }.dropFirst().prefix { $0 != "." })
  }

  @Test("A server gets the message, its dots doubled", arguments: ["127.0.0.1", "::1"])
  func taken(address: String) async throws {
    let receiver = try Receiver("smtp", "none", address)
    #expect(await failure(of: mail(receiver, host: address)) == nil)
    let heard = try receiver.heard
    #expect(
      heard.filter { !message(heard).contains($0) }.map { $0.prefix(9) }
        == ["EHLO mx.e", "MAIL FROM", "RCPT TO:<", "DATA", ".", "QUIT"].map { $0.prefix(9) })
    #expect(message(heard).suffix(3).prefix(2) == ["..", "...two"])
    #expect(message(heard).contains("Auto-Submitted: auto-generated"))
  }

  @Test("A recipient that is refused costs the others nothing, is told, and not tried again")
  func oneRefused() async throws {
    let receiver = try Receiver("smtp", "rcpt")
    let found = try #require(await failure(of: mail(receiver, to: ["some@example.org", "root@example.org"])))
    #expect(found.isDelivered)
    #expect(found.description.contains("RCPT TO:<some@example.org> with: 550 5.1.1 \\u{1b}[2Jof that name"))
    #expect(try !message(receiver.heard).isEmpty)
  }

  @Test(
    "A server that takes nothing is a failure that can be tried again",
    arguments: [
      ("all", "550 5.1.1"), ("data", "452 no room"), ("garbage", "does not speak SMTP"), ("hang-up", "has hung up"),
      ("endless", "answers without end"),
    ])
  func refused(fault: String, words: String) async throws {
    let receiver = try Receiver("smtp", fault)
    let found = try #require(await failure(of: mail(receiver)))
    #expect(!found.isDelivered)
    #expect(found.description.utf8.allSatisfy { (0x20...0x7e).contains($0) })
    #expect(found.description.hasPrefix("127.0.0.1:"))
    #expect(found.description.contains(words))
    withExtendedLifetime(receiver) {}
  }

  @Test("A server that says nothing is given up at the limit")
  func hangs() async throws {
    let receiver = try Receiver("smtp", "hang")
    let found = try #require(await failure(of: mail(receiver, limit: .milliseconds(500))))
    withExtendedLifetime(receiver) {}
    #expect(found.description.contains("has not taken the message within"))
  }

  @Test("Nobody there is a failure")
  func unreachable() async throws {
    let mail = Mail(
      settings: .init(to: ["root"], way: .smtp(host: "127.0.0.1", port: try freePort())), host: "mx", wall: { .start },
      admit: { _ in })
    #expect(await failure(of: mail) != nil)
  }

  @Test("A real Postfix takes it", .enabled(if: MTA.missing(.postfix) == nil, "root is needed for a private Postfix"))
  func postfix() async throws {
    let folder = try TemporaryFolder()
    let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Support/mta/postfix.sh").path
    let port = try freePort()
    try Shell.check(
      "sh", [script, "up", folder.file("mta"), "\(port)", "\(try freePort())", "unix:/nowhere/milter.sock"],
      environment: [
        "MILTER_DEFAULT_ACTION": "accept",
        "POSTFIX_EXTRA": "smtpd_client_restrictions = check_client_access static:HOLD",
      ])
    defer { _ = try? Shell.run("sh", [script, "down", folder.file("mta")]) }
    let mail = Mail(
      settings: .init(to: ["root@local.test", "alice@local.test"], way: .smtp(host: "127.0.0.1", port: port)),
      host: "mx.example.org", wall: { .start }, admit: { _ in })
    #expect(await failure(of: mail, .of(hostile)) == nil)
    var held: [String] = []
    try eventually("the message is held") {
      held = try FileManager.default.contentsOfDirectory(atPath: folder.file("mta/spool/hold"))
      return !held.isEmpty
    }
    let text = try Shell.check(
      "postcat", ["-c", folder.file("mta/etc"), "-h", "-b", "\(folder.file("mta/spool/hold"))/\(held[0])"])
    #expect(text.contains("\nAuto-Submitted: auto-generated\n"))
    #expect(text.contains("\n  mailwarden explain "))
  }
}
