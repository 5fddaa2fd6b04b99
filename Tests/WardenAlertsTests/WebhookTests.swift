import Foundation
import Testing
import WardenCore
import WardenTestKit

@testable import WardenAlerts

/// Against a real HTTP server of another make.
@Suite("Webhook") struct WebhookTests {
  private let receiver: Receiver
  private let folder: TemporaryFolder

  init() throws {
    receiver = try Receiver("web")
    folder = try TemporaryFolder()
  }

  private struct Request: Decodable {
    let path: String
    let headers: [String: String]
    let body: String
  }

  private var requests: [Request] {
    get throws {
      try receiver.heard.filter { !$0.isEmpty }.map { try JSONDecoder().decode(Request.self, from: Data($0.utf8)) }
    }
  }

  private func webhook(_ path: String, secret: String? = nil, limit: Duration = .seconds(30)) -> Webhook {
    Webhook(
      settings: AlertSettings.Webhook(url: "http://127.0.0.1:\(receiver.port)\(path)", secretFile: secret),
      limit: limit, wall: { .start })
  }

  private func secretFile(_ text: String, mode: Int) throws -> String {
    let path = folder.file("secret")
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    return path
  }

  @Test("A receiver gets the message as JSON, with a signature that the documented check accepts")
  func signed() async throws {
    let message = AlertMessage.of(hostile)
    #expect(await failure(of: webhook("/ok", secret: try secretFile("s3cret\n", mode: 0o600)), message) == nil)
    let request = try #require(requests.first)
    #expect(try requests.count == 1)
    #expect(request.headers["content-type"] == "application/json")
    #expect(request.headers["x-mailwarden-id"] == message.id)
    let timestamp = try #require(request.headers["x-mailwarden-timestamp"])
    #expect(timestamp == "1795515245")
    // docs/alerts.md
    let check = "printf %s \"$1.$2\" | openssl dgst -sha256 -hmac s3cret -r | cut -d' ' -f1"
    let sum = try Shell.check("sh", ["-c", check, "-", timestamp, request.body])
    #expect(request.headers["x-mailwarden-signature"] == "sha256=\(sum.trimmingCharacters(in: .newlines))")
    #expect(AlertMessage(json: request.body) == message)
    #expect(request.body.utf8.allSatisfy { (0x20...0x7e).contains($0) })
  }

  @Test("Without a secret nothing is signed")
  func unsigned() async throws {
    #expect(await failure(of: webhook("/ok")) == nil)
    #expect(try #require(requests.first).headers["x-mailwarden-signature"] == nil)
  }

  @Test("A secret that all can read, an empty one and none at all send nothing", arguments: [0o644, 0o602, nil, 0])
  func badSecret(mode: Int?) async throws {
    var path = folder.file("missing")
    if let mode { path = try secretFile(mode == 0 ? "\n" : "s3cret", mode: mode == 0 ? 0o600 : mode) }
    let found = try #require(await failure(of: webhook("/ok", secret: path)))
    #expect(found.description.contains(path))
    #expect(try requests.isEmpty)
  }

  @Test("Any answer but 2xx is a failure, and a redirect is not followed", arguments: [400, 404, 500, 503])
  func refused(status: Int) async throws {
    let found = try #require(await failure(of: webhook("/\(status)")))
    #expect(found.description.hasSuffix("answered \(status)"))
  }

  @Test("A redirect is not followed: the message is for nobody else")
  func redirect() async throws {
    let found = try #require(await failure(of: webhook("/redirect")))
    #expect(found.description.contains("302"))
    #expect(try requests.map(\.path) == ["/redirect"])
  }

  @Test("A receiver that hangs is given up at the limit", arguments: ["/hang", "/half"])
  func hangs(path: String) async throws {
    let found = try #require(await failure(of: webhook(path, limit: .milliseconds(500))))
    #expect(found.description.contains("has not answered within"))
  }

  @Test("Endless data of a receiver is not read", arguments: [("/endless", true), ("/endless-500", false)])
  func endless(path: String, isTaken: Bool) async throws {
    #expect((await failure(of: webhook(path)) == nil) == isTaken)
  }

  @Test("An answer whose header never ends is a failure")
  func endlessHeader() async throws {
    #expect(await failure(of: webhook("/endless-header", limit: .seconds(5))) != nil)
  }

  @Test("Nobody there is a failure")
  func unreachable() async throws {
    let nobody = Webhook(settings: .init(url: "http://127.0.0.1:\(try freePort())/"), wall: { .start })
    #expect(await failure(of: nobody) != nil)
  }
}
