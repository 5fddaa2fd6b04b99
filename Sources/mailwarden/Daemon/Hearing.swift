import WardenCore
import WardenFeeds

/// Who has told what: the milter, Dovecot and the log speak of the same things, and each counts once, whoever is first.
final class Hearing: Sendable {
  private let sieve = Locked(EventSieve())

  /// - Returns: what of the event nobody else has told yet. Of a session's point it is always one event.
  func sift(_ event: Event, from teller: Teller) -> [Event] {
    var left: [Event] = []
    sieve.withLock { $0.sift(event, from: teller) { left.append($0) } }
    return left
  }

  /// Dovecot's log will tell of a login that we have refused unseen as of any that failed.
  func expectFailure(of event: Event) {
    _ = sift(Event(at: event.at, step: .heard, subject: event.subject, happened: [.authFailures: 1]), from: .policy)
  }

  /// The MTA's log will tell of our own refusal as of any other filter's.
  func expectRefusal(of event: Event) {
    _ = sift(
      Event(at: event.at, step: .heard, subject: event.subject, happened: [.filterRejections: 1]), from: .milter)
  }
}
