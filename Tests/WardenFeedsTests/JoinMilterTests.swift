import Foundation
import Testing
import WardenCore

@testable import WardenFeeds

/// Logs of real MTAs, against what the same MTAs showed a filter in the same sessions.
///
@Suite("Joined sessions against the milter")
struct JoinMilterTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

  /// What the log has, in sentences without their order.
  private static func log(_ name: String) throws -> [Event] {
    let data = try Data(contentsOf: folder.appending(path: "Log/\(name).log"))
    var reader = LogHeaderReader(zone: TimeZone(identifier: "UTC")!, newest: Lines.newest)
    var joiner = LogJoiner(.replay, SMTPSession.Setup(realms: LocalRealms(listed: ["mx.test"])))
    var events: [Event] = []
    for line in data.split(separator: 10) {
      line.withUnsafeBytes { line in
        guard let header = reader.read(line), let fact = LogGrammar.read(header) else { return }
        joiner.join(header, fact) { event, _ in
          events.append(event)
          return true
        }
      }
    }
    joiner.finish { event, _ in
      events.append(event)
      return true
    }
    return events
  }

  /// What the filter was shown: fields are parted by tabs; time, connection, what, and what belongs to it.
  private static func milter(_ name: String) throws -> [Event] {
    let text = try String(contentsOf: folder.appending(path: "Milter/\(name).txt"), encoding: .utf8)
    var sessions: [Substring: SMTPSession] = [:]
    var events: [Event] = []
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
      let at = Timestamp(microseconds: Int(Double(fields[0])! * 1e6))
      let setup = SMTPSession.Setup(realms: LocalRealms(listed: ["mx.test"]), needs: .data)
      var session = sessions[fields[1]] ?? SMTPSession(setup)
      defer { sessions[fields[1]] = session }
      switch fields[2] {
      case "connect": events.append(session.connect(at: at, address: IPAddress(fields[3]), port: 40_000, host: nil))
      case "mail": events.append(try session.mail(at: at, sender: String(fields[3]), login: String(fields[4])))
      case "accepted":
        if let event = try session.recipient(at: at, .accepted, path: "", refusals: Int(fields[3])) {
          events.append(event)
        }
      case "data": session.data()
      case "content": session.content(bytes: Int(fields[3])!)
      case "end": events.append(try session.endOfMessage(at: at, refusals: nil))
      case "abort": session.abort()
      case "unknown": if let event = session.badCommand(at: at) { events.append(event) }
      case "close": if let event = session.close(at: at) { events.append(event) }
      default: Issue.record("unknown: \(line)")
      }
    }
    return events
  }

  /// Each event's sentence, how often it came.
  private func sentences(_ events: [Event], _ step: Step) -> [String: Int] {
    events.filter { $0.step == step }.reduce(into: [:]) { sums, event in
      var event = event
      // Of what the client sends the log counts the MTA's own header fields, too.
      event.wants[.bytes] = 0
      sums[Joining.sentence(event), default: 0] += 1
    }
  }

  /// What only the log has, and only the milter.
  private func differences(_ name: String) throws -> Set<String> {
    // The end of a session says nothing unless something counts there.
    let (log, milter) = (try Self.log(name), try Self.milter(name).filter { $0.step != .close || !$0.happened.isEmpty })
    var differences: Set<String> = []
    for step in [Step.connect, .mail, .endOfMessage, .command, .close] {
      let (told, shown) = (sentences(log, step), sentences(milter, step))
      for sentence in Set(told.keys).union(shown.keys) {
        let more = told[sentence, default: 0] - shown[sentence, default: 0]
        if more != 0 { differences.insert("\(name)\t\(more > 0 ? "log" : "milter")\t\(abs(more))\t\(sentence)") }
      }
    }
    return differences
  }

  @Test(
    "All that the milter was shown is in the log, but for what no log has",
    arguments: [
      "postfix-dovecot", "postfix-dovecot-policy", "postfix-cyrus", "sendmail", "sendmail-no-dns",
      "sendmail-loglevel-14",
    ])
  func milter(name: String) throws {
    let file = Self.folder.appending(path: "Milter/differences.txt")
    let known = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
    #expect(try differences(name) == Set(known.filter { $0.hasPrefix(name + "\t") }))
  }

  @Test("Every session of a Postfix process ends before its next begins, and each message is joined to its client")
  func sequences() throws {
    let log = try Self.log("postfix-dovecot-policy")
    #expect(log.count { $0.step == .connect } == 54)
    #expect(log.filter { $0.step == .endOfMessage }.allSatisfy { $0.subject.ip != nil })
    #expect(log.filter { $0.happened[.delivered] > 0 }.allSatisfy { $0.subject.ip != nil && $0.subject.sender != nil })
  }
}
