import Testing

@testable import WardenCore

/// What several sources tell of the same thing counts once.
@Suite("Hearings")
struct HearingsTests {
  private let alice = "alice"
  private let address = ip("192.0.2.7")

  @Test("One thing told by two counts once, whoever is first; what one tells twice happened twice")
  func once() {
    var hearings = Hearings()
    func hear(_ teller: Int, _ count: Int = 1) -> Int {
      hearings.hear(.authFailures, count, ip: address, user: nil, from: teller, at: .start).ip
    }
    #expect([hear(3), hear(1), hear(1), hear(3)] == [1, 0, 1, 0])
    #expect(hear(4, 3) == 1)
    #expect(hear(1, 2) == 1)
  }

  @Test("The address and the user are matched each by itself")
  func parts() {
    var hearings = Hearings()
    let now = Timestamp.start
    // saslauthd knows no address, and the disconnect no user.
    #expect(hearings.hear(.authFailures, ip: nil, user: alice, from: 7, at: now) == (0, 1))
    #expect(hearings.hear(.authFailures, ip: address, user: alice, from: 4, at: now) == (1, 0))
    #expect(hearings.hear(.authFailures, ip: address, user: nil, from: 3, at: now) == (0, 0))
    #expect(hearings.hear(.authFailures, ip: address, user: "bob", from: 4, at: now) == (1, 1))
    #expect(hearings.hear(.authSuccesses, ip: address, user: alice, from: 4, at: now) == (1, 1))
  }

  @Test("After five minutes it is another thing")
  func expiry() {
    var hearings = Hearings()
    func hear(_ teller: Int, after span: TimeSpan) -> Int {
      hearings.hear(.authFailures, ip: address, user: nil, from: teller, at: .start + span).ip
    }
    #expect(hear(1, after: .seconds(0)) == 1)
    #expect(hear(2, after: .seconds(299)) == 0)
    #expect(hear(3, after: .seconds(300)) == 1)
  }

  @Test("Where room is short the oldest is forgotten, and not what is being told of")
  func bounded() {
    var hearings = Hearings(capacity: 10)
    func hear(_ number: Int, _ teller: Int) -> Int {
      hearings.hear(.authFailures, ip: IPAddress(v4: UInt32(number)), user: nil, from: teller, at: .start).ip
    }
    for number in 0..<1_000 {
      #expect(hear(number, 1) == 1)
      #expect(hear(number, 2) == 0)
    }
    // What is told of again and again is not among them.
    for number in 0..<20 {
      #expect(hear(5_000, 1) == 1 && hear(6_000 + number, 1) == 1)
      #expect(hear(5_000, 2) == 0)
    }
    #expect(hear(3, 2) == 1)
  }

  @Test("A clock that was ahead and is set back leaves nothing behind that stays")
  func clock() {
    var hearings = Hearings(capacity: 10)
    func hear(_ number: Int, _ teller: Int, after span: TimeSpan) -> Int {
      hearings.hear(
        .authFailures, ip: IPAddress(v4: UInt32(number)), user: nil, from: teller, at: .start + span
      ).ip
    }
    for number in 0..<10 { #expect(hear(number, 1, after: .days(365)) == 1) }
    #expect(hear(3, 2, after: .seconds(0)) == 1)
    #expect(hear(20, 1, after: .seconds(1)) == 1 && hear(20, 2, after: .seconds(2)) == 0)
  }

  // With a copy of all that is known for each it took two minutes.
  @Test("Hearing of much costs no copies of all that is known", .timeLimit(.minutes(1)))
  func cost() {
    var hearings = Hearings()
    for teller in 1...2 {
      for number in 0..<20_000 {
        let heard = hearings.hear(
          .authFailures, ip: IPAddress(v4: UInt32(number)), user: nil, from: teller, at: .start)
        #expect(heard.ip == (teller == 1 ? 1 : 0))
      }
    }
  }

  /// As `Hearings` is meant, told one by one, with nothing bounded but the time.
  private struct Oracle {
    struct Telling {
      let at: Timestamp
      var tellers: Set<Int>
    }
    var tellings: [String: [Telling]] = [:]

    mutating func hear(_ matter: String, _ count: Int, _ teller: Int, _ now: Timestamp) -> Int {
      var new = 0
      for _ in 0..<count {
        let known = tellings[matter, default: []]
        let place = known.firstIndex { now < $0.at + .minutes(5) && !$0.tellers.contains(teller) }
        if let place {
          tellings[matter]![place].tellers.insert(teller)
        } else {
          tellings[matter, default: []].append(Telling(at: now, tellers: [teller]))
          new += 1
        }
      }
      return new
    }
  }

  @Test("Whatever is told by whom, it is counted as one by one", arguments: 0..<50)
  func oracle(seed: Int) {
    var random = SplitMix64(seed: seed)
    var hearings = Hearings()
    var oracle = Oracle()
    var now = Timestamp.start
    for _ in 0..<400 {
      now = now + .seconds(Int.random(in: 0..<30, using: &random))
      let signal: Signal = Bool.random(using: &random) ? .authFailures : .authSuccesses
      let address = Int.random(in: 0..<4, using: &random)
      let user = Int.random(in: 0..<4, using: &random)
      let teller = Int.random(in: 0..<5, using: &random)
      let count = Int.random(in: 1..<4, using: &random)
      let heard = hearings.hear(
        signal, count, ip: address == 0 ? nil : IPAddress(v4: UInt32(address)), user: user == 0 ? nil : "u\(user)",
        from: teller, at: now)
      let toIP = address == 0 ? 0 : oracle.hear("\(signal) ip \(address)", count, teller, now)
      let toUser = user == 0 ? 0 : oracle.hear("\(signal) user \(user)", count, teller, now)
      #expect(heard == (toIP, toUser))
    }
  }
}
