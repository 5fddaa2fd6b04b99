import GRDB
import WardenCore

/// The questions behind a day's report.
struct DayQuery {
  let database: Database
  /// The day's seconds.
  let range: Range<Int>
  let days: LocalDays

  /// Entries in a list at most.
  static let most = 100
  private static let topSenders = 20
  /// From so many messages on a day a sender is one of high volume,
  private static let highVolume = 100
  /// and it is new to that if it sent so many times less on every day of so many before.
  private static let timesMore = 5
  private static let daysBefore = 14
  /// So many failures within an hour are no mistyped command.
  private static let manyFailures = 10
  /// So few refusals look like somebody who was stopped and gave up, or asks why,
  private static let fewRefusals = 20
  /// if something is known of the key for so many days.
  private static let daysKnown = 7

  private func statement(_ sql: String, _ arguments: Int...) throws -> RawStatement {
    let statement = try RawStatement(database, sql)
    for (place, argument) in arguments.enumerated() { statement.bind(Int32(place + 1), argument) }
    return statement
  }

  func totals() throws -> [String: Int] {
    let sums = CountRows.columns.map { "coalesce(sum(\($0)), 0)" }.joined(separator: ", ")
    let row = try statement(
      """
      SELECT \(sums) FROM counts WHERE key = (SELECT id FROM keys WHERE name = 'server')
        AND period = 86400 AND at >= ? AND at < ?
      """, range.lowerBound, range.upperBound)
    var totals: [String: Int] = [:]
    try row.forEach { totals = row.counts(from: 0) }
    return totals
  }

  // An address under which somebody logged in is no sender of its own: the users are.
  private static let senders = """
    SELECT k.name, sum(c.messages), sum(c.recipients), c.key FROM counts c JOIN keys k ON k.id = c.key
    WHERE c.period = 86400 AND c.at >= ?1 AND c.at < ?2 AND c.messages > 0
      AND (k.kind = 'user' OR k.kind = 'ip' AND c.logins = 0)
    GROUP BY c.key ORDER BY 2 DESC, 1 LIMIT ?3
    """

  func topSenders() throws -> [DayReport.Sender] {
    let row = try statement(Self.senders, range.lowerBound, range.upperBound, Self.topSenders)
    var senders: [DayReport.Sender] = []
    try row.forEach {
      senders.append(DayReport.Sender(key: row.text(0), messages: row.count(1), recipients: row.count(2)))
    }
    return senders
  }

  func newHighVolume() throws -> [DayReport.NewSender] {
    let row = try statement(Self.senders, range.lowerBound, range.upperBound, Self.most)
    let before = try RawStatement(
      database, "SELECT max(messages) FROM counts WHERE key = ? AND period = 86400 AND at >= ? AND at < ?")
    var senders: [DayReport.NewSender] = []
    try row.forEach {
      let messages = row.count(1)
      guard messages >= Self.highVolume else { return }
      before.bind(1, row.int(3))
      before.bind(2, days.start(-Self.daysBefore, after: range.lowerBound))
      before.bind(3, range.lowerBound)
      var most = 0
      try before.forEach { most = before.count(0) }
      guard most < messages / Self.timesMore else { return }
      senders.append(DayReport.NewSender(key: row.text(0), messages: messages, most_before: most))
    }
    return senders
  }

  // MARK: - What was stopped

  func stopped() throws -> [DayReport.Stopped] {
    // Of a group's bare columns SQLite takes the row that has the minimum.
    let row = try statement(
      """
      SELECT k.name, d.rule, d.kind, min(d.first), d.reason, d.key,
        sum(CASE WHEN d.kind IN ('refused', 'held') THEN d.count ELSE 0 END)
      FROM decisions d JOIN keys k ON k.id = d.key
      WHERE d.minute >= ? AND d.minute < ? AND d.kind IN ('refused', 'held', 'blocked')
      GROUP BY d.key, d.rule ORDER BY 7 DESC, 1 LIMIT ?
      """, range.lowerBound, range.upperBound, Self.most)
    var stopped: [DayReport.Stopped] = []
    try row.forEach {
      stopped.append(
        DayReport.Stopped(
          key: row.text(0), rule: row.text(1), kind: row.text(2), first: row.time(3), reason: row.text(4),
          messages_before: try messages(of: row.int(5), before: min(row.count(3), 8_000_000_000)),
          stopped_since: row.count(6)))
    }
    return stopped
  }

  /// Since the day began: by hours, and by minutes in the hour in which it was stopped.
  private func messages(of key: Int, before moment: Int) throws -> Int {
    let hour = moment / 3_600 * 3_600
    let sum = "SELECT sum(messages) FROM counts WHERE key = ? AND period = ? AND at >= ? AND at < ?"
    let hours = try database.number(sum, key, Period.hour.rawValue, range.lowerBound, hour) ?? 0
    let minutes = try database.number(
      sum, key, Period.minute.rawValue, max(hour, range.lowerBound), moment / 60 * 60 + 60)
    return hours + (minutes ?? 0)
  }

  func causes() throws -> [DayReport.Cause] {
    let row = try statement(
      """
      SELECT rule, sum(count) FROM decisions WHERE minute >= ? AND minute < ? AND kind = 'refused'
      GROUP BY rule ORDER BY 2 DESC, 1 LIMIT ?
      """, range.lowerBound, range.upperBound, Self.most)
    var causes: [DayReport.Cause] = []
    try row.forEach { causes.append(DayReport.Cause(cause: row.text(0), by: "mailwarden", count: row.count(1))) }
    let totals = try totals()
    for signal in Self.refusalsOfMTA {
      if let count = totals[signal.name] { causes.append(DayReport.Cause(cause: signal.name, by: "mta", count: count)) }
    }
    return causes
  }

  // MARK: - What deserves a look

  private static let refusalsOfMTA: [Signal] = [
    .unknownRecipients, .relayAttempts, .dnsblRejections, .refusedConnections, .filterRejections, .authFailures,
  ]

  func successesAfterFailures() throws -> [DayReport.Success] {
    let row = try statement(
      """
      SELECT k.name, c.at,
        c.auth_failures + c.broken_connections + c.relay_attempts + c.bad_commands + c.unknown_recipients AS failures,
        c.logins + c.auth_successes, c.messages
      FROM counts c JOIN keys k ON k.id = c.key
      WHERE c.period = 3600 AND c.at >= ? AND c.at < ? AND k.kind IN ('user', 'ip') AND failures >= ?
        AND c.logins + c.auth_successes + c.messages > 0
      ORDER BY failures DESC, c.at, k.name LIMIT ?
      """, range.lowerBound, range.upperBound, Self.manyFailures, Self.most)
    var successes: [DayReport.Success] = []
    try row.forEach {
      successes.append(
        DayReport.Success(
          key: row.text(0), at: row.time(1), failures: row.count(2), logins: row.count(3), messages: row.count(4)))
    }
    return successes
  }

  func toReview() throws -> [DayReport.Review] {
    let row = try statement(
      """
      SELECT k.name, d.rule, sum(d.count), min(d.first), d.reason,
        (SELECT min(c.at) FROM counts c WHERE c.key = d.key AND c.period = 86400) AS known,
        k.kind = 'user', d.key
      FROM decisions d JOIN keys k ON k.id = d.key
      WHERE d.minute >= ?1 AND d.minute < ?2 AND d.kind IN ('refused', 'held') AND k.kind IN ('user', 'ip')
        AND d.rule <> '\(Reason.administrator)'
        AND NOT EXISTS (SELECT 1 FROM decisions b WHERE b.key = d.key AND b.minute >= ?1 AND b.minute < ?2
          AND b.kind = 'blocked')
        AND NOT EXISTS (SELECT 1 FROM counts c WHERE c.key = d.key AND c.period = 86400 AND c.at >= ?1 AND c.at < ?2
          AND c.bad_recipients + c.unknown_recipients + c.relay_attempts + c.spam > 0)
      GROUP BY d.key, d.rule HAVING sum(d.count) <= ?3 AND known <= ?4
      ORDER BY 3 DESC, 1 LIMIT ?5
      """, range.lowerBound, range.upperBound, Self.fewRefusals,
      days.start(-Self.daysKnown, after: range.lowerBound), 10 * Self.most)
    var reviews: [DayReport.Review] = []
    try row.forEach {
      guard reviews.count < Self.most, try row.int(6) == 0 || isOfOneNetwork(row.int(7)) else { return }
      reviews.append(
        DayReport.Review(
          key: row.text(0), rule: row.text(1), count: row.count(2), first: row.time(3), reason: row.text(4),
          known_since: days.name(of: min(row.count(5), 8_000_000_000))))
    }
    return reviews
  }

  /// Whether everything of a user that was refused came from one network.
  private func isOfOneNetwork(_ user: Int) throws -> Bool {
    let row = try statement(
      """
      SELECT DISTINCT i.name FROM decisions d JOIN keys i ON i.id = d.ip
      WHERE d.key = ? AND d.minute >= ? AND d.minute < ? AND d.kind IN ('refused', 'held')
      """, user, range.lowerBound, range.upperBound)
    var networks: Set<Network> = []
    try row.forEach {
      if let address = row.value(0).flatMap({ IPAddress($0) }) { networks.insert(NetworkPrefix().network(of: address)) }
    }
    return networks.count <= 1
  }
}
