import Foundation
import WardenCore

/// Knows how long it is usually quiet, from the longest silence of each of the last seven days, and says when it has been
/// quiet for much longer: then the MTA may have lost the milter.
struct SilenceWatch: Sendable, Equatable {
  /// What survives a restart.
  struct Learned: Sendable, Equatable, Codable {
    /// For how long it has watched, up to what it takes to judge.
    var watched = TimeSpan(microseconds: 0)
    /// By days since 1970.
    var longest: [Int: TimeSpan] = [:]
  }

  fileprivate static let days = 7
  fileprivate static let learning = TimeSpan.days(1)
  private static let shortest = TimeSpan.minutes(5)
  /// Looks that lie further apart than this were interrupted: the machine slept, or we did.
  private static let gap = TimeSpan.minutes(1)

  private(set) var learned: Learned
  private var events: Int?
  private var lastLook: Timestamp?
  private var quietSince = Timestamp(microseconds: 0)

  init(_ learned: Learned = Learned()) { self.learned = learned }

  /// - Parameters:
  ///   - total: how many events there have been so far, since the start.
  ///   - tenths: from how many times the longest silence on it is distress.
  /// - Returns: what to say, while it is too quiet.
  mutating func look(at now: Timestamp, events total: Int, tenths: Int) -> String? {
    defer { (events, lastLook) = (total, now) }
    guard let lastLook, now >= lastLook, now - lastLook <= Self.gap else {
      // What happened before we began to look is unknown: no silence, and nothing to learn from.
      quietSince = now
      return nil
    }
    learned.watched = min(Self.learning, learned.watched + (now - lastLook))
    let silence = now - quietSince
    if total != events {
      learn(silence, at: now)
      quietSince = now
      return nil
    }
    guard let usual, learned.watched >= Self.learning else { return nil }
    let bound = max(Self.shortest, TimeSpan(microseconds: usual.microseconds / 10 * tenths))
    guard silence > bound else { return nil }
    return "no mail for \(silence.rounded); the longest silence of the last week was \(usual.rounded)"
  }

  private var usual: TimeSpan? { learned.longest.values.max() }

  private mutating func learn(_ silence: TimeSpan, at now: Timestamp) {
    // An outage must not make the next one usual; a server that has really become quieter gets there by doubling.
    var silence = silence
    if let usual, learned.watched >= Self.learning {
      silence = min(silence, TimeSpan(microseconds: max(Self.shortest, usual).microseconds * 2))
    }
    let day = now.microseconds / TimeSpan.days(1).microseconds
    learned.longest[day] = max(silence, learned.longest[day] ?? silence)
    if learned.longest.count > Self.days {
      learned.longest = learned.longest.filter { day - Self.days < $0.key && $0.key <= day }
    }
  }

  // MARK: - Storing

  var document: String { String(decoding: try! JSONEncoder().encode(learned), as: UTF8.self) }

  init(document: String?) {
    let stored = document.flatMap { try? JSONDecoder().decode(Learned.self, from: Data($0.utf8)) }
    self.init(stored.flatMap { $0.isSound ? $0 : nil } ?? Learned())
  }
}

extension TimeSpan {
  fileprivate static func + (a: TimeSpan, b: TimeSpan) -> TimeSpan {
    TimeSpan(microseconds: a.microseconds + b.microseconds)
  }
}

extension SilenceWatch.Learned {
  /// A file can hold anything: numbers that one cannot calculate with are not believed.
  fileprivate var isSound: Bool {
    func isWithin(_ span: TimeSpan, _ most: TimeSpan) -> Bool { (.seconds(0)...most).contains(span) }
    return isWithin(watched, SilenceWatch.learning) && longest.count <= SilenceWatch.days + 1
      && longest.allSatisfy { isWithin($0.value, .days(36_500)) && (0...1_000_000).contains($0.key) }
  }
}
