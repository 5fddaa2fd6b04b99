import Glibc
import WardenCore

/// Numbers and times as the screen shows them.
public enum Figures {
  /// At most 5 columns: `99999`, `123k`, `4.5M`.
  static func short(_ number: Int) -> String {
    guard number > 99_999 else { return "\(number)" }
    var value = Double(number)
    for unit in ["k", "M", "G", "T"] {
      value /= 1_000
      if value < 9.95 && unit != "k" { return "\((value * 10).rounded() / 10)\(unit)" }
      if value < 999.5 { return "\(Int(value.rounded()))\(unit)" }
    }
    return ">1P"
  }

  /// The time of day here, or nothing of what is no time.
  public static func clock(_ time: Timestamp?) -> String {
    guard let time else { return "--:--:--" }
    var seconds = time_t(time.microseconds / 1_000_000)
    var parts = tm()
    localtime_r(&seconds, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
  }

  public static func clock(_ text: String) -> String { clock(DateText.timestamp(text)) }

  /// How long it is until then: `2h13m`.
  static func left(until text: String, from now: Timestamp) -> String {
    guard let until = DateText.timestamp(text) else { return "?" }
    return max(TimeSpan.seconds(0), until - now).rounded.description
  }
}
