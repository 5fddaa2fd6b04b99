import Foundation
import Testing
@testable import WardenCore

@testable import WardenStore

@Suite("The report of a day")
struct ReportTests {
  // 2026-11-24, in UTC.
  private static let day = Timestamp(seconds: Timestamp.start.seconds / 86_400 * 86_400)

  private func user(_ name: String) -> Key { Key(.user(name)) }

  private func report(_ store: Store) throws -> DayReport { try store.report(day: "2026-11-24", at: .start) }

  @Test("Without a day it is the latest that is whole; today is told so far; what is no day is said")
  func which() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    #expect(try store.report(at: .start).day == "2026-11-23")
    #expect(try store.report(day: "yesterday", at: .start).from == "2026-11-23T00:00:00Z")
    #expect(try store.report(day: "today", at: .start).to == "2026-11-25T00:00:00Z")
    for text in ["2026-13-01", "monday", "", "2026-11-24T00:00:00Z"] {
      #expect(throws: Store.DayProblem.self) { try store.report(day: text, at: .start) }
    }
  }

  @Test("Totals are the server's of that day alone")
  func totals() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    try store.add(Key(.server), Activity.Counts([.messages: 3, .relayAttempts: 2]), at: Self.day)
    try store.add(Key(.server), Activity.Counts([.messages: 4]), at: Self.day + .hours(23))
    try store.add(Key(.server), Activity.Counts([.messages: 100]), at: Self.day + .hours(24))
    try store.add(Key(.server), Activity.Counts([.messages: 100]), at: Self.day + .seconds(-60))
    let report = try report(store)
    #expect(report.totals == ["messages": 7, "relay-attempts": 2])
    #expect(report.refused_by_cause == [DayReport.Cause(cause: "relay-attempts", by: "mta", count: 2)])
  }

  @Test("Top senders are users, and addresses without a login")
  func topSenders() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    for number in 1...25 {
      try store.add(user("user\(number)"), Activity.Counts([.messages: number, .recipients: 2 * number]), at: Self.day)
    }
    try store.add(Key(.ip(ip("192.0.2.1"))), Activity.Counts([.messages: 500, .logins: 3]), at: Self.day)
    try store.add(Key(.ip(ip("192.0.2.2"))), Activity.Counts([.messages: 24, .recipients: 1]), at: Self.day)
    let senders = try report(store).top_senders
    #expect(senders.count == 20)
    #expect(senders.prefix(3).map(\.key) == ["user:user25", "ip:192.0.2.2", "user:user24"])
    #expect(senders[0] == DayReport.Sender(key: "user:user25", messages: 25, recipients: 50))
  }

  @Test("New to high volume is who sent five times less on every day of the two weeks before")
  func newHighVolume() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    func sent(_ name: String, _ messages: Int, daysBefore: Int = 0) throws {
      try store.add(user(name), Activity.Counts([.messages: messages]), at: Self.day + .days(-daysBefore))
    }
    for (name, before, days) in [("steady", 30, 3), ("grown", 19, 14), ("old", 500, 15), ("edge", 20, 14)] {
      try sent(name, before, daysBefore: days)
      try sent(name, 100)
    }
    try sent("new", 200)
    try sent("small", 99)
    let found = try report(store).new_high_volume
    #expect(
      found == [
        DayReport.NewSender(key: "user:new", messages: 200, most_before: 0),
        DayReport.NewSender(key: "user:grown", messages: 100, most_before: 19),
        DayReport.NewSender(key: "user:old", messages: 100, most_before: 0),
      ])
  }

  @Test("Who was stopped: by what, when first, after how many messages, and what that saved")
  func stopped() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let alice = user("alice")
    let stop = Self.day + .hours(3) + .minutes(10) + .seconds(30)
    for (moment, messages) in [
      (Self.day + .minutes(-1), 1_000), (Self.day + .hours(1), 7), (Self.day + .hours(3) + .minutes(2), 18),
      (Self.day + .hours(3) + .minutes(20), 5_000),
    ] {
      try store.add(alice, Activity.Counts([.messages: messages]), at: moment)
    }
    let log = DecisionLog()
    log.note(.of(.blocked, alice, user: "alice"), queueID: nil, at: stop)
    for minute in 1...100 { log.note(.of(.refused, alice, user: "alice"), queueID: nil, at: stop + .minutes(minute)) }
    log.note(.of(.observed, user("bob"), user: "bob"), queueID: nil, at: stop)
    log.note(.of(.refused, alice, user: "alice"), queueID: nil, at: stop + .days(1))
    try store.add(log)
    let report = try report(store)
    #expect(
      report.stopped == [
        DayReport.Stopped(
          key: "user:alice", rule: "user-messages", kind: "blocked", first: stop.rfc3339,
          reason: "user alice: 26 messages in 2h (limit 25)", messages_before: 25, stopped_since: 100)
      ])
    #expect(report.refused_by_cause == [DayReport.Cause(cause: "user-messages", by: "mailwarden", count: 100)])
  }

  @Test("Ten failures in an hour in which there were logins or mail, too, deserve a look")
  func successesAfterFailures() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    func add(_ address: String, _ tally: Tally, _ moment: Timestamp = Self.day + .hours(5)) throws {
      try store.add(Key(.ip(ip(address))), Activity.Counts(tally), at: moment)
    }
    try add("192.0.2.1", [.brokenConnections: 6, .badCommands: 4])
    try add("192.0.2.1", [.logins: 1], Self.day + .hours(5) + .minutes(59))
    try add("192.0.2.2", [.brokenConnections: 100])
    try add("192.0.2.3", [.brokenConnections: 9, .logins: 1])
    try add("192.0.2.4", [.unknownRecipients: 10], Self.day + .hours(4))
    try add("192.0.2.4", [.messages: 10])
    let found = try report(store).successes_after_failures
    #expect(
      found == [
        DayReport.Success(
          key: "ip:192.0.2.1", at: (Self.day + .hours(5)).rfc3339, failures: 10, logins: 1, messages: 0)
      ])
  }

  @Test("Refusals of somebody who looks honest are there for review, those of an abuser are not")
  func toReview() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let log = DecisionLog()
    func refused(
      _ name: String, knownFor days: Int = 30, times: Int = 3, from addresses: [String] = ["192.0.2.1", "192.0.2.9"],
      also kinds: [Notice.Kind] = [], today: Tally = [.messages: 5], rule: String? = nil
    ) throws {
      let key = user(name)
      try store.add(key, Activity.Counts([.messages: 1]), at: Self.day + .days(-days))
      try store.add(key, Activity.Counts(today, refused: times), at: Self.day)
      for time in 0..<times {
        let address = ip(addresses[time % addresses.count])
        for kind in [Notice.Kind.refused] + kinds {
          log.note(.of(kind, key, user: name, ip: address, rule: rule), queueID: nil, at: Self.day + .minutes(time))
        }
      }
    }
    try refused("honest")
    try refused("newcomer", knownFor: 6)
    try refused("stubborn", times: 21)
    try refused("traveller", from: ["192.0.2.1", "203.0.113.1"])
    try refused("blocked", also: [.blocked])
    try refused("guessing", today: [.unknownRecipients: 1])
    try refused("ordered", rule: Reason.administrator)
    try store.add(log)
    let found = try report(store).to_review
    #expect(
      found == [
        DayReport.Review(
          key: "user:honest", rule: "user-messages", count: 3, first: Self.day.rfc3339,
          reason: "user honest: 26 messages in 2h (limit 25)", known_since: "2026-10-25")
      ])
  }

  @Test("Administrators' actions of the day are told in their order")
  func actions() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    func action(_ name: String, _ moment: Timestamp) -> AdministratorAction {
      AdministratorAction(at: moment, who: "root (uid 0)", action: name, key: "user:alice", detail: "for 1h")
    }
    try store.write {
      $0.actions = [
        action("block", Self.day), action("release", Self.day + .hours(23)), action("allow", Self.day + .hours(24)),
      ]
    }
    #expect(try report(store).actions.map(\.action) == ["block", "release"])
    let history = try store.history(key: user("alice"), from: Self.day, to: Self.day + .days(2), period: .day)
    #expect(history.actions.map(\.action) == ["block", "release", "allow"])
  }

  @Test("Lists are bounded, and field names are those that tools read")
  func form() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    let log = DecisionLog()
    for number in 0..<150 { log.note(.of(.refused, user("user\(number)")), queueID: nil, at: Self.day) }
    try store.add(log)
    let report = try report(store)
    #expect(report.stopped.count == 100)
    let json = try #require(try JSONSerialization.jsonObject(with: JSONEncoder().encode(report)) as? [String: Any])
    #expect(
      json.keys.sorted() == [
        "actions", "day", "from", "new_high_volume", "refused_by_cause", "stopped", "successes_after_failures", "to",
        "to_review", "top_senders", "totals",
      ])
  }
}
