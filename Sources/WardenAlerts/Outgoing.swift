import Foundation
import WardenCore

/// What one channel still has to tell: one message at a time, again and again with growing pauses, for a day.
struct Outgoing: Sendable {
  static let capacity = 100
  /// After the first attempt, the second, …; the last for all that follow.
  private static let pauses: [TimeSpan] = [.seconds(5), .seconds(30), .minutes(2), .minutes(10), .hours(1)]
  private static let patience = TimeSpan.days(1)

  private struct Waiting {
    let message: AlertMessage
    let queued: Timestamp
    var attempts = 0
    var next: Timestamp
  }

  /// Oldest first.
  private var waiting: [Waiting] = []
  /// The message that is being sent.
  private var underWay: String?
  private(set) var sent = 0
  private(set) var failures = 0
  /// Messages that had no room or were given up.
  private(set) var dropped = 0
  /// Of the latest attempt, where it failed.
  private(set) var lastError: (at: Timestamp, text: String)?

  /// Of what waits.
  var ids: [String] { waiting.map(\.message.id) }

  /// - Returns: the ids of messages that had to make room.
  mutating func add(_ message: AlertMessage, at now: Timestamp) -> [String] {
    waiting.append(Waiting(message: message, queued: now, next: now))
    var gone: [String] = []
    while waiting.count > Self.capacity, let oldest = waiting.firstIndex(where: { $0.message.id != underWay }) {
      gone.append(waiting.remove(at: oldest).message.id)
      dropped += 1
    }
    return gone
  }

  /// The message to send now, unless one is being sent. How it ends has to be told.
  mutating func take(at now: Timestamp) -> AlertMessage? {
    guard underWay == nil, let next = waiting.first(where: { $0.next <= now }) else { return nil }
    underWay = next.message.id
    return next.message
  }

  /// - Parameter failure: nothing where the message was taken.
  /// - Returns: the id of a message that is done with.
  mutating func ended(_ failure: SendFailure?, at now: Timestamp) -> String? {
    defer { underWay = nil }
    guard let place = waiting.firstIndex(where: { $0.message.id == underWay }) else { return nil }
    if failure != nil { failures += 1 }
    lastError = failure.map { (now, $0.description) }
    if failure?.isDelivered ?? true {
      sent += 1
      return waiting.remove(at: place).message.id
    }
    let pause = Self.pauses[min(waiting[place].attempts, Self.pauses.count - 1)]
    waiting[place].attempts += 1
    waiting[place].next = now + pause
    guard waiting[place].next > waiting[place].queued + Self.patience else { return nil }
    dropped += 1
    return waiting.remove(at: place).message.id
  }

  /// Nobody has tried: it was interrupted.
  mutating func interrupted() { underWay = nil }

  // MARK: - Storing

  private struct Stored: Codable {
    let queued: Timestamp
    /// As it was when it was queued, whatever a later version adds.
    let message: String
  }

  static func document(_ message: AlertMessage, at now: Timestamp) -> String {
    String(decoding: try! JSONEncoder().encode(Stored(queued: now, message: message.json)), as: UTF8.self)
  }

  /// - Returns: false where it cannot be read, or there is no room.
  mutating func restore(_ document: String, at now: Timestamp) -> Bool {
    guard waiting.count < Self.capacity,
      let stored = try? JSONDecoder().decode(Stored.self, from: Data(document.utf8)),
      let message = AlertMessage(json: stored.message)
    else { return false }
    let queued = min(stored.queued, now)
    let place = waiting.firstIndex { $0.queued > queued } ?? waiting.count
    waiting.insert(Waiting(message: message, queued: queued, next: now), at: place)
    return true
  }
}
