import Foundation
import Logging

@testable import Milter
@testable import MilterClient
@testable import WardenControl
@testable import WardenCore
@testable import WardenStore
@testable import mailwarden

/// What an MTA sends, through libmilter itself: the byte of a command, two of a length and so many of the command's own, as
/// often as there is more. `0xff` ends the session and begins another one. Every session begins with a negotiation that
/// offers everything, unless it begins with one of its own (`O`).
let milterTarget = FuzzTarget(name: "milter") { input in
  let milter = try LiveMilter.shared.get()
  let engine = CheckedEngine(Fixture.engine())
  milter.begin(engine.engine)
  var rest = input[...]
  for session in 0..<4 where session == 0 || !rest.isEmpty {
    var bytes: [UInt8] = []
    if rest.first != UInt8(ascii: "O") {
      bytes.append(packet: UInt8(ascii: "O")) {
        for number: UInt32 in [6, 0x1ff, 0x1f_ffff] { $0.append(number: number) }
      }
    }
    while let command = rest.popFirst(), command != 0xff {
      let length = Int(rest.popFirst() ?? 0) << 8 | Int(rest.popFirst() ?? 0)
      bytes.append(packet: command) {
        $0.append(contentsOf: rest.prefix(length))
        $0.append(contentsOf: completion(of: command, rest.prefix(length)))
      }
      rest = rest.dropFirst(length)
    }
    bytes.append(packet: UInt8(ascii: "Q"))
    try milter.talk(bytes)
  }
  try require(milter.openSessions == 0, "\(milter.openSessions) sessions are open, though their connections are closed")
  try engine.checkState(at: milter.now)
}

/// What libmilter believes an MTA to have sent, and would read beyond its memory without: the value of a macro that has a name
/// (`smfi_getsymval`).
private func completion(of command: UInt8, _ bytes: Slice<UnsafeRawBufferPointer>) -> [UInt8] {
  guard command == UInt8(ascii: "D") else { return [] }
  guard let last = bytes.dropFirst().last else { return bytes.isEmpty ? [UInt8(ascii: "C")] : [] }
  let end: [UInt8] = last == 0 ? [] : [0]
  let strings = bytes.dropFirst().count { $0 == 0 } + end.count
  return strings.isMultiple(of: 2) ? end : end + [0]
}

/// The milter of this process: libmilter has one.
private final class LiveMilter: Sendable {
  static let shared = Result { try LiveMilter() }

  private let path: String
  private let server: MilterServer
  private let clock = LiveClock()
  private let gate: Locked<Gate>

  private init() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "mailwarden-fuzz-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    path = folder.appending(path: "milter.sock").path
    let gate = Locked(Self.gate(Fixture.engine(), clock))
    self.gate = gate
    server = MilterServer(
      name: "fuzz", socket: try MilterSocket("unix:\(path)"), makeSession: { WardenSession(gate.withLock { $0 }, &$0) })
    try server.open()
    Thread.detachNewThread { [server] in try? server.run() }
  }

  private static func gate(_ engine: Engine, _ clock: LiveClock) -> Gate {
    let logger = Logger(label: "milter") { _ in SwiftLogNoOpLogHandler() }
    let trail = Trail()
    let outbox = Outbox(
      .init(
        log: NoticeLog(logger: logger, clock: clock) { 0 }, clock: clock,
        runner: CommandRunner(commands: [:], logger: logger) { _, _ in }, trail: trail, decisions: DecisionLog(),
        keeper: nil, drops: SharedCount()
      ) { _, _ in })
    let watchers = Watchers(now: clock.now, wall: clock.wall) { .init(sessionsOpen: 0, penalties: 0, totals: []) }
    return Gate(
      engine: engine, clock: clock, activity: nil, trail: trail, outbox: outbox, watchers: watchers,
      meter: DecisionMeter(), hearing: Hearing(), recorder: nil, logger: logger)
  }

  func begin(_ engine: Engine) { gate.withLock { $0 = Self.gate(engine, clock) } }

  var openSessions: Int { server.openSessions }
  var now: Timestamp { clock.now() }

  /// A session: it is over when libmilter closes the connection.
  func talk(_ bytes: [UInt8]) throws {
    let client = try MilterClient(.unix(path))
    defer { client.close() }
    do throws(MilterClientError) {
      try client.sendBytes(bytes)
      while true { try check(try client.receive()) }
    } catch {
      guard case .closed = error else { throw error }
    }
  }

  private func check(_ packet: Packet) throws(MilterClientError) {
    if packet.command == UInt8(ascii: "O") {
      _ = try MilterClient.Negotiated(packet.payload)
    } else if let response = try MilterClient.Response(packet) {
      if case .reply(let lines) = response { try checkReply(lines, packet.payload) }
    } else if case .quarantine(let reason) = try MilterClient.Change(packet) {
      try check(reason.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "quarantined for \(reason.debugDescription)")
    } else {
      throw .malformed("the packet \(packet)")
    }
  }

  /// `450-4.7.1 one`, `450 4.7.1 two`, with each `%` doubled.
  private func checkReply(_ lines: [String], _ payload: [UInt8]) throws(MilterClientError) {
    try check(!lines.isEmpty, "an empty reply")
    for (place, line) in lines.enumerated() {
      let bytes = Array(line.utf8)
      let isLast = place == lines.count - 1
      try check(
        bytes.count >= 10 && bytes.allSatisfy { (0x20...0x7e).contains($0) } && Int(line.prefix(3)) != nil
          && bytes[3] == UInt8(ascii: isLast ? " " : "-") && line.prefix(3) == lines[0].prefix(3)
          && bytes[4] == bytes[0] && bytes[5] == UInt8(ascii: ".")
          && !line.replacing("%%", with: "").contains("%"),
        "the reply \(line.debugDescription) in \(lines)")
    }
  }

  private func check(_ condition: Bool, _ problem: @autoclosure () -> String) throws(MilterClientError) {
    if !condition { throw .malformed(problem()) }
  }
}
