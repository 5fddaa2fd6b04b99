import Foundation
import WardenCore

/// Decides when administrators are told, and of what: an attack on 500 accounts is one message, not 500.
///
/// What begins is gathered for `wait`, messages are `interval` apart and at most so many an hour; what cannot be told yet
/// keeps its news. It has no clock and sends nothing.
struct AlertDesk: Sendable {
  /// A message, and whom the engine is to mark as told by it: both are stored together, or neither.
  struct Issue: Sendable {
    let message: AlertMessage
    let told: [(episode: Episode, news: Episode.News)]
  }

  static let mostInFull = 20
  /// Of a message as JSON, in bytes.
  static let largest = 64_000
  private static let mostRules = 100

  var settings: AlertSettings
  private let host: String
  private let version: String
  private(set) var distress = DistressLog()
  /// When messages were sent, as far as `at-most` asks, and how many there ever were.
  private var sent: [Timestamp] = []
  private var serial = 0

  private struct Stored: Codable {
    var sent: [Timestamp]
    var serial: Int
    var distress: [Distress]
  }

  init(settings: AlertSettings, host: String, version: String, document: String? = nil, at now: Timestamp) {
    self.settings = settings
    self.host = host
    self.version = version
    guard let document, let stored = try? JSONDecoder().decode(Stored.self, from: Data(document.utf8)),
      // A file can hold anything.
      (0...Int(Int32.max)).contains(stored.serial)
    else { return }
    // A clock that was set back must not keep us silent until it is there again.
    sent = stored.sent.map { max(.init(microseconds: 0), min($0, now)) }
    serial = stored.serial
    distress = DistressLog(
      stored.distress.map { old in
        var old = old
        // Nobody could see how it went on meanwhile.
        (old.seen, old.told) = (now, old.told.map { max(.init(microseconds: 0), min($0, now)) })
        return old
      })
  }

  var document: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let stored = Stored(sent: sent, serial: serial, distress: distress.told)
    return String(decoding: try! encoder.encode(stored), as: UTF8.self)
  }

  /// - Parameter present: all that is wrong now.
  mutating func note(_ present: [Distress.ID: String], at now: Timestamp) { distress.note(present, at: now) }

  /// The message that is due, if one is.
  /// - Parameters:
  ///   - news: all of the engine's.
  ///   - evidence: asked for the worst episodes only.
  mutating func issue(
    _ news: [(episode: Episode, news: Episode.News)], at now: Timestamp, wall: (Timestamp) -> Timestamp,
    evidence: (Episode) -> Evidence
  ) -> Issue? {
    let troubles = distress.news(at: now, again: settings.again)
    guard isReady(news, troubles, at: now), mayTell(at: now) else { return nil }
    serial += 1
    sent = sent.filter { $0 > now - settings.mostWindow } + [now]
    let worst = news.sorted(by: Self.isWorse)
    let id = "\(String(now.microseconds, radix: 36))-\(serial)"
    var message = AlertMessage(
      id: id, at: wall(now).rfc3339, host: host, version: version, summary: Self.summary(worst, troubles),
      episodes: worst.prefix(Self.mostInFull).map { .init($0.episode, $0.news, evidence($0.episode), wall: wall) },
      more: [],
      distress: troubles.prefix(Self.mostInFull).map { distress, news in
        .init(kind: distress.id.kind, news: news, text: distress.text, since: wall(distress.since).rfc3339)
      })
    message.more = Self.byRule(worst.dropFirst(message.episodes.count).lazy.map(\.episode.id.rule))
    while message.json.utf8.count > Self.largest, !message.episodes.isEmpty {
      message.episodes.removeLast()
      message.more = Self.byRule(worst.dropFirst(message.episodes.count).lazy.map(\.episode.id.rule))
    }
    for trouble in troubles.prefix(Self.mostInFull) { distress.tell(trouble.distress.id, trouble.news, at: now) }
    return Issue(message: message, told: news)
  }

  /// Whether anything has been gathered for long enough.
  private func isReady(
    _ news: [(episode: Episode, news: Episode.News)], _ troubles: [(distress: Distress, news: Episode.News)],
    at now: Timestamp
  ) -> Bool {
    news.contains { $0.news != .opened || $0.episode.opened + settings.wait <= now }
      || troubles.contains { $0.news != .opened || $0.distress.since + settings.wait <= now }
  }

  private func mayTell(at now: Timestamp) -> Bool {
    if let last = sent.last, now < last + settings.interval { return false }
    return sent.count { $0 > now - settings.mostWindow } < settings.most
  }

  // MARK: - Words

  private static func isWorse(
    _ a: (episode: Episode, news: Episode.News), _ b: (episode: Episode, news: Episode.News)
  ) -> Bool {
    let (first, second) = (a.episode, b.episode)
    if a.news.urgency != b.news.urgency { return a.news.urgency > b.news.urgency }
    if first.level != second.level { return first.level > second.level }
    if first.trips != second.trips { return first.trips > second.trips }
    return (first.id.rule, first.id.key.description) < (second.id.rule, second.id.key.description)
  }

  private static func byRule(_ rules: some Sequence<String>) -> [AlertMessage.More] {
    let counts = rules.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(mostRules)
      .map { AlertMessage.More(rule: $0.key, episodes: $0.value) }
  }

  /// `new: user alice: 26 messages in 2h (limit 25)`, `new: 480 by account-cap, 20 by hijack; over: 2 by hijack`.
  private static func summary(
    _ worst: [(episode: Episode, news: Episode.News)], _ troubles: [(distress: Distress, news: Episode.News)]
  ) -> String {
    var parts = troubles.map { "\($0.news.word): \($0.distress.text)" }
    if worst.count == 1, let (episode, news) = worst.first {
      parts.append("\(news.word): \(episode.worst.sentence)")
    } else {
      for news in Episode.News.allCases {
        let rules = byRule(worst.lazy.filter { $0.news == news }.map(\.episode.id.rule))
        if rules.isEmpty { continue }
        parts.append("\(news.word): \(rules.map { "\($0.episodes) by \($0.rule)" }.joined(separator: ", "))")
      }
    }
    return Visible.text(parts.joined(separator: "; "), atMost: 200)
  }
}

extension Episode.News {
  static let allCases: [Episode.News] = [.opened, .escalated, .goesOn, .ended]

  /// For a person.
  var word: String {
    switch self {
    case .opened: "new"
    case .escalated: "worse"
    case .goesOn: "goes on"
    case .ended: "over"
    }
  }

  fileprivate var urgency: Int {
    switch self {
    case .opened, .escalated: 2
    case .goesOn: 1
    case .ended: 0
    }
  }
}

extension Timestamp {
  fileprivate static func - (a: Timestamp, b: TimeSpan) -> Timestamp {
    Timestamp(microseconds: a.microseconds - b.microseconds)
  }
}
