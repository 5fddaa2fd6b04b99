import Testing

@testable import WardenCore

/// Somebody is told once an episode, and observing harms nobody.
struct EpisodeTests {
  @Test("Fifty messages over the limit are one alert, and the rule refuses none of them")
  func alertOnce() throws {
    let server = Server(Rule("rate", .messages, per: .user, .of(25, per: .hours(2)), then: .alert))
    for _ in 0..<25 { try server.send() }
    #expect(server.notices == [])
    for _ in 0..<50 { #expect(try server.send() == nil) }
    #expect(server.told(.alert).count == 1)
    let alert = try #require(server.notices.first)
    #expect(alert.reason.cause == .over(signal: .messages, count: 26, limit: 25, window: .hours(2)))
    #expect(alert.step == .endOfMessage)
    #expect(alert.subject.user == "alice")
  }

  @Test("After a window without a trip the next one is told again")
  func alertAgainAfterQuiet() throws {
    let server = Server(Rule("rate", .messages, per: .user, .of(2, per: .hours(2)), then: .alert))
    for _ in 0..<3 { try server.send() }
    // Tripping on keeps the episode open.
    for _ in 0..<5 {
      server.wait(.minutes(59))
      for _ in 0..<2 { try server.send() }
    }
    #expect(server.told(.alert).count == 1)
    server.wait(.minutes(121))
    for _ in 0..<2 { try server.send() }
    #expect(server.told(.alert).count == 1)
    try server.send()
    #expect(server.told(.alert).count == 2)
    #expect(server.engine.status(at: server.now).rules.first?.trips == 2)
  }

  @Test("A rule with several windows is quiet only when the longest has passed without a trip")
  func quietForTheLongestWindow() throws {
    let server = Server(
      Rule("rate", .messages, per: .user, .of(1, per: .minutes(1)), .of(50, per: .hours(1)), then: .alert))
    for _ in 0..<5 {
      for _ in 0..<2 { try server.send() }
      server.wait(.minutes(50))
    }
    #expect(server.told(.alert).count == 1)
  }

  @Test("Each key and each rule has episodes of its own")
  func episodesAreApart() throws {
    let server = Server(
      Rule("low", .messages, per: .user, .of(1, per: .hours(1)), then: .alert),
      Rule("high", .messages, per: .user, .of(3, per: .hours(1)), then: .alert))
    for login in ["alice", "bob"] { for _ in 0..<6 { try server.send(login) } }
    #expect(server.told(.alert).map(\.reason.rule) == ["low", "high", "low", "high"])
  }

  @Test("A rule that refuses and alerts is told of once, while every refusal is noted")
  func refusalsAreNoted() throws {
    let server = Server(
      Rule("rate", .messages, per: .user, .of(1, per: .hours(1)), then: Consequences(alert: true, refusal: .tempfail)))
    for _ in 0..<10 { try server.send() }
    #expect(server.told(.alert).count == 1)
    #expect(server.told(.refused).count == 9)
    let figures = try #require(server.engine.status(at: server.now).rules.first)
    #expect(figures.trips == 1)
    #expect(figures.refused == 9)
    #expect(server.figure("refusals").total == 9)
  }

  @Test(
    "A rule in observe mode neither refuses nor blocks, and says once an episode what it would have done",
    arguments: [
      Consequences.tempfail, .reject, .block(.days(1)),
      Consequences(alert: true, refusal: .reject, block: Block([.days(1)])),
    ])
  func observe(then: Consequences) throws {
    let server = Server(
      Rule("rate", .messages, per: .user, .of(2, per: .hours(1)), then: then, mode: .observe),
      Rule("probes", .brokenConnections, per: .ip, .of(2, per: .hours(1)), then: then, mode: .observe))
    for _ in 0..<10 {
      #expect(try server.send() == nil)
      #expect(server.probe("192.0.2.9") == nil)
    }
    #expect(server.notices.map(\.kind) == [.observed, .observed])
    #expect(Set(server.notices.map(\.reason.rule)) == ["rate", "probes"])
    #expect(server.engine.status(at: server.now).penalties == 0)
    #expect(server.figure("refusals").total == 0)
    server.wait(.hours(3))
    for _ in 0..<3 { try server.send() }
    #expect(server.told(.observed).count == 3)
  }

  @Test("An observed rule counts what another refuses as not sent")
  func observeBesideEnforce() throws {
    let server = Server(
      Rule("watch", .messages, per: .user, .of(2, per: .hours(1)), mode: .observe),
      Rule("hold", .messages, per: .ip, .of(1, per: .hours(1))))
    for _ in 0..<10 { try server.send() }
    #expect(server.told(.observed) == [])
    #expect(server.counts(.user("alice")) == ["watch": [1]])
  }

  @Test("A release ends the episode, so that the next trip is told")
  func releaseEndsEpisode() throws {
    let server = Server(Rule("rate", .messages, per: .user, .of(1, per: .hours(1)), then: .alert))
    for _ in 0..<3 { try server.send() }
    _ = server.engine.release(.user("alice"), at: server.now)
    for _ in 0..<3 { try server.send() }
    #expect(server.told(.alert).count == 2)
  }

  @Test("Beyond the bound another episode is forgotten, and counted: nobody goes untold because others came first")
  func bound() throws {
    let rule = Rule("rate", .messages, per: .user, .of(1, per: .hours(1)), then: .alert)
    let server = Server(rule, bounds: .init(episodes: 10))
    for user in 0..<15 { for _ in 0..<2 { try server.send("user\(user)") } }
    #expect(server.told(.alert).count == 15)
    #expect(server.engine.status(at: server.now).droppedEpisodes == 5)
    server.wait(.hours(2))
    for user in 20..<30 { for _ in 0..<2 { try server.send("user\(user)") } }
    #expect(server.told(.alert).count == 25)
    #expect(server.engine.status(at: server.now).droppedEpisodes == 5)
  }

  @Test("Short episodes that have ended make room, also between long ones")
  func shortEpisodesMakeRoom() throws {
    let server = Server(
      Rule("day", .messages, per: .user, .of(1, per: .days(1)), then: .alert),
      Rule("minute", .messages, per: .ip, .of(1, per: .minutes(1)), then: .alert), bounds: .init(episodes: 2))
    for number in 1...3 {
      for host in 1...2 { try server.send("user\(number)", from: "192.0.2.\(number)\(host)") }
    }
    _ = server.engine.release(.user("user1"), at: server.now)
    for number in 1...2 { try server.send("user\(number * 10)", from: "198.51.100.1") }
    #expect(server.told(.alert).map(\.reason.rule) == ["day", "day", "day", "minute"])
    server.wait(.minutes(2))
    for number in 3...4 { try server.send("user\(number * 10)", from: "198.51.100.2") }
    #expect(server.told(.alert).count == 5)
  }
}
