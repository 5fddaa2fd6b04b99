import Logging
import ServiceLifecycle
import WardenCore

/// What alerts need of the daemon around them.
public struct AlertSurroundings: Sendable {
  public typealias Told = (episode: Episode, news: Episode.News)

  /// How things stand, looked at once a second.
  public struct Vitals: Sendable {
    /// How many events there have been since the start.
    public var events: Int
    /// What is wrong now, each with a sentence on it.
    public var distress: [Distress.ID: String]
    public init(events: Int, distress: [Distress.ID: String]) {
      self.events = events
      self.distress = distress
    }
  }

  /// The engine's clock, and what the wall clock showed at a moment of it.
  let now: @Sendable () -> Timestamp
  let wall: @Sendable (Timestamp) -> Timestamp
  /// `Engine.news`
  let news: @Sendable (_ now: Timestamp, _ again: TimeSpan) -> [Told]
  let evidence: @Sendable (Episode) -> Evidence
  let vitals: @Sendable () -> Vitals
  /// Marks the episodes as told (`Engine.tell`) and stores that and the documents (nothing deletes one) in one
  /// transaction. Returns within seconds, once it is durable or known not to be: messages go out then.
  let store: @Sendable (_ told: [Told], _ documents: [String: String?], _ now: Timestamp) async -> Void
  /// Exempts an envelope sender from all limits for an hour: our own.
  let admit: @Sendable (_ sender: String) -> Void

  public init(
    now: @escaping @Sendable () -> Timestamp, wall: @escaping @Sendable (Timestamp) -> Timestamp,
    news: @escaping @Sendable (_ now: Timestamp, _ again: TimeSpan) -> [Told],
    evidence: @escaping @Sendable (Episode) -> Evidence, vitals: @escaping @Sendable () -> Vitals,
    store: @escaping @Sendable (_ told: [Told], _ documents: [String: String?], _ now: Timestamp) async -> Void,
    admit: @escaping @Sendable (_ sender: String) -> Void
  ) {
    self.now = now
    self.wall = wall
    self.news = news
    self.evidence = evidence
    self.vitals = vitals
    self.store = store
    self.admit = admit
  }
}

/// Looks once a second for what has to be told, and tells it through each channel, none of which waits for another.
public final class AlertService: Service {
  /// A channel's figures, for `status`.
  public struct ChannelReport: Sendable {
    /// `mail`, `webhook`, `run`
    public let name: String
    public let waiting: Int
    public let sent: Int
    public let failures: Int
    /// Messages that had no room or were given up after a day.
    public let dropped: Int
    public let lastError: (at: Timestamp, text: String)?
  }

  private struct State {
    var settings: AlertSettings
    var channels: [String: any Channel]
    var desk: AlertDesk
    var silence: SilenceWatch
    var outgoing: [String: Outgoing]
    /// What has to be stored with the next message, or soon.
    var documents: [String: String?] = [:]
    var silenceStored: Timestamp
  }

  private static let deskName = "alerts/desk"
  private static let silenceName = "alerts/silence"
  private static let silencePause = TimeSpan.minutes(10)

  private let host: String
  private let surroundings: AlertSurroundings
  private let logger: Logger
  private let state: Locked<State>

  /// - Parameters:
  ///   - host: the machine's name.
  ///   - documents: those that were stored under names beginning with `alerts/`.
  public convenience init(
    settings: AlertSettings, host: String, version: String, documents: [String: String],
    surroundings: AlertSurroundings, logger: Logger
  ) {
    self.init(
      settings: settings, host: host, version: version, documents: documents, surroundings: surroundings,
      logger: logger, channels: Self.channels(settings, host, surroundings))
  }

  init(
    settings: AlertSettings, host: String, version: String, documents: [String: String],
    surroundings: AlertSurroundings, logger: Logger, channels: [String: any Channel]
  ) {
    self.host = host
    self.surroundings = surroundings
    self.logger = logger
    let now = surroundings.now()
    var state = State(
      settings: settings, channels: channels,
      desk: AlertDesk(settings: settings, host: host, version: version, document: documents[Self.deskName], at: now),
      silence: SilenceWatch(document: documents[Self.silenceName]), outgoing: channels.mapValues { _ in Outgoing() },
      silenceStored: now)
    for (name, text) in documents where name != Self.deskName && name != Self.silenceName {
      let channel = name.split(separator: "/").dropFirst().first.map(String.init) ?? ""
      // A channel that is no longer in the policy, or a document of another version.
      if state.outgoing[channel]?.restore(text, at: now) != true { state.documents[name] = .some(nil) }
    }
    self.state = Locked(state)
  }

  /// The policy has been read anew. What waits in channels that stay is sent as they are now.
  public func replace(settings: AlertSettings) {
    let channels = Self.channels(settings, host, surroundings)
    state.withLock { state in
      (state.settings, state.desk.settings, state.channels) = (settings, settings, channels)
      for (name, outgoing) in state.outgoing where channels[name] == nil {
        for id in outgoing.ids { state.documents[Self.document(name, id)] = .some(nil) }
        state.outgoing[name] = nil
      }
      for name in channels.keys where state.outgoing[name] == nil { state.outgoing[name] = Outgoing() }
    }
  }

  public var report: [ChannelReport] {
    state.withLock { state in
      state.outgoing.sorted { $0.key < $1.key }.map { name, outgoing in
        ChannelReport(
          name: name, waiting: outgoing.ids.count, sent: outgoing.sent, failures: outgoing.failures,
          dropped: outgoing.dropped, lastError: outgoing.lastError)
      }
    }
  }

  /// What is wrong now, a sentence each.
  public var distress: [String] {
    let now = surroundings.now()
    return state.withLock { $0.desk.distress.all.values.filter { !$0.isOver(at: now) }.map(\.text).sorted() }
  }

  public func run() async {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        while !Task.isCancelled {
          await self.look()
          for task in self.takeTasks() { group.addTask { await self.send(task) } }
          try? await Task.sleep(for: .seconds(1))
        }
      }
    }
    // What was sent since the last look must not be sent again at the next start.
    state.withLock { $0.documents[Self.silenceName] = $0.silence.document }
    await store([], at: surroundings.now())
  }

  // MARK: - Looking

  /// Decides whether there is something to tell, and has it stored before it goes out.
  func look() async {
    let now = surroundings.now()
    let vitals = surroundings.vitals()
    let issue = state.withLock { look(&$0, vitals, at: now) }
    await store(issue?.told ?? [], at: now)
    if let issue { log(issue.message) }
  }

  private func store(_ told: [AlertSurroundings.Told], at now: Timestamp) async {
    let documents = state.withLock { state in
      defer { state.documents = [:] }
      return state.documents
    }
    if !documents.isEmpty { await surroundings.store(told, documents, now) }
  }

  /// The log hears of distress even where there is no channel; of episodes it hears from the engine's notices.
  private func log(_ message: AlertMessage) {
    for distress in message.distress {
      let level: Logger.Level = distress.news == .ended ? .notice : .error
      logger.log(
        level: level, "distress \(distress.news.word): \(distress.text)", metadata: ["since": "\(distress.since)"])
    }
  }

  private func look(_ state: inout State, _ vitals: AlertSurroundings.Vitals, at now: Timestamp) -> AlertDesk.Issue? {
    var present = vitals.distress
    if let tenths = state.settings.silence {
      present[Distress.ID(.silence)] = state.silence.look(at: now, events: vitals.events, tenths: tenths)
    }
    state.desk.note(present, at: now)
    let issue = state.desk.issue(
      surroundings.news(now, state.settings.again), at: now, wall: surroundings.wall, evidence: surroundings.evidence)
    if let issue {
      state.documents[Self.deskName] = state.desk.document
      for name in state.outgoing.keys {
        for gone in state.outgoing[name]!.add(issue.message, at: now) {
          state.documents[Self.document(name, gone)] = .some(nil)
        }
        state.documents[Self.document(name, issue.message.id)] = Outgoing.document(issue.message, at: now)
      }
    }
    if issue != nil || now >= state.silenceStored + Self.silencePause {
      state.documents[Self.silenceName] = state.silence.document
      state.silenceStored = now
    }
    return issue
  }

  // MARK: - Sending

  struct SendTask: Sendable {
    let name: String
    let channel: any Channel
    let message: AlertMessage
  }

  /// What is to be sent now: of each channel one message, unless it is still busy with another.
  func takeTasks() -> [SendTask] {
    let now = surroundings.now()
    return state.withLock { state in
      state.channels.compactMap { name, channel in
        state.outgoing[name]?.take(at: now).map { SendTask(name: name, channel: channel, message: $0) }
      }
    }
  }

  func send(_ task: SendTask) async {
    var failure: SendFailure?
    do {
      try await task.channel.send(task.message)
    } catch is CancellationError {
      return state.withLock { $0.outgoing[task.name]?.interrupted() }
    } catch {
      failure = error as? SendFailure ?? SendFailure("\(error)")
    }
    let now = surroundings.now()
    state.withLock { state in
      guard let id = state.outgoing[task.name]?.ended(failure, at: now) else { return }
      state.documents[Self.document(task.name, id)] = .some(nil)
    }
    let metadata: Logger.Metadata = ["channel": "\(task.name)", "id": "\(task.message.id)"]
    if let failure {
      logger.error("an alert could not be sent: \(failure)", metadata: metadata)
    } else {
      logger.notice("alert sent: \(task.message.summary)", metadata: metadata)
    }
  }

  private static func document(_ channel: String, _ id: String) -> String { "alerts/\(channel)/\(id)" }

  private static func channels(
    _ settings: AlertSettings, _ host: String, _ surroundings: AlertSurroundings
  ) -> [String: any Channel] {
    let wall: @Sendable () -> Timestamp = { surroundings.wall(surroundings.now()) }
    var channels: [String: any Channel] = [:]
    channels["mail"] = settings.mail.map { Mail(settings: $0, host: host, wall: wall, admit: surroundings.admit) }
    channels["webhook"] = settings.webhook.map { Webhook(settings: $0, wall: wall) }
    channels["run"] = settings.run.map { CommandChannel(command: $0, runner: ProgramRunner()) }
    return channels
  }
}
