import WardenCore

/// Lets through what is new of all that the sources tell: one failed login is told of by several, and counts once.
///
/// There is one for all sources, and everything goes through it in the order in which it comes.
public struct EventSieve: Sendable {
  /// What more than one source, or kind of line, tells of.
  private static let shared: [Signal] = [
    .authFailures, .authSuccesses, .relayAttempts, .dnsblRejections, .filterRejections,
  ]

  private var hearings: Hearings

  public init(capacity: Int = 200_000) { hearings = Hearings(capacity: capacity) }

  /// Passes on what is new of an event: all of it, or without what is known already. What is new to the user alone, or to
  /// the address alone, comes as an event of its own. A point of a session is passed on in any case: something is asked there; so
  /// is a wrong password, which the log does not have.
  public mutating func sift(_ event: Event, from teller: Teller, _ pass: (Event) -> Void) {
    guard Self.shared.contains(where: { event.happened[$0] != 0 }) else { return pass(event) }
    let subject = event.subject
    var rest = event
    var others: [Event] = []
    for signal in Self.shared where event.happened[signal] != 0 {
      let count = event.happened[signal]
      let new = hearings.hear(
        signal, count, ip: subject.ip, user: subject.user, from: teller.rawValue, at: event.at)
      let toIP = subject.ip == nil ? nil : new.ip
      let toUser = subject.user == nil ? nil : new.user
      let toBoth = min(toIP ?? count, toUser ?? count)
      rest.happened[signal] = toBoth
      if let toIP, toIP > toBoth {
        others.append(part(of: event, signal, toIP - toBoth) { $0.user = nil })
      }
      if let toUser, toUser > toBoth {
        others.append(part(of: event, signal, toUser - toBoth) { ($0.ip, $0.network) = (nil, nil) })
      }
    }
    if event.step != .heard || !rest.happened.isEmpty || rest.password != nil { pass(rest) }
    for other in others { pass(other) }
  }

  private func part(of event: Event, _ signal: Signal, _ count: Int, _ reduce: (inout Subject) -> Void) -> Event {
    var part = Event(at: event.at, step: .heard, subject: event.subject, source: event.source)
    part.happened[signal] = count
    reduce(&part.subject)
    return part
  }
}
