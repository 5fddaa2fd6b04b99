import Foundation
import MilterClient
import Testing
import WardenTestKit

/// What must be known to two only is told to nobody: neither by the log at its most talkative, nor by an answer, nor on the disk.
@Suite("Secrets")
struct SecretTests {
  @Test(
    "Tokens, secrets, cookies and a webhook's path stand in no log, no answer, no output and nothing that is stored")
  func nowhere() throws {
    let folder = try TemporaryFolder()
    let (web, dovecot, receiver) = (try freePort(), try freePort(), try freePort())
    let dovecotToken = "dovecot-\(UUID())"
    let webhookSecret = "webhook-\(UUID())"
    let webhookPath = "path-\(UUID())"
    try folder.write(dovecotToken + "\n", to: "token")
    try folder.write(webhookSecret + "\n", to: "secret")
    chmod(folder.file("secret"), 0o600)
    let policy = """
      state: \(folder.file("state"))
      feeds:
        dovecot-policy: {listen: "127.0.0.1:\(dovecot)", token-file: \(folder.file("token"))}
      alerts:
        wait: 1s
        webhook: {url: "http://127.0.0.1:\(receiver)/\(webhookPath)", secret-file: \(folder.file("secret"))}
      rules: [{name: cap, count: messages, per: user, limit: 1 per 1h, then: [alert, block for 1h]}]
      """
    let daemon = try TestDaemon(
      policy: policy, folder: folder, arguments: ["--log-level", "debug", "--log-format", "json"],
      control: "SOCKET\n  web: 127.0.0.1:\(web)", readyWords: #""message":"ready""#)

    // Each secret is used, rightly and wrongly.
    let webToken = String(
      try #require(
        try daemon.command("web-token", "--name", "alice", "--for", "1d").output.split(separator: "\n").first))
    let jar = folder.file("jar")
    func page(_ path: String, _ arguments: [String]) throws -> String {
      try Shell.check("curl", ["-s", "-m", "20", "http://127.0.0.1:\(web)\(path)"] + arguments)
    }
    let login = try page("/v1/session", ["-c", jar, "-d", #"{"token":"\#(webToken)"}"#])
    let session = try JSONSerialization.jsonObject(with: Data(login.utf8)) as? [String: Any]
    let csrf = try #require(session?["csrf"] as? String)
    let cookie = String(try #require(try folder.read("jar").split(whereSeparator: \.isWhitespace).last))
    _ = try page("/v1/status", ["-H", "Authorization: Bearer \(webToken)x"])
    _ = try page("/v1/penalties", ["-b", jar, "-H", "X-CSRF-Token: \(csrf)", "-d", #"{"key":"user:bob","for":"1h"}"#])
    for word in [dovecotToken, dovecotToken + "x"] {
      let body = #"{"login":"carol","remote":"192.0.2.9","protocol":"imap","pwhash":"5f2c","success":false}"#
      _ = try Shell.check(
        "curl",
        ["-s", "-m", "20", "-u", "user:\(word)", "-d", body, "http://127.0.0.1:\(dovecot)/?command=report"])
    }
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.7", port: 1))
    for isRefused in [false, true] {
      #expect(try client.mail("<a@b.test>", macros: [("{auth_authen}", "dora")]).isRefusal == isRefused)
      if isRefused { break }
      try client.recipient("<friend@far.test>")
      try client.endOfMessage()
    }
    try client.quit()
    _ = try daemon.logLine("127.0.0.1:\(receiver)")
    // A policy whose address has a slip of the pen is refused, in the log and in `status`.
    try daemon.write(policy: policy.replacing("http://127.0.0.1:\(receiver)", with: "htp://127.0.0.1:\(receiver)"))
    #expect(try daemon.command("reload").status != 0)

    var told: [(String, String)] = [("the log", "")]
    for path in [
      "/v1/status", "/v1/counters", "/v1/keys", "/v1/penalties", "/v1/overrides", "/v1/episodes", "/v1/trend",
      "/v1/web-tokens", "/v1/report", "/v1/suggest", "/v1/history?key=user:bob", "/v1/explain?key=user:carol",
      "/metrics",
    ] {
      let answer = try Shell.check("curl", ["-s", "--unix-socket", daemon.controlSocket, "http://localhost\(path)"])
      #expect(!answer.isEmpty, "\(path)")
      told.append((path, answer))
    }
    for command in [
      ["status"], ["counters"], ["penalties"], ["check"], ["history", "user:bob"], ["web-token", "--list"],
    ] {
      let result = try daemon.command(command + ["--json"])
      #expect(!result.output.isEmpty, "\(command)")
      told.append((command[0], result.output + result.errors))
    }
    #expect(try daemon.stop() == 0)
    told[0].1 = try daemon.log
    for file in try FileManager.default.contentsOfDirectory(atPath: folder.file("state")) {
      let bytes = try Data(contentsOf: URL(fileURLWithPath: folder.file("state/\(file)")))
      told.append((file, String(decoding: bytes, as: UTF8.self)))
    }
    let secrets = [
      "the Dovecot token": dovecotToken, "the webhook's secret": webhookSecret, "the webhook's path": webhookPath,
      "the page's token": webToken, "the session": cookie, "the CSRF word": csrf,
    ]
    for (place, text) in told {
      for (name, secret) in secrets { #expect(!text.contains(secret), "\(name) stands in \(place)") }
    }
  }
}
