import WardenCore

/// saslauthd of Cyrus SASL. It does not know the client; PAM's own lines tell the same once more.
enum SaslauthdLines {
  static func read(_ message: Bytes) -> LogFact? {
    // `do_auth         : auth failure: …`; the function's name may be blank.
    guard let colon = message.first(": "), colon < 32 else { return nil }
    let words = message.from(colon + 2)
    if let fields = words.after("auth failure: [user=") {
      var fact = LogFact(.loginFailed(attempts: 1, .refused), .saslauthd)
      // The realm behind it is the client's, too.
      if let end = fields.only("] [service=") {
        if end > 0 { fact.user = Text(fields.upTo(end)) }
        let service = fields.from(end + "] [service=".utf8.count)
        fact.service = service.first(UInt8(ascii: "]")).map { Text(service.upTo($0)) }
      }
      return fact
    }
    if words.begins("login exceeded MAX_REQ_LEN: ") { return LogFact(.loginFailed(attempts: 1, .refused), .saslauthd) }
    return message.begins(oneOf: others) || words.begins(oneOf: others) ? LogFact(.other, .saslauthd) : nil
  }

  private static let others: [StaticString] = [
    "pam_", "master pid is: ", "listening on socket: ", "server_exit", "DEBUG: ", "auth success: ", "master exited: ",
    "ipc_", "could not ",
  ]
}
