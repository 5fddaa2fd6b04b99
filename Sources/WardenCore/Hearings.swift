/// Tells apart what is new from what another source has told already: the MTA's filter protocol, Dovecot and the log speak
/// of the same failed login or refused recipient, some seconds apart, and it counts once.
///
/// What happened to an address and what happened to a user are matched each by itself: saslauthd knows no address, and an
/// MTA not always the user. Pure: every hearing brings its time. Bounded; where room is short the oldest is forgotten, and
/// counts as new when it is told of again.
public struct Hearings: Sendable {
  /// Between two tellings of one thing: a log line may wait for the end of a session.
  public static let memory = TimeSpan.minutes(5)
  /// Tellings kept of one matter; beyond that the oldest are forgotten.
  private static let mostOfOne = 256

  private enum Who: Hashable {
    case ip(IPAddress)
    case user(String)
  }
  private struct Matter: Hashable {
    let signal: Signal
    let who: Who
  }
  private struct Telling {
    let at: Timestamp
    /// Bit n: teller n has told of it.
    var tellers: UInt32
  }

  /// Those of the last while, and of the while before: where room is short, what is heard of no more goes first.
  private var latest: [Matter: [Telling]] = [:]
  private var earlier: [Matter: [Telling]] = [:]
  /// Of the two together.
  private let capacity: Int
  private var turnedAt = Timestamp(microseconds: 0)

  public init(capacity: Int = 200_000) { self.capacity = capacity }

  /// What of an event is new. The teller is 0…31: each source, and each kind of line of a log, is another.
  /// - Returns: how many times it is new to the address, and to the user.
  public mutating func hear(
    _ signal: Signal, _ count: Int = 1, ip: IPAddress?, user: String?, from teller: Int, at now: Timestamp
  ) -> (ip: Int, user: Int) {
    turn(now)
    return (
      ip.map { hear(Matter(signal: signal, who: .ip($0)), count, teller, now) } ?? 0,
      user.map { hear(Matter(signal: signal, who: .user($0)), count, teller, now) } ?? 0
    )
  }

  private mutating func hear(_ matter: Matter, _ count: Int, _ teller: Int, _ now: Timestamp) -> Int {
    if latest[matter] == nil, let known = earlier.removeValue(forKey: matter) { latest[matter] = known }
    return Self.hear(&latest[matter, default: []], count, 1 << UInt32(teller), now)
  }

  // Static: with `self` at hand, the dictionary would be copied for each change.
  private static func hear(_ known: inout [Telling], _ count: Int, _ bit: UInt32, _ now: Timestamp) -> Int {
    known.removeAll { isOver($0, now) }
    var left = count
    // The oldest that this teller has not told of yet is the one it means.
    for place in known.indices where left > 0 && known[place].tellers & bit == 0 {
      known[place].tellers |= bit
      left -= 1
    }
    for _ in 0..<min(left, mostOfOne) { known.append(Telling(at: now, tellers: bit)) }
    known.removeFirst(max(0, known.count - mostOfOne))
    return left
  }

  /// A clock, or a log's, that was ahead and is set back must not make tellings of times to come stay.
  private static func isOver(_ telling: Telling, _ now: Timestamp) -> Bool {
    now >= telling.at + memory || telling.at >= now + memory
  }

  /// Begins anew where the while is over, or room is short: what was told before it is kept for one more.
  private mutating func turn(_ now: Timestamp) {
    guard now >= turnedAt + Self.memory || now < turnedAt || latest.count >= capacity / 2 else { return }
    earlier = latest
    latest = [:]
    turnedAt = now
  }
}
