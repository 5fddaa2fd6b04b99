import Testing

@testable import WardenCore

/// How near each key came to its limits.
@Suite("Peaks")
struct PeaksTests {
  private static func found(_ peaks: Peaks) -> [Peaks.Peak] {
    var found: [Peaks.Peak] = []
    peaks.forEach { found.append($0) }
    return found
  }

  private static func server(_ peaks: Peaks, _ policy: Policy) -> Server {
    Server(Engine(policy: policy, peaks: peaks))
  }

  @Test("The highest count within the window stays, with its time; what was refused is part of it")
  func highest() throws {
    let peaks = Peaks()
    let server = Self.server(peaks, Policy(rules: [.userMessages]))
    _ = try server.sent(20)
    let busy = server.now
    server.wait(.hours(5))
    _ = try server.sent(7)
    var peak = try #require(Self.found(peaks).first)
    #expect(Self.found(peaks).count == 1)
    #expect(peak.key == .user("alice") && peak.rule == "user-messages" && peak.count == 20 && peak.allowed == 25)
    #expect(peak.at == busy && !peak.hasTripped && peak.limit == .of(25, per: .hours(2)))
    #expect(try server.sent(30) == 18)
    peak = try #require(Self.found(peaks).first)
    #expect(peak.count == 26 && peak.hasTripped)
  }

  @Test("Each limit has its own peak, and all parts are looked at, also where the first is not over")
  func limitsAndParts() throws {
    let peaks = Peaks()
    let rule = Rule(
      name: "both", per: .user,
      parts: [
        Part(.measure(.signal(.messages)), [.of(10, per: .hours(1)), .of(100, per: .days(1))]),
        Part(.measure(.signal(.recipients)), [.of(50, per: .hours(1))]),
      ], then: .alert)
    let server = Self.server(peaks, Policy(rules: [rule]))
    for _ in 0..<3 {
      for _ in 0..<4 { try server.send(recipients: 2) }
      server.wait(.hours(2))
    }
    let all = Self.found(peaks).sorted { ($0.part, $0.limit.window) < ($1.part, $1.limit.window) }
    #expect(all.map(\.count) == [4, 12, 8])
    #expect(all.allSatisfy { !$0.hasTripped })
  }

  @Test("Who has another limit is measured by it")
  func overrides() throws {
    let peaks = Peaks()
    let override = Override(
      .user("alice"), .limits(rule: "user-messages", [.of(8, per: .hours(1)), .of(40, per: .days(1))]), origin: "test")
    let server = Self.server(peaks, Policy(rules: [.userMessages], overrides: [override]))
    _ = try server.sent(4)
    _ = try server.sent(4, "bob")
    let all = Self.found(peaks)
    #expect(all.first { $0.key == .user("alice") }?.limit == .of(8, per: .hours(1)))
    #expect(all.first { $0.key == .user("bob") }?.limit == .of(25, per: .hours(2)))
  }

  @Test("What stays below the share that is asked for takes no room")
  func share() throws {
    let peaks = Peaks(atLeast: 0.5)
    let server = Self.server(peaks, Policy(rules: [.userMessages]))
    _ = try server.sent(12)
    #expect(Self.found(peaks).isEmpty)
    _ = try server.sent(1)
    #expect(Self.found(peaks).map(\.count) == [13])
  }

  @Test("Of too many keys the lowest go and are counted")
  func bounded() throws {
    let peaks = Peaks(capacity: 100)
    let server = Self.server(peaks, Policy(rules: [.userMessages]))
    _ = try server.sent(20, "busy")
    for number in 0..<1_000 { _ = try server.sent(1 + number % 3, "user\(number)") }
    let all = Self.found(peaks)
    #expect(all.count <= 100 && all.count + peaks.dropped == 1_001)
    #expect(all.contains { $0.key == .user("busy") && $0.count == 20 })
  }

  @Test("Another policy begins anew")
  func reload() throws {
    let peaks = Peaks()
    let server = Self.server(peaks, Policy(rules: [.userMessages]))
    _ = try server.sent(3)
    server.reload(Rule("other", .messages, per: .ip, .of(5, per: .hours(1))), .userMessages)
    _ = try server.sent(1)
    #expect(Set(Self.found(peaks).map(\.rule)) == ["other", "user-messages"])
    #expect(Self.found(peaks).first { $0.rule == "user-messages" }?.count == 4)
  }

  @Test("Noting peaks changes no decision, and a key is over its limit when its peak is", arguments: 0..<20)
  func random(seed: Int) throws {
    var random = SplitMix64(seed: seed)
    let peaks = Peaks()
    let limits = (0..<3).map { _ in Limit.of(.random(in: 1...9, using: &random), per: .randomWindow(using: &random)) }
    let policy = Policy(rules: [
      Rule("user", .messages, per: .user, limits[0], limits[1]),
      Rule(
        name: "both", per: .user,
        parts: [
          Part(.measure(.signal(.messages)), [limits[2]]), Part(.measure(.distinct(.networks)), [limits[1]]),
        ], then: .alert),
      Rule("ip", .connections, per: .ip, limits[2], then: .block(.minutes(10))),
    ])
    let servers = [Self.server(peaks, policy), Server(policy)]
    for _ in 0..<300 {
      let user = "user\(Int.random(in: 0..<4, using: &random))"
      let address = "192.0.\(Int.random(in: 0..<4, using: &random)).7"
      let span = TimeSpan.seconds(.random(in: 0...600, using: &random))
      var refusals: [Refusal?] = []
      for server in servers {
        server.wait(span)
        refusals.append(try server.send(user, from: address))
      }
      #expect(refusals[0] == refusals[1])
    }
    #expect(servers[0].notices == servers[1].notices)
    for peak in Self.found(peaks) where peak.rule != "both" {
      let tripped = servers[0].notices.contains { $0.reason.rule == peak.rule && $0.reason.key == peak.key }
      #expect(peak.hasTripped == tripped)
    }
  }
}
