import ArgumentParser
import Foundation
import WardenCore

/// Writes a log as a busy Postfix does: the same for the same numbers.
struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Write a Postfix log.")

  @Argument(help: "The file to write.")
  var file: String
  @Option(help: "Lines, at least.")
  var lines = 1_000_000
  @Option(help: "Users who log in.")
  var users = 10_000
  @Option(help: "Of the numbers drawn.")
  var seed = 1

  /// smtpd processes that speak with clients at the same time.
  private static let processes = 40

  func run() throws {
    guard let out = fopen(file, "w") else {
      throw ValidationError("cannot write the log to \(file): \(String(cString: strerror(errno)))")
    }
    defer { fclose(out) }
    var traffic = Traffic(users: max(1, users), seed: seed)
    var sessions: [[String]] = Array(repeating: [], count: Self.processes)
    var written = 0
    // 2026-11-24T10:00:00Z
    var now = 1_795_514_400_000_000
    while written < lines || sessions.contains(where: { !$0.isEmpty }) {
      let process = Int(traffic.draw(Self.processes))
      if sessions[process].isEmpty {
        guard written < lines else { continue }
        sessions[process] = traffic.session(pid: 2_000 + process).reversed()
      }
      now += traffic.draw(4_000)
      fputs("\(Self.stamp(now)) mx.example.org \(sessions[process].removeLast())\n", out)
      written += 1
    }
  }

  private static func stamp(_ microseconds: Int) -> String {
    var seconds = microseconds / 1_000_000
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let fraction = String(1_000_000 + microseconds % 1_000_000).dropFirst()
    return "\(parts.tm_year + 1_900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T\(two(parts.tm_hour)):"
      + "\(two(parts.tm_min)):\(two(parts.tm_sec)).\(fraction)+00:00"
  }
}

/// Sessions as their lines.
private struct Traffic {
  private let users: Int
  private var state: UInt64
  private var messages = 0

  init(users: Int, seed: Int) {
    self.users = users
    state = UInt64(bitPattern: Int64(seed))
  }

  mutating func draw(_ bound: Int) -> Int {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return Int((mixed ^ (mixed >> 31)) >> 1) % bound
  }

  mutating func session(pid: Int) -> [String] {
    let address = "\(1 + draw(200)).\(draw(256)).\(draw(16)).\(1 + draw(250))"
    let client = draw(3) == 0 ? "unknown[\(address)]" : "host-\(draw(5_000)).example.net[\(address)]"
    let begin = "connect from \(client)"
    switch draw(100) {
    case 0..<15:
      let smtpd = "postfix/smtpd[\(pid)]: "
      return [
        smtpd + begin, smtpd + "lost connection after CONNECT from \(client)",
        smtpd + "disconnect from \(client) commands=0/0",
      ]
    case 15..<25:
      let smtpd = "postfix/submission/smtpd[\(pid)]: "
      let failed =
        "warning: \(client): SASL LOGIN authentication failed: authentication failure, sasl_username=\(user())"
      return [
        smtpd + begin, smtpd + failed, smtpd + "disconnect from \(client) ehlo=1 auth=0/1 quit=1 commands=2/3",
      ]
    case 25..<33:
      let smtpd = "postfix/smtpd[\(pid)]: "
      let (from, to) = ("s\(draw(100_000))@spam.example", "nobody\(draw(1_000))@example.org")
      return [
        smtpd + begin,
        smtpd + "NOQUEUE: reject: RCPT from \(client): 550 5.1.1 <\(to)>: Recipient address rejected: User unknown in "
          + "local recipient table; from=<\(from)> to=<\(to)> proto=ESMTP helo=<mail.spam.example>",
        smtpd + "disconnect from \(client) ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4",
      ]
    default: return message(pid, client, begin, isSubmission: draw(5) < 3)
    }
  }

  private mutating func user() -> String { "user\(draw(users))@example.org" }

  private mutating func message(_ pid: Int, _ client: String, _ begin: String, isSubmission: Bool) -> [String] {
    messages += 1
    let id = String(0x4000_0000_00 + messages * 7 % 0x3fff_ffff_ff, radix: 16).uppercased()
    let smtpd = isSubmission ? "postfix/submission/smtpd[\(pid)]: " : "postfix/smtpd[\(pid)]: "
    let user = user()
    // Half of what comes in is from the few who write to many.
    let number = draw(draw(2) == 0 ? 2_000 : 200_000)
    let sender = isSubmission ? user : "s\(number)@sender\(number / 10).example"
    let recipients = 1 + draw(3)
    let login = isSubmission ? ", sasl_method=PLAIN, sasl_username=\(user)" : ""
    var lines = [
      smtpd + begin, smtpd + "\(id): client=\(client)\(login)",
      "postfix/cleanup[1501]: \(id): message-id=<\(messages).\(draw(1_000_000))@client.example>",
      "postfix/qmgr[1400]: \(id): from=<\(sender)>, size=\(800 + draw(60_000)), nrcpt=\(recipients) (queue active)",
      smtpd
        + "disconnect from \(client) ehlo=1\(isSubmission ? " auth=1" : "") mail=1 rcpt=\(recipients) data=1 quit=1 "
        + "commands=\(5 + recipients)",
    ]
    for _ in 0..<recipients {
      let status =
        switch draw(20) {
        case 0: "dsn=4.4.1, status=deferred (connect to mx.example.com[192.0.2.25]:25: Connection timed out)"
        case 1: "dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.25] said: 550 5.1.1 User unknown)"
        default: "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as \(String(draw(1 << 40), radix: 16).uppercased()))"
        }
      lines.append(
        "postfix/smtp[1\(draw(900))]: \(id): to=<r\(draw(1_000_000))@domain\(draw(50_000)).example>, "
          + "relay=mx.example.com[192.0.2.25]:25, delay=1.\(draw(10)), delays=0.05/0.01/0.5/0.6, \(status)")
    }
    return lines + ["postfix/qmgr[1400]: \(id): removed"]
  }
}
