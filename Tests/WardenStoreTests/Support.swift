import Foundation
import Testing
@testable import WardenCore

@testable import WardenStore

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
  /// 2026-11-24T10:14:05.123457Z: on no slot's edge.
  static let start = Timestamp(microseconds: 1_795_515_245_123_457)
}

/// A folder of a test's own, gone with it.
final class TestFolder {
  let path = FileManager.default.temporaryDirectory.path + "/store-test-\(UUID().uuidString)"
  var database: String { path + "/mailwarden.sqlite" }

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  func open(
    zone: TimeZone = .gmt, checkedUpTo largest: Int = DatabaseFile.largestChecked, at now: Timestamp = .start
  ) throws -> Store.Opened {
    try Store.open(folder: path, wall: now, zone: zone, checkedUpTo: largest)
  }

  var files: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }
}

extension TimeZone {
  static let gmt = TimeZone(secondsFromGMT: 0)!
  static let berlin = TimeZone(identifier: "Europe/Berlin")!
}

func ip(_ text: String) -> IPAddress { IPAddress(text)! }

extension Reason {
  static func messages(_ key: Key, count: Int = 26, until: Timestamp) -> Reason {
    Reason(
      rule: "user-messages", key: key,
      cause: .over([
        Finding(
          quantity: .measure(.signal(.messages)), count: count, isLeast: false, limit: 25,
          bound: Limit(count: 25, window: .hours(2)), share: nil)
      ]), until: until)
  }
}

extension Penalty {
  static func of(_ key: Key, until: Timestamp, attempts: Int = 0) -> Penalty {
    Penalty(
      key: key, reason: .messages(key, until: until), code: ReplyCode(code: 450, enhanced: "4.7.1"), reply: nil,
      since: .start, until: until, attempts: attempts)
  }
}

extension Notice {
  static func of(
    _ kind: Kind, _ key: Key, user: String? = nil, ip: IPAddress? = nil, sender: String? = nil, rule: String? = nil,
    at: Timestamp = .start
  ) -> Notice {
    var subject = Subject()
    (subject.user, subject.ip, subject.sender) = (user, ip, sender)
    let reason = Reason.messages(key, until: at + .hours(1))
    return Notice(
      kind: kind, reason: Reason(rule: rule ?? reason.rule, key: key, cause: reason.cause, until: reason.until),
      step: .endOfMessage, subject: subject, at: at)
  }
}

extension Activity.Counts {
  init(_ signals: Tally, refused: Int = 0, blocked: Int = 0) {
    self.init()
    self.signals = signals
    self.refused = refused
    self.blocked = blocked
  }
}

extension Store {
  func write(_ change: (inout Batch) -> Void, at now: Timestamp = .start) throws {
    var batch = Batch(now: now)
    change(&batch)
    try write(batch)
  }

  func add(_ key: Key, _ counts: Activity.Counts, at moment: Timestamp) throws {
    try write({ $0.slices = [Activity.Slice(minute: moment, counts: [key: counts])] })
  }

  /// Writes what a log has.
  func add(_ log: DecisionLog) throws { try write({ $0.decisions = log.take() }) }

  @discardableResult
  func tidy(
    at now: Timestamp = .start, wall: Timestamp = .start, settings: HistorySettings = HistorySettings(), keys: Int = 0
  ) throws -> Tidied {
    try tidy(at: now, wall: wall, settings: settings, keys: keys) { _ in true }
  }

  func number(_ sql: String) throws -> Int { try read("ask") { try $0.number(sql) ?? 0 } }
}

extension Store {
  /// As its process would: the folder is free, and nothing was ended in good order.
  func die() { lock.withLock { $0 = nil } }
}
