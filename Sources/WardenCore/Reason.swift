/// Why something was refused, or would have been: the one value that the SMTP reply, the log, the alert, the API and
/// `explain` print.
public struct Reason: Sendable, Hashable, Codable {
  /// What led to it.
  public enum Cause: Sendable, Hashable, Codable {
    /// What was found of each part of the rule; at least one.
    case over([Finding])
    /// So many blocks of the rule lie within this network.
    case neighbours(count: Int, limit: Int)
    /// An administrator's block, with the words given.
    case administrator(note: String)
  }

  /// How a key stands to the limit that one part of a rule set.
  public struct Finding: Sendable, Hashable, Codable {
    public let quantity: Quantity
    /// With what was asked for and refused; of a share the percentage.
    public let count: Int
    /// Whether there may be more: different values are kept only up to the limit.
    public let isLeast: Bool
    /// In force for this key, be it fixed, usual or a percentage.
    public let limit: Int
    public let bound: Limit
    /// Of a share: its two counts.
    public let share: Share?

    /// The two counts of a share.
    public struct Share: Sendable, Hashable, Codable {
      public let part: Int
      public let whole: Int

      public init(part: Int, whole: Int) {
        self.part = part
        self.whole = whole
      }
    }

    public init(quantity: Quantity, count: Int, isLeast: Bool, limit: Int, bound: Limit, share: Share?) {
      self.quantity = quantity
      self.count = count
      self.isLeast = isLeast
      self.limit = limit
      self.bound = bound
      self.share = share
    }

    /// `26 messages in 2h (limit 25)`.
    public var phrase: String {
      let how = if case .usual(let usual) = bound.bound, limit > usual.atLeast { ", \(usual.times)x usual" } else { "" }
      if let share, case .share(let part, let whole) = quantity {
        return
          "\(share.part) \(part.phrase) to \(share.whole) \(whole.phrase) in \(bound.window) (\(count)%, limit \(limit)%)"
      }
      if quantity == .measure(.signal(.bytes)) {
        return "\(count.size) in \(bound.window) (limit \(limit.size)\(how))"
      }
      return "\(count)\(isLeast ? " or more" : "") \(quantity.phrase) in \(bound.window) (limit \(limit)\(how))"
    }
  }

  /// The name in the `rule` field of an administrator's penalty; no rule can have it.
  public static let administrator = "administrator"

  /// The rule's name, or `administrator`.
  public let rule: String
  public let key: Key
  public let cause: Cause
  /// When it ends, if nothing more is asked for: a limit's room, or a penalty's end.
  public let until: Timestamp

  public init(rule: String, key: Key, cause: Cause, until: Timestamp) {
    self.rule = rule
    self.key = key
    self.cause = cause
    self.until = until
  }

  /// The longest that was counted in.
  public var window: TimeSpan? {
    if case .over(let findings) = cause { findings.map(\.bound.window).max() } else { nil }
  }

  func with(until: Timestamp) -> Reason { Reason(rule: rule, key: key, cause: cause, until: until) }

  /// `user alice: 26 messages in 2h (limit 25)`.
  public var sentence: String {
    switch cause {
    case .over(let findings):
      "\(key.phrase): \(findings.map(\.phrase).joined(separator: ", "))"
    case .neighbours(let count, let limit):
      "\(key.phrase): \(count) networks in it are blocked (limit \(limit))"
    case .administrator(let note):
      "\(key.phrase): blocked by the administrator\(note.isEmpty ? "" : " (\(note))")"
    }
  }

  /// The lines of an SMTP reply: the rule's own, else the sentence and when to try again.
  ///
  /// Only the policy's own line ends part lines; those in a client's words do not.
  public func lines(_ template: ReplyTemplate?, now: Timestamp) -> [String] {
    guard let template else {
      // An administrator's words are for administrators.
      let why = if case .administrator = cause { "\(key.phrase): blocked by the administrator" } else { sentence }
      return [Self.oneLine("\(why); try again in \((until - now).rounded)")]
    }
    return template.pieces.map { piece in
      switch piece {
      case .text(let text): text
      case .field(let field): Self.oneLine(value(of: field, now: now))
      }
    }.joined().split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  private static func oneLine(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? "?" : $0 }))
  }

  private func value(of field: ReplyTemplate.Field, now: Timestamp) -> String {
    switch field {
    case .key: return key.phrase
    case .rule: return rule
    case .retry: return (until - now).rounded.description
    case .until: return until.rfc3339
    case .part(let kind): return key.parts.first { $0.kind == kind }?.value ?? ""
    case .signal, .count, .limit, .window:
      // Of several parts the first stands in a reply's words.
      guard case .over(let findings) = cause, let first = findings.first else { return "" }
      switch field {
      case .signal: return first.quantity.phrase
      case .count: return String(first.count)
      case .limit: return String(first.limit)
      default: return first.bound.window.description
      }
    }
  }
}

extension Int {
  /// So many bytes as a policy writes sizes, rounded up: `72MB`, `1.5GB`.
  package var size: String {
    for (unit, name) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")] where self >= unit {
      let tenths = (self - 1) / (unit / 10) + 1
      return tenths.isMultiple(of: 10) ? "\(tenths / 10)\(name)" : "\(tenths / 10).\(tenths % 10)\(name)"
    }
    return "\(self) bytes"
  }
}

extension Signal {
  /// For a sentence, in the plural: `broken connections`.
  public var phrase: String {
    switch self {
    case .authFailures: "AUTH failures"
    case .authSuccesses: "AUTH successes"
    case .rcptFloods: "RCPT floods"
    case .dnsblRejections: "DNSBL rejections"
    case .mtaDistress: "MTA distress"
    case .senderMismatch: "sender mismatches"
    case .delivered, .deferred, .bounced: "\(name) recipients"
    default: name.replacing("-", with: " ")
    }
  }
}

extension Timestamp {
  /// `2026-11-24T10:14:05Z`. Proleptic Gregorian, from days since the epoch (H. Hinnant, "chrono-compatible low-level
  /// date algorithms", civil_from_days), because the core has no calendar and no time zone.
  public var rfc3339: String {
    let seconds = microseconds >= 0 ? microseconds / 1_000_000 : (microseconds - 999_999) / 1_000_000
    let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
    let ofDay = seconds - days * 86_400
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let ofEra = shifted - era * 146_097
    let yearOfEra = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
    let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * ofYear + 2) / 153
    let day = ofYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(year)-\(two(month))-\(two(day))T\(two(ofDay / 3600)):\(two(ofDay / 60 % 60)):\(two(ofDay % 60))Z"
  }
}
