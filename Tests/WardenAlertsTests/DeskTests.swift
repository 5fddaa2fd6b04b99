import Testing

@testable import WardenAlerts
@testable import WardenCore

/// When somebody is told, and of what. Time is the test's; restarts are real ones, through what is stored.
@Suite("When somebody is told") struct DeskTests {
  /// An engine and a desk that looks once a second.
  private struct Office {
    static let rules = ["account-cap", "hijack"].map { name in
      Rule(
        name: name, count: .messages, per: KeyShape(.user), limits: [Limit(count: 1, window: .minutes(10))],
        then: Consequences(alert: true))
    }
    var settings: AlertSettings
    var engine = Engine(policy: Policy(rules: Office.rules), keepsChanges: true)
    var desk: AlertDesk
    var now = Timestamp.start
    var distress: [Distress.ID: String] = [:]
    private(set) var issues: [AlertDesk.Issue] = []
    private(set) var times: [Timestamp] = []
    /// What is stored: written with each message, as the daemon's one transaction.
    private var episodes: [Episode.ID: Episode] = [:]
    private var document: String?

    init(_ settings: AlertSettings = AlertSettings()) {
      self.settings = settings
      desk = AlertDesk(settings: settings, host: "mx", version: "1", at: now)
    }

    mutating func send(_ user: String, _ count: Int = 2) {
      var subject = Subject()
      subject.user = user
      for _ in 0..<count {
        _ = engine.decide(Event(at: now, step: .endOfMessage, subject: subject, wants: [.messages: 1]))
      }
    }

    private mutating func store() {
      for (id, episode) in engine.takeChanges(attempts: true).episodes { episodes[id] = episode }
    }

    mutating func pass(_ span: TimeSpan, evidence: (Episode) -> Evidence = { _ in .none }) {
      let end = now + span
      while now < end {
        now = now + .seconds(1)
        look(evidence)
      }
    }

    mutating func look(_ evidence: (Episode) -> Evidence = { _ in .none }) {
      desk.note(distress, at: now)
      let news = engine.news(at: now, again: settings.again)
      guard let issue = desk.issue(news, at: now, wall: { $0 }, evidence: evidence) else { return }
      for told in issue.told { engine.tell(told.episode, told.news, at: now) }
      document = desk.document
      store()
      issues.append(issue)
      times.append(now)
    }

    /// - Parameter flushed: whether what has happened since the last message was stored.
    mutating func restart(flushed: Bool = true) {
      if flushed { store() }
      engine = Engine(policy: Policy(rules: Office.rules), keepsChanges: true)
      engine.restore(penalties: [], orders: [], episodes: Array(episodes.values), at: now)
      desk = AlertDesk(settings: settings, host: "mx", version: "1", document: document, at: now)
    }

    var news: [[Episode.News]] { issues.map { $0.told.map(\.news) } }
  }

  @Test("An attack on 500 accounts is one message: the worst in full, the rest in numbers")
  func attack() throws {
    var office = Office()
    for number in 0..<500 {
      office.send("user\(number)", number == 77 ? 100 : 2)
      if number % 100 == 0 { office.now = office.now + .seconds(1) }
    }
    office.pass(.minutes(4))
    let issue = try #require(office.issues.first)
    #expect(office.issues.count == 1)
    #expect(issue.told.count == 1_000)
    #expect(issue.message.episodes.count == AlertDesk.mostInFull)
    #expect(Set(issue.message.episodes.prefix(2).map(\.key)) == ["user:user77"])
    #expect(issue.message.more.map(\.episodes).reduce(0, +) == 980)
    #expect(issue.message.summary == "new: 500 by account-cap, 500 by hijack")
    #expect(issue.message.json.utf8.count <= AlertDesk.largest)
  }

  @Test("As a mail an attack is a few pages: the worst, the numbers of the others, and what is wrong besides")
  func readable() throws {
    var office = Office()
    for number in 0..<500 { office.send("user\(number)") }
    office.distress[Distress.ID(.memory)] = "counters are forgotten for want of room"
    office.pass(.seconds(11))
    let lines = AlertTemplate.body.render(try #require(office.issues.first).message).split(
      separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.first == "new: counters are forgotten for want of room (since 2026-11-24T10:14:06Z)")
    #expect(lines.count { $0.hasPrefix("new: user user") } == AlertDesk.mostInFull)
    #expect(lines.contains("and 480 more by rule account-cap") && lines.contains("and 500 more by rule hijack"))
    #expect(lines.contains("  mailwarden penalties"))
    #expect(lines.count < 200)
    let title = AlertTemplate.subject.render(try #require(office.issues.first).message)
    #expect(
      title == "[mailwarden mx] new: counters are forgotten for want of room; new: 500 by account-cap, 500 by hijack")
  }

  @Test("What begins is told after the wait, what gets worse after the interval, and the end when it ends, each once")
  func life() {
    var office = Office()
    office.send("alice")
    office.pass(.seconds(9))
    #expect(office.news == [])
    office.pass(.seconds(2))
    #expect(office.news == [[.opened, .opened]])
    office.pass(.seconds(30))
    office.send("alice", 6)
    office.pass(.minutes(4))
    #expect(office.news.count == 1)
    office.pass(.minutes(2))
    #expect(office.news.dropFirst() == [[.escalated, .escalated]])
    office.send("alice", 1)
    office.pass(.minutes(30))
    #expect(office.news.dropFirst(2) == [[.ended, .ended]])
    office.pass(.days(1))
    #expect(office.news.count == 3)
  }

  @Test("What goes on is repeated, and no more often than was asked for")
  func reminder() {
    var office = Office()
    for _ in 0..<(9 * 12) {
      office.send("alice")
      office.pass(.minutes(5))
    }
    let reminders = zip(office.times, office.news).filter { $1.contains(.goesOn) }.map(\.0)
    #expect(reminders.count == 2)
    #expect(zip(reminders, reminders.dropFirst()).allSatisfy { $1 - $0 >= .hours(4) })
  }

  @Test("Hostile names of any length do not make a message too large, and nobody is forgotten for it")
  func size() throws {
    var office = Office()
    for number in 0..<30 { office.send("\(number)" + String(repeating: "\u{202e}é", count: 60)) }
    var sent = Trail.Sent()
    sent.latest = (0..<Evidence.mostMessages).map { number in
      Passage(
        at: office.now, queueID: String(repeating: "é", count: 32), user: nil, ip: nil, sender: nil, recipients: 1,
        recipient: "\(number)\(String(repeating: "é", count: 150))", isHeld: false)
    }
    let evidence = Evidence(sent: sent, prefix: NetworkPrefix(), attempts: nil)
    office.pass(.minutes(1)) { _ in evidence }
    let issue = try #require(office.issues.first)
    #expect(issue.message.json.utf8.count <= AlertDesk.largest)
    #expect(issue.told.count == 60)
    #expect(issue.message.episodes.count + issue.message.more.map(\.episodes).reduce(0, +) == 60)
    #expect(issue.message.episodes.count < AlertDesk.mostInFull && !issue.message.episodes.isEmpty)
  }

  @Test("Distress is told once when it begins and once when it is over, over restarts too; what flickers is one")
  func distress() throws {
    var office = Office()
    let database = Distress.ID(.database)
    office.distress[database] = "the database cannot be written: No space left\n on device"
    office.pass(.minutes(20))
    #expect(office.issues.map { $0.message.distress.map(\.news) } == [[.opened]])
    let first = try #require(office.issues.first?.message.distress.first)
    #expect(first.text.hasSuffix("left\\u{a} on device"))
    office.restart()
    for _ in 0..<10 {
      office.distress = [:]
      office.pass(.minutes(3))
      office.distress[database] = "the database cannot be written"
      office.pass(.minutes(1))
    }
    #expect(office.issues.count == 1)
    office.distress = [:]
    office.restart()
    office.pass(.minutes(10))
    #expect(office.issues.dropFirst().map { $0.message.distress.map(\.news) } == [[.ended]])
    #expect(office.issues.last?.message.distress.first?.since == first.since)
    office.pass(.days(1))
    #expect(office.issues.count == 2)
  }

  @Test("A clock that was set back keeps nobody waiting")
  func clockSetBack() throws {
    var office = Office()
    office.send("alice")
    office.pass(.minutes(1))
    let document = office.desk.document
    let earlier = office.now + TimeSpan(microseconds: -TimeSpan.days(30).microseconds)
    var desk = AlertDesk(settings: office.settings, host: "mx", version: "1", document: document, at: earlier)
    let news = try #require(office.issues.first).told.map { (episode: $0.episode, news: Episode.News.ended) }
    let issue = desk.issue(news, at: earlier + .minutes(5), wall: { $0 }, evidence: { _ in .none })
    #expect(issue != nil)
  }

  @Test("A document that is none begins anew", arguments: ["", "{}", "[]", "{\"sent\": 5}"])
  func document(text: String) {
    func desk(_ document: String?) -> AlertDesk {
      AlertDesk(settings: AlertSettings(), host: "mx", version: "1", document: document, at: .start)
    }
    #expect(desk(text).document == desk(nil).document)
  }

  @Test("Whatever happens: nothing is told twice, nothing stays untold, and never too much", arguments: 0..<20)
  func property(seed: Int) {
    var random = SplitMix64(seed: seed)
    var settings = AlertSettings(
      wait: .seconds(Int.random(in: 0...60, using: &random)),
      interval: .seconds(Int.random(in: 1...900, using: &random)),
      again: .minutes(Int.random(in: 30...120, using: &random)), most: Int.random(in: 1...8, using: &random))
    settings.mostWindow = .minutes(Int.random(in: 10...90, using: &random))
    var office = Office(settings)
    /// How long news may stay untold: it is gathered, or the hour's messages are spent.
    let bound = [settings.wait, settings.interval, settings.mostWindow].max()! + .seconds(1)
    var untoldSince: [Episode.ID: Timestamp] = [:]
    var late: [String] = []
    for _ in 0..<3_000 {
      if Int.random(in: 0..<40, using: &random) == 0 {
        office.send("user\(Int.random(in: 0..<12, using: &random))", Int.random(in: 1...12, using: &random))
      }
      // A crash between messages may lose trips, never what was told.
      if Int.random(in: 0..<150, using: &random) == 0 { office.restart(flushed: Bool.random(using: &random)) }
      office.now = office.now + .seconds(Int.random(in: 1...8, using: &random))
      let waiting = Set(office.engine.news(at: office.now, again: settings.again).map(\.episode.id))
      untoldSince = untoldSince.filter { waiting.contains($0.key) }
      for id in waiting where untoldSince[id] == nil { untoldSince[id] = office.now }
      office.look()
      if let issue = office.issues.last, office.times.last == office.now {
        for told in issue.told { untoldSince[told.episode.id] = nil }
      }
      // A look may come eight seconds late.
      for (id, since) in untoldSince where office.now > since + bound + .seconds(8) {
        late.append("\(id.key) at \(office.now)")
      }
    }
    #expect(late == [])
    #expect(office.issues.count > 3)
    #expect(Set(office.issues.map(\.message.id)).count == office.issues.count)
    for (index, time) in office.times.enumerated() {
      let inWindow = office.times[...index].count { $0 + settings.mostWindow > time }
      #expect(inWindow <= settings.most)
      if index > 0 { #expect(time - office.times[index - 1] >= settings.interval) }
    }
    expectLives(office.issues, office.times, again: settings.again)
  }

  /// Each episode is told of as opened once, then only with news, then as ended, and never again.
  private func expectLives(_ issues: [AlertDesk.Issue], _ times: [Timestamp], again: TimeSpan) {
    struct Life: Hashable {
      let id: Episode.ID
      let opened: Timestamp
    }
    var last: [Life: (news: Episode.News, level: Int, at: Timestamp)] = [:]
    for (issue, time) in zip(issues, times) {
      for (episode, news) in issue.told {
        let life = Life(id: episode.id, opened: episode.opened)
        let before = last[life]
        switch news {
        case .opened: #expect(before == nil)
        case .escalated: #expect(before != nil && before!.news != .ended && before!.level < episode.level)
        case .goesOn: #expect(before != nil && before!.news != .ended && time - before!.at >= again)
        case .ended: #expect(before != nil && before!.news != .ended)
        }
        last[life] = (news, max(episode.level, before?.level ?? 0), time)
      }
    }
  }
}

extension TimeSpan {
  fileprivate static func + (a: TimeSpan, b: TimeSpan) -> TimeSpan {
    TimeSpan(microseconds: a.microseconds + b.microseconds)
  }
}
