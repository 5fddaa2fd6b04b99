import Foundation
import MilterClient
import Testing
import WardenTestKit

/// Whatever happens to the disk: mail goes on, the fault is told, and state is stored again when it can be.
@Suite("Faults of the state", .serialized)
struct StateFaultTests {
  private let folder: TemporaryFolder
  private static let isRoot = geteuid() == 0

  init() throws { folder = try TemporaryFolder() }

  private var state: String { folder.file("state") }
  private var database: String { state + "/mailwarden.sqlite" }

  private func daemon() throws -> TestDaemon {
    try TestDaemon(
      policy: """
        state: \(state)
        rules:
          - {name: cap, count: messages, per: user, limit: 3 per 1h, then: tempfail}
          - {name: leavers, count: broken-connections, per: ip, limit: 1 per 1h, then: block for 1d}
        """, folder: folder)
  }

  private func send(_ daemon: TestDaemon, _ count: Int, as user: String) throws -> Int {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.7", port: 40_000))
    let passed = try (0..<count).count { _ in
      if try client.mail("<\(user)@b.test>", macros: [("{auth_authen}", user)]).isRefusal { return false }
      return try !client.endOfMessage(macros: [("i", "Q7")]).isRefusal
    }
    try client.quit()
    return passed
  }

  private func problem(_ daemon: TestDaemon) throws -> String? {
    ((try daemon.curl("/v1/status") as? [String: Any])?["state"] as? [String: Any])?["problem"] as? String
  }

  private func isStored(_ daemon: TestDaemon) throws -> Bool {
    try Shell.check("curl", ["-s", "--unix-socket", daemon.controlSocket, "http://x/metrics"])
      .contains("mailwarden_state_ok 1\n")
  }

  /// While the fault lasts: mail is judged, orders are obeyed and say that they are not stored, and it is told everywhere.
  private func endure(_ daemon: TestDaemon, saying words: String) throws {
    #expect(try send(daemon, 5, as: "during") == 3)
    let answer = try daemon.command("block", "user:eve", "--for", "1d")
    #expect(answer.status == 0 && answer.output.contains("in force, but not stored"), "\(answer.output)")
    #expect(try send(daemon, 2, as: "eve") == 0)
    let told = try #require(try problem(daemon))
    #expect(told.contains(words), "\(told)")
    #expect(try !isStored(daemon))
    #expect(try daemon.command("status").output.contains("NOT STORED"))
    #expect(try daemon.logLine("mail goes on, and what changes is stored once it can be").contains(words))
    #expect(
      try daemon.log.components(separatedBy: "mail goes on, and what").count <= 3, "it is told once, not each time")
  }

  /// Once the fault is over all that happened meanwhile is stored, too.
  private func recover(_ daemon: TestDaemon) throws {
    try eventually("it is stored again") { try isStored(daemon) }
    _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
    daemon.kill()
    try daemon.start()
    #expect(try daemon.blockedKeys == ["user:eve"])
    #expect(try daemon.count("user:during", rule: "cap") == 3)
    #expect(try daemon.count("user:before", rule: "cap") == 2)
  }

  // MARK: - Disks

  private func mount(_ arguments: String...) throws {
    try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
    try Shell.check("mount", arguments + [state])
  }

  private func unmount() { _ = try? Shell.run("umount", ["-l", state]) }

  @Test("A full disk", .enabled(if: isRoot, "root is needed to mount a small disk"))
  func fullDisk() throws {
    try mount("-t", "tmpfs", "-o", "size=2m", "tmpfs")
    defer { unmount() }
    let daemon = try daemon()
    #expect(try send(daemon, 2, as: "before") == 2)
    _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
    _ = try? Shell.run("dd", ["if=/dev/zero", "of=\(state)/filler", "bs=4k"])
    // What is there of the log is written to first; then nothing more fits.
    try eventually("the disk is full", within: 60) {
      for number in 0..<50 { _ = try send(daemon, 1, as: "filler\(Int.random(in: 0...99_999))-\(number)") }
      _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
      return try problem(daemon) != nil
    }
    try endure(daemon, saying: "full")
    try FileManager.default.removeItem(atPath: "\(state)/filler")
    try recover(daemon)
  }

  @Test(
    "A disk that becomes read-only, after an orderly end and after a crash",
    .enabled(if: isRoot, "root is needed to mount a disk"), arguments: [false, true])
  func readOnly(killing: Bool) throws {
    try mount("-t", "tmpfs", "-o", "size=8m", "tmpfs")
    defer { unmount() }
    let daemon = try daemon()
    #expect(try send(daemon, 2, as: "before") == 2)
    _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
    if killing { daemon.kill() } else { #expect(try daemon.stop() == 0) }
    try Shell.check("mount", ["-o", "remount,ro", state])
    try daemon.start()
    // At once, or as soon as there is something to store.
    _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
    try eventually("it is noticed") { try problem(daemon) != nil }
    // What was stored is read all the same.
    #expect(try daemon.count("user:before", rule: "cap") == 2)
    try endure(daemon, saying: "nothing can be written there")
    try Shell.check("mount", ["-o", "remount,rw", state])
    try recover(daemon)
  }

  @Test("A disk that stands still", .enabled(if: isRoot, "root is needed to freeze a disk"))
  func frozen() throws {
    let image = folder.file("image")
    try Shell.check("dd", ["if=/dev/zero", "of=\(image)", "bs=1M", "count=24"])
    try Shell.check("mkfs.ext4", ["-q", image])
    try mount("-o", "loop", image)
    defer { unmount() }
    let daemon = try daemon()
    #expect(try send(daemon, 2, as: "before") == 2)
    _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
    try Shell.check("fsfreeze", ["-f", state])
    var isFrozen = true
    defer { if isFrozen { _ = try? Shell.run("fsfreeze", ["-u", state]) } }
    #expect(try send(daemon, 5, as: "during") == 3)
    let answer = try daemon.command("block", "user:eve", "--for", "1d")
    #expect(answer.output.contains("in force, but not stored") && answer.output.contains("has not answered in time"))
    #expect(try send(daemon, 2, as: "eve") == 0)
    try Shell.check("fsfreeze", ["-u", state])
    isFrozen = false
    try recover(daemon)
  }

  @Test("A folder that cannot be made, until it can", .enabled(if: isRoot, "root is needed for a disk of one's own"))
  func noFolder() throws {
    // A file is in the way.
    try folder.write("", to: "state")
    let daemon = try daemon()
    #expect(try send(daemon, 2, as: "before") == 2)
    try endure(daemon, saying: state)
    try FileManager.default.removeItem(atPath: state)
    try recover(daemon)
  }

  // MARK: - Other processes

  /// Holds the database until it is killed.
  private func hold(_ how: String) throws -> ChildProcess {
    let script = """
      import sqlite3, sys, time
      held = sqlite3.connect(sys.argv[1], isolation_level=None)
      for word in sys.argv[2].split(";"): held.execute(word)
      print("held", flush=True)
      time.sleep(60)
      """
    let holder = try ChildProcess(
      ["python3", "-c", script, database, how], output: folder.file("holder"))
    try eventually("the database is held") { try folder.read("holder").contains("held") }
    return holder
  }

  @Test("A lock held by another process while the daemon runs")
  func locked() throws {
    let daemon = try daemon()
    #expect(try send(daemon, 2, as: "before") == 2)
    _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
    let holder = try hold("BEGIN EXCLUSIVE")
    defer { holder.signal(SIGKILL) }
    try eventually("it is noticed") {
      _ = try send(daemon, 1, as: "somebody")
      return try problem(daemon) != nil
    }
    try endure(daemon, saying: "another process")
    holder.signal(SIGKILL)
    holder.wait()
    try recover(daemon)
  }

  @Test("A lock held by another process at the start: what is stored counts once it is let go")
  func lockedAtStart() throws {
    let daemon = try daemon()
    #expect(try send(daemon, 2, as: "before") == 2)
    _ = try daemon.command("block", "user:old", "--for", "1d")
    #expect(try daemon.stop() == 0)
    let holder = try hold("PRAGMA locking_mode=EXCLUSIVE;BEGIN EXCLUSIVE;CREATE TABLE other(x)")
    defer { holder.signal(SIGKILL) }
    try daemon.start()
    #expect(try send(daemon, 2, as: "old") == 2)
    let answer = try daemon.command("block", "user:eve", "--for", "1d")
    #expect(answer.output.contains("in force, but not stored"))
    #expect(try problem(daemon)?.contains("another process") == true)
    holder.signal(SIGKILL)
    holder.wait()
    try eventually("it is stored again") { try isStored(daemon) }
    #expect(try Set(daemon.blockedKeys) == ["user:old", "user:eve"])
    #expect(try send(daemon, 2, as: "old") == 0)
    #expect(try daemon.count("user:before", rule: "cap") == 2)
  }

  // MARK: - Databases that cannot be used

  @Test(
    "A database that cannot be used is set aside at the start and told loudly; an empty one begins",
    arguments: ["garbage", "empty pages", "truncated", "newer", "foreign"])
  func setAside(_ kind: String) throws {
    let daemon = try daemon()
    #expect(try send(daemon, 2, as: "before") == 2)
    _ = try daemon.command("block", "user:old", "--for", "1d")
    #expect(try daemon.stop() == 0)
    let url = URL(fileURLWithPath: database)
    var bytes = try Data(contentsOf: url)
    switch kind {
    case "garbage": bytes = Data(repeating: 0x55, count: 20_000)
    case "empty pages": bytes.replaceSubrange(4_096..., with: Data(count: bytes.count - 4_096))
    case "truncated": bytes = bytes.prefix(9_000)
    case "newer":
      try Shell.check("sqlite3", [database, "INSERT INTO grdb_migrations VALUES ('something of next year')"])
      bytes = try Data(contentsOf: url)
    default:
      try FileManager.default.removeItem(at: url)
      try Shell.check("sqlite3", [database, "CREATE TABLE bookmarks(url TEXT); INSERT INTO bookmarks VALUES ('x')"])
      bytes = try Data(contentsOf: url)
    }
    try bytes.write(to: url)
    try daemon.start()
    #expect(try send(daemon, 5, as: "alice") == 3)
    let line = try daemon.logLine("going on with an empty one")
    #expect(line.contains(" critical ") && line.contains("set aside as \(database).set-aside-20"))
    let aside = try FileManager.default.contentsOfDirectory(atPath: state).filter { $0.contains("set-aside") }
    let kept = try aside.map { try Data(contentsOf: URL(fileURLWithPath: "\(state)/\($0)")) }
    #expect(kept.contains(bytes), "nothing of it is lost")
    #expect(try daemon.command("status").output.contains("set aside: \(database)"))
    #expect(try daemon.command("block", "user:eve", "--for", "1d").output.contains("note") == false)
    daemon.kill()
    try daemon.start()
    #expect(try daemon.blockedKeys == ["user:eve"])
  }

  @Test("A database that is damaged while it is open is set aside, and everything is stored anew")
  func damagedWhileOpen() throws {
    let daemon = try daemon()
    #expect(try send(daemon, 2, as: "before") == 2)
    _ = try daemon.command("block", "user:eve", "--for", "1d")
    // As a disk does that loses its mind: everything but the first page.
    for file in [database, database + "-wal"] {
      let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
      let size = try handle.seekToEnd()
      if size > 4_096 {
        try handle.seek(toOffset: 4_096)
        try handle.write(contentsOf: Data(repeating: 0xaa, count: Int(size) - 4_096))
      }
      try handle.close()
    }
    try eventually("it is noticed", within: 60) {
      _ = try send(daemon, 1, as: "user\(Int.random(in: 0...9_999))")
      _ = try daemon.curl("/v1/history?key=user:before")
      _ = try daemon.curl("/v1/overrides?key=user:nobody", method: "DELETE")
      return try daemon.log.contains("going on with an empty one")
    }
    #expect(try send(daemon, 5, as: "during") == 3)
    try recover(daemon)
  }
}
