import Foundation
import MilterClient
import Testing
import WardenTestKit

/// Starting, reloading and stopping, as an operator relies on it.
@Suite("Lifecycle")
struct LifecycleTests {
  private static let cap = "rules: [{name: cap, count: messages, per: user, limit: 2 per 2h, then: tempfail}]"

  /// Sends one message and gives the code at MAIL or at its end.
  private func send(_ daemon: TestDaemon, as user: String) throws -> String {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect()
    var response = try client.mail("<a@b.test>", macros: [("{auth_authen}", user)])
    if !response.isRefusal { response = try client.endOfMessage(macros: [("i", "Q")]) }
    try client.quit()
    if case .reply(let lines) = response { return String(lines[0].prefix(3)) }
    return "250"
  }

  @Test("A reload keeps the counters", arguments: ["SIGHUP", "command"])
  func reload(_ way: String) throws {
    let daemon = try TestDaemon(policy: Self.cap)
    for expected in ["250", "250", "450"] { #expect(try send(daemon, as: "alice") == expected) }
    try daemon.write(policy: Self.cap.replacing("2 per", with: "3 per"))
    if way == "SIGHUP" {
      daemon.signal(SIGHUP)
      try eventually("it has reloaded") { try daemon.log.contains(" reloaded ") }
    } else {
      #expect(try daemon.command("reload").status == 0)
    }
    for expected in ["250", "450"] { #expect(try send(daemon, as: "alice") == expected) }
  }

  @Test("A bad policy file leaves the running policy in force and says so", arguments: ["SIGHUP", "command"])
  func badReload(_ way: String) throws {
    let daemon = try TestDaemon(policy: Self.cap)
    try daemon.write(policy: "rules: [{name: cap, count: mesages, per: user, limit: 1 per 2h, then: tempfail}]")
    if way == "SIGHUP" {
      daemon.signal(SIGHUP)
    } else {
      let result = try daemon.command("reload")
      #expect(result.status == 1)
      #expect(result.output.contains(#"unknown signal "mesages" (did you mean "messages"?)"#))
    }
    try eventually("it has said so") { try daemon.log.contains("keeping the running policy") }
    for expected in ["250", "250", "450"] { #expect(try send(daemon, as: "alice") == expected) }
    #expect(try daemon.command("status").output.contains("LAST RELOAD FAILED"))
  }

  @Test("A hundred SIGHUPs in a row are reloads, none an order to stop")
  func manyReloads() throws {
    let daemon = try TestDaemon(policy: Self.cap)
    for round in 1...100 {
      daemon.signal(SIGHUP)
      try eventually("reload \(round)") { try daemon.log.components(separatedBy: " reloaded ").count > round }
    }
    #expect(try daemon.stop() == 0)
  }

  @Test("Orders that come while a reload is under way are obeyed, one after the other")
  func signalsTogether() throws {
    let rules = (0..<100).map { "  - {name: r\($0), count: messages, per: user, limit: \($0 + 1) per 2h, then: alert}" }
    let daemon = try TestDaemon(policy: "rules:\n" + rules.joined(separator: "\n"))
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect()
    for _ in 0..<20 {
      daemon.signal(SIGHUP)
      poll(nil, 0, 1)
    }
    daemon.signal(SIGTERM)
    try eventually("it drains") { try daemon.log.contains(" stopping ") }
    // The open session is served to its end.
    #expect(try client.mail("<a@b.test>") == .continue)
    #expect(try client.endOfMessage(macros: [("i", "Q")]) == .continue)
    try client.quit()
    client.close()
    #expect(try daemon.awaitExit() == 0)
    #expect(try !daemon.log.contains("libmilter has taken a signal"))
  }

  @Test("A daemon that ends leaves its successor's sockets alone")
  func successor() throws {
    let old = try TestDaemon(policy: Self.cap)
    let stuck = try MilterClient(.unix(old.controlSocket))
    try stuck.sendBytes(Array("POST /v1/penalties HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{".utf8))
    _ = try old.curl("/v1/status")
    old.signal(SIGTERM)
    // The stop now waits for the stuck request; by then nobody listens on the milter socket.
    try eventually("the milter socket is free") { (try? MilterClient(.unix(old.milterSocket))) == nil }
    let new = try TestDaemon(policy: Self.cap, folder: old.folder)
    #expect(try old.awaitExit() == 0)
    stuck.close()
    #expect(try send(new, as: "alice") == "250")
    #expect(try new.status("pid") == Int(new.pid))
  }

  @Test("A second daemon on a living socket refuses to start and names the process")
  func second() throws {
    let daemon = try TestDaemon(policy: Self.cap)
    let result = try Shell.run(builtProgram("mailwarden"), ["run", "--config", daemon.policyFile])
    #expect(result.status == 1)
    #expect(result.errors.contains("is in use by process \(daemon.pid) (mailwarden)"))
    #expect(try send(daemon, as: "alice") == "250")
  }

  @Test("The sockets of a killed daemon are replaced")
  func stale() throws {
    let daemon = try TestDaemon(policy: Self.cap)
    daemon.kill()
    #expect(FileManager.default.fileExists(atPath: daemon.milterSocket))
    try daemon.start()
    #expect(try send(daemon, as: "alice") == "250")
    #expect(try daemon.stop() == 0)
    #expect(!FileManager.default.fileExists(atPath: daemon.milterSocket))
    #expect(!FileManager.default.fileExists(atPath: daemon.controlSocket))
  }

  @Test("A plain file where a socket should be is not removed")
  func plainFile() throws {
    let folder = try TemporaryFolder()
    try folder.write("precious", to: "milter.sock")
    #expect(throws: (any Error).self) { try TestDaemon(policy: Self.cap, folder: folder) }
    #expect(try folder.read("milter.sock") == "precious")
  }

  @Test("SIGTERM waits for an open session, and not for ever")
  func drain() throws {
    let daemon = try TestDaemon(policy: Self.cap)
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect()
    try client.mail("<a@b.test>")
    daemon.signal(SIGTERM)
    try eventually("it drains") { try daemon.log.contains(" stopping ") }
    // Nobody new is served; the MTA's own default action stands for us.
    #expect(throws: MilterClientError.self) { try MilterClient(.unix(daemon.milterSocket)).negotiate() }
    #expect(try client.endOfMessage(macros: [("i", "Q")]) == .continue)
    #expect(daemon.isRunning)
    try client.quit()
    client.close()
    #expect(try daemon.awaitExit() == 0)
    #expect(try !daemon.log.contains("still open"))
  }

  @Test("A session that never ends holds the stop up for ten seconds at most")
  func boundedDrain() throws {
    let daemon = try TestDaemon(policy: Self.cap)
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect()
    daemon.signal(SIGTERM)
    try eventually("it stops all the same", within: 14) { !daemon.isRunning }
    #expect(try daemon.awaitExit() == 0)
    #expect(try daemon.log.contains("still open"))
    client.close()
  }

  @Test("A request to the control socket that never ends does not hold up the stop")
  func halfRequest() throws {
    let daemon = try TestDaemon(policy: Self.cap)
    let stuck = try MilterClient(.unix(daemon.controlSocket))
    try stuck.sendBytes(Array("POST /v1/penalties HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{".utf8))
    defer { stuck.close() }
    // Asked after it, so the half request has been taken by now.
    _ = try daemon.curl("/v1/status")
    #expect(try daemon.stop() == 0)
  }

  @Test("It takes as many file descriptors as it may have")
  func descriptors() throws {
    let running = try TestDaemon(policy: Self.cap)
    #expect(try running.stop() == 0)
    // Again, as a shell with the usual soft limit would start it.
    let daemon = try ChildProcess(
      ["sh", "-c", "ulimit -Sn 300; exec \(builtProgram("mailwarden")) run --config \(running.policyFile)"],
      output: running.folder.file("log"))
    defer {
      daemon.signal(SIGKILL)
      daemon.wait()
    }
    try eventually("it is ready") { try running.log.contains(" ready ") }
    let limits = try String(contentsOfFile: "/proc/\(daemon.pid)/limits", encoding: .utf8)
    let files = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }).split(
      separator: " ")
    #expect(files[3] == files[4] && files[3] != "300")
  }

  @Test("A log that nobody reads stops neither mail, nor questions, nor the stop itself")
  func blockedLog() throws {
    let daemon = try TestDaemon(policy: Self.cap, log: .unreadPipe)
    for expected in ["250", "250"] { #expect(try send(daemon, as: "alice") == expected) }
    for _ in 0..<3_000 { #expect(try send(daemon, as: "alice") == "450") }
    let faults = (try daemon.curl("/v1/status") as? [String: Any])?["faults"] as? [String: Int]
    #expect(faults?["milter_faults"] == 0)
    #expect(try daemon.command("reload").status == 0)
    #expect(try daemon.stop() == 0)
  }

  @Test("A policy with errors is not started, with every problem at its place")
  func badPolicy() throws {
    let folder = try TemporaryFolder()
    try folder.write("rules:\n  - name: a\n    count: mesages\n    per: usr\n", to: "p.yaml")
    for arguments in [["run", "--config", folder.file("p.yaml")], ["check", folder.file("p.yaml")]] {
      let result = try Shell.run(builtProgram("mailwarden"), arguments)
      #expect(result.status == (arguments[0] == "run" ? 78 : 1))
      #expect(result.errors.contains("p.yaml:3:12: unknown signal \"mesages\" (did you mean \"messages\"?)"))
      #expect(result.errors.contains("p.yaml:4:10: unknown kind of key \"usr\" (did you mean \"user\"?)"))
    }
  }

  @Test("Only root and the socket's group may use the control socket", .enabled(if: geteuid() == 0, "needs root"))
  func controlPermissions() throws {
    let daemon = try TestDaemon(
      policy: Self.cap, control: "{socket: \"SOCKET\", group: mail}")
    var status = stat()
    #expect(stat(daemon.controlSocket, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o660)
    #expect(status.st_gid == getgrnam("mail").pointee.gr_gid)
    // setpriv comes with every Debian (util-linux).
    func curl(as group: String) throws -> Shell.Result {
      try Shell.run(
        "setpriv",
        [
          "--reuid=nobody", "--regid=\(group)", "--clear-groups", "curl", "-s", "-S", "--unix-socket",
          daemon.controlSocket,
          "http://localhost/v1/status",
        ])
    }
    #expect(try curl(as: "mail").output.contains("\"uptime_seconds\""))
    #expect(try curl(as: "nogroup").status == 7)
  }

  @Test(
    "Postfix can use the milter socket as it is, and others than it and root cannot",
    .enabled(if: geteuid() == 0 && getgrnam("postfix") != nil, "needs root and a group postfix"))
  func milterSocketForPostfix() throws {
    let daemon = try TestDaemon(policy: Self.cap, milter: "unix:SOCKET")
    var status = stat()
    #expect(stat(daemon.milterSocket, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o660)
    #expect(status.st_gid == getgrnam("postfix").pointee.gr_gid)
  }

  @Test(
    "With `user:` it gives up root after opening its sockets, and still reloads",
    .enabled(if: geteuid() == 0, "needs root"))
  func dropsPrivileges() throws {
    let folder = try TemporaryFolder()
    let daemon = try TestDaemon(policy: "user: nobody\n\(Self.cap)", folder: folder)
    let processStatus = try String(contentsOfFile: "/proc/\(daemon.pid)/status", encoding: .utf8)
    let nobody = getpwnam("nobody").pointee.pw_uid
    #expect(processStatus.contains("Uid:\t\(nobody)\t\(nobody)\t\(nobody)\t\(nobody)"))
    #expect(try send(daemon, as: "alice") == "250")
    #expect(try daemon.command("reload").status == 0)
    #expect(try daemon.stop() == 0)
  }

  @Test("As root without `user:` it works and warns", .enabled(if: geteuid() == 0, "needs root"))
  func warnsOfRoot() throws {
    let daemon = try TestDaemon(policy: Self.cap)
    #expect(try daemon.log.contains("running as root"))
  }
}
