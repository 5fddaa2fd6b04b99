import Foundation
import MilterClient
import Testing
import WardenTestKit

/// The daemon under a service manager such as systemd; with systemd itself: Tests/Package.
@Suite("Service manager")
struct ServiceManagerTests {
  private static let cap = "rules: [{name: cap, count: messages, per: user, limit: 2 per 2h, then: tempfail}]"

  private func start(
    under manager: ServiceManager, policy: String = Self.cap, arguments: [String] = []
  ) throws -> TestDaemon {
    try TestDaemon(
      policy: policy, folder: manager.folder, arguments: arguments, environment: manager.environment, milter: "fd:3",
      passing: manager.listener)
  }

  @Test("It says that it is ready, what it does, that it lives, and that it stops", arguments: [false, true])
  func messages(_ isAbstract: Bool) throws {
    let manager = try ServiceManager(watchdogMicroseconds: 400_000, isAbstract: isAbstract)
    let daemon = try start(under: manager)
    #expect(try manager.nextMessage() == ["READY=1", "STATUS=0 sessions open, 0 penalties"])
    let session = try MilterClient(.unix(daemon.milterSocket))
    try session.negotiate()
    try eventually("it tells of the session") {
      try manager.awaitMessage("WATCHDOG=1").contains("STATUS=1 sessions open, 0 penalties")
    }
    session.close()
    #expect(try daemon.stop() == 0)
    try manager.awaitMessage("STOPPING=1")
  }

  @Test("Asking itself whether it lives counts as nobody's connection")
  func uncounted() throws {
    let manager = try ServiceManager(watchdogMicroseconds: 200_000)
    let daemon = try start(
      under: manager, policy: "rules: [{name: r, count: broken-connections, per: server, limit: 1 per 1h, then: alert}]"
    )
    for _ in 0..<3 { try manager.awaitMessage("WATCHDOG=1") }
    let totals = try (daemon.curl("/v1/status") as? [String: Any])?["totals"] as? [String: [String: Int]]
    #expect(totals?["connections"]?["total"] == 0)
    #expect(totals?["broken-connections"]?["total"] == 0)
    #expect(try daemon.stop() == 0)
  }

  @Test("While nobody can reach the milter there is no sign of life, and afterwards there is")
  func unanswered() throws {
    let manager = try ServiceManager(watchdogMicroseconds: 400_000)
    let daemon = try TestDaemon(policy: Self.cap, environment: manager.environment)
    try manager.awaitMessage("WATCHDOG=1")
    let away = daemon.folder.file("away.sock")
    #expect(rename(daemon.milterSocket, away) == 0)
    try eventually("it falls silent") {
      if manager.hearsNothing(forMilliseconds: 1_000) { return true }
      _ = try manager.nextMessage()
      return false
    }
    #expect(rename(away, daemon.milterSocket) == 0)
    try manager.awaitMessage("WATCHDOG=1")
    #expect(try daemon.stop() == 0)
  }

  @Test("Programs that it starts inherit neither its descriptors nor what speaks for it")
  func inheritance() throws {
    let manager = try ServiceManager(watchdogMicroseconds: 60_000_000)
    let report = manager.folder.file("report")
    try manager.folder.write(
      "#!/bin/sh\nenv >\(report).new; ls /proc/self/fd >>\(report).new; mv \(report).new \(report)\n", to: "tell")
    chmod(manager.folder.file("tell"), 0o755)
    let daemon = try start(
      under: manager,
      policy: """
        commands: {tell: [\(manager.folder.file("tell"))]}
        rules: [{name: cap, count: messages, per: user, limit: 1 per 2h, then: [tempfail, run tell]}]
        """)
    for _ in 0..<2 { try send(daemon) }
    try eventually("the program has run") { FileManager.default.fileExists(atPath: report) }
    let told = try manager.folder.read("report").split(separator: "\n")
    #expect(!told.contains { $0.hasPrefix("NOTIFY_") || $0.hasPrefix("WATCHDOG_") || $0.hasPrefix("LISTEN_") })
    // 3 is the folder that ls reads.
    #expect(told.filter { Int($0) != nil } == ["0", "1", "2", "3"])
    #expect(try daemon.stop() == 0)
  }

  private func send(_ daemon: TestDaemon) throws {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect()
    if try !client.mail("<a@b.test>", macros: [("{auth_authen}", "alice")]).isRefusal {
      try client.endOfMessage(macros: [("i", "Q")])
    }
    try client.quit()
  }

  @Test("Whoever connects while it stops is served by its successor, and the open session by itself")
  func restart() throws {
    let manager = try ServiceManager()
    let old = try start(under: manager)
    let open = try MilterClient(.unix(old.milterSocket))
    try open.negotiate()
    try open.connect()
    old.signal(SIGTERM)
    try manager.awaitMessage("STOPPING=1")
    try eventually("it drains") { try old.log.contains(" stopping ") }
    let late = try MilterClient(.unix(old.milterSocket))
    #expect(try open.mail("<a@b.test>") == .continue)
    #expect(try open.endOfMessage(macros: [("i", "Q")]) == .continue)
    try open.quit()
    open.close()
    #expect(try old.awaitExit() == 0)
    #expect(FileManager.default.fileExists(atPath: old.milterSocket))
    let new = try start(under: manager)
    try late.negotiate()
    try late.connect()
    #expect(try late.mail("<a@b.test>") == .continue)
    late.close()
    #expect(try new.stop() == 0)
  }

  @Test("Without a listening socket there it does not start, and says what is missing", arguments: [false, true])
  func notPassed(_ isFile: Bool) throws {
    let folder = try TemporaryFolder()
    try folder.write("listen: {milter: fd:3, control: \(folder.file("c.sock"))}\n\(Self.cap)", to: "p.yaml")
    let result = try Shell.run(
      "sh",
      [
        "-c",
        "exec \(builtProgram("mailwarden")) run --config \(folder.file("p.yaml")) \(isFile ? "3</dev/null" : "3<&-")",
      ])
    #expect(result.status == 1)
    #expect(result.errors.contains("cannot listen on fd:3: no listening socket was passed as descriptor 3"))
  }
}
