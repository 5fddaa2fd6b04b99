/// Dates as people write them into policies and scripts: `2026-12-01`, which is its beginning in UTC, or `2026-12-01T18:00:00+01:00`.
public enum DateText {
  /// Nothing where the text is no date of that form.
  public static func timestamp(_ text: String) -> Timestamp? {
    let text = Array(text.utf8)
    guard text.count >= 10, let days = days(text[..<10]) else { return nil }
    guard text.count > 10 else { return Timestamp(microseconds: days * 86_400_000_000) }
    guard text.count >= 20, text[10] == UInt8(ascii: "T"), let seconds = ofDay(text[11..<19]) else { return nil }
    var zone = text[19...]
    if zone.first == UInt8(ascii: ".") {
      let fraction = zone.dropFirst().prefix { isDigit($0) }
      guard !fraction.isEmpty else { return nil }
      zone = zone.dropFirst(1 + fraction.count)
    }
    guard let east = offset(zone) else { return nil }
    return Timestamp(microseconds: (days * 86_400 + seconds - east) * 1_000_000)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  /// `numbers("2026-12-01", "0000-00-00")` are 2026, 12 and 1.
  private static func numbers(_ text: ArraySlice<UInt8>, _ form: StaticString) -> [Int]? {
    let form = Array(form.description.utf8)
    guard text.count == form.count else { return nil }
    var numbers = [0]
    for (byte, wanted) in zip(text, form) {
      if wanted == UInt8(ascii: "0") {
        guard isDigit(byte) else { return nil }
        numbers[numbers.count - 1] = numbers[numbers.count - 1] * 10 + Int(byte - 0x30)
      } else {
        guard byte == wanted else { return nil }
        numbers.append(0)
      }
    }
    return numbers
  }

  /// Since 1970 (H. Hinnant, "chrono-compatible low-level date algorithms", days_from_civil).
  private static func days(_ text: ArraySlice<UInt8>) -> Int? {
    guard let parts = numbers(text, "0000-00-00") else { return nil }
    let (year, month, day) = (parts[0], parts[1], parts[2])
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    guard year >= 1970, (1...12).contains(month), (1...lengths[month - 1]).contains(day) else { return nil }
    let shifted = month <= 2 ? year - 1 : year
    let ofEra = shifted % 400
    let ofYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return shifted / 400 * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
  }

  private static func ofDay(_ text: ArraySlice<UInt8>) -> Int? {
    guard let parts = numbers(text, "00:00:00"), parts[0] < 24, parts[1] < 60, parts[2] <= 60 else { return nil }
    return parts[0] * 3_600 + parts[1] * 60 + parts[2]
  }

  /// Seconds east of Greenwich.
  private static func offset(_ text: ArraySlice<UInt8>) -> Int? {
    guard let sign = text.first else { return nil }
    if sign == UInt8(ascii: "Z") { return text.count == 1 ? 0 : nil }
    guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"), let parts = numbers(text.dropFirst(), "00:00"),
      parts[0] < 24, parts[1] < 60
    else { return nil }
    return (parts[0] * 60 + parts[1]) * (sign == UInt8(ascii: "-") ? -60 : 60)
  }
}
