import Foundation
import Logging
import Testing
import WardenTestKit

@testable import WardenAlerts
@testable import WardenCore

/// A small generator with a seed, so that what failed can be run again.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64
  init(seed: Int) { state = UInt64(bitPattern: Int64(seed)) }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

extension Timestamp {
  /// 2026-11-24T10:14:05.123457Z
  static let start = Timestamp(microseconds: 1_795_515_245_123_457)
}

/// All that a terminal, a header or a shell could trip over.
let hostile = "a\r\nBcc: x@evil.example\r\n\r\n\u{1b}[2J\u{202e}$(id)`id`'\"\\;=?UTF-8?B?QQ==?=é\u{0}"

extension Evidence {
  static let none = Evidence(sent: Trail.Sent(), prefix: NetworkPrefix(), attempts: nil)
}

extension AlertMessage {
  /// Of an account that has sent too much, whatever it is called.
  static func of(_ user: String = "alice", ids: [String] = ["4f9XyZ12AB"]) -> AlertMessage {
    let key = Key(.user(user))
    let finding = Reason.Finding(
      quantity: .measure(.signal(.messages)), count: 26, isLeast: false, limit: 25,
      bound: Limit(count: 25, window: .hours(2)), share: nil)
    let reason = Reason(rule: "account-cap", key: key, cause: .over([finding]), until: .start + .hours(1))
    var episode = Episode(
      Episode.ID(rule: "account-cap", key: key), reason: reason, at: .start, quiet: .hours(2), isObserved: false,
      isAlert: true)
    episode.blocked(key, until: .start + .days(1), at: .start)
    episode.refused = 12
    var sent = Trail.Sent()
    sent.latest = ids.map {
      Passage(
        at: .start, queueID: $0, user: user, ip: IPAddress("192.0.2.7")!, sender: user, recipients: 3,
        recipient: "\(user)@example.net", isHeld: false)
    }
    (sent.messages, sent.recipients, sent.ips) = (26, 78, [IPAddress("192.0.2.7")!])
    let evidence = Evidence(sent: sent, prefix: NetworkPrefix(), attempts: 40)
    var desk = AlertDesk(settings: AlertSettings(wait: .seconds(0)), host: "mx.example.org", version: "1.0", at: .start)
    return desk.issue([(episode, .opened)], at: .start, wall: { $0 }, evidence: { _ in evidence })!.message
  }
}

/// One of the Python programs in `Receivers`, which tells its port and then what it was told.
final class Receiver {
  let port: Int
  private let child: ChildProcess
  private let folder: TemporaryFolder

  static func path(_ name: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Receivers/\(name).py").path
  }

  init(_ name: String, _ arguments: String...) throws {
    let folder = try TemporaryFolder()
    child = try ChildProcess(
      ["python3", Self.path(name)] + arguments, output: folder.file("out"), errors: folder.file("err"))
    try eventually("\(name) listens") { try folder.read("out").contains("\n") }
    port = try #require(Int(folder.read("out").split(separator: "\n")[0]))
    self.folder = folder
  }

  deinit {
    child.signal(SIGKILL)
    child.wait()
  }

  /// What it was told, line by line.
  var heard: [String] {
    get throws {
      try folder.read("out").split(separator: "\n", omittingEmptySubsequences: false).dropFirst().map(String.init)
    }
  }
}

/// A program of a few lines of shell.
func program(_ script: String, in folder: TemporaryFolder) throws -> String {
  let path = folder.file("program")
  try "#!/bin/sh\n\(script)\n".write(toFile: path, atomically: true, encoding: .utf8)
  try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
  return path
}

/// Why sending failed; nothing where it did not.
func failure(of channel: some Channel, _ message: AlertMessage = .of()) async -> SendFailure? {
  do {
    try await channel.send(message)
    return nil
  } catch {
    return error as? SendFailure ?? SendFailure("unexpected: \(error)")
  }
}
