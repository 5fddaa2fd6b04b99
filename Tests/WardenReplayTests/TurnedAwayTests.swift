import Testing
import WardenCore

@testable import WardenReplay

/// What comes from a client that would have been turned away, and how often it counts.
@Suite("Turned away")
struct TurnedAwayTests {
  private static let guessing = Rule(
    "guessing", .authFailures, per: .ip, .of(2, per: .hours(1)), then: .block(.days(1)))
  private static let cap = Rule("cap", .messages, per: .user, .of(3, per: .hours(2)), then: .tempfail)

  private static func guess(_ user: String = "frank", from ip: String = "203.0.113.66", at time: Timestamp) -> Event {
    happening(.authFailures, user, from: ip, at: time, step: .heard, source: .log)
  }

  private static func guesses(_ count: Int, every span: TimeSpan = .minutes(10)) -> [Event] {
    (0..<count).map { guess(at: .start + TimeSpan(microseconds: span.microseconds * $0)) }
  }

  @Test("A refused MAIL and its message are one refusal, in the sum, for the rule and in the incident")
  func once() throws {
    let mail = (0..<10).flatMap { session("bob", from: "192.0.2.7", at: .start + .minutes($0)) }
    let side = backtest([Self.cap], mail, isOfLog: true).sides[0]
    #expect(side.refused.messages == 7 && side.refusedOthers == 0)
    #expect(side.rules[0].refused.messages == 7 && side.rules[0].refusedOthers == 0)
    let incident = try #require(side.incidents.first)
    #expect(incident.refused.messages == 7 && incident.refusedOthers == 0 && incident.passedAfter.messages == 0)
    #expect(
      BacktestReport(backtest([Self.cap], mail)).text.contains(": 1 incident, 7 messages to 7 recipients refused\n"))
  }

  @Test("A refused MAIL that brings no message counts, also where a later one brings its own")
  func refusedMail() {
    let mail = session("bob", from: "192.0.2.7", at: .start, messages: 3)
    func tried(_ minutes: Int, _ step: Step) -> Event {
      session("bob", from: "192.0.2.7", at: .start + .minutes(minutes)).first { $0.step == step }!
    }
    // As recorded: who is refused at MAIL does not go on.
    let recorded = mail + [tried(1, .mail), tried(2, .mail)]
    let side = backtest([Self.cap], recorded).sides[0]
    #expect(side.refused.messages == 0 && side.refusedOthers == 2)
    #expect(
      BacktestReport(backtest([Self.cap], recorded)).text.contains("1 incident, 2 attempts without a message refused\n")
    )
    let log = backtest([Self.cap], recorded + [tried(3, .mail), tried(3, .endOfMessage)], isOfLog: true).sides[0]
    #expect(log.refused.messages == 1 && log.refusedOthers == 2)
    // One that was let in again has begun its own message.
    let later = [tried(200, .mail), tried(200, .endOfMessage)]
    #expect(backtest([Self.cap], recorded + later).sides[0].refusedOthers == 2)
  }

  @Test("A session of a blocked address counts once, whatever it does, and not beside its messages")
  func sessions() throws {
    func back(_ minutes: Int, _ events: (Timestamp) -> [Event]) -> [Event] {
      let time = Timestamp.start + .minutes(60 + minutes)
      return [session(nil, from: "203.0.113.66", at: time)[0]] + events(time)
    }
    let events =
      Self.guesses(3)
      + back(0) { time in (1...9).map { Self.guess(at: time + .minutes($0 / 3)) } }
      + back(10) { [happening(.brokenConnections, from: "203.0.113.66", at: $0 + .seconds(9))] }
      + back(20) { Array(session(nil, from: "203.0.113.66", at: $0, messages: 2)[1...]) }
      + back(30) { _ in [] }
    let side = backtest([Self.guessing], events, isOfLog: true).sides[0]
    let incident = try #require(side.incidents.first)
    #expect(incident.refusedOthers == 3 && incident.refused.messages == 2)
    #expect(side.refusedOthers == 3 && side.refused.messages == 2 && side.rules[0].refusedOthers == 3)
  }

  @Test("What feeds alone tell of a blocked address is its coming back; the rest of its last session is not")
  func heard() throws {
    let result = backtest([Self.guessing], Self.guesses(15), isOfLog: true)
    let incident = try #require(result.sides[0].incidents.first)
    #expect(incident.refusedOthers == 12)
    #expect(
      BacktestReport(result).sentence(incident)
        == "203.0.113.66 would have been blocked at 2026-11-03 10:20:00 by guessing after 3 AUTH failures; "
        + "it came back 12 times until 12:20, 2h later")
    let connect = session(nil, from: "203.0.113.66", at: .start)[0]
    let one = backtest([Self.guessing], [connect] + Self.guesses(15, every: .minutes(4)), isOfLog: true)
    #expect(one.sides[0].incidents[0].refusedOthers == 0)
  }

  @Test("What a blocked address does in a log neither prolongs its block nor climbs to the next")
  func noProlonging() throws {
    let incident = try #require(backtest([Self.guessing], Self.guesses(100), isOfLog: true).sides[0].incidents.first)
    #expect(incident.consequence.blockedUntil == .start + .minutes(20) + .days(1))
    #expect(incident.trips.map(\.times) == [1])
    // An hour after the block the address may try again.
    var ladder = Self.guessing
    ladder.then = Consequences(block: Block([.hours(1), .days(1)], kind: nil))
    let climbed = backtest([ladder], Self.guesses(10), isOfLog: true).sides[0].incidents
    #expect(climbed.map(\.consequence.blockedUntil) == [.start + .minutes(80)])
  }

  @Test("Other rules hear nothing of a blocked address, but of those who share a user with it")
  func otherRules() {
    let rules = [Self.guessing, Rule("guessed", .authFailures, per: .user, .of(4, per: .days(1)), then: .alert)]
    #expect(backtest(rules, Self.guesses(20), isOfLog: true).sides[0].incidents.map(\.key) == [.ip("203.0.113.66")])
    let others = (0..<2).map { Self.guess(from: "203.0.113.7\($0)", at: .start + .hours(5) + .minutes($0)) }
    #expect(
      Set(backtest(rules, Self.guesses(20) + others, isOfLog: true).sides[0].incidents.map(\.key)) == [
        .ip("203.0.113.66"), .user("frank"),
      ])
  }

  @Test("What becomes of mail that went out before the block is none of the client's doing")
  func deliveries() throws {
    let bounces = Rule("bounces", .bounced, per: .ip, .of(2, per: .hours(1)), then: .alert)
    let bounced = (0..<4).map {
      happening(.bounced, from: "203.0.113.66", at: .start + .minutes(30 + $0), step: .heard, source: .log)
    }
    let incident = try #require(
      backtest([Self.guessing, bounces], Self.guesses(3) + bounced, isOfLog: true).sides[0].incidents.first)
    #expect(incident.refusedOthers == 0 && incident.trips.map(\.rule) == ["guessing", "bounces"])
  }

  @Test("An exempt client is never turned away, however its network is blocked")
  func exempt() throws {
    let rule = Rule("broken", .brokenConnections, per: .ip, .of(4, per: .hours(2)), then: .block(.days(3), .network))
    var policy = Policy(rules: [rule])
    policy.exempt = Exemptions(networks: [Network("192.0.2.200/32")!])
    var trial = Backtest([.init(name: "p", policy: policy)])
    for second in 0..<5 {
      trial.take(happening(.brokenConnections, from: "192.0.2.7", at: .start + .seconds(second)), isOfLog: true)
    }
    for event in session("alice", from: "192.0.2.200", at: .start + .minutes(1)) { trial.take(event, isOfLog: true) }
    #expect(trial.finish().sides[0].refused == Sent())
  }

  @Test("Recorded events are decided as they were, also what a blocked address has done")
  func recorded() {
    let events = Self.guesses(50)
    let engine = Engine(policy: Policy(rules: [Self.guessing]))
    for event in events { _ = engine.decide(event) }
    let incident = backtest([Self.guessing], events).sides[0].incidents.first
    #expect(incident?.consequence.blockedUntil == engine.penalty(on: .ip("203.0.113.66"))?.until)
    #expect(incident?.consequence.blockedUntil == events.last!.at + .days(1))
  }

  @Test("Names that somebody tried have not logged in, nor are they users of the server")
  func triedNames() throws {
    let result = backtest(
      [Self.guessing], Self.guesses(9) + session("alice", from: "203.0.113.66", at: .start + .hours(2)))
    let incident = try #require(result.sides[0].incidents.first)
    #expect(incident.users == ["alice"] && result.traffic.users == 1)
    #expect(BacktestReport(result).balance(incident)?.hasSuffix("; logged in there: alice") == true)
  }
}
