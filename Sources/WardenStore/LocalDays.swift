import Foundation
import WardenCore

/// Days as people have them: from midnight to midnight where the server is, be they 23, 24 or 25 hours long.
struct LocalDays: Sendable {
  private let calendar: Calendar

  init(zone: TimeZone) {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = zone
    self.calendar = calendar
  }

  /// The second, since 1970, in which the moment's day began.
  func start(of moment: Timestamp) -> Int { seconds(calendar.startOfDay(for: date(moment.seconds))) }

  /// When the day that many days later begins.
  /// - Parameter start: any second of a day.
  func start(_ days: Int, after start: Int) -> Int {
    // Noon is a day's middle also where a day is an hour longer or shorter.
    let noon = date(seconds(calendar.startOfDay(for: date(start))) + 43_200)
    let other = calendar.date(byAdding: .day, value: days, to: noon) ?? noon
    return seconds(calendar.startOfDay(for: other))
  }

  /// `2026-11-20`
  func name(of start: Int) -> String {
    let parts = calendar.dateComponents([.year, .month, .day], from: date(start))
    return String(format: "%04d-%02d-%02d", parts.year ?? 0, parts.month ?? 0, parts.day ?? 0)
  }

  /// The seconds of a day that is written `2026-11-20`.
  func range(of name: String) -> Range<Int>? {
    guard name.utf8.count == 10, let utc = DateText.timestamp(name) else { return nil }
    // Noon in Greenwich falls on that day, or on the one before or after it.
    let near = start(of: utc + .hours(12))
    guard let first = [-1, 0, 1].lazy.map({ start($0, after: near) }).first(where: { self.name(of: $0) == name }) else {
      return nil
    }
    return first..<start(1, after: first)
  }

  private func date(_ seconds: Int) -> Date { Date(timeIntervalSince1970: TimeInterval(seconds)) }
  private func seconds(_ date: Date) -> Int { Int(date.timeIntervalSince1970) }
}

extension Timestamp {
  var seconds: Int { microseconds / 1_000_000 }
  init(seconds: Int) { self.init(microseconds: seconds * 1_000_000) }
}
