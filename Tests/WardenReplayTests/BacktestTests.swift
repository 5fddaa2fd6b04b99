import Testing
import WardenCore
import WardenTestKit

@testable import WardenReplay

/// Who would have been stopped, when, and what that would have spared.
@Suite("Backtest")
struct BacktestTests {
  private static let cap = Rule("account-cap", .messages, per: .user, .of(25, per: .hours(2)), then: .block(.days(1)))

  /// One message every ten seconds.
  private static func stream(_ count: Int, _ user: String = "bob", from start: Timestamp = .start) -> [Event] {
    (0..<count).map { message(user, at: start + .seconds(10 * $0), recipients: 2) }
  }

  @Test("A hacked account is stopped at the limit's first message too many, and what it went on to send is counted")
  func hackedAccount() throws {
    let result = backtest([Self.cap], Self.stream(500))
    let incident = try #require(result.sides[0].incidents.first)
    #expect(result.sides[0].incidents.count == 1)
    #expect(incident.key == .user("bob") && incident.opened == .start + .seconds(250))
    #expect(incident.before == Sent(messages: 26, recipients: 52) && incident.beforeInDay == incident.before)
    #expect(incident.after == Sent(messages: 474, recipients: 948))
    #expect(incident.refused == Sent(messages: 475, recipients: 950) && incident.passedAfter == Sent())
    #expect(incident.consequence.blockedUntil == .start + .seconds(250) + .days(1))
    #expect(incident.last == .start + .seconds(4_990))
    #expect(result.sides[0].refused == incident.refused)
    #expect(result.sides[0].rules[0].refused == incident.refused && result.sides[0].rules[0].incidents == 1)
    #expect(
      BacktestReport(result).sentence(incident)
        == "bob would have been blocked at 2026-11-03 10:04:10 by account-cap after 26 messages; "
        + "it went on to send 474 more until 11:23, 1h19m later")
  }

  @Test("What a limit lets through again after a while is told apart from what it refuses")
  func passesAgain() throws {
    let rule = Rule("cap", .messages, per: .user, .of(25, per: .hours(1)), then: .tempfail)
    let incident = try #require(backtest([rule], Self.stream(1_000)).sides[0].incidents.first)
    #expect(incident.after.messages == 974)
    #expect(incident.passedAfter.messages > 0 && incident.refused.messages > 800)
    #expect(incident.refused.messages + incident.passedAfter.messages == 975)
    #expect(incident.consequence.refusal == 450 && incident.consequence.blockedUntil == nil)
  }

  @Test("A rule that only tells or observes stops nothing; enforced for the trial it does")
  func observed() throws {
    let alerts = Rule("tell", .messages, per: .user, .of(25, per: .hours(2)), then: .alert)
    let observes = Rule("cap", .messages, per: .user, .of(25, per: .hours(2)), then: .tempfail, mode: .observe)
    let result = backtest([alerts, observes], Self.stream(100))
    let incident = try #require(result.sides[0].incidents.first)
    #expect(incident.trips.map(\.rule) == ["tell", "cap"] && incident.trips.map(\.times) == [75, 75])
    #expect(incident.consequence.isAlerted && incident.consequence.isObserved && !incident.consequence.stops)
    #expect(incident.refused == Sent() && incident.passedAfter == incident.after && incident.after.messages == 74)
    let enforced = backtest([alerts, observes], Self.stream(100), enforcesAll: true)
    #expect(enforced.sides[0].refused.messages == 75 && enforced.sides[0].rules[1].mode == .enforce)
  }

  @Test("A new wave after all was quiet is another incident; one within the window is not")
  func waves() {
    let rule = Rule("tell", .messages, per: .user, .of(25, per: .hours(2)), then: .alert)
    let second = Self.stream(30, from: .start + .hours(3))
    let late = Self.stream(30, from: .start + .hours(9))
    let incidents = backtest([rule], Self.stream(30) + second + late).sides[0].incidents
    #expect(incidents.map(\.opened).sorted() == [0, 3, 9].map { .start + .hours($0) + .seconds(250) })
    let together = Self.stream(30) + Self.stream(30, from: .start + .hours(1))
    #expect(backtest([rule], together).sides[0].incidents.map(\.after.messages) == [34])
  }

  @Test("An incident lasts for as long as a rule goes on tripping, also where it tells but once")
  func goesOn() {
    let rule = Rule("tell", .messages, per: .user, .of(25, per: .hours(2)), then: .alert)
    let mail = (0..<600).map { message("bob", at: .start + .minutes($0)) }
    let incidents = backtest([rule], mail).sides[0].incidents
    #expect(incidents.map(\.after.messages) == [574] && incidents[0].trips[0].times == 575)
  }

  @Test("Rules that trip on one key at the same time are one incident with all of them")
  func severalRules() throws {
    let rules = [
      Self.cap, Rule("recipients", .recipients, per: .user, .of(40, per: .hours(1)), then: .tempfail),
      Rule("server", .messages, per: .server, .of(50, per: .hours(1)), then: .alert),
    ]
    let incidents = backtest(rules, Self.stream(100)).sides[0].incidents
    #expect(incidents.map(\.key) == [.user("bob")])
    #expect(incidents[0].trips.map(\.rule) == ["recipients"])
    let both = backtest([rules[0], rules[2]], (0..<100).map { message("user\($0 % 3)", at: .start + .seconds($0)) })
    #expect(Set(both.sides[0].incidents.map(\.key)) == [.user("user0"), .user("user1"), .user("user2"), Key(.server)])
  }

  @Test("Who shares a blocked address is a bystander, and is named with it")
  func bystanders() throws {
    let rule = Rule("broken", .brokenConnections, per: .ip, .of(4, per: .hours(2)), then: .block(.days(3), .network))
    var events = (0..<5).map { happening(.brokenConnections, from: "192.0.2.7", at: .start + .seconds($0)) }
    events += (0..<10).map { message("alice", from: "192.0.2.200", at: .start + .minutes(1 + $0)) }
    events.append(message("bob", from: "198.51.100.1", at: .start + .hours(1)))
    let result = backtest([rule], events)
    let incident = try #require(result.sides[0].incidents.first)
    #expect(result.sides[0].incidents.count == 1)
    // The rule tells of the network that it has blocked.
    #expect(incident.key == Key(.network(Network("192.0.2.0/24")!)))
    #expect(incident.refused.messages == 10 && incident.users == ["alice"])
    #expect(result.sides[0].refused.messages == 10)
  }

  @Test("A block by way of another key belongs to the key that was counted")
  func blockedByOtherKey() throws {
    let then = Consequences(alert: true, block: Block([.days(1)], kind: .ip))
    let rule = Rule(
      name: "pair", count: .messages, per: KeyShape(.user, .ip), limits: [.of(5, per: .hours(1))], then: then)
    var events = (0..<10).map { message("bob", at: .start + .seconds($0)) }
    events += (0..<7).map { message("alice", at: .start + .minutes(1 + $0)) }
    let incidents = backtest([rule], events).sides[0].incidents
    #expect(incidents.count == 1)
    let incident = try #require(incidents.first)
    #expect(incident.key == Key(.user("bob"), .ip(IPAddress("192.0.2.7")!)))
    #expect(incident.consequence.blockedKey == .ip("192.0.2.7"))
    #expect(incident.before.messages == 6 && incident.after.messages == 4 && incident.refused.messages == 5)
    #expect(incident.refusedBystanders == 7)
  }

  @Test("Where the log alone would block somebody innocent, that is said instead")
  func spared() throws {
    let rule = Rule("guess", .authFailures, per: .user, .of(2, per: .hours(1)), then: .block(.days(1)))
    let guesses = (0..<5).map {
      happening(.authFailures, "bob", from: "198.51.100.9", at: .start + .seconds($0), step: .heard, source: .log)
    }
    let result = backtest([rule], guesses + [message("bob", at: .start + .minutes(1))])
    let incident = try #require(result.sides[0].incidents.first)
    #expect(incident.consequence.isSpared && !incident.consequence.isObserved && !incident.consequence.stops)
    #expect(incident.passedAfter.messages == 1)
    #expect(
      BacktestReport(result).sentence(incident)
        == "bob would have been noted (the log alone blocks nobody who may be innocent) at 2026-11-03 10:00:02 by guess "
        + "after 3 AUTH failures; it went on to send 1 more until 10:01, 58s later")
  }

  @Test("Honest keys near a limit are told, those that tripped or stayed low are not")
  func near() {
    let newsletter = (0..<20).map { message("newsletter", at: .start + .minutes($0)) }
    let low = (0..<12).map { message("carol", at: .start + .minutes($0)) }
    let result = backtest([Self.cap], Self.stream(100) + newsletter + low)
    #expect(result.sides[0].near.map(\.key) == [.user("newsletter")])
    #expect(result.sides[0].near.map(\.count) == [20] && result.sides[0].near.map(\.allowed) == [25])
    #expect(result.sides[0].nearCount == 1)
  }

  @Test("Of very many keys near a limit the nearest are told, and how many there are")
  func nearBounded() {
    let rule = Rule("cap", .messages, per: .user, .of(4, per: .hours(1)), then: .tempfail)
    let low = (0..<25_000).flatMap { number in
      (0..<2).map { message("user\(number)", at: .start + .seconds($0)) }
    }
    let high = (0..<4).map { message("newsletter", at: .start + .seconds(2 + $0)) }
    let side = backtest([rule], low + high).sides[0]
    #expect(side.nearCount == 25_001 && side.near.count == 1_000 && side.near[0].key == .user("newsletter"))
  }

  @Test("A rule of several parts is as near as its furthest part")
  func nearSeveralParts() {
    let rule = Rule(
      name: "hijack", per: KeyShape(.user),
      parts: [
        Part(.measure(.signal(.messages)), [.of(10, per: .hours(1))]),
        Part(.measure(.signal(.recipients)), [.of(100, per: .hours(1))]),
      ], then: .alert)
    let many = (0..<20).map { message("many", at: .start + .seconds($0)) }
    let wide = (0..<8).map { message("wide", at: .start + .seconds($0), recipients: 12) }
    let near = backtest([rule], many + wide).sides[0].near
    #expect(near.map(\.key) == [.user("wide")])
    #expect(near.first?.count == 8 && near.first?.allowed == 10)
  }

  @Test("Two policies are tried in one pass, and what they do otherwise is told by key")
  func against() throws {
    let strict = Rule("cap", .messages, per: .user, .of(10, per: .hours(2)), then: .block(.days(1)))
    var trial = Backtest([
      .init(name: "a", policy: Policy(rules: [Self.cap])), .init(name: "b", policy: Policy(rules: [strict])),
    ])
    for event in Self.stream(100) + Self.stream(15, "carol") { trial.take(event) }
    let result = trial.finish()
    #expect(result.sides.map(\.refused.messages) == [75, 90 + 5])
    #expect(result.differences.map(\.key) == [.user("bob"), .user("carol")])
    #expect(result.differences[0].first?.refused.messages == 75 && result.differences[0].second?.refused.messages == 90)
    #expect(result.differences[1].first == nil && result.differences[1].second?.before.messages == 11)
    var same = Backtest([
      .init(name: "a", policy: Policy(rules: [Self.cap])), .init(name: "b", policy: Policy(rules: [Self.cap])),
    ])
    for event in Self.stream(100) { same.take(event) }
    #expect(same.finish().differences == [])
  }

  @Test("However many are in trouble, so many incidents are kept, those with the most mail")
  func bounded() {
    let rule = Rule("cap", .messages, per: .user, .of(1, per: .hours(1)), then: .tempfail)
    var events: [Event] = []
    for number in 0..<500 {
      let count = number == 250 ? 50 : 2
      events += (0..<count).map { message("user\(number)", at: .start + .seconds(number * 60 + $0)) }
    }
    let side = backtest([rule], events, incidents: 20).sides[0]
    #expect(side.incidents.count + side.droppedIncidents == 500)
    #expect(side.incidents.count < 60 && side.incidents[0].key == .user("user250"))
    #expect(side.rules[0].incidents == 500 && side.refused.messages == 499 + 49)
  }

  @Test("The history of what was sent stays within its bound")
  func boundedHistory() {
    var history = SendingHistory(capacity: 100)
    for number in 0..<1_000 {
      history.add(Sent(messages: 1, recipients: 3), by: .user("user\(number)"), at: .start + .minutes(number))
    }
    #expect(history.dropped > 0)
    let last = Timestamp.start + .minutes(999)
    #expect(history.sent(by: .user("user999"), since: last) == Sent(messages: 1, recipients: 3))
    #expect(history.sent(by: .user("user1"), since: .start) == Sent())
  }

  @Test("The incident's figures are those of a plain count", arguments: 0..<20)
  func oracle(seed: Int) {
    var random = SeededGenerator(seed: seed)
    let limit = Int.random(in: 3...12, using: &random)
    let rule = Rule("cap", .messages, per: .user, .of(limit, per: .hours(1)), then: .block(.days(30)))
    var now = Timestamp.start
    let events = (0..<400).map { _ in
      now = now + .seconds(Int.random(in: 1...240, using: &random))
      return message(
        "user\(Int.random(in: 0..<6, using: &random))", at: now, recipients: Int.random(in: 1...5, using: &random))
    }
    let incidents = backtest([rule], events).sides[0].incidents
    // A policy that never trips shows who reaches the limit first: counts of one user, on an engine alone.
    for user in (0..<6).map({ "user\($0)" }) {
      let own = events.filter { $0.subject.user == user }
      let engine = Engine(policy: Policy(rules: [rule]))
      let decisions = own.map { engine.decide($0).isRefused }
      let incident = incidents.first { $0.key == .user(user) }
      guard let place = decisions.firstIndex(of: true) else {
        #expect(incident == nil)
        continue
      }
      func sent(_ events: some Sequence<Event>) -> Sent {
        events.reduce(into: Sent()) {
          $0 += Sent(messages: $1.wants[.messages], recipients: $1.wants[.recipients])
        }
      }
      let opened = own[place].at
      let minute = (opened - .hours(1)).microseconds / 60_000_000 * 60_000_000
      #expect(incident?.opened == opened)
      #expect(incident?.before == sent(own[...place].filter { $0.at.microseconds >= minute }))
      #expect(incident?.after == sent(own[(place + 1)...]))
      #expect(incident?.refused == sent(zip(own, decisions).filter(\.1).map(\.0)))
      #expect(incident?.last == own.last!.at)
      #expect(incident?.hours.reduce(0) { $0 + $1.refused } == incident?.refused.messages)
      #expect(
        incident?.hours.reduce(0) { $0 + $1.passed } == own.filter { $0.at >= opened - .days(1) }.count
          - (incident?.refused.messages ?? 0))
    }
  }
}
