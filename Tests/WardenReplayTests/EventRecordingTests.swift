import Foundation
import Testing
import WardenCore
import WardenTestKit

@testable import WardenReplay

/// Events on their way to a file and back.
@Suite("Event recording")
struct EventRecordingTests {
  private static let seed = HashSeed(1, 2)
  private static let texts = [
    "alice", "bob@other.test", "", "\u{0}", "a\r\nb", "é@é", "@", "\"\\", "\u{202e}", "a@b@c", "😀",
    String(repeating: "x", count: 250),
  ]

  static func event(at time: Timestamp, using random: inout SeededGenerator) -> Event {
    func maybe<Value>(_ value: Value) -> Value? { Bool.random(using: &random) ? value : nil }
    func text() -> String { texts.randomElement(using: &random)! }
    func tally() -> Tally {
      var tally = Tally()
      for signal in Signal.allCases where Int.random(in: 0..<8, using: &random) == 0 {
        tally[signal] = Int.random(in: 1...9, using: &random)
      }
      return tally
    }
    let ip = ["192.0.2.7", "2001:db8::7", "::", "198.51.100.9"].randomElement(using: &random)!
    var subject = subject(maybe(text()), from: maybe(ip))
    subject.address = maybe(IPAddress(ip)!)
    subject.sender = maybe(text())
    subject.senderDomain = maybe(text())
    subject.helo = maybe(text())
    subject.daemon = maybe(text())
    subject.recipient = maybe(Recipient(path: text()))
    var event = Event(
      at: time, step: Step.allCases.randomElement(using: &random)!, subject: subject, happened: tally(), wants: tally(),
      kind: MailKind(rawValue: UInt8.random(in: 0..<8, using: &random)),
      recipients: Set((0..<Int.random(in: 0..<5, using: &random)).map { _ in text() }).map(Recipient.init(path:)),
      unnamed: Int.random(in: 0..<3, using: &random), host: maybe("mx.example.org"),
      isAnswered: Int.random(in: 0..<4, using: &random) > 0, source: Source.allCases.randomElement(using: &random)!,
      password: maybe("0cb4"))
    event.hidden = Int.random(in: 0...event.happened[.badRecipients], using: &random)
    return event
  }

  private static func isSame(_ a: Event, _ b: Event) -> Bool {
    a.at == b.at && a.step == b.step && a.subject == b.subject && a.happened == b.happened && a.wants == b.wants
      && a.kind == b.kind && a.recipients == b.recipients && a.unnamed == b.unnamed && a.hidden == b.hidden
      && a.host == b.host && a.isAnswered == b.isAnswered && a.source == b.source && a.password == b.password
  }

  private static let header = EventRecording.header(
    version: "1.0", policy: "abc", needs: [.recipients], sources: [.milter, .log], at: .start)

  private static func read(_ text: String, inPiecesOf size: Int = 1_000) throws -> (
    events: [RecordedEvent], reader: EventRecording.Reader
  ) {
    var reader = EventRecording.Reader()
    var events: [RecordedEvent] = []
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: size) {
      try reader.read(bytes[start..<min(bytes.count, start + size)]) { events.append($0) }
    }
    try reader.finish()
    return (events, reader)
  }

  @Test(
    "Any event comes back as it was, but for the password, of which only a keyed hash is written", arguments: 0..<50)
  func roundTrip(seed: Int) throws {
    var random = SeededGenerator(seed: seed)
    let events = (0..<20).map { Self.event(at: .start + .seconds($0), using: &random) }
    let recorded = events.map { RecordedEvent($0, Decision(), hashing: Self.seed) }
    let text = EventRecording.line(Self.header) + recorded.map(EventRecording.line).joined()
    #expect(text.split(separator: "\n").count == 21)
    let (found, reader) = try Self.read(text, inPiecesOf: 1 + seed)
    #expect(found.count == 20 && reader.events == 20 && reader.notUnderstood == 0 && !reader.isCut)
    for (event, (before, after)) in zip(events, zip(recorded, found)) {
      #expect(Self.isSame(before.event, after.event))
      var plain = after.event
      plain.password = event.password
      #expect(Self.isSame(event, plain))
      #expect((event.password == nil) == (after.event.password == nil))
    }
    #expect(!text.contains("0cb4"))
  }

  @Test("The same password has the same hash under one key, and another under another")
  func passwords() {
    func hash(_ password: String, _ seed: HashSeed) -> String? {
      var event = message("bob", at: .start)
      event.password = password
      return RecordedEvent(event, Decision(), hashing: seed).event.password
    }
    #expect(hash("0cb4", Self.seed) == hash("0cb4", Self.seed))
    #expect(hash("0cb4", Self.seed) != hash("0cb5", Self.seed))
    #expect(hash("0cb4", Self.seed) != hash("0cb4", HashSeed(3, 4)))
  }

  @Test("Recorded events, decided again, are decided as they were", arguments: 0..<20)
  func sameDecisions(seed: Int) throws {
    var random = SeededGenerator(seed: 1_000 + seed)
    let policy = Policy(
      rules: [
        Rule("cap", .messages, per: .user, .of(3, per: .minutes(5)), then: .block(.minutes(2))),
        Rule("wide", .recipients, per: .ip, .of(20, per: .minutes(10)), then: .tempfail),
        Rule("guess", .authFailures, per: .ip, .of(4, per: .minutes(10)), then: .block(.minutes(1))),
        Rule(
          name: "passwords", per: KeyShape(.ip),
          parts: [Part(.measure(.distinct(.passwords)), [.of(1, per: .hours(1))])],
          then: Consequences(alert: true, hold: true)),
        Rule(
          name: "bad", per: KeyShape(.recipientDomain),
          parts: [Part(.measure(.signal(.badRecipients)), [.of(2, per: .hours(1))])], then: .tempfail),
      ], exempt: Exemptions(users: ["bob@other.test"]))
    let first = Engine(policy: policy)
    var now = Timestamp.start
    let recorded = (0..<600).map { _ in
      now = now + .seconds(Int.random(in: 0...10, using: &random))
      let event = Self.event(at: now, using: &random)
      return RecordedEvent(event, first.decide(event), hashing: Self.seed)
    }
    let text = EventRecording.line(Self.header) + recorded.map(EventRecording.line).joined()
    let second = Engine(policy: policy)
    let (found, _) = try Self.read(text)
    #expect(found.count == 600)
    let verdicts = Set(found.map(\.outcome.verdict))
    #expect(verdicts.isSuperset(of: ["go-on", "refuse"]))
    for each in found { #expect(RecordedEvent.Outcome(second.decide(each.event)) == each.outcome) }
  }

  @Test("A recording that ends within a line is read up to there")
  func cut() throws {
    let line = EventRecording.line(RecordedEvent(message("bob", at: .start), Decision(), hashing: Self.seed))
    let (found, reader) = try Self.read(EventRecording.line(Self.header) + line + line.dropLast(5))
    #expect(found.count == 1 && reader.isCut && reader.notUnderstood == 0)
    #expect(reader.blindness == ["The recording's last line is cut off and was left out."])
  }

  @Test("What was refused as it was recorded is said: nobody knows what would have followed")
  func refusedThen() throws {
    let engine = Engine(
      policy: Policy(rules: [Rule("cap", .messages, per: .user, .of(1, per: .hours(1)), then: .tempfail)]))
    let lines = (0..<3).map { place in
      let event = message("bob", at: .start + .seconds(place))
      return EventRecording.line(RecordedEvent(event, engine.decide(event), hashing: Self.seed))
    }
    let (_, reader) = try Self.read(EventRecording.line(Self.header) + lines.joined())
    #expect(
      reader.blindness == [
        "2 attempts had been refused when this was recorded: what would have come after is not known."
      ])
  }

  @Test("Lines that are none of ours are counted and passed over; a second header is no event")
  func strange() throws {
    let line = EventRecording.line(RecordedEvent(message("bob", at: .start), Decision(), hashing: Self.seed))
    let header = EventRecording.line(Self.header)
    let (found, reader) = try Self.read(header + "nonsense\n" + line + header + "\n" + "{}\n" + line)
    #expect(found.count == 2 && reader.notUnderstood == 2)
    #expect(reader.blindness == ["2 lines of the recording could not be understood and were left out."])
  }

  @Test("What is no recording, or of a later version, is not read")
  func refused() {
    #expect(throws: EventRecording.Problem.noRecording) { try Self.read("Nov 21 02:34:04 mx postfix/smtpd[1]: x\n") }
    #expect(throws: EventRecording.Problem.noRecording) { try Self.read("") }
    let later = EventRecording.line(Self.header).replacing("\"mailwarden_events\":1", with: "\"mailwarden_events\":2")
    #expect(throws: EventRecording.Problem.newer(format: 2)) { try Self.read(later) }
  }

  @Test(
    "What cannot be is refused before the engine meets it",
    arguments: [
      #"{"at":-1,"step":"mail"}"#, #"{"at":9223372036854775807,"step":"mail"}"#, #"{"at":1,"step":"dance"}"#,
      #"{"at":1,"step":"mail","happened":{"connections":-5}}"#, #"{"at":1,"step":"mail","ip":"x"}"#,
      #"{"at":1,"step":"mail","network":"192.0.2.0/33"}"#, #"{"at":1,"step":"mail","unnamed":-1}"#,
      #"{"at":1,"step":"mail","hidden":99999999999}"#, #"{"at":1,"step":"mail","source":"rumour"}"#,
      #"{"step":"mail"}"#,
      #"[1]"#, #"{"at":1e99,"step":"mail"}"#,
    ])
  func impossible(line: String) throws {
    let (found, reader) = try Self.read(EventRecording.line(Self.header) + line + "\n")
    #expect(found.isEmpty && reader.notUnderstood == 1)
  }

  @Test("Over-long names are bounded as live ones are, and an unknown signal is passed over")
  func bounded() throws {
    let name = String(repeating: "y", count: 100_000)
    let line =
      #"{"at":1,"step":"end-of-message","user":"\#(name)","recipients":["\#(name)@x"],"wants":{"messages":1,"jokes":3}}"#
    let (found, _) = try Self.read(EventRecording.line(Self.header) + line + "\n")
    #expect(found.count == 1 && found[0].event.subject.user!.utf8.count <= 256)
    #expect(found[0].event.recipients[0].address.utf8.count <= 256 && found[0].event.wants == [.messages: 1])
  }

  @Test("Any bytes are read without harm, and what is read can be decided", arguments: 0..<200)
  func fuzz(seed: Int) throws {
    var random = SeededGenerator(seed: seed)
    var bytes = Array(EventRecording.line(Self.header).utf8)
    let start = bytes.count
    for place in 0..<10 {
      let event = Self.event(at: .start + .seconds(place), using: &random)
      bytes += EventRecording.line(RecordedEvent(event, Decision(), hashing: Self.seed)).utf8
    }
    for _ in 0..<Int.random(in: 1...20, using: &random) {
      let place = Int.random(in: start..<bytes.count, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes.remove(at: place)
      case 2: bytes.insert(contentsOf: Array("9[{\"\\,:}]-e".utf8).shuffled(using: &random).prefix(3), at: place)
      default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 40)], at: place)
      }
    }
    var reader = EventRecording.Reader()
    var trial = Backtest([
      .init(
        name: "a",
        policy: Policy(rules: [
          Rule("cap", .messages, per: .user, .of(1, per: .hours(1)), then: .block(.hours(1))),
          Rule("bad", .badRecipients, per: .recipient, .of(1, per: .hours(1)), then: .tempfail),
        ]))
    ])
    try reader.read(bytes) { trial.take($0.event) }
    try reader.finish()
    _ = BacktestReport(trial.finish()).html
  }

  @Test("A line that never ends takes no memory for ever")
  func endless() throws {
    var reader = EventRecording.Reader()
    try reader.read(EventRecording.line(Self.header).utf8) { _ in }
    let piece = Array(repeating: UInt8(ascii: "x"), count: 1_000_000)
    for _ in 0..<20 { try reader.read(piece) { _ in } }
    try reader.read("\n".utf8) { _ in }
    var count = 0
    let line = EventRecording.line(RecordedEvent(message("bob", at: .start), Decision(), hashing: Self.seed))
    try reader.read(line.utf8) { _ in count += 1 }
    #expect(count == 1 && reader.notUnderstood == 1)
  }

  @Test("What a policy needs and the recording has not is said")
  func missing() {
    let policy = Policy(rules: [
      Rule("size", .bytes, per: .user, .of(1_000, per: .hours(1)), then: .alert),
      Rule("recipients", .recipients, per: .user, .of(1, per: .hours(1)), then: .alert),
      Rule("guess", .authFailures, per: .user, .of(1, per: .hours(1)), then: .alert),
    ])
    #expect(
      Self.header.missing(for: policy) == [
        "The server that recorded this did not have the MTA show the sizes of messages."
      ])
    let blind = EventRecording.header(version: "1", policy: "", needs: [], sources: [.milter], at: .start)
    #expect(blind.missing(for: policy).last == "No feed told the server that recorded this of auth-failures.")
  }
}
