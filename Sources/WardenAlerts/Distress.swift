import WardenCore

/// Something is wrong with Mailwarden itself, or with what it needs.
public struct Distress: Sendable, Equatable, Codable {
  public enum Kind: String, Sendable, Codable, CaseIterable {
    /// What must survive a restart cannot be stored.
    case database
    /// Counters are forgotten for want of room.
    case memory
    /// A source has gone quiet.
    case feed
    /// No mail at all, for longer than is usual.
    case silence
  }

  public struct ID: Sendable, Hashable, Codable {
    public let kind: Kind
    /// Which one, where there are several: a feed's name.
    public let source: String
    public init(_ kind: Kind, source: String = "") {
      self.kind = kind
      self.source = source
    }
  }

  public let id: ID
  public internal(set) var text: String
  public let since: Timestamp
  /// When it was last so.
  var seen: Timestamp
  /// When somebody was last told.
  var told: Timestamp?

  func isOver(at now: Timestamp) -> Bool { now >= seen + DistressLog.calm }

  func news(at now: Timestamp, again: TimeSpan) -> Episode.News? {
    guard let told else { return .opened }
    if isOver(at: now) { return .ended }
    return now >= told + again ? .goesOn : nil
  }
}

/// What is wrong now, each told once, and once that it is over.
struct DistressLog: Sendable, Equatable {
  /// What comes and goes within this time is one trouble.
  static let calm = TimeSpan.minutes(5)
  static let capacity = 100

  private(set) var all: [Distress.ID: Distress] = [:]

  init(_ stored: [Distress] = []) {
    for distress in stored.prefix(Self.capacity) { all[distress.id] = distress }
  }

  /// - Parameter present: all that is wrong now, with what to say of it.
  mutating func note(_ present: [Distress.ID: String], at now: Timestamp) {
    for (id, text) in present {
      if all[id] != nil {
        all[id]!.text = Visible.text(text, atMost: 500)
        all[id]!.seen = now
      } else if all.count < Self.capacity {
        all[id] = Distress(id: id, text: Visible.text(text, atMost: 500), since: now, seen: now)
      }
    }
  }

  func news(at now: Timestamp, again: TimeSpan) -> [(distress: Distress, news: Episode.News)] {
    all.values.sorted { ($0.id.kind.rawValue, $0.id.source) < ($1.id.kind.rawValue, $1.id.source) }
      .compactMap { distress in distress.news(at: now, again: again).map { (distress, $0) } }
  }

  mutating func tell(_ id: Distress.ID, _ news: Episode.News, at now: Timestamp) {
    if news == .ended { all[id] = nil } else { all[id]?.told = now }
  }

  /// Those that somebody has been told of, and must be told the end of.
  var told: [Distress] { all.values.filter { $0.told != nil } }
}
