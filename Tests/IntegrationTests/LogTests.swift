import Foundation
import MilterClient
import Testing
import WardenTestKit

/// What the daemon logs: every decision, as lines that people and programs can read, and few of them.
@Suite("The log")
struct LogTests {
  private static let cap = "rules: [{name: cap, count: messages, per: sender, limit: 1 per 1h, then: tempfail}]"

  /// Words that would break a line, pretend to be a field, or move a cursor.
  private static let hostile = [
    "plain@b.test",
    "eve\nlevel=error rule=forged", "eve\u{1b}[2J\u{9b}31m", #"eve" key="forged"#, #"eve\"}"#, "eve\u{2028}x\u{2029}y",
    "\u{202e}eve", "{\"level\":\"error\"}", "eve\u{0}x", "ev\u{e9}\u{1f600}", "refused: again times=9",
    String(repeating: "e\u{301}", count: 5_000),
  ]

  private func client(_ daemon: TestDaemon) throws -> MilterClient {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(address: .ipv4("192.0.2.7", port: 1))
    return client
  }

  /// Messages from a sender: the first passes, the others are refused at MAIL.
  private func send(_ client: MilterClient, _ count: Int, from sender: String) throws {
    for _ in 0..<count where try client.mail("<\(sender)>") == .continue {
      _ = try client.endOfMessage(macros: [("i", "Q7")])
    }
  }

  private func refusals(_ daemon: TestDaemon) throws -> Int {
    let status = try daemon.curl("/v1/status") as? [String: Any]
    let rule = (status?["rules"] as? [[String: Any]])?.first
    return (rule?["refused"] as? NSNumber)?.intValue ?? -1
  }

  @Test("Thousands of refusals are few lines, and their sums are right")
  func flood() throws {
    let daemon = try TestDaemon(policy: Self.cap)
    let client = try client(daemon)
    let start = ContinuousClock.now
    try send(client, 3_001, from: "eve@b.test")
    for number in 0..<1_000 { try send(client, 2, from: "a\(number)@b.test") }
    #expect(try refusals(daemon) == 4_000)
    try client.quit()
    #expect(try daemon.stop() == 0)
    let seconds = Int((ContinuousClock.now - start).components.seconds) + 1

    let lines = try daemon.log.split(separator: "\n").filter { $0.contains("rule=cap") }
    let told = lines.filter { $0.contains(" refused rule=cap key=") }
    let sums = lines.filter { $0.contains(" refused again rule=cap ") }
    let counted = sums.compactMap { $0.firstMatch(of: /times=(\d+)/).flatMap { Int($0.output.1) } }
    #expect(counted.count == sums.count)
    #expect(told.count + counted.reduce(0, +) == 4_000)
    #expect(told.count <= 200 + 50 * seconds)
    let toldOfEve = told.count { $0.contains("key=sender:eve@b.test") }
    let counts = sums.compactMap { line in
      line.firstMatch(of: #/key=sender:eve@b.test times=(\d+) in=/#).map { Int($0.output.1)! }
    }
    #expect(toldOfEve >= 5 && toldOfEve + counts.reduce(0, +) == 3_000)
    #expect(toldOfEve <= 5 * (1 + seconds / 60) && counts.count <= 1 + seconds / 60)
    #expect(sums.contains { $0.contains(#/ keys=\d+ times=/#) })
    #expect(try !daemon.log.contains("there was no room"))
  }

  @Test("Blocks are told one by one while refusals flood")
  func blocks() throws {
    let daemon = try TestDaemon(
      policy: "rules: [{name: cap, count: messages, per: sender, limit: 1 per 1h, then: block for 1h}]")
    let client = try client(daemon)
    for number in 0..<400 { try send(client, 4, from: "a\(number)@b.test") }
    try client.quit()
    #expect(try daemon.stop() == 0)
    #expect(try daemon.log.split(separator: "\n").count { $0.contains(" blocked rule=cap ") } == 400)
  }

  @Test("A line is time, level, queue id, words and fields, whatever a client says")
  func text() throws {
    let daemon = try TestDaemon(policy: Self.cap)
    let client = try client(daemon)
    for sender in Self.hostile { try send(client, 2, from: sender.replacing("\u{0}", with: "")) }
    try client.quit()
    #expect(try daemon.stop() == 0)
    let head = #"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ (?:debug|info|notice|warning|error|critical) (?:Q7: )?"#
    let field = #" [a-z_]+=(?:[A-Za-z0-9.:/@_+-]+|"(?:[^"\\]|\\.)*")"#
    let line = try Regex("\(head)[^=]*?(?:\(field))*")
    for text in try daemon.log.split(separator: "\n") {
      #expect(try line.wholeMatch(in: text) != nil, "\(text)")
      #expect(text.utf8.allSatisfy { (32...126).contains($0) })
      #expect(text.utf8.count < 30_000)
    }
    #expect(try !daemon.log.contains(" error "))
    let fields = try daemon.logLine(" refused rule=").matches(of: #/ ([a-z_]+)=/#).map { String($0.output.1) }
    #expect(fields == ["rule", "key", "reason", "stage", "until", "ip", "sender"])
  }

  @Test("As JSON each line is an object with the client's own words, invalid UTF-8 repaired")
  func json() throws {
    let daemon = try TestDaemon(
      policy: Self.cap, arguments: ["--log-format", "json"], readyWords: #""message":"ready""#)
    let client = try client(daemon)
    let senders = Self.hostile.map { $0.replacing("\u{0}", with: "") }
    for sender in senders { try send(client, 2, from: sender) }
    // MAIL with a path that is no UTF-8.
    for _ in 0..<2 {
      let path = Array("<x".utf8) + [0xff, 0xc0, 0x80] + Array("y>".utf8)
      try client.sendRaw(command: UInt8(ascii: "M"), payload: path + [0])
      if try client.receiveResponse() == .continue { _ = try client.endOfMessage(macros: [("i", "Q8")]) }
    }
    try client.quit()
    #expect(try daemon.stop() == 0)

    let checked = try Shell.check(
      "/usr/bin/python3",
      [
        "-c",
        """
        import json, sys
        raw = open(sys.argv[1], "rb").read()
        assert raw.isascii() and raw.endswith(b"\\n")
        levels = {"debug", "info", "notice", "warning", "error", "critical"}
        for line in raw.decode().splitlines():
            entry = json.loads(line)
            assert list(entry)[:3] == ["at", "level", "message"] and entry["level"] in levels, line
            if entry["message"] == "refused":
                fields = [name for name in list(entry)[3:] if name != "queue_id"]
                assert fields == ["rule", "key", "reason", "stage", "until", "ip", "sender"], line
                print(json.dumps(entry["sender"]))
        """, daemon.folder.file("log"),
      ])
    let told = try checked.split(separator: "\n").map {
      try #require(JSONSerialization.jsonObject(with: Data($0.utf8), options: .fragmentsAllowed) as? String)
    }
    #expect(told.contains("eve key=forged"))
    #expect(told.contains("ev\u{e9}\u{1f600}"))
    #expect(told.contains { $0.hasPrefix("x\u{fffd}") })
    #expect(told.count >= senders.count - 2)
  }

  @Test("Levels leave out what is less, and show what each client was told")
  func levels() throws {
    let quiet = try TestDaemon(policy: Self.cap, arguments: ["--log-level", "warning"], readyWords: nil)
    try send(client(quiet), 3, from: "eve@b.test")
    #expect(try quiet.stop() == 0)
    #expect(try !quiet.log.contains("refused") && !quiet.log.contains(" notice "))

    let chatty = try TestDaemon(policy: Self.cap, arguments: ["--log-level", "debug"])
    try send(client(chatty), 2, from: "eve@b.test")
    #expect(try chatty.stop() == 0)
    #expect(try chatty.logLine("Q7: go-on").contains("stage=end-of-message ip=192.0.2.7 sender=eve@b.test"))
    #expect(try chatty.log.contains("debug go-on stage=connect ip=192.0.2.7"))
  }
}
