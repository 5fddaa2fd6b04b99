import Foundation
import WardenCore

/// Turns what a clock on the wall shows into moments.
///
/// Dates of the proleptic Gregorian calendar; leap seconds count as the second before them.
struct LocalClock {
  let zone: TimeZone

  private static let day = 86_400

  /// The moment, in seconds since 1970.
  /// - Parameters:
  ///   - local: the same as if the zone were UTC.
  ///   - last: what the clock showed before. An hour that comes twice in autumn is the first, until that goes back.
  func moment(local: Int, after last: Int) -> Int {
    let before = offset(local - Self.day)
    let after = offset(local + Self.day)
    let (early, late) = (local - before, local - after)
    guard before != after else { return early }
    let isEarly = offset(early) == before
    let isLate = offset(late) == after
    // In spring an hour is missing: clocks that were not set forward show it.
    guard isEarly || !isLate else { return late }
    return isEarly && isLate && late - last <= last - early ? late : early
  }

  private func offset(_ seconds: Int) -> Int {
    zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds)))
  }

  /// Days since 1970; nothing where there is no such day.
  static func days(year: Int, month: Int, day: Int) -> Int? {
    guard (1...12).contains(month), day >= 1, day <= length(of: month, year) else { return nil }
    // Years that begin in March have their leap day at the end.
    let years = month > 2 ? year : year - 1
    let months = (month + 9) % 12
    return years * 365 + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + day - 1 - 719_468
  }

  private static func length(of month: Int, _ year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// The year in UTC.
  static func year(_ seconds: Int) -> Int {
    var year = 1970 + seconds / (365 * day)
    while let start = days(year: year, month: 1, day: 1), start * day > seconds { year -= 1 }
    return year
  }
}
