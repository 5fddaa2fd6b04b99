/// What happened to the whole server, minute by minute for a day and hour by hour for eight: to draw it, and to say what
/// is usual.
///
/// Minutes and hours are those of the events' time, in UTC.
public struct Trend: Sendable {
  /// How far back to look, and in which steps.
  public enum Span: String, Sendable, CaseIterable {
    case hour = "1h"
    case quarter = "6h"
    case day = "1d"
    case week = "7d"

    public var step: TimeSpan {
      switch self {
      case .hour, .quarter: .minutes(1)
      case .day: .minutes(5)
      case .week: .hours(1)
      }
    }

    var steps: Int {
      switch self {
      case .hour: 60
      case .quarter: 360
      case .day: 288
      case .week: 168
      }
    }
  }

  /// Counts of equal stretches of time, oldest first; the last is under way.
  public struct Series: Sendable, Equatable {
    /// When the first stretch began.
    public let start: Timestamp
    public let step: TimeSpan
    /// Of each stretch, in the order of `Activity.Counts.names`.
    public let values: [[Int]]
  }

  private var minutes = Steps(of: .minutes(1), kept: 1_440)
  private var hours = Steps(of: .hours(1), kept: 192)

  public init() {}

  mutating func note(_ tally: Tally, at now: Timestamp) {
    minutes.note(tally, at: now)
    hours.note(tally, at: now)
  }

  mutating func note(_ notices: [Notice], at now: Timestamp) {
    var counts = Activity.Counts()
    for notice in notices { counts.add(notice.kind) }
    let values = counts.values
    minutes.add(values, at: now)
    hours.add(values, at: now)
  }

  /// What earlier processes have counted.
  mutating func add(minutes: [Stretch], hours: [Stretch]) {
    for stretch in minutes { self.minutes.add(stretch) }
    for stretch in hours { self.hours.add(stretch) }
  }

  /// What was counted in a minute or an hour.
  public struct Stretch: Sendable, Equatable {
    public let start: Timestamp
    /// In the order of `Activity.Counts.names`.
    public let values: [Int]
    public init(start: Timestamp, values: [Int]) {
      self.start = start
      self.values = values
    }
  }

  /// The figures of the span that ends now, step by step.
  public func series(_ span: Span, at now: Timestamp) -> Series {
    let steps = span == .week ? hours : minutes
    let parts = span.step.microseconds / steps.length.microseconds
    let last = now.microseconds / span.step.microseconds
    let first = last - span.steps + 1
    let values = (first...last).map { number in
      (number * parts..<(number + 1) * parts).reduce(into: Steps.nothing) { sums, part in
        guard let values = steps[part] else { return }
        for (place, value) in zip(sums.indices, values) { sums[place] += value }
      }
    }
    return Series(
      start: Timestamp(microseconds: first * span.step.microseconds), step: span.step, values: values)
  }

  /// What the last 60 minutes had, and up to one more, of one of `Activity.Counts.names` or of `refusals`; nothing for any
  /// other name.
  public func lastHour(at now: Timestamp, of name: String) -> Int? {
    let number = now.microseconds / minutes.length.microseconds
    return Self.place(of: name).map { place in (number - 60...number).reduce(0) { $0 + (minutes[$1, place] ?? 0) } }
  }

  /// The totals have another word for what was refused.
  private static func place(of name: String) -> Int? {
    Activity.Counts.names.firstIndex(of: name == "refusals" ? "refused" : name)
  }

  // MARK: - What is usual

  /// Days that must be known before their hours say what is usual.
  private static let fewestDays = 3
  private static let fewestHours = 3

  /// How much an hour that ends now usually has: the median of the same hour of the last seven days where three or more
  /// are known, else the mean of the last day's hours; of one of `Activity.Counts.names`, or of `refusals`.
  ///
  /// - Returns: nothing where fewer than three hours are known, and for any other name.
  public func usualHour(at now: Timestamp, of name: String) -> Int? {
    guard let place = Self.place(of: name) else { return nil }
    let hour = TimeSpan.hours(1).microseconds
    let number = now.microseconds / hour
    // An hour that ends at 14:20 lies for a third in the hour that began at 14:00.
    let share = Double(now.microseconds % hour) / Double(hour)
    if let before = median(ofHour: number - 1, place), let under = median(ofHour: number, place) {
      return Int((before * (1 - share) + under * share).rounded())
    }
    let known = (number - 24..<number).compactMap { hours[$0, place] }
    guard known.count >= Self.fewestHours else { return nil }
    return Int((Double(known.reduce(0, +)) / Double(known.count)).rounded())
  }

  private func median(ofHour number: Int, _ place: Int) -> Double? {
    let known = (1...7).compactMap { hours[number - $0 * 24, place] }.sorted()
    guard known.count >= Self.fewestDays else { return nil }
    let middle = known.count / 2
    return known.count.isMultiple(of: 2) ? Double(known[middle - 1] + known[middle]) / 2 : Double(known[middle])
  }

  // MARK: -

  /// The latest stretches of one length, numbered from 1970.
  private struct Steps: Sendable {
    /// Counts of a stretch.
    private static let width = Activity.Counts.names.count
    static let nothing = Array(repeating: 0, count: width)

    let length: TimeSpan
    private let kept: Int
    /// One stretch's counts after the other's.
    private var ring: [Int]
    /// What is known: an empty stretch in between had nothing.
    private var known = 0..<0

    init(of length: TimeSpan, kept: Int) {
      self.length = length
      self.kept = kept
      ring = Array(repeating: 0, count: kept * Self.width)
    }

    private func base(_ number: Int) -> Int { number % kept * Self.width }

    /// Nothing where it is not known.
    subscript(number: Int) -> ArraySlice<Int>? {
      known.contains(number) ? ring[base(number)..<base(number) + Self.width] : nil
    }

    subscript(number: Int, place: Int) -> Int? { known.contains(number) ? ring[base(number) + place] : nil }

    mutating func note(_ tally: Tally, at now: Timestamp) {
      guard let base = reach(now) else { return }
      var rest = tally.mask
      while rest != 0 {
        let bit = rest.trailingZeroBitCount
        ring[base + bit] += tally[Signal(rawValue: UInt8(bit))!]
        rest &= rest - 1
      }
    }

    mutating func add(_ values: [Int], at now: Timestamp) {
      guard let base = reach(now) else { return }
      for (place, value) in values.enumerated() { ring[base + place] += value }
    }

    mutating func add(_ stretch: Stretch) {
      let number = stretch.start.microseconds / length.microseconds
      if !known.isEmpty, number < known.lowerBound, number > known.upperBound - 1 - kept {
        for other in number..<known.lowerBound { clear(other) }
        known = number..<known.upperBound
      }
      add(stretch.values, at: stretch.start)
    }

    private mutating func clear(_ number: Int) {
      ring.replaceSubrange(base(number)..<base(number) + Self.width, with: Self.nothing)
    }

    /// - Returns: where the counts of that moment are; nothing when it is too old. Threads can come late, but not by a day.
    private mutating func reach(_ now: Timestamp) -> Int? {
      let number = now.microseconds / length.microseconds
      if known.isEmpty { known = number..<number }
      if number >= known.upperBound {
        for other in max(known.upperBound, number + 1 - kept)...number { clear(other) }
        known = max(known.lowerBound, number + 1 - kept)..<number + 1
      }
      return known.contains(number) ? base(number) : nil
    }
  }
}
