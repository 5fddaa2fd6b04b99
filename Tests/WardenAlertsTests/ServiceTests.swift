import Logging
import ServiceLifecycle
import Testing
import WardenTestKit

@testable import WardenAlerts
@testable import WardenCore

/// The whole of it: an engine, what is stored, and channels that behave as they are told.
@Suite("Alerts") struct ServiceTests {
  /// A channel that remembers, and fails or hangs on order.
  private final class Fake: Channel {
    enum Behaviour { case takes, fails, hangs }
    let behaviour: Locked<Behaviour>
    let got = Locked<[AlertMessage]>([])
    let isHanging = Locked(false)
    init(_ behaviour: Behaviour = .takes) { self.behaviour = Locked(behaviour) }

    func send(_ message: AlertMessage) async throws {
      switch behaviour.withLock({ $0 }) {
      case .takes: got.withLock { $0.append(message) }
      case .fails: throw SendFailure("no")
      case .hangs:
        isHanging.withLock { $0 = true }
        try await Task.sleep(for: .seconds(10_000))
      }
    }
  }

  /// The daemon around it; one at a time, so that the time can be the test's.
  private final class House: Sendable {
    struct Stored {
      var documents: [String: String] = [:]
      var episodes: [Episode.ID: Episode] = [:]
    }
    let engine = Locked(House.newEngine())
    let now = Locked(Timestamp.start)
    let stored = Locked(Stored())
    /// Whether anything can be stored.
    let isBroken = Locked(false)
    let distress = Locked<[Distress.ID: String]>([:])
    let channels: [String: Fake]

    init(_ channels: [String: Fake]) { self.channels = channels }

    static func newEngine() -> Engine {
      let rule = Rule(
        name: "account-cap", count: .messages, per: KeyShape(.user), limits: [Limit(count: 1, window: .hours(1))],
        then: Consequences(alert: true))
      return Engine(policy: Policy(rules: [rule]), keepsChanges: true)
    }

    func service() -> AlertService {
      let surroundings = AlertSurroundings(
        now: { self.now.withLock { $0 } }, wall: { $0 },
        news: { now, again in self.engine.withLock { $0 }.news(at: now, again: again) }, evidence: { _ in .none },
        vitals: { .init(events: 0, distress: self.distress.withLock { $0 }) },
        store: { told, documents, now in self.store(told, documents, now) }, admit: { _ in })
      return AlertService(
        settings: AlertSettings(), host: "mx", version: "1", documents: stored.withLock { $0.documents },
        surroundings: surroundings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, channels: channels)
    }

    private func store(_ told: [AlertSurroundings.Told], _ documents: [String: String?], _ now: Timestamp) {
      let engine = engine.withLock { $0 }
      for (episode, news) in told { engine.tell(episode, news, at: now) }
      if isBroken.withLock({ $0 }) { return }
      stored.withLock { stored in
        for (name, text) in documents { stored.documents[name] = text }
        for (id, episode) in engine.takeChanges(attempts: true).episodes { stored.episodes[id] = episode }
      }
    }

    /// A new process on what was stored.
    func restart() -> AlertService {
      let engine = Self.newEngine()
      engine.restore(
        penalties: [], orders: [], episodes: stored.withLock { Array($0.episodes.values) },
        at: now.withLock { $0 })
      self.engine.withLock { $0 = engine }
      return service()
    }

    func send(_ user: String) {
      var subject = Subject()
      subject.user = user
      let now = now.withLock { $0 }
      for _ in 0..<2 {
        _ = engine.withLock { $0 }.decide(Event(at: now, step: .endOfMessage, subject: subject, wants: [.messages: 1]))
      }
    }

    func wait(_ span: TimeSpan) { now.withLock { $0 = $0 + span } }

    /// Names of what waits to be sent.
    var waiting: [String] { stored.withLock { $0.documents.keys.filter { $0.split(separator: "/").count == 3 } } }
  }

  /// A look, and what follows from it.
  private func pass(_ service: AlertService) async {
    await service.look()
    for task in service.takeTasks() { await service.send(task) }
    await service.look()
  }

  @Test("What is told goes out through every channel, and leaves nothing behind")
  func sent() async {
    let house = House(["mail": Fake(), "webhook": Fake()])
    let service = house.service()
    house.send("alice")
    house.wait(.seconds(11))
    await pass(service)
    for channel in house.channels.values {
      #expect(channel.got.withLock { $0 }.map { $0.episodes.map(\.key) } == [["user:alice"]])
    }
    #expect(house.waiting == [])
    #expect(service.report.map(\.sent) == [1, 1])
    house.wait(.minutes(10))
    await pass(service)
    #expect(service.report.map(\.sent) == [1, 1])
  }

  @Test("What could not be sent before a crash is sent after it, and only that, and only there")
  func crash() async {
    let house = House(["mail": Fake(.fails), "webhook": Fake()])
    let service = house.service()
    house.send("alice")
    house.wait(.seconds(11))
    await pass(service)
    #expect(house.waiting.map { $0.split(separator: "/")[1] } == ["mail"])
    #expect(service.report.map(\.failures) == [1, 0])
    #expect(service.report.first?.lastError?.text == "no")

    house.channels["mail"]!.behaviour.withLock { $0 = .takes }
    let after = house.restart()
    await pass(after)
    #expect(house.channels["mail"]!.got.withLock { $0 }.count == 1)
    #expect(house.channels["mail"]!.got.withLock { $0 } == house.channels["webhook"]!.got.withLock { $0 })
    #expect(house.waiting == [])
    house.wait(.minutes(10))
    await pass(after)
    #expect(house.channels["mail"]!.got.withLock { $0 }.count == 1)
  }

  @Test("A crash after a message was stored and before any was sent loses none")
  func crashBeforeSending() async {
    let house = House(["mail": Fake()])
    house.send("alice")
    house.wait(.seconds(11))
    await house.service().look()
    #expect(house.waiting.count == 1)
    await pass(house.restart())
    #expect(house.channels["mail"]!.got.withLock { $0 }.count == 1)
    #expect(house.waiting == [])
  }

  @Test("Where nothing can be stored somebody is told all the same, of that too")
  func cannotStore() async {
    let house = House(["mail": Fake()])
    house.isBroken.withLock { $0 = true }
    house.distress.withLock { $0[Distress.ID(.database)] = "the database cannot be written" }
    house.send("alice")
    let service = house.service()
    await pass(service)
    house.wait(.seconds(11))
    await pass(service)
    let got = house.channels["mail"]!.got.withLock { $0 }
    #expect(got.count == 1)
    #expect(got.first?.distress.map(\.kind) == [.database] && got.first?.episodes.count == 1)
  }

  @Test("What a channel no longer in the policy had to tell is forgotten")
  func otherChannels() async {
    let house = House(["mail": Fake(.fails)])
    house.send("alice")
    house.wait(.seconds(11))
    let service = house.service()
    await pass(service)
    #expect(house.waiting.count == 1)
    service.replace(settings: AlertSettings())
    await pass(service)
    #expect(house.waiting == [] && service.report.isEmpty)
    // The same at a start.
    house.stored.withLock { $0.documents["alerts/pigeon/1"] = "{}" }
    await pass(house.restart())
    #expect(house.waiting == [])
  }

  @Test("A channel that hangs delays no other, and a stop does not wait for it")
  func hangs() async throws {
    let house = House(["mail": Fake(.hangs), "webhook": Fake()])
    house.send("alice")
    house.wait(.seconds(11))
    let service = house.service()
    let group = ServiceGroup(
      configuration: .init(
        services: [.init(service: service)], gracefulShutdownSignals: [],
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
    let running = Task { try await group.run() }
    let (mail, webhook) = (house.channels["mail"]!, house.channels["webhook"]!)
    while !mail.isHanging.withLock({ $0 }) || webhook.got.withLock({ $0.isEmpty }) {
      try await Task.sleep(for: .milliseconds(5))
    }
    await group.triggerGracefulShutdown()
    try await running.value
    // It is still to be told.
    #expect(house.waiting.map { $0.split(separator: "/")[1] } == ["mail"])
    #expect(service.report.map(\.failures) == [0, 0])
  }

  @Test("The administrator's command gets the message as a line of JSON")
  func command() async throws {
    let folder = try TemporaryFolder()
    let path = try program("cat > \"$1\"", in: folder)
    let channel = CommandChannel(command: [path, folder.file("got")], runner: ProgramRunner())
    #expect(await failure(of: channel, .of(hostile)) == nil)
    let text = try folder.read("got")
    #expect(text.hasSuffix("}\n") && AlertMessage(json: text) == .of(hostile))
    #expect(text.dropLast().utf8.allSatisfy { (0x20...0x7e).contains($0) })
    let bad = CommandChannel(command: [try program("echo '\u{1b}no' >&2; exit 3", in: folder)], runner: ProgramRunner())
    #expect(await failure(of: bad)?.description.hasSuffix("ended with exited(3): \\u{1b}no") == true)
  }
}
