import WardenCore

/// What the generator itself knows to have happened: plain lists of events, and windows counted by walking through them.
///
/// A value: a crash goes back to the books as they were when the state was last stored.
struct Books {
  /// What is counted for the server, by the names of the history.
  enum Figure: String, CaseIterable {
    case connections, logins, messages, submissions, recipients, bytes, refused, blocked
    case badRecipients = "bad-recipients"
    case unknownRecipients = "unknown-recipients"
    case brokenConnections = "broken-connections"
    case cutOffMessages = "cut-off-messages"
    case authFailures = "auth-failures"
  }
  struct Figures {
    private var values = [Int](repeating: 0, count: Figure.allCases.count)
    subscript(figure: Figure) -> Int {
      get { values[Self.places[figure]!] }
      set { values[Self.places[figure]!] = newValue }
    }
    private static let places = Dictionary(
      uniqueKeysWithValues: Figure.allCases.enumerated().map { ($0.element, $0.offset) })
  }

  /// When something was counted, in microseconds, oldest first, and how much of it.
  struct Line {
    private(set) var entries: [(at: Int, count: Int)] = []
    mutating func add(_ count: Int = 1, at now: Timestamp) { entries.append((now.microseconds, count)) }
    mutating func removeAll() { entries = [] }

    /// How much within `(now - span, now]`.
    func count(within span: Int, at now: Timestamp) -> Int {
      var sum = 0
      for entry in entries.reversed() {
        if entry.at <= now.microseconds - span { break }
        sum += entry.count
      }
      return sum
    }

    /// What the engine may count: never less than the window has, and at most what a sixtieth more of it has.
    func bounds(_ window: TimeSpan, at now: Timestamp) -> ClosedRange<Int> {
      let span = window.microseconds
      return count(within: span, at: now)...count(within: span + span / 60, at: now)
    }

    mutating func forget(before moment: Timestamp) {
      entries.removeFirst(entries.prefix { $0.at < moment.microseconds }.count)
    }
  }

  struct User {
    var messages = Line()
    var recipients = Line()
    var blockedUntil = Timestamp(microseconds: 0)
    var exemptUntil = Timestamp(microseconds: 0)
    /// Messages that passed, by the wall's local day.
    var byDay: [Int: Int] = [:]
  }
  struct Address {
    var lines: [Scenario.Blocking: Line] = [:]
    var offences: [Scenario.Blocking: Int] = [:]
    var blockedUntil = Timestamp(microseconds: 0)
  }

  var users: [User]
  var addresses: [UInt32: Address] = [:]
  /// By the wall's hour since 1970.
  var hours: [Int: Figures] = [:]
  /// By the wall's local day since 1970.
  var days: [Int: Figures] = [:]
  /// Since the process has started.
  var life = Figures()

  init(users: Int) { self.users = Array(repeating: User(), count: users) }

  mutating func note(_ count: Int = 1, _ figure: Figure, hour: Int, day: Int) {
    life[figure] += count
    hours[hour, default: Figures()][figure] += count
    days[day, default: Figures()][figure] += count
  }

  /// Drops what no window reaches any more, so that a copy stays cheap.
  mutating func forget(before moment: Timestamp) {
    for number in users.indices {
      users[number].messages.forget(before: moment)
      users[number].recipients.forget(before: moment)
    }
    addresses = addresses.filter { _, address in
      address.blockedUntil > moment || !address.offences.isEmpty
        || address.lines.values.contains { ($0.entries.last?.at ?? 0) > moment.microseconds }
    }
  }
}
