import WardenCore

/// So many messages, to so many recipients in all.
public struct Sent: Sendable, Equatable {
  public var messages = 0
  public var recipients = 0

  public init(messages: Int = 0, recipients: Int = 0) {
    self.messages = messages
    self.recipients = recipients
  }

  static func += (a: inout Sent, b: Sent) {
    a.messages += b.messages
    a.recipients += b.recipients
  }
}

/// What each key has sent within the last day, by the minute: what is known of it when it trips.
///
/// Bounded; those that have sent nothing for longest go first, and are counted.
struct SendingHistory: Sendable {
  static let span = TimeSpan.days(1)

  private struct Minute {
    var number: UInt32
    var messages: UInt32
    var recipients: UInt32
  }

  // By the keys' hashes, which Swift seeds anew in each process: two of the same would only share their figures.
  private var minutes: [Int: [Minute]] = [:]
  private var count = 0
  private let capacity: Int
  /// How many keys have been forgotten.
  private(set) var dropped = 0

  /// - Parameter capacity: how many minutes are kept, of all keys.
  init(capacity: Int = 3_000_000) { self.capacity = capacity }

  mutating func add(_ sent: Sent, by key: Key, at time: Timestamp) {
    if count >= capacity { makeRoom(at: time) }
    let number = Self.minute(of: time)
    count += Self.add(sent, number, to: &minutes[key.hashValue, default: []])
  }

  /// - Returns: how many more are kept.
  private static func add(_ sent: Sent, _ number: UInt32, to minutes: inout [Minute]) -> Int {
    // Of lines that are not quite in order the later ones count with the one before.
    if let last = minutes.indices.last, minutes[last].number >= number {
      minutes[last].messages &+= UInt32(clamping: sent.messages)
      minutes[last].recipients &+= UInt32(clamping: sent.recipients)
      return 0
    }
    let before = minutes.count
    let first = number - min(number, UInt32(span.microseconds / 60_000_000))
    if let oldest = minutes.first, oldest.number < first { minutes.removeAll { $0.number < first } }
    minutes.append(
      Minute(
        number: number, messages: UInt32(clamping: sent.messages), recipients: UInt32(clamping: sent.recipients)))
    return minutes.count - before
  }

  private static func minute(of time: Timestamp) -> UInt32 { UInt32(clamping: time.microseconds / 60_000_000) }

  /// What it has sent since the minute of that moment.
  func sent(by key: Key, since start: Timestamp) -> Sent {
    let first = Self.minute(of: start)
    var sent = Sent()
    for minute in minutes[key.hashValue] ?? [] where minute.number >= first {
      sent += Sent(messages: Int(minute.messages), recipients: Int(minute.recipients))
    }
    return sent
  }

  /// How many messages it has sent in each hour of UTC, oldest first.
  func hours(of key: Key, since start: Timestamp) -> [Incident.Hour] {
    let first = Self.minute(of: start)
    var hours: [Incident.Hour] = []
    for minute in minutes[key.hashValue] ?? [] where minute.number >= first {
      hours.note(Timestamp(microseconds: Int(minute.number) * 60_000_000), passed: Int(minute.messages))
    }
    return hours
  }

  private mutating func makeRoom(at now: Timestamp) {
    let lasts = minutes.values.map { $0.last!.number }.sorted()
    let dayAgo = Self.minute(of: now - Self.span)
    let first = max(dayAgo, lasts[lasts.count / 2] + 1)
    minutes = minutes.filter { $0.value.last!.number >= first }
    dropped += lasts.count { $0 >= dayAgo && $0 < first }
    count = minutes.values.reduce(0) { $0 + $1.count }
  }
}
