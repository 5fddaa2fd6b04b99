import Foundation
import MilterClient
import Testing
import WardenTestKit

/// docs/openapi.yaml says what the API does; here the running daemon is held to it.
@Suite("The API as it is written down")
struct OpenAPITests {
  private static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path
  private static let description = "\(repository)/docs/openapi.yaml"

  private let webPort: Int

  init() throws { webPort = try freePort() }

  /// With something to tell of everything.
  private func daemon() throws -> TestDaemon {
    let folder = try TemporaryFolder()
    let daemon = try TestDaemon(
      policy: """
        state: \(folder.file("state"))
        exempt: {users: [postmaster@example.org]}
        overrides: {newsletter: cap 500 per 1d}
        rules:
          - {name: cap, description: One machine's mail., count: messages, per: user, limit: [2 per 1h, 5 per 1d], then: [alert, tempfail]}
          - {name: nets, count: distinct networks, per: user, limit: 3 per 1h, then: alert, mode: observe}
          - {name: knocks, count: broken-connections, per: ip, limit: 2 per 2h, then: block for 1d}
        """, folder: folder, control: "SOCKET\n  web: 127.0.0.1:\(webPort)")
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.7", port: 1))
    for _ in 0..<4 {
      if try client.mail("<a@b.test>", macros: [("{auth_authen}", "alice@example.org")]).isRefusal { continue }
      try client.endOfMessage(macros: [("i", "Q")])
    }
    try client.quit()
    for _ in 0..<4 {
      let client = try MilterClient(.unix(daemon.milterSocket))
      try client.negotiate()
      try client.connect(address: .ipv4("192.0.2.9", port: 1))
      try client.quit()
    }
    try eventually("somebody is blocked") { try daemon.blockedKeys == ["ip:192.0.2.9"] }
    _ = try daemon.curl("/v1/penalties", method: "POST", body: #"{"key":"user:bob","for":"1h","reason":"stolen"}"#)
    _ = try daemon.curl("/v1/overrides", method: "POST", body: #"{"key":"user:carol","for":"1h"}"#)
    return daemon
  }

  @Test("A tool that reads it finds no answer that is not described, no bad request that passes, and no open door")
  func schemathesis() throws {
    let daemon = try daemon()
    let made = try daemon.curl("/v1/web-tokens", method: "POST", body: #"{"name":"tool","for":"1h"}"#) as? [String: Any]
    let token = try #require(made?["token"] as? String)
    try schemathesis(
      daemon, webPort, ["--header", "Authorization: Bearer \(token)", "--exclude-path", "/v1/web-tokens"])
    let forwarder = try Forwarder(to: daemon.controlSocket, output: daemon.folder.file("forwarder"))
    defer { forwarder.end() }
    try schemathesis(daemon, forwarder.port, ["--include-path", "/v1/web-tokens"])
    #expect(daemon.isRunning)
    #expect(try daemon.status("penalties") >= 0)
  }

  private func schemathesis(_ daemon: TestDaemon, _ port: Int, _ arguments: [String]) throws {
    try Shell.check("\(Self.repository)/Scripts/python-tools.sh", [])
    let settings = "\(Self.repository)/Tests/OpenAPI"
    let result = try Shell.run(
      "\(Self.repository)/.build/python-tools/bin/schemathesis",
      [
        "--config-file", "\(settings)/schemathesis.toml", "run", Self.description,
        "--url", "http://127.0.0.1:\(port)", "--no-color",
      ] + arguments,
      environment: [
        "HYPOTHESIS_STORAGE_DIRECTORY": daemon.folder.file("hypothesis"), "SCHEMATHESIS_HOOKS": "\(settings)/hooks.py",
      ])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }

  @Test("What a path does not know is refused with the right status, never ignored")
  func refused() throws {
    let daemon = try daemon()
    let asked: [(method: String, path: String, status: Int, words: String)] = [
      ("GET", "/v1/keys?limt=5", 400, "did you mean \\\"limit\\\"?"),
      ("GET", "/v1/keys?limit=-5", 400, "from 1 to 1000"),
      ("GET", "/v1/keys?limit=5&limit=6", 400, "more than once"),
      ("GET", "/v1/keys?order=bogus", 400, "limit or count"),
      ("GET", "/v1/status?x=1", 400, "it takes none"),
      ("POST", "/v1/reload?dry=yes", 400, "it takes none"),
      ("GET", "/v1/counters?key=user:%ff", 400, "not UTF-8"),
      ("GET", "/v1/history?key=server&by=week", 400, "minute, hour or day"),
      ("GET", "/v1/history?key=server&from=", 400, "is not a date"),
      ("GET", "/v1/rule?name=nosuch", 404, "there is no rule"),
      ("GET", "/v1/rule?name=cap&days=61", 400, "from 1 to 60"),
      ("GET", "/v1/events?rule=nosuch", 404, "there is no rule"),
      ("DELETE", "/v1/web-tokens?name=nosuch", 404, "no such web token"),
      ("GET", "/v1/nosuch", 404, "not part of this API"),
      ("TRACE", "/v1/penalties", 405, "Allow: DELETE, GET, POST"),
    ]
    for (method, path, status, words) in asked {
      let answer = try curl(daemon, ["-i", "-X", method, "http://x\(path)"])
      #expect(answer.contains(words), "\(answer)")
      #expect(
        answer.hasPrefix("HTTP/1.1 \(status) ") && answer.contains("Content-Type: application/json\r\n"), "\(answer)")
    }
    try daemon.folder.write(String(repeating: "a", count: 20_000), to: "long")
    let long = try curl(daemon, ["-i", "-d", "@\(daemon.folder.file("long"))", "http://x/v1/penalties"])
    #expect(long.contains("HTTP/1.1 413 "), "\(long)")
  }

  private func curl(_ daemon: TestDaemon, _ arguments: [String]) throws -> String {
    try Shell.check("curl", ["-s", "-S", "--unix-socket", daemon.controlSocket] + arguments)
  }
}
