import WardenCore

/// A rule that makes sense on most mail servers, but for its numbers: those depend on who is there.
public struct Candidate: Sendable, Equatable {
  /// A window with the least limit that is proposed for it: below that a rule would be in the way of anybody's busy day.
  public struct Window: Sendable, Equatable {
    public let span: TimeSpan
    public let floor: Int
  }

  /// Among whom the ordinary is looked for.
  public enum Crowd: Sendable {
    /// All keys that are counted: nearly all of them are honest.
    case everybody
    /// Addresses that somebody has logged in from: of all who do such things most are robots, and these are the people that
    /// a limit could hit.
    case knownAddresses
    /// The server as a whole.
    case server
  }

  public let name: String
  public let description: String
  public let measure: Measure
  public let per: KeyKind
  public let windows: [Window]
  public let crowd: Crowd
  /// As the policy file writes it.
  let then: String

  public static let all = [
    Candidate(
      "messages-per-user", "More messages than anybody here writes.", .signal(.messages), per: .user,
      [(.hours(1), 30), (.days(1), 100)], .everybody, then: "[alert, tempfail]"),
    Candidate(
      "recipients-per-user", "More recipients than anybody here writes to.", .signal(.recipients), per: .user,
      [(.hours(1), 60), (.days(1), 200)], .everybody, then: "[alert, tempfail]"),
    Candidate(
      "networks-per-user", "One user in more networks than anybody is.", .distinct(.networks), per: .user,
      [(.hours(1), 3), (.days(1), 5)], .everybody, then: "alert"),
    Candidate(
      "logins-per-user", "More sessions than anybody's programs open.", .signal(.logins), per: .user,
      [(.hours(2), 25), (.days(1), 100)], .everybody, then: "alert"),
    Candidate(
      "sender-mismatch-per-user", "Mail under other names than the login's.", .signal(.senderMismatch), per: .user,
      [(.days(1), 20)], .everybody, then: "alert"),
    Candidate(
      "bad-recipients-per-user", "A dirty list of addresses: newsletters are cleaner.", .signal(.badRecipients),
      per: .user, [(.hours(1), 10)], .everybody, then: "[alert, tempfail]"),
    Candidate(
      "auth-failures-per-user", "Somebody guesses one user's password, from wherever.", .signal(.authFailures),
      per: .user, [(.days(1), 20)], .everybody, then: "alert"),
    Candidate(
      "connections-per-ip", "More connections than a client needs.", .signal(.connections), per: .ip,
      [(.minutes(1), 30), (.hours(1), 200)], .knownAddresses, then: "tempfail"),
    Candidate(
      "broken-connections-per-ip", "Connects and leaves without mail.", .signal(.brokenConnections), per: .ip,
      [(.hours(2), 5)], .knownAddresses, then: "block for 1d"),
    Candidate(
      "auth-failures-per-ip", "Guesses passwords.", .signal(.authFailures), per: .ip,
      [(.hours(2), 5), (.days(1), 15)], .knownAddresses, then: "block for 1d"),
    Candidate(
      "unknown-recipients-per-ip", "Looks for addresses.", .signal(.unknownRecipients), per: .ip,
      [(.hours(1), 8)], .knownAddresses, then: "block for 1d"),
    Candidate(
      "relay-attempts-per-ip", "Looks for an open relay.", .signal(.relayAttempts), per: .ip, [(.days(1), 3)],
      .knownAddresses, then: "block for 1d"),
    Candidate(
      "dnsbl-rejections-per-ip", "Is on a block list and goes on trying.", .signal(.dnsblRejections), per: .ip,
      [(.hours(2), 10)], .knownAddresses, then: "block for 1d"),
    Candidate(
      "filter-rejections-per-ip", "Sends what another filter refuses.", .signal(.filterRejections), per: .ip,
      [(.hours(2), 10)], .knownAddresses, then: "block for 1d"),
    Candidate(
      "messages-per-server", "More mail in an hour than this server ever had.", .signal(.messages), per: .server,
      [(.hours(1), 100)], .server, then: "alert"),
  ]

  private init(
    _ name: String, _ description: String, _ measure: Measure, per: KeyKind, _ windows: [(TimeSpan, Int)],
    _ crowd: Crowd, then: String
  ) {
    (self.name, self.description, self.measure, self.per) = (name, description, measure, per)
    self.windows = windows.map { Window(span: $0.0, floor: $0.1) }
    (self.crowd, self.then) = (crowd, then)
  }

  /// The rule that only measures: it never trips.
  var measuring: Rule {
    // Different values are kept one by one: so many say enough.
    let most = if case .distinct = measure { 200 } else { Limit.largestCount }
    return Rule(
      name: name, per: KeyShape(per),
      parts: [Part(.measure(measure), windows.map { Limit(count: most, window: $0.span) })],
      then: Consequences(alert: true), mode: .observe)
  }
}
