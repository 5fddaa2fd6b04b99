import WardenCore

/// What was played to the daemon and what it answered, in the players' own words.
final class PlayedBooks: Sendable {
  /// By the names of the history and of the metrics.
  enum Figure: String, CaseIterable {
    case connections, logins, messages, submissions, recipients, delivered
    case badRecipients = "bad-recipients"
    case unknownRecipients = "unknown-recipients"
    case relayAttempts = "relay-attempts"
    case brokenConnections = "broken-connections"
    case cutOffMessages = "cut-off-messages"
    case badCommands = "bad-commands"
    case authFailures = "auth-failures"
  }
  typealias Figures = [Figure: Int]

  /// A message that passed: when its end was sent, and when the answer was there.
  struct Passed {
    let sent: ContinuousClock.Instant
    let answered: ContinuousClock.Instant
  }

  struct Pages: Sendable {
    var figures: Figures = [:]
    /// Messages that passed.
    var users: [String: Int] = [:]
    /// Wrong passwords.
    var guesses: [String: Int] = [:]
    /// Of the user whose pace is limited; a list for each stretch in which the engine's time did not jump.
    var paced: [[Passed]] = [[]]
    var sessions = 0
    var probes = 0
    /// Sessions that an MTA had to answer by itself while the daemon was away.
    var unfiltered = 0
  }
  private let pages = Locked(Pages())

  var now: Pages { pages.withLock { $0 } }
  func note(_ change: (inout Pages) -> Void) { pages.withLock(change) }
  func note(_ figures: Figures) { pages.withLock { $0.figures.merge(figures, uniquingKeysWith: +) } }
}
