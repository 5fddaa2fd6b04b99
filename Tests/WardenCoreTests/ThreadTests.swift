import Glibc
import Synchronization
import Testing

@testable import WardenCore

/// Runs so many threads and waits for all. Not tasks: of those only as many run at once as there are cores.
func inThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  final class Work: Sendable {
    let number: Int
    let body: @Sendable (Int) -> Void
    init(_ number: Int, _ body: @escaping @Sendable (Int) -> Void) { (self.number, self.body) = (number, body) }
  }
  let threads = (0..<count).map { number in
    var thread = pthread_t()
    let work = Unmanaged.passRetained(Work(number, body)).toOpaque()
    let error = pthread_create(
      &thread, nil,
      { argument in
        let work = Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue()
        work.body(work.number)
        return nil
      }, work)
    precondition(error == 0)
    return thread
  }
  for thread in threads { pthread_join(thread, nil) }
}

/// Any thread may ask.
@Suite(.timeLimit(.minutes(2)))
struct ThreadTests {
  private static func message(_ user: String, from address: UInt32 = 1, at: Timestamp = .start) -> Event {
    var subject = Subject()
    subject.user = user
    subject.ip = IPAddress(v4: address)
    subject.address = subject.ip
    subject.network = NetworkPrefix().network(of: subject.ip!)
    return Event(at: at, step: .endOfMessage, subject: subject, wants: [.messages: 1])
  }

  @Test("Of many threads that send for one user, exactly the limit passes")
  func oneKey() {
    let engine = Engine(policy: Policy(rules: [Rule("rate", .messages, per: .user, .of(700, per: .hours(2)))]))
    let passed = Atomic(0)
    inThreads(8) { _ in
      for _ in 0..<200 where !engine.decide(Self.message("alice")).isRefused {
        passed.add(1, ordering: .relaxed)
      }
    }
    #expect(passed.load(ordering: .relaxed) == 700)
    #expect(engine.explain(.user("alice"), at: .start).standings.map(\.count) == [700])
  }

  @Test("Limits of several keys hold exactly, whoever meets whom, and no order of locks is a deadlock")
  func severalKeys() {
    let engine = Engine(
      policy: Policy(rules: [
        Rule("user", .messages, per: .user, .of(100, per: .hours(2))),
        Rule("ip", .messages, per: .ip, .of(150, per: .hours(2))),
        Rule("pair", .messages, per: KeyShape(.user, .ip), .of(30, per: .hours(2))),
        Rule("all", .messages, per: .server, .of(450, per: .hours(2))),
      ]))
    let passed = Atomic(0)
    inThreads(6) { thread in
      var random = SplitMix64(seed: thread)
      for _ in 0..<400 {
        let user = "user\(Int.random(in: 0..<5, using: &random))"
        let event = Self.message(user, from: UInt32.random(in: 1...4, using: &random))
        if !engine.decide(event).isRefused { passed.add(1, ordering: .relaxed) }
      }
    }
    #expect(passed.load(ordering: .relaxed) == 450)
    #expect(engine.explain(Key(.server), at: .start).standings.map(\.count) == [450])
    let users = (0..<5).map {
      engine.explain(.user("user\($0)"), at: .start).standings.first { $0.rule == "user" }!.count
    }
    #expect(users.allSatisfy { $0 <= 100 } && users.reduce(0, +) == 450)
  }

  @Test("A key is blocked, counted as an offence and told of once, however many threads trip at once")
  func oneOffence() {
    let rule = Rule("rate", .messages, per: .user, .of(5, per: .hours(2)), then: .block(.hours(1), .days(1)))
    let engine = Engine(policy: Policy(rules: [rule]))
    let told = Atomic(0)
    inThreads(8) { _ in
      for _ in 0..<20 {
        let notices = engine.decide(Self.message("alice")).notices
        told.add(notices.count { $0.kind == .blocked }, ordering: .relaxed)
      }
    }
    #expect(told.load(ordering: .relaxed) == 1)
    #expect(engine.penalties(at: .start).map(\.until) == [.start + .hours(1)])
  }

  @Test("Mail, reloads, orders and questions at once: nothing faults, and the bound of memory holds")
  func everythingAtOnce() {
    @Sendable func policy(_ number: Int) -> Policy {
      let windows = [TimeSpan.minutes(1), .hours(1), .days(1)]
      var rules = (0..<3).map {
        Rule(
          "rule\($0)", .messages, per: .user, .of(20, per: .seconds(60 + number * 3 + $0)), then: .block(windows[$0]))
      }
      rules.append(Rule("pair", .messages, per: KeyShape(.user, .ip), .of(10, per: .hours(1))))
      rules.append(
        Rule(
          name: "new", per: .network, parts: [Part(.measure(.distinct(.users)), [.of(9, per: .hours(1))])],
          then: .alert))
      return Policy(rules: rules, memory: 600_000)
    }
    let engine = Engine(policy: policy(0), bounds: .init(penalties: 50, episodes: 50, orders: 5))
    inThreads(6) { thread in
      var random = SplitMix64(seed: thread)
      for step in 0..<400 {
        let now = Timestamp.start + .seconds(step)
        let user = "user\(Int.random(in: 0..<2_000, using: &random))"
        switch (thread, step % 4) {
        case (0, 0): engine.replace(policy: policy(step / 4))
        case (0, 1): _ = engine.release(.user(user), at: now)
        case (0, 2):
          let limits = [Limit.of(3, per: .seconds(1_000 + step))]
          _ = engine.allow(Override(.user(user), .limits(rule: "rule1", limits), origin: "test"), at: now)
        case (1, 0): _ = engine.block(.user(user), for: .minutes(1), note: "", at: now)
        case (1, 1): _ = engine.explain(.user(user), at: now)
        case (1, 2):
          _ = engine.status(at: now)
          _ = engine.revoke(.user(user), at: now)
        case (1, 3): _ = engine.keys(from: KeyCursor(), atMost: 500, at: now)
        default:
          for address in 1...10 {
            var event = Self.message(user, from: UInt32(address), at: now)
            if address % 3 == 0 { event.step = .mail }
            _ = engine.decide(event)
          }
        }
      }
    }
    let status = engine.status(at: .start)
    #expect(status.memory <= status.memoryBound)
    #expect(status.penalties <= 50)
  }
}
