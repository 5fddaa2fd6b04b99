import WardenCore

/// What is said to `allow`.
///
/// Dovecot hands the words on to the client and to the MTA's log, so they hold nothing that was counted and nothing that
/// a client has said.
enum PolicyAnswer: Equatable {
  case goOn
  /// Whole seconds.
  case delay(Int)
  case refuse(words: String)

  init(_ decision: Decision, now: Timestamp) {
    switch decision.verdict {
    case .goOn, .exempt, .hold: self = .goOn
    // Dovecot takes whole seconds, and less than one would be none.
    case .delay(let span, _): self = .delay(max(1, (span.microseconds + 999_999) / 1_000_000))
    case .refuse(let refusal):
      let isOrder = if case .administrator = refusal.reason.cause { true } else { false }
      let wait = max(refusal.reason.until - now, .seconds(1)).rounded
      self = .refuse(
        words:
          "mailwarden: \(isOrder ? "blocked by the administrator" : "too many failed logins"); try again in \(wait)")
    }
  }

  var json: String {
    switch self {
    case .goOn: #"{"status":0,"msg":""}"#
    case .delay(let seconds): #"{"status":\#(seconds),"msg":""}"#
    case .refuse(let words): #"{"status":-1,"msg":"\#(words)"}"#
    }
  }
}
