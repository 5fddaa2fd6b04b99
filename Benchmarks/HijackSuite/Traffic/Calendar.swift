/// A moment of the run, in milliseconds since midnight UTC of its first day, a Monday.
public struct Moment: Comparable, Hashable, Sendable {
  public var milliseconds: Int

  public init(milliseconds: Int) { self.milliseconds = milliseconds }
  public init(day: Int, hour: Double = 0) { milliseconds = day * Self.day + Int(hour * 3_600_000) }

  static let day = 86_400_000

  public var day: Int { milliseconds.quotient(Self.day) }
  public var hour: Double { Double(milliseconds - day * Self.day) / 3_600_000 }

  public static func < (a: Moment, b: Moment) -> Bool { a.milliseconds < b.milliseconds }
  public static func + (a: Moment, seconds: Double) -> Moment {
    Moment(milliseconds: a.milliseconds + Int(seconds * 1_000))
  }

  /// The same moment on a wall clock so many hours ahead of UTC.
  func local(_ zone: Int) -> Moment { Moment(milliseconds: milliseconds + zone * 3_600_000) }
  /// UTC of what a wall clock there shows.
  func utc(from zone: Int) -> Moment { local(-zone) }
}

extension Int {
  /// Rounded down, also below zero.
  fileprivate func quotient(_ divisor: Int) -> Int { self >= 0 ? self / divisor : (self + 1) / divisor - 1 }
}

public enum Weekday {
  public static func isWeekend(_ day: Int) -> Bool { day % 7 >= 5 }
  static func isMonday(_ day: Int) -> Bool { day % 7 == 0 }
}

/// When somebody works.
enum Shift: CaseIterable {
  case office, evening, night, always

  /// How much is written in each hour of the local day.
  var hours: [Double] {
    switch self {
    // Lunch at noon, a tail at home until midnight.
    case .office: [0.1, 0, 0, 0, 0, 0.1, 0.5, 3, 7, 10, 10, 9, 4, 6, 9, 9, 8, 5, 2, 1, 1, 1, 0.7, 0.3]
    case .evening: [1, 0.3, 0, 0, 0, 0, 0, 0, 0.3, 0.6, 1, 1, 2, 4, 7, 8, 8, 7, 5, 8, 9, 8, 6, 3]
    case .night: [8, 8, 7, 7, 6, 5, 4, 1, 0.2, 0, 0, 0, 0, 0.3, 0.6, 1, 1, 1, 1, 2, 4, 6, 8, 8]
    case .always: Array(repeating: 1, count: 24)
    }
  }

  /// How much is written on a day of the week, beside a Wednesday.
  func share(of day: Int) -> Double {
    switch (self, day % 7) {
    case (.always, _): 1
    case (_, 0): 1.2
    case (_, 4): 0.8
    case (.office, 5...): 0.06
    case (_, 5...): 0.4
    default: 1
    }
  }

  /// An hour of the local day with its minutes.
  func hour(using random: inout Random) -> Double { Double(random.place(weights: hours)) + random.unit() }

  /// The eight local hours in which nobody would look: night, for night workers the day.
  var quiet: Range<Double> { self == .night ? 8..<16 : 22..<30 }
  /// The local hours in which the computer runs.
  var busy: Range<Double> { self == .night ? 20..<29 : self == .evening ? 13..<23 : 8..<18 }
}
