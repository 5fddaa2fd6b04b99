import WardenCore

/// Dovecot 1.0 … 2.4: its login processes, and its authentication server with `auth_verbose`.
enum DovecotLines {
  /// Of syslog: `imap-login: …`, `auth: …`, `auth-worker(12): …`, `imap(alice)<12><..>: …`
  static func read(_ message: Bytes) -> LogFact? {
    var end = 0
    while end < message.count, message[end].isLower || message[end] == UInt8(ascii: "-") || message[end].isDigit {
      end += 1
    }
    guard end > 0, end < message.count else { return nil }
    let name = message.upTo(end)
    // Of old the program was called `dovecot-auth`.
    let rest = message.from(end)
    return isProcess(name) ? read(rest.after(": ") ?? rest, process: name) : message.begins(oneOf: others) ? other : nil
  }

  static func isProcess(_ name: Bytes) -> Bool {
    name.ends("-login") || name.begins("auth") && (name.count == 4 || name.is("auth-worker"))
      || name.is("dovecot-auth") || processes.contains(where: name.is)
  }

  private static let processes: [StaticString] = [
    "imap", "pop3", "lmtp", "lda", "submission", "managesieve", "master", "config", "anvil", "log", "stats", "indexer",
    "indexer-worker", "ssl-params", "director", "replicator", "dict", "doveadm", "imap-hibernate", "imap-urlauth",
  ]

  private static let others: [StaticString] = ["ssl-build-param", "script", "old-stats", "health-check", "util", "fs-"]

  private static var other: LogFact { LogFact(.other, .dovecot) }

  /// - Parameter rest: what comes after the name; a `(` is still there.
  static func read(_ rest: Bytes, process: Bytes) -> LogFact? {
    guard !rest.isEmpty else { return nil }
    if process.ends("-login") { return session(withoutLevel(rest), process) }
    guard process.begins("auth") else { return other }
    return authentication(rest)
  }

  private static func withoutLevel(_ words: Bytes) -> Bytes { words.after("Info: ") ?? words }

  // MARK: - Login processes

  /// `Login: user=<alice>, method=PLAIN, rip=.., …`, `Disconnected: … (auth failed, 3 attempts in 22 secs): user=<alice>, …`
  private static func session(_ words: Bytes, _ process: Bytes) -> LogFact? {
    guard let rip = words.last("rip="), rip >= 2, words.has(", ", at: rip - 2) || words.has(": ", at: rip - 2) else {
      return other
    }
    let user = words.first("user=<")
    guard let kind = kind(words.upTo(min(user ?? rip, rip))) else { return other }
    let address = words.from(rip + 4)
    var fact = LogFact(kind, .dovecot)
    fact.service = Text(process)
    guard words.count <= LogGrammar.mostOfWhole else { return fact }
    fact.client = IPAddress(address.upTo(address.first(UInt8(ascii: ",")) ?? address.count))
    if let user, user < rip { fact.user = login(words.part(user + 6, rip - 2)) }
    return fact
  }

  /// By what stands before the name.
  private static func kind(_ words: Bytes) -> LogFact.Kind? {
    if words.begins("Login: ") { return .loggedIn }
    if let failed = words.first("(auth failed, ") {
      return .loginFailed(attempts: max(1, words.number(at: failed + 14)?.value ?? 1), .refused)
    }
    let isAborted =
      words.first("(tried to use ") != nil || words.first("(client didn't finish ") != nil
      || words.first("(disconnected while authenticating") != nil || words.first("(aborted authentication") != nil
    return isAborted ? .loginFailed(attempts: 1, .aborted) : nil
  }

  /// `alice>, method=PLAIN` or `alice>`: between them a mechanism, which is one word.
  private static func login(_ field: Bytes) -> Text? {
    var name = field
    if !name.ends(">") {
      guard let method = name.last(">, method=") else { return nil }
      guard name.first(UInt8(ascii: " "), from: method + 10) == nil else { return nil }
      name = name.upTo(method + 1)
    }
    name = name.upTo(name.count - 1)
    return name.isEmpty ? nil : Text(name)
  }

  // MARK: - Authentication server

  /// `passwd-file(alice,127.0.0.3): Password mismatch`, with a worker's own words before it; since 2.4
  /// `(alice,127.0.0.3,sasl:plain)<session>: Info: sql: Password mismatch`.
  private static func authentication(_ rest: Bytes) -> LogFact? {
    guard let open = openOfLogin(rest) else { return other }
    // The name may hold a whole other line, and where passwords are logged so may those. A line that ends with a reason
    // ends with its own; otherwise it must be the only way to read it.
    var openEnded: (place: Place, reason: Reason)?
    var isAmbiguous = false
    var close = rest.count
    while let place = Place(rest, before: close, from: open) {
      close = place.close
      guard let reason = reason(rest.from(place.end)) else { continue }
      if reason.isWhole {
        return fact(rest, open, rest.count > LogGrammar.mostOfWhole ? nil : place, reason)
      }
      isAmbiguous = isAmbiguous || openEnded != nil
      openEnded = openEnded ?? (place, reason)
    }
    guard let openEnded else { return other }
    return fact(
      rest, open, isAmbiguous || rest.count > LogGrammar.mostOfWhole ? nil : openEnded.place, openEnded.reason)
  }

  private static func fact(_ rest: Bytes, _ open: Int, _ place: Place?, _ reason: Reason) -> LogFact {
    var fact = LogFact(.loginFailed(attempts: 1, reason.failure), .dovecot)
    fact.service = Text(auth)
    guard let place else { return fact }
    fact.client = place.address
    let name = rest.part(open, place.comma)
    // A name with characters that none may have is not told.
    if !name.isEmpty, !name.is("?") { fact.user = Text(name) }
    return fact
  }

  /// What the lines of the authentication server are of.
  private static var auth: Bytes { Bytes(start: ("auth" as StaticString).utf8Start, count: 4) }

  /// Where the name begins.
  private static func openOfLogin(_ rest: Bytes) -> Int? {
    if rest.begins("(") {
      // A worker's number, or 1.0's `auth(default): `.
      guard let close = rest.first("): "), rest.begins("(default)") || rest.number(at: 1)?.end == close else {
        return 1
      }
      return openOfDatabase(rest, from: close + 3) ?? 1
    }
    return openOfDatabase(rest, from: 0)
  }

  /// `Info: conn unix:auth-worker (pid=58074,uid=109): auth-worker<4>: sql(`
  private static func openOfDatabase(_ rest: Bytes, from start: Int) -> Int? {
    var place = start
    if rest.has("Info: ", at: place) { place += 6 }
    if rest.has("conn unix:", at: place) {
      guard let process = rest.first("): ", from: place), let number = rest.first(">: ", from: process) else {
        return nil
      }
      place = number + 3
    }
    let name = place
    while place < rest.count,
      rest[place].isAlphanumeric || rest[place] == UInt8(ascii: "-") || rest[place] == UInt8(ascii: "_")
    {
      place += 1
    }
    return place > name && rest.has("(", at: place) ? place + 1 : nil
  }

  /// `,127.0.0.3): `, `,127.0.0.3,<session>): `, `,127.0.0.3,sasl:plain)<session>: `
  private struct Place {
    let comma: Int
    let address: IPAddress
    let close: Int
    let end: Int

    private static let mostOfField = 128

    /// The last one before there, and not before the name.
    init?(_ rest: Bytes, before bound: Int, from open: Int) {
      var close = bound - 1
      while close > open {
        if rest[close] == UInt8(ascii: ")"), let place = Place(rest, close: close, from: open) {
          self = place
          return
        }
        close -= 1
      }
      return nil
    }

    private init?(_ rest: Bytes, close: Int, from open: Int) {
      self.close = close
      if rest.has(": ", at: close + 1) {
        end = close + 3
      } else {
        guard rest.has("<", at: close + 1) else { return nil }
        let session = rest.part(close + 1, min(rest.count, close + Self.mostOfField))
        guard let sessionEnd = session.first(">: "), session.first(UInt8(ascii: " ")) == sessionEnd + 2 else {
          return nil
        }
        end = close + 1 + sessionEnd + 3
      }
      // One or two fields back there is the address.
      var fieldEnd = close
      for _ in 0..<2 {
        var comma = fieldEnd - 1
        while comma >= open, rest[comma] != UInt8(ascii: ","), fieldEnd - comma < Self.mostOfField { comma -= 1 }
        guard comma >= open, rest[comma] == UInt8(ascii: ",") else { return nil }
        if let address = IPAddress(rest.part(comma + 1, fieldEnd)) {
          (self.comma, self.address) = (comma, address)
          return
        }
        fieldEnd = comma
      }
      return nil
    }
  }

  private struct Reason {
    let failure: LogFact.Failure
    /// Whether the line ends with it.
    let isWhole: Bool
  }

  private static func reason(_ words: Bytes) -> Reason? {
    var words = withoutLevel(words)
    // Since 2.4 the database comes after the name.
    if let colon = words.upTo(min(words.count, 20)).first(": "),
      words.upTo(colon).allSatisfy({ $0.isLower || $0 == UInt8(ascii: "-") })
    {
      words = words.from(colon + 2)
    }
    for text in refusals {
      guard let rest = words.after(text) else { continue }
      // The wrong password, where those are logged.
      if rest.isEmpty || rest.begins(" (") { return Reason(failure: .refused, isWhole: rest.isEmpty) }
    }
    for text in explained where words.begins(text) { return Reason(failure: .refused, isWhole: false) }
    guard let rest = words.after("Authentication failure due to policy server refusal") else { return nil }
    return rest.isEmpty || rest.begins(": ") ? Reason(failure: .policy, isWhole: rest.isEmpty) : nil
  }

  private static let refusals: [StaticString] = [
    "Password mismatch", "unknown user", "Unknown user", "invalid credentials", "Invalid credentials",
    "pam_authenticate() failed: Authentication failure (Password mismatch?)",
    "pam_authenticate() failed: Authentication failure (password mismatch?)",
    "pam_authenticate() failed: User not known to the underlying authentication module",
    "pam_authenticate() failed: Permission denied",
  ]

  /// With words of others behind them.
  private static let explained: [StaticString] = [
    "pam_authenticate() failed: ", "pam_acct_mgmt() failed: ", "Username character disallowed by auth_username_chars: ",
  ]
}
