import Foundation
import MilterClient
import Testing
import WardenTestKit

/// The page of a real daemon, asked by curl.
@Suite("The page")
struct WebTests {
  private static let rules = "rules: [{name: cap, count: messages, per: user, limit: 2 per 1h, then: tempfail}]"

  private func daemon(_ port: Int, state: Bool = true) throws -> TestDaemon {
    let folder = try TemporaryFolder()
    let state = state ? "state: \(folder.file("state"))\n" : ""
    return try TestDaemon(
      policy: state + Self.rules, folder: folder, control: "SOCKET\n  web: 127.0.0.1:\(port)")
  }

  /// - Returns: the body and, behind it, the status.
  private func curl(_ port: Int, _ path: String, _ arguments: [String] = []) throws -> String {
    try Shell.check(
      "curl", ["-s", "-S", "-m", "20", "-w", "%{http_code}", "http://127.0.0.1:\(port)\(path)"] + arguments)
  }

  private func token(_ daemon: TestDaemon, _ name: String = "alice") throws -> String {
    let made = try daemon.command("web-token", "--name", name, "--for", "1d")
    #expect(made.status == 0, "\(made.errors)")
    return String(try #require(made.output.split(separator: "\n").first))
  }

  @Test("A token from the command line logs in, blocks and releases; the book says who")
  func orders() throws {
    let port = try freePort()
    let daemon = try daemon(port)
    let token = try token(daemon)
    let jar = daemon.folder.file("jar")
    let login = try curl(port, "/v1/session", ["-c", jar, "-d", #"{"token":"\#(token)"}"#])
    #expect(login.hasSuffix("200"))
    let answer = try JSONSerialization.jsonObject(with: Data(login.dropLast(3).utf8)) as? [String: Any]
    let csrf = "X-CSRF-Token: \(try #require(answer?["csrf"] as? String))"
    let order = ["-d", #"{"key":"user:bob","for":"1h"}"#]
    #expect(try curl(port, "/v1/penalties", order).hasSuffix("401"))
    #expect(try curl(port, "/v1/penalties", order + ["-b", jar, "-H", csrf]).hasSuffix("200"))
    #expect(try daemon.blockedKeys == ["user:bob"])
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.7", port: 1))
    #expect(try client.mail("<a@b.test>", macros: [("{auth_authen}", "bob")]).isRefusal)
    let path = "/v1/penalties?key=user:bob"
    #expect(try curl(port, path, ["-b", jar, "-H", csrf, "-X", "DELETE"]).hasSuffix("200"))
    #expect(try daemon.blockedKeys == [])
    let history = try daemon.command("history", "user:bob")
    #expect(history.output.contains("alice (web)"), "\(history.output)\(history.errors)")
    let secrets = [token, try #require(answer?["csrf"] as? String)]
    let log = try daemon.log
    #expect(!secrets.contains { log.contains($0) })
  }

  @Test("A token outlives the daemon, and nothing on the disk holds it; revoked, it stays so")
  func restart() throws {
    let port = try freePort()
    let daemon = try daemon(port)
    let (alice, bob) = (try token(daemon), try token(daemon, "bob"))
    #expect(try daemon.command("web-token", "--revoke", "bob").status == 0)
    #expect(try daemon.command("web-token", "--revoke", "bob").status != 0)
    #expect(try daemon.stop() == 0)
    for name in try FileManager.default.contentsOfDirectory(atPath: daemon.folder.file("state")) {
      let bytes = try Data(contentsOf: URL(filePath: daemon.folder.file("state/\(name)")))
      #expect(bytes.range(of: Data(alice.utf8)) == nil, "\(name)")
    }
    try daemon.start()
    #expect(try curl(port, "/metrics", ["-H", "Authorization: Bearer \(alice)"]).hasSuffix("200"))
    #expect(try curl(port, "/metrics", ["-H", "Authorization: Bearer \(bob)"]).hasSuffix("401"))
    let list = try daemon.command("web-token", "--list").output
    #expect(list.contains("alice") && !list.contains("bob") && !list.contains(alice))
  }

  @Test("Without state the command says that the token ends with the daemon")
  func withoutState() throws {
    let daemon = try daemon(try freePort(), state: false)
    let made = try daemon.command("web-token", "--name", "alice")
    #expect(made.output.contains("the token ends with the daemon"))
    #expect(try daemon.command("web-token", "--name", "alice").errors.contains("already"))
    #expect(try daemon.command("web-token").status != 0)
  }

  @Test("Without listen.web nothing listens, and a port that is taken ends the start with a word")
  func start() throws {
    let port = try freePort()
    let first = try daemon(port)
    #expect(try first.logLine(" ready ").contains("web=127.0.0.1:\(port)"))
    let second = try Shell.run(
      builtProgram("mailwarden"), ["run", "--config", try secondPolicy(port, in: first.folder)])
    #expect(second.status != 0)
    let problem = "listen.web: cannot listen on 127.0.0.1:\(port): address already in use\n"
    #expect(second.errors.contains(problem), "\(second.errors)")
    for socket in ["m2", "c2"] {
      #expect(!FileManager.default.fileExists(atPath: first.folder.file(socket)), "\(socket)")
    }
  }

  private func secondPolicy(_ port: Int, in folder: TemporaryFolder) throws -> String {
    try folder.write(
      """
      listen: {milter: "unix:\(folder.file("m2"))", control: \(folder.file("c2")), web: 127.0.0.1:\(port)}
      \(Self.rules)
      """, to: "second.yaml")
    return folder.file("second.yaml")
  }

  @Test("A change of listen.web is told to take effect at the next start")
  func reload() throws {
    let port = try freePort()
    let daemon = try daemon(port)
    let policy = try daemon.folder.read("mailwarden.yaml").replacing(
      "127.0.0.1:\(port)", with: "{at: 127.0.0.1:\(port), read-without-login: true}")
    try daemon.folder.write(policy, to: "mailwarden.yaml")
    #expect(try daemon.command("reload").output.contains("\"listen\""))
    #expect(try curl(port, "/v1/status").hasSuffix("401"))
  }

  @Test(
    "Another user of this machine, who is not in the socket's group, cannot ask the control socket",
    .enabled(if: geteuid() == 0))
  func otherUser() throws {
    let daemon = try daemon(try freePort())
    let question = [
      "curl", "-s", "-S", "-m", "20", "--unix-socket", daemon.controlSocket, "http://localhost/v1/status",
    ]
    #expect(try Shell.run("env", question).status == 0)
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"]
    let refused = try Shell.run("setpriv", nobody + question)
    #expect(refused.status == 7 && refused.output.isEmpty, "\(refused)")
    // It is the socket that is closed: its folder may be entered.
    #expect(try Shell.run("setpriv", nobody + ["test", "-S", daemon.controlSocket]).status == 0)
    #expect(try Shell.run("setpriv", nobody + ["test", "-w", daemon.controlSocket]).status == 1)
  }
}
