import Foundation
import Testing
import WardenCore

@testable import WardenReplay

/// Limits made from what is normal.
@Suite("Proposals")
struct ProposalTests {
  private static func proposals(
    _ peaks: [Proposals.Peak], over span: TimeSpan = .days(30), known: [String] = []
  ) -> Proposals {
    let addresses = Set(known.map { IPAddress($0)! })
    return Proposals(
      peaks: peaks, from: .start, to: .start + span, knownAddresses: addresses.count, isKnown: addresses.contains)
  }

  private static func users(_ counts: [Int], window: TimeSpan = .hours(1)) -> [Proposals.Peak] {
    counts.enumerated().map {
      Proposals.Peak(candidate: "messages-per-user", window: window, key: .user("user\($0)"), count: $1)
    }
  }

  private static func limit(_ proposals: Proposals, _ name: String = "messages-per-user") -> Proposals.Limit? {
    proposals.proposals.first { $0.candidate.name == name }?.limits.first
  }

  @Test("The limit is half as much again as what is ordinary, rounded up; the figures are those of a plain count")
  func ordinary() throws {
    let limit = try #require(Self.limit(Self.proposals(Self.users(Array(1...100)))))
    #expect(limit.count == 150 && limit.ordinary == 100)
    #expect(limit.figures == Proposals.Figures(keys: 100, half: 50, of95: 95, of99: 99, of999: 100, most: 100))
    #expect(limit.largest.map(\.count) == [100, 99, 98, 97, 96] && limit.above.isEmpty)
  }

  @Test("One hijacked account, or a few, do not raise the limit for all; they are named", arguments: [1, 3])
  func robust(hijacked: Int) throws {
    let honest = (0..<200).map { 1 + $0 % 40 }
    let before = try #require(Self.limit(Self.proposals(Self.users(honest))))
    let after = try #require(
      Self.limit(Self.proposals(Self.users(honest + Array(repeating: 90_000, count: hijacked)))))
    #expect(before.count == 60 && after.count == before.count)
    #expect(
      after.aboveCount == hijacked && after.above.first == Proposals.Standing(key: .user("user200"), count: 90_000))
    #expect(after.largest.allSatisfy { $0.count <= 40 } && after.figures.most == 90_000)
  }

  @Test("A limit is never below what makes sense, however little is sent")
  func floor() throws {
    let limit = try #require(Self.limit(Self.proposals(Self.users(Array(repeating: 1, count: 50)))))
    #expect(limit.count == 30 && limit.ordinary == 1)
  }

  @Test("Limits against robots are made from addresses that people log in from")
  func robots() throws {
    let robots = (0..<500).map {
      Proposals.Peak(
        candidate: "auth-failures-per-ip", window: .hours(2), key: .ip("198.51.\($0 / 250).\($0 % 250)"),
        count: 400 + $0)
    }
    let people = (1...40).map { "192.0.2.\($0)" }
    let clumsy = people.prefix(10).enumerated().map {
      Proposals.Peak(candidate: "auth-failures-per-ip", window: .hours(2), key: .ip($1), count: 1 + $0)
    }
    let limit = try #require(
      Self.limit(Self.proposals(robots + clumsy, known: people), "auth-failures-per-ip"))
    #expect(limit.count == 15 && limit.ordinary == 10 && limit.figures.keys == 40 && limit.figures.half == 0)
    #expect(limit.aboveCount == 500 && limit.above.count == Proposals.mostAbove)
    let nobody = try #require(Self.limit(Self.proposals(robots), "auth-failures-per-ip"))
    #expect(nobody.count == 5 && nobody.figures.keys == 0)
  }

  @Test("What there is too little of is left out, and why is said")
  func omissions() {
    let proposals = Self.proposals(
      Self.users([1, 2, 3]) + [
        .init(candidate: "messages-per-server", window: .hours(1), key: Key(.server), count: 70)
      ],
      over: .minutes(90))
    #expect(proposals.proposals.map(\.candidate.name) == ["messages-per-server"])
    #expect(proposals.proposals[0].limits.map(\.count) == [120])
    func why(_ name: String) -> String? { proposals.omissions.first { $0.candidate == name }?.why }
    #expect(
      why("messages-per-user")
        == "only 3 users to look at, too few to tell what is usual: user2 (3), user1 (2), user0 (1)")
    #expect(why("auth-failures-per-ip") == "no AUTH failures were seen; feeds tell of them: dovecot, log")
    #expect(why("broken-connections-per-ip") == "no broken connections were seen")
    let short = Self.proposals(
      Self.users(Array(1...20)) + Self.users(Array(1...20), window: .days(1)), over: .hours(20))
    #expect(short.proposals.first?.limits.map(\.window) == [.hours(1)])
    #expect(short.omissions.first?.sentence == "messages-per-user per 1d: what was looked at is only 20h long.")
  }

  @Test(
    "A day's log is a day, though it begins and ends with some minutes of silence", arguments: [(1_296, 2), (1_295, 1)])
  func nearlyADay(minutes: Int, limits: Int) {
    let peaks = Self.users(Array(1...20)) + Self.users(Array(101...120), window: .days(1))
    #expect(Self.proposals(peaks, over: .minutes(minutes)).proposals.first?.limits.count == limits)
  }

  @Test("Who could have told is named only where nobody of them was listened to")
  func feeds() {
    func why(_ feeds: Set<Source>) -> String? {
      Proposals(
        peaks: [], from: .start, to: .start + .days(2), knownAddresses: 0, isKnown: { _ in false }, feeds: feeds
      ).omissions.first { $0.candidate == "auth-failures-per-ip" }?.why
    }
    #expect(why([.log]) == "no AUTH failures were seen")
    #expect(why([.milter]) == "no AUTH failures were seen; feeds tell of them: dovecot, log")
  }

  @Test("A policy made from a log says that what the log alone tells needs a feed", arguments: [true, false])
  func needsFeed(isLog: Bool) {
    let failures = Proposals.Peak(
      candidate: "auth-failures-per-ip", window: .days(1), key: .ip("192.0.2.7"), count: 3)
    func text(_ peaks: [Proposals.Peak]) -> String {
      Proposals(
        peaks: peaks, from: .start, to: .start + .days(2), knownAddresses: 1, isKnown: { _ in true },
        feeds: isLog ? [.log] : []
      ).policy
    }
    #expect(text([failures]).contains("\n# feeds: {mail-log: /var/log/mail.log}\n") == isLog)
    #expect(!text(Self.users(Array(1...20))).contains("mail-log"))
  }

  @Test("Of few keys no share of a hundred is told, and nobody far below the limit is named as near it")
  func fewKeys() throws {
    func text(_ count: Int) -> String { Self.proposals(Self.users((1...count).map { 1 + $0 % 5 } + [20])).text }
    #expect(text(40).contains("\n  Of 41 users half came to 3 at most, the highest to 20; 30 is"))
    #expect(text(99).contains("half came to 3 at most, 99% to 5, the highest to 20; 30 is"))
    #expect(text(999).contains("half came to 3 at most, 99% to 5, 99.9% to 5, the highest to 20; 30 is"))
    #expect(text(40).contains("\n  Nearest below: user40 (20).\n"))
    let single = Self.proposals(
      (0..<20).map { .init(candidate: "networks-per-user", window: .hours(1), key: .user("user\($0)"), count: 1) })
    #expect(Self.limit(single, "networks-per-user")?.largest == [])
  }

  @Test("A window that was not measured has no limit")
  func unmeasured() {
    let proposals = Self.proposals(Self.users(Array(1...20)))
    #expect(proposals.proposals.first?.limits.map(\.window) == [.hours(1)])
    #expect(proposals.omissions.first?.sentence == "messages-per-user per 1d: nothing was counted over such a time.")
  }

  @Test("A limit for the hour that the day's already holds is left out")
  func redundant() {
    let proposals = Self.proposals(Self.users(Array(60...99)) + Self.users(Array(60...99), window: .days(1)))
    #expect(proposals.proposals.first?.limits.map(\.window) == [.days(1)])
  }

  @Test(
    "Numbers are such as people choose, and never lower",
    arguments: [
      (1, 1), (9, 9), (10, 10), (11, 12), (26, 30), (61, 80), (99, 100), (101, 120), (151, 200), (4_001, 5_000),
      (81_000, 100_000),
    ])
  func friendly(count: Int, limit: Int) {
    #expect(Proposals.friendly(count) == limit)
    for other in 1...2_000 { #expect((other...max(10, other * 3 / 2)).contains(Proposals.friendly(other))) }
  }

  /// Forty people over three days, one of whom sends a flood; robots that guess.
  private static func traffic() -> [Event] {
    var events: [Event] = []
    for day in 0..<3 {
      for person in 0..<40 {
        for number in 0..<(2 + person % 7) {
          let time = Timestamp.start + .days(day) + .minutes(20 * number + person)
          var mail = message("user\(person)", from: "192.0.2.\(person + 1)", at: time)
          mail.step = .mail
          mail.wants = [:]
          mail.happened = [.logins: 1]
          events += [
            mail, message("user\(person)", from: "192.0.2.\(person + 1)", at: time + .seconds(1), recipients: 3),
          ]
        }
      }
    }
    events += (0..<2_000).map {
      message("user3", from: "203.0.113.9", at: .start + .hours(30) + .seconds($0), recipients: 20)
    }
    events += (0..<300).map {
      happening(
        .authFailures, "admin", from: "198.51.100.\($0 % 3)", at: .start + .minutes($0), step: .heard, source: .log)
    }
    return events.sorted { $0.at < $1.at }
  }

  @Test("Measured over traffic, and tried on it: the flood alone would have been stopped")
  func measured() throws {
    var measurement = Measurement(of: Policy())
    for event in Self.traffic() { measurement.take(event) }
    let proposals = measurement.finish()
    let names = proposals.proposals.map(\.candidate.name)
    #expect(
      names == [
        "messages-per-user", "recipients-per-user", "networks-per-user", "logins-per-user", "auth-failures-per-ip",
        "messages-per-server",
      ])
    #expect(Self.limit(proposals)?.count == 30)
    #expect(Self.limit(proposals)?.above == [.init(key: .user("user3"), count: 2_000)])
    let rules = proposals.proposals.filter { $0.candidate.per != .server }.map { proposal in
      Rule(
        name: proposal.candidate.name, per: KeyShape(proposal.candidate.per),
        parts: [
          Part(.measure(proposal.candidate.measure), proposal.limits.map { Limit(count: $0.count, window: $0.window) })
        ], then: proposal.candidate.per == .ip ? .block(.days(1)) : .tempfail)
    }
    let side = backtest(rules, Self.traffic()).sides[0]
    #expect(Set(side.incidents.map(\.key)) == Set([.user("user3")] + (0..<3).map { Key.ip("198.51.100.\($0)") }))
  }

  @Test("The policy says where each number comes from, and is written in the documented forms")
  func policy() {
    var exempt = Exemptions(networks: [Network("192.0.2.0/28")!])
    exempt.users = ["a\"b\\c\u{85}"]
    let peaks =
      Self.users((0..<199).map { 1 + $0 % 40 })
      + [
        .init(candidate: "messages-per-user", window: .hours(1), key: .user("x\n  - name: evil\u{2028}"), count: 5_000)
      ]
    let text = Proposals(
      peaks: peaks, from: .start, to: .start + .hours(5), knownAddresses: 0, isKnown: { _ in false }, exempt: exempt,
      realms: ["example.org"], networkPrefix: NetworkPrefix(v4: 28)
    ).policy
    #expect(
      text.hasPrefix(
        """
        # Limits proposed from what was seen from 2026-11-03T10:00:00Z to 2026-11-03T15:00:00Z.
        # All rules say `mode: observe`: they tell what they would have done. Watch for some days, then take the line away.

        exempt:
          networks: ["192.0.2.0/28"]
          users: ["a\\"b\\\\c\\U00000085"]

        realms: ["example.org"]

        network-prefix: {ipv4: 28, ipv6: 64, climb: [56, 48], climb-after: 4}

        rules:
          - name: messages-per-user
            description: "More messages than anybody here writes."
            count: messages
            per: user
            limit:
              # Of 200 users half came to 20 at most, 99% to 40, the highest to 5,000; ordinary is up to 40, and half as much again is allowed.
              # Nearest below: user119 (40), user159 (40), user39 (40), user79 (40), user118 (39).
              # Above, to look at (abuse, or in need of a limit of its own): x\\u{a}  - name: evil\\u{2028} (5,000).
              - 60 per 1h
            then: [alert, tempfail]
            mode: observe

        # Left out:

        """.dropLast()), "\(text)")
    #expect(
      text.split(separator: "\n").allSatisfy { $0.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0 != "\u{85}" } })
    #expect(Self.proposals([]).policy.contains("\nrules: []\n"))
  }

  @Test("The figures are JSON that reads back")
  func json() throws {
    let proposals = Self.proposals(Self.users(Array(1...100)))
    let document = try JSONDecoder().decode(ProposalDocument.self, from: Data(proposals.json.utf8))
    #expect(document == proposals.document)
    #expect(document.rules[0].limits[0].p95 == 95 && document.rules[0].limits[0].largest[0].key == "user:user99")
    #expect(proposals.json.contains("\"above_count\" : 0") && document.left_out.count == Candidate.all.count)
  }

  @Test("The text for the terminal names limits, reasons and what was left out")
  func text() {
    let text = Self.proposals(Self.users(Array(1...100))).text
    #expect(text.hasPrefix("messages-per-user: 150 per 1h\n  Of 100 users half came to 50 at most"))
    #expect(text.contains("\nLeft out\n"))
  }
}
