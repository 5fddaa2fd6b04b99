import Testing

@testable import WardenCore

/// What there is to tell of an episode: its opening, its escalation, its end, each once.
@Suite("News of episodes")
struct EpisodeNewsTests {
  private func server(_ rules: Rule...) -> Server { Server(Policy(rules: rules)) }
  private let rate = Rule("rate", .messages, per: .user, .of(5, per: .hours(2)), then: .alert)

  /// What is told now, and marked as told.
  private func tell(_ server: Server, again: TimeSpan = .hours(4)) -> [String] {
    server.engine.news(at: server.now, again: again).map { episode, news in
      server.engine.tell(episode, news, at: server.now)
      return "\(news.rawValue) \(episode.id.key)"
    }.sorted()
  }

  @Test("Opening, each doubling and the end are told once each")
  func course() throws {
    let server = server(rate)
    for _ in 0..<6 { try server.send() }
    #expect(tell(server) == ["opened user:alice"])
    #expect(tell(server) == [])
    for _ in 0..<3 { try server.send() }
    #expect(tell(server) == [])
    try server.send()
    #expect(tell(server) == ["escalated user:alice"])
    for _ in 0..<9 { try server.send() }
    #expect(tell(server) == [])
    for _ in 0..<30 { try server.send() }
    #expect(tell(server) == ["escalated user:alice"])
    let episode = try #require(server.engine.openEpisodes.first)
    #expect(episode.trips == 44 && episode.level == 3 && episode.worst.sentence.contains("49 messages"))
    server.wait(.hours(2))
    #expect(tell(server) == ["ended user:alice"])
    #expect(tell(server) == [] && server.engine.openEpisodes.isEmpty)
  }

  @Test("A block escalates, and its key, end and the refusals by the rule are known")
  func block() throws {
    let server = server(
      Rule("rate", .messages, per: .user, .of(5, per: .hours(2)), then: .alert),
      Rule(
        "cap", .messages, per: .user, .of(8, per: .hours(2)),
        then: Consequences(alert: true, refusal: .tempfail, block: Block([.hours(3)]))))
    for _ in 0..<8 { try server.send() }
    #expect(tell(server) == ["opened user:alice"])
    for _ in 0..<4 { try server.send() }
    #expect(tell(server) == ["opened user:alice"])
    let episode = try #require(server.engine.openEpisodes.first { $0.id.rule == "cap" })
    #expect(episode.block == .init(key: .user("alice"), since: server.now, until: server.now + .hours(3)))
    #expect(episode.refused == 1 && episode.level == 1)
    #expect(server.penalty(.user("alice"))?.attempts == 3)
  }

  @Test("What goes on is told again after its time, and not what has fallen silent")
  func goesOn() throws {
    let server = server(rate)
    for _ in 0..<6 { try server.send() }
    #expect(tell(server, again: .hours(1)) == ["opened user:alice"])
    server.wait(.minutes(61))
    #expect(tell(server, again: .hours(1)) == [])
    try server.send()
    #expect(tell(server, again: .hours(1)) == ["goes-on user:alice"])
    #expect(tell(server, again: .hours(1)) == [])
  }

  @Test("Rules that say nothing of alerts, or only observe, are no news, and are forgotten when over")
  func silent() throws {
    let server = server(
      Rule("quiet", .messages, per: .user, .of(2, per: .hours(1))),
      Rule("trial", .messages, per: .user, .of(1, per: .hours(1)), then: .alert, mode: .observe))
    for _ in 0..<3 { try server.send() }
    #expect(tell(server) == [])
    #expect(server.engine.openEpisodes.count == 2)
    server.wait(.hours(1))
    #expect(tell(server) == [] && server.engine.openEpisodes.isEmpty)
  }

  @Test("An episode that is over before anybody could be told is told of all the same")
  func overBeforeTold() throws {
    let server = server(rate)
    for _ in 0..<6 { try server.send() }
    server.wait(.hours(3))
    #expect(tell(server) == ["opened user:alice"])
    #expect(tell(server) == ["ended user:alice"])
    #expect(tell(server) == [])
  }

  @Test("Another episode of the same rule and key is told anew")
  func another() throws {
    let server = server(rate)
    for _ in 0..<6 { try server.send() }
    _ = tell(server)
    server.wait(.hours(3))
    for _ in 0..<6 { try server.send() }
    #expect(tell(server) == ["opened user:alice"])
  }

  @Test("A hold is counted in its episode")
  func held() throws {
    let server = server(
      Rule("look", .messages, per: .user, .of(1, per: .hours(1)), then: Consequences(alert: true, hold: true)))
    for _ in 0..<4 { try server.send() }
    #expect(server.engine.openEpisodes.map(\.held) == [3])
  }
}
