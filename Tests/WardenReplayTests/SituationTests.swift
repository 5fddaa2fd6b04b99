import Testing
import WardenCore

@testable import WardenReplay

/// The situations that administrators have found in their logs too late, looked at again under a policy.
@Suite("Situations")
struct SituationTests {
  /// A day of thirty people who each write some mail, so that what stands out has something to stand out from.
  private static func honest(_ days: Int = 1) -> [Event] {
    (0..<days).flatMap { day in
      (0..<30).flatMap { person in
        (0..<8).map { number in
          message(
            "user\(person)", from: "192.0.2.\(person + 1)",
            at: .start + .days(day) + .minutes(number * 60 + person), recipients: 1 + (person + number) % 3)
        }
      }
    }
  }

  private static func replayed(_ rules: [Rule], _ events: [Event]) -> BacktestResult.Side {
    backtest(rules, events.sorted { $0.at < $1.at }).sides[0]
  }

  @Test("The rare lines: mail cut off in its middle, and a complaining MTA, stand out of a day's mail")
  func rareLines() {
    let cutOff = (0..<6).map {
      happening(.cutOffMessages, from: "198.51.100.9", at: .start + .minutes(200 + $0))
    }
    let distress = (0..<3).map {
      happening(.mtaDistress, from: nil, at: .start + .minutes(210 + $0), step: .heard, source: .log)
    }
    let side = Self.replayed(
      [
        Rule("cut-off", .cutOffMessages, per: .ip, .of(4, per: .hours(1)), then: .alert),
        Rule("distress", .mtaDistress, per: .server, .of(2, per: .hours(1)), then: .alert),
        Rule("wide", .recipients, per: .user, .of(100, per: .hours(1)), then: .alert),
      ], Self.honest() + cutOff + distress)
    #expect(Set(side.incidents.map(\.key)) == [.ip("198.51.100.9"), Key(.server)])
    #expect(side.incidents.first { $0.key == Key(.server) }?.opened == .start + .minutes(212))
    #expect(side.refused == Sent())
  }

  @Test("The hacked account: thirty messages an hour let everybody work and stop the one")
  func hackedAccount() throws {
    let spam = (0..<4_000).map {
      message("user7", from: "203.0.113.\($0 % 200)", at: .start + .hours(3) + .seconds(5 * $0), recipients: 10)
    }
    let side = Self.replayed(
      [Rule("account-cap", .messages, per: .user, .of(30, per: .hours(1)), then: .block(.days(1)))],
      Self.honest() + spam)
    let incident = try #require(side.incidents.first)
    #expect(side.incidents.count == 1 && incident.key == .user("user7"))
    #expect(incident.before.messages == 31 && incident.opened < .start + .hours(3) + .minutes(4))
    // Two of the eight that user7 wrote itself lie more than an hour before.
    #expect(incident.refused.messages + incident.before.messages - 1 == 4_000 + 6)
    #expect(incident.passedAfter.messages == 0)
  }

  @Test("The agreed table: each row stops who it is meant for, and nobody else")
  func table() {
    func many(_ count: Int, _ signal: Signal, _ ip: String, log: Bool = false) -> [Event] {
      (0..<count).map {
        happening(
          signal, from: ip, at: .start + .minutes(300 + $0), step: log ? .heard : .close, source: log ? .log : .milter)
      }
    }
    let events =
      many(5, .brokenConnections, "198.51.100.1") + many(4, .brokenConnections, "198.51.100.11")
      + many(9, .rcptFloods, "198.51.100.2", log: true) + many(11, .dnsblRejections, "198.51.100.3", log: true)
      + many(11, .filterRejections, "198.51.100.4", log: true) + many(10, .filterRejections, "198.51.100.14", log: true)
      + (0..<26).map { happening(.logins, "user1", from: "192.0.2.2", at: .start + .minutes(300 + $0), step: .mail) }
      + (0..<18).map { message("user2", from: "192.0.2.3", at: .start + .minutes(300 + $0)) }
      + (0..<26).map { message("user3", from: "192.0.2.4", at: .start + .minutes(300 + $0)) }
    let side = Self.replayed(
      [
        Rule("broken", .brokenConnections, per: .ip, .of(4, per: .hours(2)), then: .block(.days(3))),
        Rule("flood", .rcptFloods, per: .ip, .of(8, per: .hours(2)), then: .block(.days(1))),
        Rule("dnsbl", .dnsblRejections, per: .ip, .of(10, per: .hours(2)), then: .block(.days(1))),
        Rule("auth", .logins, per: .user, .of(25, per: .hours(2)), then: .alert),
        Rule("spam", .filterRejections, per: .ip, .of(10, per: .hours(2)), then: .block(.days(1))),
        Rule("outbound", .messages, per: .user, .of(25, per: .hours(2)), then: .alert),
      ], Self.honest() + events)
    let stopped = Dictionary(side.incidents.map { ($0.key, $0.trips.map(\.rule)) }, uniquingKeysWith: +)
    #expect(
      stopped == [
        .ip("198.51.100.1"): ["broken"], .ip("198.51.100.2"): ["flood"], .ip("198.51.100.3"): ["dnsbl"],
        .ip("198.51.100.4"): ["spam"], .user("user1"): ["auth"], .user("user3"): ["outbound"],
      ])
    #expect(
      side.incidents.first { $0.key == .ip("198.51.100.1") }?.consequence.blockedUntil == .start + .minutes(304)
        + .days(3))
    #expect(Set(side.near.map(\.key)).isSuperset(of: [.ip("198.51.100.11"), .ip("198.51.100.14"), .user("user2")]))
  }

  @Test("The five cases: without login, as oneself, as somebody else, without permission, with a wrong password")
  func fiveCases() throws {
    var events = Self.honest()
    events += (0..<40).map { message(nil, from: "198.51.100.50", at: .start + .minutes(300) + .seconds($0)) }
    events += (0..<12).map { place in
      var event = message("user5", from: "192.0.2.6", at: .start + .minutes(320) + .seconds(place))
      event.subject.sender = "boss@elsewhere.test"
      event.wants[.senderMismatch] = 1
      return event
    }
    events += (0..<4).map {
      happening(.relayAttempts, from: "198.51.100.51", at: .start + .minutes(330 + $0), step: .heard, source: .log)
    }
    events += (0..<30).map {
      happening(
        .authFailures, "user9", from: "198.51.100.\(60 + $0)", at: .start + .minutes(340 + $0), step: .heard,
        source: .log)
    }
    let side = Self.replayed(
      [
        Rule("anonymous", .messages, per: .ip, .of(30, per: .hours(1)), then: .tempfail),
        Rule("mismatch", .senderMismatch, per: .user, .of(10, per: .days(1)), then: .tempfail),
        Rule("relay", .relayAttempts, per: .ip, .of(3, per: .days(1)), then: .block(.days(1))),
        Rule("guessing", .authFailures, per: .user, .of(20, per: .days(1)), then: .alert),
      ], events)
    #expect(
      Set(side.incidents.map(\.key)) == [
        .ip("198.51.100.50"), .user("user5"), .ip("198.51.100.51"), .user("user9"),
      ])
    let mismatch = try #require(side.incidents.first { $0.key == .user("user5") })
    #expect(mismatch.refused.messages == 2)
    // Anybody can try a user's name: nothing is refused for it.
    #expect(side.incidents.first { $0.key == .user("user9") }?.consequence.stops == false)
  }

  @Test("The guide: bounces, and mail in and out by the hour, set off thresholds of the whole server")
  func thresholds() {
    let bounces = (0..<60).map {
      happening(.bounced, "user3", from: nil, at: .start + .minutes(400) + .seconds($0), step: .heard, source: .log)
    }
    let side = Self.replayed(
      [
        Rule("bounces", .bounced, per: .server, .of(50, per: .hours(1)), then: .alert),
        Rule("bounces-per-user", .bounced, per: .user, .of(20, per: .hours(1)), then: .alert),
        Rule("mail", .messages, per: .server, .of(1_000, per: .hours(1)), then: .alert),
      ], Self.honest() + bounces)
    #expect(Set(side.incidents.map(\.key)) == [Key(.server), .user("user3")])
    #expect(side.rules.map(\.incidents) == [1, 1, 0])
  }
}
