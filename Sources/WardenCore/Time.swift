/// A moment, in microseconds since 1970-01-01 UTC. The core never asks for it: every event brings its own.
public struct Timestamp: Comparable, Hashable, Sendable {
  public var microseconds: Int
  public init(microseconds: Int) { self.microseconds = microseconds }

  public static func < (a: Timestamp, b: Timestamp) -> Bool { a.microseconds < b.microseconds }
  /// The moment that much later.
  public static func + (a: Timestamp, b: TimeSpan) -> Timestamp {
    Timestamp(microseconds: a.microseconds + b.microseconds)
  }
  /// The moment that much earlier.
  public static func - (a: Timestamp, b: TimeSpan) -> Timestamp {
    Timestamp(microseconds: a.microseconds - b.microseconds)
  }
  /// From `b` to `a`.
  public static func - (a: Timestamp, b: Timestamp) -> TimeSpan {
    TimeSpan(microseconds: a.microseconds - b.microseconds)
  }
}

/// A length of time, in microseconds.
public struct TimeSpan: Comparable, Hashable, Sendable {
  public var microseconds: Int
  public init(microseconds: Int) { self.microseconds = microseconds }

  /// So many seconds.
  public static func seconds(_ count: Int) -> TimeSpan { TimeSpan(microseconds: count * 1_000_000) }
  /// So many minutes.
  public static func minutes(_ count: Int) -> TimeSpan { seconds(count * 60) }
  /// So many hours.
  public static func hours(_ count: Int) -> TimeSpan { minutes(count * 60) }
  /// So many times 24 hours.
  public static func days(_ count: Int) -> TimeSpan { hours(count * 24) }

  public static func < (a: TimeSpan, b: TimeSpan) -> Bool { a.microseconds < b.microseconds }
}

extension TimeSpan: CustomStringConvertible {
  /// The units of the policy file, largest first: `3d`, `1h30m`, `45s`. Rounded up to a whole second, so that somebody
  /// told to wait is never told too little.
  public var description: String {
    var rest = (max(0, microseconds) + 999_999) / 1_000_000
    guard rest > 0 else { return "0s" }
    var text = ""
    for (unit, seconds) in Self.units where rest >= seconds {
      text += "\(rest / seconds)\(unit)"
      rest %= seconds
    }
    return text
  }

  /// For a person who waits: the two largest units are enough.
  public var rounded: TimeSpan {
    let unit: TimeSpan = self >= .days(1) ? .hours(1) : self >= .hours(1) ? .minutes(1) : .seconds(1)
    return TimeSpan(microseconds: (microseconds + unit.microseconds - 1) / unit.microseconds * unit.microseconds)
  }

  static let units: [(Character, Int)] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)]

  /// Reads `90s`, `5m`, `2h`, `3d`, `1h30m`; nothing else, and nothing beyond a century.
  public init?(_ text: some StringProtocol) {
    var total = 0
    var digits = ""
    var units = Self.units[...]
    for character in text {
      if character.isASCII, character.isNumber {
        digits.append(character)
        continue
      }
      guard let count = Int(digits), count <= 36_500 * 86_400,
        let place = units.firstIndex(where: { $0.0 == character })
      else { return nil }
      total += count * units[place].1
      units = units[(place + 1)...]
      digits = ""
    }
    guard digits.isEmpty, !text.isEmpty, total <= 36_500 * 86_400 else { return nil }
    self = .seconds(total)
  }
}

// Stored as their microseconds alone.
extension Timestamp: Codable {
  public init(from decoder: any Decoder) throws {
    self.init(microseconds: try decoder.singleValueContainer().decode(Int.self))
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(microseconds)
  }
}

extension TimeSpan: Codable {
  public init(from decoder: any Decoder) throws {
    self.init(microseconds: try decoder.singleValueContainer().decode(Int.self))
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(microseconds)
  }
}
