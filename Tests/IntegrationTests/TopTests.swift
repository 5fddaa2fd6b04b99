import Foundation
import MilterClient
import Testing
import WardenTestKit

/// What an administrator sees who leaves a screen open: real terminals, through tmux.
@Suite("top and watch")
struct TopTests {
  private static let policy = """
    rules:
      - {name: account-cap, count: messages, per: user, limit: 25 per 2h, then: tempfail}
      - {name: spree, count: recipients, per: user, limit: 100 per 1h, then: [alert, block for 1h]}
      - {name: crowd, count: messages, per: network, limit: 60 per 1h, then: alert}
    """

  private func daemon() throws -> TestDaemon { try TestDaemon(policy: Self.policy) }

  /// Messages that users send, each to one recipient unless told otherwise.
  private func send(
    _ daemon: TestDaemon, as user: String, _ count: Int, recipients: Int = 1, from address: String = "192.0.2.7",
    helo: String = "client.example", sender: String = "<a@b.test>"
  ) throws {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4(address, port: 1))
    try client.helo(helo)
    for _ in 0..<count {
      if try client.mail(sender, macros: [("{auth_authen}", user)]).isRefusal { continue }
      for number in 0..<recipients { try client.recipient("<r\(number)@x.test>") }
      try client.endOfMessage(macros: [("i", "4fQZ")])
    }
    try client.quit()
  }

  private func top(_ daemon: TestDaemon, columns: Int = 80, rows: Int = 24) throws -> TerminalScreen {
    let screen = try TerminalScreen(columns: columns, rows: rows)
    try screen.type("stty -a > \(daemon.folder.file("before")); \(command("top", daemon)) --delay 1s; echo ended $?\n")
    try screen.shows("q quit")
    return screen
  }

  private func command(_ name: String, _ daemon: TestDaemon) -> String {
    "\(builtProgram("mailwarden")) \(name) --config \(daemon.policyFile)"
  }

  /// The shell is back, and the terminal as it was.
  private func expectClean(_ screen: TerminalScreen, _ daemon: TestDaemon, status: Int) throws {
    try screen.shows("ended \(status)")
    #expect(try !screen.isAlternate)
    #expect(try screen.hasCursor)
    #expect(try !screen.text.contains("mailwarden  up"), "the shell's own screen is back")
    try screen.type("stty -a | cmp - \(daemon.folder.file("before")) && echo the same as before\n")
    try screen.shows("the same as before", where: { $0.contains("\nthe same as before") })
  }

  @Test("The busiest key and its limit, a rule that trips and the block are on the screen while mail flows")
  func traffic() throws {
    let daemon = try daemon()
    let screen = try top(daemon)
    try send(daemon, as: "alice@example.org", 24)
    try screen.shows("user:alice@example.org") { $0.contains("24/25") && $0.contains("█████████░") }
    try send(daemon, as: "bob", 6, recipients: 20)
    let text = try screen.shows("bob blocked") { text in
      let blocked = text.components(separatedBy: "Blocked (1)")
      return blocked.count == 2 && blocked[1].contains("user:bob") && text.contains("Tripped rules (1)")
        && text.contains(" blocked  spree: user bob: 1")
    }
    #expect(text.split(separator: "\n").first?.contains("blocked 1") == true)
  }

  @Test("A block and a release reach the daemon once they are confirmed, and not before")
  func orders() throws {
    let daemon = try daemon()
    try send(daemon, as: "bob", 3)
    let screen = try top(daemon)
    try screen.shows("> user:bob")
    try screen.press("b")
    try screen.shows("Block user:bob for how long? 1h_")
    try screen.press("BSpace", "BSpace", "3", "d", "Enter")
    try screen.shows("Block user:bob for 3d? y/n")
    try screen.press("n")
    try screen.shows("nothing was done")
    #expect(try daemon.blockedKeys == [])
    try screen.press("b", "Enter")
    try screen.shows("for 1h? y/n")
    try screen.press("y")
    try screen.shows("user:bob is blocked until")
    #expect(try daemon.blockedKeys == ["user:bob"])
    try screen.press("r")
    try screen.shows("Release user:bob? y/n")
    #expect(try daemon.blockedKeys == ["user:bob"])
    try screen.press("y")
    try screen.shows("user:bob is released")
    #expect(try daemon.blockedKeys == [])
  }

  @Test("Enter opens what explain says, and a filter leaves only what it names")
  func explain() throws {
    let daemon = try daemon()
    for user in ["alice", "bob"] { try send(daemon, as: user, user == "bob" ? 5 : 9) }
    let screen = try top(daemon)
    try screen.shows("user:bob")
    try screen.press("/")
    try screen.type("bob")
    try screen.shows("> user:bob") { !$0.contains("user:alice") }
    try screen.press("Enter", "Enter")
    try screen.shows("Counts against limits") { $0.contains("5/25 in 2h") }
    try screen.press("Escape")
    try screen.shows("only what contains bob")
    try screen.press("Escape")
    try screen.shows("user:alice")
  }

  @Test("The screen takes the terminal's size, also when that changes")
  func resizing() throws {
    let daemon = try daemon()
    try send(daemon, as: "bob", 3)
    let screen = try top(daemon)
    try screen.shows("user:bob")
    try screen.resize(columns: 160, rows: 50)
    let text = try screen.shows("two columns") { text in
      text.split(separator: "\n").contains { $0.contains("Users (1)") && $0.contains("Tripped rules (0)") }
    }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines[49].hasPrefix("q quit"), "the last line is the lowest")
    try screen.resize(columns: 80, rows: 24)
    try screen.shows("one column") { text in
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      return lines.count >= 24 && lines[23].hasPrefix("q quit") && lines.allSatisfy { $0.count <= 80 }
    }
  }

  @Test("The terminal is left as it was", arguments: ["q", "C-c", "SIGTERM"])
  func leaving(by way: String) throws {
    let daemon = try daemon()
    let screen = try top(daemon)
    #expect(try screen.isAlternate)
    if way == "SIGTERM" {
      kill(try screen.program, SIGTERM)
    } else {
      try screen.press(way)
    }
    try expectClean(screen, daemon, status: 0)
  }

  @Test("Ctrl-Z gives the terminal back, fg the screen")
  func stopping() throws {
    let daemon = try daemon()
    let screen = try TerminalScreen(columns: 80, rows: 24)
    try screen.type("\(command("top", daemon))\n")
    try screen.shows("q quit")
    try screen.press("C-z")
    try screen.shows("Stopped") { $0.contains("Stopped") && ((try? !screen.isAlternate) ?? false) }
    try screen.type("fg\n")
    try screen.shows("the screen again") { $0.contains("q quit") && ((try? screen.isAlternate) ?? false) }
    try screen.press("q")
    try screen.shows("the shell again") { !$0.contains("q quit") && ((try? !screen.isAlternate) ?? false) }
  }

  @Test("When the daemon goes away the screen says so, and goes on once it is back")
  func restart() throws {
    let daemon = try daemon()
    try send(daemon, as: "bob", 3)
    let screen = try top(daemon)
    try screen.shows("user:bob")
    daemon.kill()
    try screen.shows("NO ANSWER, trying again")
    try daemon.start()
    try screen.shows("figures again") { !$0.contains("NO ANSWER") && $0.contains("nothing is counted yet") }
    try send(daemon, as: "carol", 6, recipients: 20)
    try screen.shows("events again") { $0.contains("spree: user carol") }
  }

  @Test("What hostile clients say is text on the screen, in watch and in its JSON")
  func hostile() throws {
    // Names of clients are asked for only where a rule counts them.
    let daemon = try TestDaemon(
      policy: Self.policy + "\n  - {name: names, count: messages, per: helo, limit: 900 per 1h, then: alert}")
    let screen = try top(daemon)
    let watching = try TerminalScreen(columns: 200, rows: 50)
    let title = try watching.title
    try watching.type("\(command("watch", daemon)) 2>&1 | tee \(daemon.folder.file("watched"))\n")
    let json = try ChildProcess(
      [builtProgram("mailwarden"), "watch", "--json", "--config", daemon.policyFile],
      output: daemon.folder.file("json"))
    defer {
      json.signal(SIGKILL)
      json.wait()
    }
    try eventually("both watch, and top") { try daemon.status("watchers") == 3 }
    let names = ["\u{1b}]0;owned\u{7}eve", "\u{202e}drowssap", "\u{9b}2Jmallory", String(repeating: "x", count: 5_000)]
    for name in names {
      try send(daemon, as: name, 6, recipients: 20, helo: name, sender: "<\(name)@b.test>")
    }
    // Not UTF-8.
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.8", port: 1))
    try client.sendRaw(command: UInt8(ascii: "H"), payload: [0xff, 0xfe, 0x1b, 0x9b, 0])
    try client.mail("<last@b.test>")
    try client.quit()

    try screen.press("s")
    try screen.shows(#"user:\u{1b}]0;owned\u{7}eve"#)
    try screen.shows(#"user:\u{202e}drowssap"#)
    try eventually("watch has it all") { try daemon.folder.read("watched").contains("last@b.test") }
    let watched = try Data(contentsOf: URL(fileURLWithPath: daemon.folder.file("watched")))
    #expect(watched.allSatisfy { $0 == 0x0a || (0x20...0x7e).contains($0) })
    #expect(String(decoding: watched, as: UTF8.self).contains(#"helo="\u{1b}]0;owned\u{7}eve""#))
    #expect(try watching.title == title, "nobody has given the terminal another title")
    try eventually("JSON has it all") { try daemon.folder.read("json").contains("last@b.test") }
    let lines = try Data(contentsOf: URL(fileURLWithPath: daemon.folder.file("json")))
    #expect(lines.allSatisfy { $0 == 0x0a || (0x20...0x7e).contains($0) })
    var users: Set<String> = []
    for line in lines.split(separator: 0x0a) {
      let record = try #require(try JSONSerialization.jsonObject(with: line) as? [String: Any])
      if let user = record["user"] as? String { users.insert(user) }
    }
    #expect(users.isSuperset(of: names.dropLast().map { $0.lowercased() }), "JSON says exactly who it was")
  }

  @Test("Without a terminal top is lines, and JSON where asked for")
  func plain() throws {
    let daemon = try daemon()
    for isJSON in [false, true] {
      let output = daemon.folder.file("lines")
      let arguments = ["top", "--delay", "1s", "--config", daemon.policyFile] + (isJSON ? ["--json"] : [])
      let child = try ChildProcess([builtProgram("mailwarden")] + arguments, output: output)
      defer {
        child.signal(SIGKILL)
        child.wait()
      }
      let user = isJSON ? "carol" : "bob"
      try eventually("top listens") { try daemon.status("watchers") == 1 }
      try send(daemon, as: user, 6, recipients: 20)
      try eventually("a trip and a look after it are told") {
        let text = try daemon.folder.read("lines")
        return isJSON
          ? text.contains(#""key":"user:carol","#) && text.contains(#""reason":"user carol: 1"#)
          : text.contains(" blocked=spree ") && text.contains("nearest=user:bob 100/100 in 1h")
      }
      if isJSON {
        for line in try daemon.folder.read("lines").split(separator: "\n") {
          #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line.utf8)) }
        }
      }
      #expect(try !daemon.folder.read("lines").contains("\u{1b}"), "no control sequences")
      child.signal(SIGINT)
      try eventually("it ends") { !child.isRunning }
      #expect(child.wait() == 0)
      try eventually("nobody watches any more") { try daemon.status("watchers") == 0 }
    }
  }

  @Test("watch shows what is asked for, ends with its reader, and says what it cannot do")
  func watch() throws {
    let daemon = try daemon()
    let pipe = try ChildProcess(
      ["bash", "-c", "set -o pipefail; \(command("watch", daemon)) user:bob --decision refused,blocked | head -n 1"],
      output: daemon.folder.file("watched"))
    defer {
      pipe.signal(SIGKILL)
      pipe.wait()
    }
    try eventually("it watches") { try daemon.status("watchers") == 1 }
    try send(daemon, as: "alice", 6, recipients: 20)
    try send(daemon, as: "bob", 7, recipients: 20)
    try eventually("both end") { !pipe.isRunning }
    #expect(pipe.wait() == 0)
    let lines = try daemon.folder.read("watched").split(separator: "\n")
    #expect(lines.count == 1)
    #expect(lines.first?.contains("key=user:bob") == true)

    for (arguments, words) in [
      (["nonsense:x"], "unknown kind of key"), (["--rule", "spre"], "there is no rule \"spre\""),
      (["--decision", "maybe"], "there is no decision \"maybe\""),
    ] {
      let refused = try daemon.command(["watch"] + arguments)
      #expect(refused.status == 1 && refused.errors.contains(words), "\(refused.errors)")
    }
    _ = try daemon.stop()
    let alone = try daemon.command("watch")
    #expect(alone.status == 1 && alone.errors.contains("cannot reach the daemon"))
  }

  @Test("watch says that the daemon has gone away, and hears it again after a restart")
  func watchRestart() throws {
    let daemon = try daemon()
    let child = try ChildProcess(
      [builtProgram("mailwarden"), "watch", "--config", daemon.policyFile], output: daemon.folder.file("watched"),
      errors: daemon.folder.file("said"))
    defer {
      child.signal(SIGKILL)
      child.wait()
    }
    try eventually("it watches") { try daemon.status("watchers") == 1 }
    #expect(try daemon.stop() == 0)
    try eventually("it says so") { try daemon.folder.read("said").contains("the daemon has gone away") }
    try daemon.start()
    try eventually("it is back") { try daemon.folder.read("said").contains("the daemon is back") }
    try send(daemon, as: "bob", 1)
    try eventually("it hears") { try daemon.folder.read("watched").contains("user=bob") }
    child.signal(SIGINT)
    try eventually("it ends") { !child.isRunning }
    #expect(child.wait() == 0)
  }

  /// `make captures` keeps them in docs/screens.
  @Test("Screens under live traffic", arguments: [(80, 24), (160, 50)])
  func screens(columns: Int, rows: Int) throws {
    let daemon = try daemon()
    let screen = try top(daemon, columns: columns, rows: rows)
    for number in 0..<14 {
      try send(daemon, as: "user\(number)@example.org", 1 + number, from: "198.51.100.\(number)")
    }
    for number in 0..<20 { try send(daemon, as: "newsletter@example.org", 1, from: "203.0.\(number).7") }
    try send(daemon, as: "alice@example.org", 27)
    try send(daemon, as: "bob@example.org", 8, recipients: 20, from: "203.0.113.9")
    _ = try daemon.command("block", "network:192.0.2.0/24", "--for", "3d")
    let text = try screen.shows("all of it") { text in
      text.contains("27/25")
        || text.contains("25/25") && text.contains("Blocked (2)") && text.contains("Tripped rules (3)")
    }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count >= rows && lines[rows - 1].hasPrefix("q quit") && lines.allSatisfy { $0.count <= columns })
    if let folder = ProcessInfo.processInfo.environment["MAILWARDEN_SCREENS"] {
      let file = URL(fileURLWithPath: folder).appendingPathComponent("top-\(columns)x\(rows).txt")
      // As on a server, and as wide as it was.
      let usual = "/etc/mailwarden/mailwarden.yaml"
      let room = String(repeating: " ", count: max(0, usual.count - daemon.policyFile.count))
      try Data(text.replacing(daemon.policyFile + room, with: usual).utf8).write(to: file)
    }
  }
}
