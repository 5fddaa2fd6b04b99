import Foundation
import Testing
import WardenTestKit

@testable import WardenControl
@testable import WardenScreen

@Suite("The stream of events, and the keys of a terminal")
struct StreamTests {
  @Test("Server-sent events are the same, wherever the packets part them", arguments: 1...9)
  func parts(size: Int) throws {
    let text =
      ": mailwarden\n\nevent: event\ndata: {\"user\":\"ä👩‍👩‍👧\"}\n\nevent:a\r\ndata:1\r\ndata: 2\r\n\r\n\ndata\n\nid: 4\n\ndata: cut"
    var events = ServerSentEvents()
    var found: [ServerSentEvents.Message] = []
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: size) {
      found += try events.take(bytes[start..<min(bytes.count, start + size)])
    }
    #expect(
      found == [
        .init(event: "event", data: "{\"user\":\"ä👩‍👩‍👧\"}"), .init(event: "a", data: "1\n2"),
        .init(event: "message", data: ""),
      ])
  }

  @Test("A message without an end is not gathered for ever", arguments: ["x", "data: x\n"])
  func endless(piece: String) throws {
    var events = ServerSentEvents()
    #expect(throws: ServerSentEvents.TooLong.self) {
      for _ in 0...ServerSentEvents.longestMessage { _ = try events.take(piece.utf8) }
    }
  }

  @Test("A record is one line of printable ASCII, as text and as JSON", arguments: 0..<40)
  func lines(seed: Int) throws {
    var make = RandomSnapshots(random: SeededGenerator(seed: seed))
    for _ in 0..<20 {
      let record = make.record()
      let text = RecordText.line(record).text { word, _ in word }
      #expect(text.unicodeScalars.allSatisfy { (" "..."~").contains($0) })
      guard case .event(let event) = record else { continue }
      let line = JSONLine.text(JSONCoding.text(event, pretty: true))
      #expect(line.unicodeScalars.allSatisfy { (" "..."~").contains($0) })
      let back = try JSONDecoder().decode(EventRecord.self, from: Data(line.utf8))
      #expect(JSONCoding.text(back) == JSONCoding.text(event), "it means the same")
    }
  }

  @Test("A record says what was decided, by which rule and of whom")
  func record() throws {
    let notice = EventRecord.NoticeRecord(
      kind: "blocked", rule: "cap", key: "user:bob", reason: "user bob: 3", until: "2026-11-24T11:14:05Z",
      command: nil)
    let event = EventRecord(
      at: "2026-11-24T10:14:05Z", stage: "mail", source: "milter", decision: "refused", queue_id: nil, ip: "192.0.2.7",
      network: nil, user: "bob", sender: "a@b.test", helo: "\u{1b}]0;x", recipients: 0, counted: ["messages": 1],
      rule: "cap", key: "user:bob", reason: "user bob: 3", until: "2026-11-24T11:14:05Z", notices: [notice])
    let text = RecordText.line(.event(event)).text { word, _ in "<\(word)>" }
    #expect(
      text.dropFirst(9)
        == "<refused>  rule=cap key=user:bob reason=\"user bob: 3\" blocked=cap until=2026-11-24T11:14:05Z stage=mail "
        + "ip=192.0.2.7 user=bob sender=a@b.test helo=\"\\u{1b}]0;x\" counted=messages:1")
  }

  @Test(
    "Bytes are keys, however they arrive",
    arguments: [
      ("q", [.character("q")]), ("\u{1b}[A\u{1b}OB", [.up, .down]), ("\u{1b}[5~\u{1b}[6~", [.pageUp, .pageDown]),
      ("\u{1b}[Z\t\r", [.backTab, .tab, .enter]), ("\u{1b}q", [.escape, .character("q")]),
      ("\u{1b}\u{1b}[B", [.escape, .down]), ("\u{1b}[200~x", [.character("x")]), ("\u{7f}", [.backspace]),
      ("ä\u{1}", []),
    ] as [(String, [Keystroke])])
  func keys(bytes: String, keys: [Keystroke]) {
    var reader = KeystrokeReader()
    #expect(reader.take(bytes.utf8) == keys)
    var slow = KeystrokeReader()
    #expect(bytes.utf8.flatMap { slow.take([$0]) } == keys)
  }

  @Test("Any bytes at all are no harm to the reading of keys", arguments: 0..<20)
  func anyBytes(seed: Int) {
    var random = SeededGenerator(seed: seed)
    var reader = KeystrokeReader()
    for _ in 0..<5_000 { _ = reader.take([UInt8.random(in: 0...255, using: &random)]) }
    _ = reader.flush()
    #expect(!reader.isWaiting)
    #expect(reader.take([UInt8(ascii: "q")]) == [.character("q")])
  }

  @Test("ESC alone is a key once nothing comes after it")
  func escape() {
    var reader = KeystrokeReader()
    #expect(reader.take([0x1b]) == [] && reader.isWaiting)
    #expect(reader.flush() == [.escape] && !reader.isWaiting)
  }
}
