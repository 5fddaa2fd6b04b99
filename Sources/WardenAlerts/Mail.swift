import Foundation
import WardenCore

/// Mail to the administrators, through the machine's `sendmail` or a server.
struct Mail: Channel {
  private let settings: AlertSettings.Mail
  private let from: String
  private let host: String
  private let subject: AlertTemplate
  private let body: AlertTemplate
  private let sender: EnvelopeSender
  /// Our own limits must not stop what tells of them: spares an envelope sender for an hour.
  private let admit: @Sendable (String) -> Void
  private let wall: @Sendable () -> Timestamp
  var limit = Duration.seconds(60)

  init(
    settings: AlertSettings.Mail, host: String, wall: @escaping @Sendable () -> Timestamp,
    admit: @escaping @Sendable (String) -> Void
  ) {
    self.settings = settings
    self.host = host
    self.wall = wall
    self.admit = admit
    from = settings.from ?? "mailwarden@\(host)"
    sender = EnvelopeSender(domain: from.split(separator: "@").last.map(String.init) ?? host)
    // Both were checked with the policy.
    subject = settings.subject.flatMap { try? AlertTemplate($0) } ?? .subject
    body = settings.body.flatMap { try? AlertTemplate($0) } ?? .body
  }

  func send(_ message: AlertMessage) async throws {
    let letter = Letter(
      to: settings.to, from: from, subject: subject.render(message), body: body.render(message), id: message.id,
      at: DateText.timestamp(message.at) ?? wall())
    let sender = sender.address(at: wall())
    admit(sender)
    switch settings.way {
    case .program(let words):
      let command = words + ["-i", "-f", sender, "--"] + settings.to
      let text = letter.lines.joined(separator: "\n") + "\n"
      let outcome = try await ProgramRunner(limit: limit).run(command, input: text)
      guard outcome == .succeeded else { throw SendFailure("\(words[0]) \(outcome)") }
    case .smtp(let host, let port):
      let submission = Submission(
        server: host, port: port, name: self.host, from: sender, to: settings.to, lines: letter.lines)
      do {
        try await within(limit) { try await submission.send() }
      } catch is TimedOut {
        throw SendFailure("\(host):\(port) has not taken the message within \(limit)")
      }
    }
  }
}

/// Who our mail comes from: nobody who has not seen one of the last hour's can know it, and so use what it is spared.
private final class EnvelopeSender: Sendable {
  private let domain: String
  private let current: Locked<(address: String, until: Timestamp)>

  init(domain: String) {
    self.domain = domain
    current = Locked(("", Timestamp(microseconds: 0)))
  }

  func address(at now: Timestamp) -> String {
    current.withLock { current in
      if now >= current.until {
        let token = (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined()
        current = ("mailwarden-\(token.prefix(20))@\(domain)", now + .hours(1))
      }
      return current.address
    }
  }
}
