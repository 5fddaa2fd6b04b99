import WardenCore

@testable import WardenFeeds

/// A joiner with lines written to it, and what it tells as sentences.
final class Joining {
  private var joiner: LogJoiner
  var now = Timestamp(microseconds: 1_795_514_400_000_000)  // 2026-11-24T10:00:00Z
  private(set) var events: [(event: Event, teller: Teller)] = []
  /// Steps at which nothing is let through.
  var refuses: Set<Step> = []
  private var taken = 0

  init(_ mode: LogJoiner.Mode, needs: Needs = [], bounds: LogJoiner.Bounds = .init()) {
    joiner = LogJoiner(
      mode, SMTPSession.Setup(realms: LocalRealms(listed: ["example.org"]), needs: needs), bounds: bounds)
  }

  func wait(_ span: TimeSpan) { now = now + span }
  var dropped: Int { joiner.dropped }
  var setup: SMTPSession.Setup {
    get { joiner.setup }
    set { joiner.setup = newValue }
  }

  /// - Parameter program: with its process: `postfix/smtpd[108]`.
  func line(_ program: String, _ message: String, host: String = "mx") {
    let parts = program.split(separator: "[")
    let pid = parts.count == 2 ? Int(parts[1].dropLast())! : 0
    var (host, name, message) = (host, String(parts[0]), message)
    host.withUTF8 { host in
      name.withUTF8 { name in
        message.withUTF8 { message in
          let header = LogHeader(
            at: now, host: Text(UnsafeRawBufferPointer(host)), program: Text(UnsafeRawBufferPointer(name)), pid: pid,
            message: Text(UnsafeRawBufferPointer(message)))
          if let fact = LogGrammar.read(header) { joiner.join(header, fact, take) }
        }
      }
    }
  }

  func join(_ header: LogHeader, _ fact: LogFact) { joiner.join(header, fact, take) }
  func finish() { joiner.finish(take) }

  private func take(_ event: Event, _ teller: Teller) -> Bool {
    events.append((event, teller))
    return !refuses.contains(event.step)
  }

  /// What was told since it was last asked for.
  func told() -> [String] {
    defer { taken = events.count }
    return events[taken...].map { Self.sentence($0.event) }
  }

  /// `mail 192.0.2.7 alice <alice@example.org>: logins 1`; at the end of a message what is asked for.
  static func sentence(_ event: Event) -> String {
    let subject = event.subject
    var words = [event.step.name]
    if let ip = subject.ip { words.append(ip.description) }
    if let user = subject.user { words.append(user) }
    if let sender = subject.sender { words.append("<\(sender)>") }
    if let recipient = subject.recipient { words.append("to <\(recipient.address)>") }
    let tally = event.step == .endOfMessage ? event.wants : event.happened
    let counts = Signal.allCases.filter { tally[$0] != 0 }.map { "\($0.name) \(tally[$0])" }
    return words.joined(separator: " ") + (counts.isEmpty ? "" : ": " + counts.joined(separator: ", "))
  }

  /// All that was told of, by signal: what happened, and what was asked for at the end of messages.
  var sums: [String: Int] {
    var sums: [String: Int] = [:]
    for (event, _) in events {
      for signal in Signal.allCases {
        let count = event.happened[signal] + (event.step == .endOfMessage ? event.wants[signal] : 0)
        if count > 0 { sums[signal.name, default: 0] += count }
      }
    }
    return sums
  }
}

extension Joining {
  /// A line of an smtpd process.
  func smtpd(_ message: String, pid: Int = 108) { line("postfix/smtpd[\(pid)]", message) }
  func qmgr(_ message: String) { line("postfix/qmgr[98]", message) }
  func smtp(_ message: String) { line("postfix/smtp[170]", message) }
  func sendmail(_ message: String, pid: Int = 54) { line("sendmail[\(pid)]", message) }
}
