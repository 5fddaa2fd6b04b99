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
    public let counts: [Activity.Counts]
  }

  private var minutes = Steps(of: .minutes(1), kept: 1_440)
  private var hours = Steps(of: .hours(1), kept: 192)

  public init() {}

  /// - Parameter change: made to the minute and to the hour in which the moment lies.
  mutating func note(at now: Timestamp, _ change: (inout Activity.Counts) -> Void) {
    minutes.note(at: now, change)
    hours.note(at: now, change)
  }

  /// What earlier processes have counted.
  mutating func add(minutes: [Stretch], hours: [Stretch]) {
    for stretch in minutes { self.minutes.add(stretch) }
    for stretch in hours { self.hours.add(stretch) }
  }

  /// What was counted in a minute or an hour.
  public struct Stretch: Sendable, Equatable {
    public let start: Timestamp
    public let counts: Activity.Counts
    public init(start: Timestamp, counts: Activity.Counts) {
      self.start = start
      self.counts = counts
    }
  }

  public func series(_ span: Span, at now: Timestamp) -> Series {
    let steps = span == .week ? hours : minutes
    let parts = span.step.microseconds / steps.length.microseconds
    let last = now.microseconds / span.step.microseconds
    let counts = (last - span.steps + 1...last).map { number in
      (number * parts..<(number + 1) * parts).reduce(into: Activity.Counts()) { sum, part in
        if let counts = steps[part] { sum.add(counts) }
      }
    }
    return Series(
      start: Timestamp(microseconds: (last - span.steps + 1) * span.step.microseconds), step: span.step, counts: counts)
  }

  // MARK: - What is usual

  /// Days that must be known before their hours say what is usual.
  private static let fewestDays = 3
  private static let fewestHours = 3

  /// How much an hour that ends now usually has: the median of the same hour of the last seven days where three or more
  /// are known, else the mean of the last day's hours.
  ///
  /// - Parameter value: which of the counts.
  /// - Returns: nothing where fewer than three hours are known.
  public func usualHour(at now: Timestamp, _ value: (Activity.Counts) -> Int) -> Int? {
    let hour = TimeSpan.hours(1).microseconds
    let number = now.microseconds / hour
    // An hour that ends at 14:20 lies for a third in the hour that began at 14:00.
    let share = Double(now.microseconds % hour) / Double(hour)
    if let before = median(ofHour: number - 1, value), let under = median(ofHour: number, value) {
      return Int((before * (1 - share) + under * share).rounded())
    }
    let known = (number - 24..<number).compactMap { hours[$0].map(value) }
    guard known.count >= Self.fewestHours else { return nil }
    return Int((Double(known.reduce(0, +)) / Double(known.count)).rounded())
  }

  /// The same of one of `Activity.Counts.names`, or of `refusals`; nothing for any other.
  public func usualHour(at now: Timestamp, of name: String) -> Int? {
    let name = name == "refusals" ? "refused" : name
    guard let place = Activity.Counts.names.firstIndex(of: name) else { return nil }
    return usualHour(at: now) { $0.values[place] }
  }

  private func median(ofHour number: Int, _ value: (Activity.Counts) -> Int) -> Double? {
    let known = (1...7).compactMap { hours[number - $0 * 24].map(value) }.sorted()
    guard known.count >= Self.fewestDays else { return nil }
    let middle = known.count / 2
    return known.count.isMultiple(of: 2) ? Double(known[middle - 1] + known[middle]) / 2 : Double(known[middle])
  }

  // MARK: -

  /// The latest stretches of one length, numbered from 1970.
  private struct Steps: Sendable {
    let length: TimeSpan
    private var ring: [Activity.Counts]
    /// What is known: an empty stretch in between had nothing.
    private var known = 0..<0

    init(of length: TimeSpan, kept: Int) {
      self.length = length
      ring = Array(repeating: Activity.Counts(), count: kept)
    }

    /// Nothing where it is not known.
    subscript(number: Int) -> Activity.Counts? { known.contains(number) ? ring[number % ring.count] : nil }

    mutating func note(at now: Timestamp, _ change: (inout Activity.Counts) -> Void) {
      let number = now.microseconds / length.microseconds
      reach(number)
      // Threads can come late, but not by a day.
      if known.contains(number) { change(&ring[number % ring.count]) }
    }

    mutating func add(_ stretch: Stretch) {
      let number = stretch.start.microseconds / length.microseconds
      if !known.isEmpty, number < known.lowerBound, number > known.upperBound - 1 - ring.count {
        for other in number..<known.lowerBound { ring[other % ring.count] = Activity.Counts() }
        known = number..<known.upperBound
      }
      note(at: stretch.start) { $0.add(stretch.counts) }
    }

    private mutating func reach(_ number: Int) {
      if known.isEmpty { known = number..<number }
      guard number >= known.upperBound else { return }
      for other in max(known.upperBound, number + 1 - ring.count)...number {
        ring[other % ring.count] = Activity.Counts()
      }
      known = max(known.lowerBound, number + 1 - ring.count)..<number + 1
    }
  }
}
