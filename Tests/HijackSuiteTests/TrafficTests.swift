import Testing

@testable import HijackTraffic

/// The suite's traffic is what it says it is.
struct TrafficTests {
  private static let traffic = Traffic(seed: 7, accounts: 100)
  private static func hijacks(_ style: Style) -> [Hijack] { traffic.hijacks.filter { $0.style == style } }
  private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }

  @Test("The same seed gives the same traffic, and the same on every machine")
  func determinism() {
    #expect(Traffic(seed: 7, accounts: 100).digest == Self.traffic.digest)
    #expect(String(Self.traffic.digest, radix: 16) == "934f36e994d283c1")
  }

  @Test("Draws from the four basic operations are what the C library would have drawn")
  func functions() {
    for (x, power) in [
      (0.0, 1.0), (1, 2.718_281_828_459_045), (-3, 0.049_787_068_367_863_94), (20, 485_165_195.409_790_3),
    ] {
      #expect((Random.exponential(of: x) / power - 1).magnitude < 1e-12)
    }
    for (x, log) in [(1.0, 0.0), (10, 2.302_585_092_994_046), (0.003, -5.809_142_990_314_028)] {
      #expect((Random.logarithm(of: x) - log).magnitude < 1e-12)
    }
    var random = Random(seed: 1)
    #expect((Self.mean((0..<20_000).map { _ in Double(random.poisson(mean: 4)) }) - 4).magnitude < 0.1)
    #expect((Self.mean((0..<20_000).map { _ in random.waiting(mean: 5) }) - 5).magnitude < 0.2)
  }

  @Test("Mail comes in the order of time, and about ten honest messages a day and account count")
  func volume() {
    let mail = Self.traffic.mail
    #expect(zip(mail, mail.dropFirst()).allSatisfy { $0.at <= $1.at })
    let counted = mail.count { message in
      if case .honest = message.origin { message.at >= Traffic.warmUpEnd } else { false }
    }
    #expect((200..<600).contains(counted / Self.traffic.accounts.count))
  }

  @Test("Twenty accounts are hijacked, in each style two, in the days that count")
  func hijacks() {
    #expect(Self.traffic.hijacks.count == 20)
    #expect(Set(Self.traffic.hijacks.map(\.victim)).count == 20)
    for style in Style.allCases { #expect(Self.hijacks(style).count >= 2) }
    for hijack in Self.traffic.hijacks {
      #expect(!hijack.mail.isEmpty)
      #expect((17..<42).contains(hijack.start.day))
      #expect(hijack.mail.allSatisfy { $0.account == hijack.victim })
    }
  }

  @Test("Each style does what it says", arguments: Style.allCases)
  func style(style: Style) {
    for hijack in Self.hijacks(style) {
      let networks = Set(hijack.mail.map(\.client)).count
      let recipients = hijack.mail.flatMap(\.recipients)
      let refused = Double(recipients.count { $0.isRefused }) / Double(recipients.count)
      #expect(style == .dirtyList ? (0.15..<0.45).contains(refused) : refused < 0.06)
      switch style {
      case .burst:
        let firstHour = hijack.mail.count { $0.at < hijack.start + 3_600 }
        #expect(firstHour > 1_000)
      case .slowAndWide: #expect(networks > hijack.mail.count * 9 / 10)
      case .night, .dirtyList, .forging: #expect(networks <= 3)
      case .ramp, .bcc: #expect(networks <= 2)
      case .insider: #expect(recipients.allSatisfy { $0.number < 1_000 })
      case .ownNetwork:
        let own = Set(Self.traffic.accounts[hijack.victim].mail.map(\.client))
        #expect(own.isEmpty || hijack.mail.contains { own.contains($0.client) })
      }
      if style == .forging { #expect(Set(hijack.mail.map(\.sender)).count > hijack.mail.count / 50) }
      if style == .bcc { #expect(hijack.mail.allSatisfy { $0.recipients.count == 100 }) }
    }
  }
}
