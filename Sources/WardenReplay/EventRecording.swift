import Foundation
import WardenCore

/// What a server has decided, event by event, as lines of JSON: first a header, then one line an event. To be replayed
/// under another policy.
public enum EventRecording {
  static let format = 1

  /// What was recorded, and what could be seen at all.
  public struct Header: Codable, Sendable, Equatable {
    /// Of the form: `1`.
    public let mailwarden_events: Int
    public let version: String
    /// The running policy's, so that recordings under different ones are told apart.
    public let policy: String
    /// RFC 3339 in UTC.
    public let started: String
    /// What the MTA was asked to show beside connections, MAIL and the end of messages.
    public let shown: [String]
    /// Who told of events.
    public let sources: [String]
  }

  /// - Parameters:
  ///   - digest: of the running policy.
  ///   - needs: the engine's, as the MTA was asked.
  ///   - sources: who tells of events.
  public static func header(
    version: String, policy digest: String, needs: Needs, sources: [Source], at now: Timestamp
  ) -> Header {
    Header(
      mailwarden_events: format, version: version, policy: digest, started: now.rfc3339,
      shown: shown.filter { needs.contains($0.needs) }.map(\.word), sources: sources.map(\.name))
  }

  fileprivate static let shown: [(needs: Needs, word: String, what: String)] = [
    (.connectReply, "connect", "every connection"), (.helo, "helo", "HELO names"),
    (.recipients, "recipients", "how many recipients messages had"),
    (.recipientNames, "recipient-names", "recipients' names"),
    (.refusedRecipients, "refused-recipients", "recipients that the MTA refused"),
    (.data, "data", "messages that were cut off"), (.headers, "headers", "header fields (spam, lists)"),
    (.content, "content", "the sizes of messages"), (.unknownCommands, "unknown-commands", "unknown commands"),
    (.daemonName, "daemon", "the names of the MTA's services"),
  ]

  /// A line with its end.
  public static func line(_ header: Header) -> String { text(header) }
  public static func line(_ event: RecordedEvent) -> String { text(event) }

  /// Whether a file that begins with these bytes is a recording.
  public static func isBeginning(_ bytes: some Collection<UInt8>) -> Bool { bytes.starts(with: headerStart) }

  // The keys are sorted.
  fileprivate static let headerStart = Array("{\"mailwarden_events\":".utf8)

  private static func text(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Strings, whole numbers and flags: there is nothing that could fail.
    return String(decoding: try! encoder.encode(value), as: UTF8.self) + "\n"
  }

  public enum Problem: Error, Equatable, CustomStringConvertible {
    case noRecording
    case newer(format: Int)

    public var description: String {
      switch self {
      case .noRecording: "this is no recording of events: its first line is no header; nothing of it was read"
      case .newer(let format):
        "the recording has form \(format), made by a later version; this one reads form \(EventRecording.format)"
      }
    }
  }
}

extension EventRecording.Header {
  /// What the policy needs and the recording has not, a sentence each.
  public func missing(for policy: Policy) -> [String] {
    let needs = Engine(policy: policy).needs
    let unseen = EventRecording.shown.filter { needs.contains($0.needs) && !shown.contains($0.word) }
    let signals = Set(policy.rules.flatMap(\.parts).flatMap(\.quantity.measures)).compactMap { measure -> String? in
      guard case .signal(let signal) = measure else { return nil }
      let declaration = signal.declaration
      guard declaration.shownBy.isEmpty, !declaration.toldBy.contains(where: { sources.contains($0.name) }) else {
        return nil
      }
      return signal.name
    }
    return unseen.map { "The server that recorded this did not have the MTA show \($0.what)." }
      + signals.sorted().map { "No feed told the server that recorded this of \($0)." }
  }
}

extension EventRecording {
  /// Reads a recording as it comes, in pieces of any length.
  public struct Reader {
    public private(set) var header: Header?
    public private(set) var events = 0
    public private(set) var notUnderstood = 0
    /// What was refused as it was recorded.
    public private(set) var refused = 0
    /// Whether the last line has no end: the server was stopped as it wrote, or still writes.
    public private(set) var isCut = false
    private var rest: [UInt8] = []
    /// In the middle of a line that is too long to be one of ours.
    private var isSkipping = false
    private let decoder = JSONDecoder()
    /// A message to a hundred thousand recipients.
    private static let longestLine = 8_000_000

    public init() {}

    public mutating func read(_ bytes: some Collection<UInt8>, _ body: (RecordedEvent) -> Void) throws(Problem) {
      var start = bytes.startIndex
      while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
        rest += bytes[start..<end]
        start = bytes.index(after: end)
        try take(body)
      }
      rest += bytes[start...]
      if rest.count > Self.longestLine {
        rest = []
        isSkipping = true
      }
    }

    private mutating func take(_ body: (RecordedEvent) -> Void) throws(Problem) {
      let line = rest
      rest.removeAll(keepingCapacity: true)
      if isSkipping {
        isSkipping = false
        notUnderstood += 1
        if header == nil { throw .noRecording }
        return
      }
      // A recording that was gone on with has another header in its middle.
      if EventRecording.isBeginning(line) || header == nil { return try takeHeader(line) }
      if line.isEmpty { return }
      guard let event = try? decoder.decode(RecordedEvent.self, from: Data(line)) else {
        notUnderstood += 1
        return
      }
      events += 1
      if event.outcome.verdict == "refuse" { refused += 1 }
      body(event)
    }

    private mutating func takeHeader(_ line: [UInt8]) throws(Problem) {
      guard let header = try? decoder.decode(Header.self, from: Data(line)) else {
        if self.header == nil { throw .noRecording }
        notUnderstood += 1
        return
      }
      guard header.mailwarden_events <= EventRecording.format else { throw .newer(format: header.mailwarden_events) }
      self.header = self.header ?? header
    }

    /// Call it once, after the last piece. A last line without its end is left out.
    public mutating func finish() throws(Problem) {
      isCut = !rest.isEmpty || isSkipping
      rest = []
      if header == nil { throw .noRecording }
    }

    /// What the recording does not tell, a sentence each.
    public var blindness: [String] {
      var sentences: [String] = []
      if notUnderstood > 0 {
        sentences.append(
          "\(notUnderstood.of("line")) of the recording could not be understood and \(notUnderstood == 1 ? "was" : "were") left out."
        )
      }
      if refused > 0 {
        sentences.append(
          "\(refused.of("attempt")) had been refused when this was recorded: what would have come after is not known.")
      }
      if isCut { sentences.append("The recording's last line is cut off and was left out.") }
      return sentences
    }
  }
}
