import Crypto
import Foundation
import Hummingbird
import Logging
import Milter
import NIOCore
import ServiceLifecycle
import WardenAlerts
import WardenControl
import WardenCore
import WardenPolicy
import WardenReplay

/// The daemon's wiring: what exists, who is given what, and the order of starting and stopping.
///
///     main thread      signals: reload, stop
///     libmilter's pool sessions ─▶ Gate ─▶ Engine
///     Swift's pool     Outbox ─▶ log, commands;  control socket, page ─▶ Control ─▶ Engine
final class Daemon: Sendable {
  /// How long SIGTERM waits for open sessions; MTAs hold one for as long as their client stays.
  private static let drainMilliseconds: Int32 = 9_000

  /// Fewer than this many descriptors are worth a warning.
  private static let fewDescriptors = 4_096
  /// How long the control socket's last answers may take.
  private static let serviceSeconds = 1.0
  /// How long the milter may take to answer the daemon's own question whether it is there.
  private static let answerSeconds = 5

  private let file: PolicyFile
  private let configuration: Configuration
  private let logger: Logger
  private let clock = LiveClock()
  private let engine: Engine
  private let outbox: Outbox
  private let watchers: Watchers
  private let noticeLog: NoticeLog
  private let runner: CommandRunner
  private let feeds: Feeds
  private let recorder: Recorder?
  private let books = StateKeeper.Books()
  /// Nothing where nothing survives a restart.
  private let keeper: StateKeeper?
  /// Nothing before the state is read: what waits to be told is part of it.
  private let alerts = Locked<AlertService?>(nil)
  private let onFault: Locked<FaultPolicy>
  private let lastReload = Locked<ReloadReport?>(nil)
  private let reloads: Locked<Figures.Reloads>
  private let meter = DecisionMeter()
  private let answerTimes = AnswerTimes()
  /// Held through a reload: SIGHUP and the control socket can both ask for one.
  private let reloading = Locked(0)
  private let server: MilterServer
  private let sockets = Locked([OpenSocket]())
  private let started: Timestamp
  /// Nothing where no service manager listens.
  private let notifier: Notifier?

  /// - Parameter recording: the file that every event is to be written to.
  init(
    file: PolicyFile, configuration: Configuration, recording: String?, notifier: Notifier?, logger: Logger
  ) throws {
    self.file = file
    self.notifier = notifier
    self.configuration = configuration
    self.logger = logger
    started = clock.now()
    reloads = Locked(Figures.Reloads(lastSuccess: clock.wall(started)))
    let engine = Engine(
      policy: configuration.policy, roots: .init(seed: HashSeed(.random(in: 0 ... .max), .random(in: 0 ... .max))),
      keepsChanges: configuration.state != nil)
    self.engine = engine
    runner = CommandRunner(commands: configuration.commands, logger: logger) {
      engine.commandEnded($0, for: $1, isDone: true)
    }
    keeper = configuration.state.map { [clock, books] folder in
      StateKeeper(
        folder: folder, settings: configuration.history, engine: engine, clock: clock, books: books, logger: logger)
    }
    let drops = SharedCount()
    noticeLog = NoticeLog(logger: logger, clock: clock) { drops.value + LogWriter.shared.dropped }
    outbox = Outbox(
      .init(
        log: noticeLog, clock: clock, runner: runner, trail: books.trail, decisions: books.decisions, keeper: keeper,
        drops: drops
      ) { engine.commandEnded($0, for: $1, isDone: false) })
    let openSessions = Locked<@Sendable () -> Int>({ 0 })
    watchers = Watchers(now: clock.now, wall: clock.wall) { [clock] in
      let status = engine.status(at: clock.now())
      return Watchers.Pulse(
        sessionsOpen: openSessions.withLock { $0 }(), penalties: status.penalties, totals: status.totals)
    }
    let onFault = Locked(FaultPolicy(configuration.onFault))
    self.onFault = onFault
    recorder = try recording.map { [clock] path in
      let digest = SHA256.hash(data: Data(try PlainFile.read(file.path).utf8)).map {
        ($0 < 16 ? "0" : "") + String($0, radix: 16)
      }
      return try Recorder(
        path: path,
        header: EventRecording.header(
          version: Version.text, policy: digest.joined(), needs: engine.needs,
          sources: [.milter] + configuration.feeds.sources.sorted { $0.rawValue < $1.rawValue },
          at: clock.wall(clock.now())), logger: logger)
    }
    let hearing = configuration.feeds == FeedSettings() ? nil : Hearing()
    let gate = Gate(
      engine: engine, clock: clock, activity: keeper == nil ? nil : books.activity, trail: books.trail, outbox: outbox,
      watchers: watchers, meter: meter, hearing: hearing, recorder: recorder, logger: logger)
    feeds = Feeds(
      configuration.feeds, token: try Self.token(configuration.feeds), gate: gate, hearing: hearing ?? Hearing(),
      positions: books.positions, logger: logger)
    let full = RepeatedLine("sessions turned away: so many are open as descriptors allow", logger: logger)
    server = MilterServer(
      name: "mailwarden", socket: try MilterSocket(configuration.milter.place),
      mostSessions: Self.mostSessions(descriptors: Self.raiseDescriptorLimit(logger)),
      faultPolicy: { onFault.withLock { $0 } },
      reportFault: { fault, stage in
        if case MilterFault.full(let open) = fault { return full.note(["open": "\(open)"]) }
        logger.error("fault", metadata: ["stage": "\(stage.map { "\($0)" } ?? "negotiation")", "why": "\(fault)"])
      },
      reportTime: { [answerTimes] in answerTimes.note($0, nanoseconds: $1) },
      makeSession: { WardenSession(gate, &$0) })
    openSessions.withLock { [server] in $0 = { server.openSessions } }
  }

  /// Runs until SIGTERM or SIGINT, on the main thread, with `Signals.block()` called before.
  func run() throws {
    // Sockets are born closed to others; their modes are set right after.
    umask(0o117)
    // Also when the start fails half-way.
    defer { for (socket, identity) in sockets.withLock(\.self) { socket.remove(ifStill: identity) } }
    try openMilterSocket()
    let services = try startServices()
    try protect(configuration.control, path: configuration.control.place, what: "control")
    if let user = configuration.user {
      try Account.become(user)
    } else if geteuid() == 0 {
      logger.warning("running as root; set \"user:\" in the policy to give that up once the sockets are open")
    }
    // What commands make is for others to read, as anywhere.
    umask(0o022)
    // As the user that the daemon has become: the files are its own. Clients that connect meanwhile wait.
    keeper?.start()
    recorder?.start()
    let telling = startAlerts()
    let listening = try startFeeds()
    Signals.take()
    let milter = startMilter()
    logger.notice(
      "ready",
      metadata: [
        "milter": "\(server.socket)", "control": "\(configuration.control.place)",
        "web": "\(configuration.web.map { "\($0)" } ?? "none")", "policy": "\(file.path)",
        "rules": "\(configuration.policy.rules.count)", "version": "\(Version.text)",
      ])
    let heartbeat = notifier.map { [server] notifier in
      Heartbeat(notifier, isAnswered: { server.answers(withinSeconds: Self.answerSeconds) }, status: { self.summary })
    }
    serveSignals()
    heartbeat?.stop()
    stop(milter, [listening, telling] + services)
    if milter.hasFailed.withLock({ $0 }) { throw ExitError(description: "the milter stopped by itself") }
    logger.notice("stopped")
  }

  struct ExitError: Error, CustomStringConvertible {
    let description: String
  }

  // MARK: - Starting

  /// What Dovecot's requests must bring along; read before another user is become, who may not read it.
  private static func token(_ settings: FeedSettings) throws -> String? {
    guard let file = settings.dovecot?.tokenFile else { return nil }
    do throws(PlainFile.Unreadable) {
      let token = try PlainFile.read(file).split(whereSeparator: \.isNewline).first.map { String($0) } ?? ""
      if token.isEmpty { throw PlainFile.Unreadable(description: "its first line is empty") }
      return token
    } catch {
      throw ExitError(description: "feeds.dovecot-policy: the token in \(file) cannot be read: \(error)")
    }
  }

  /// Every SMTP session holds a descriptor.
  private static func raiseDescriptorLimit(_ logger: Logger) -> Int {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let descriptors = Int(clamping: limit.rlim_cur)
    if descriptors < fewDescriptors {
      logger.warning(
        "few file descriptors: raise the hard limit (LimitNOFILE=)",
        metadata: ["limit": "\(descriptors)", "sessions": "\(mostSessions(descriptors: descriptors))"])
    }
    return descriptors
  }

  /// Some are for all else, listeners above all: where there is none left, libdispatch ends the process.
  private static func mostSessions(descriptors: Int) -> Int { descriptors - min(1_024, descriptors / 2) }

  private func openMilterSocket() throws {
    try server.open()
    guard case .unix(let path) = server.socket.place else { return }
    noteSocket(path)
    var socket = configuration.milter
    // Postfix connects as user postfix; left to root's group, its mail would pass unwatched or be tempfailed.
    if socket.group == nil, geteuid() == 0, Account.hasGroup("postfix") { socket.group = "postfix" }
    try protect(socket, path: path, what: "milter")
  }

  private func protect(_ socket: Configuration.Socket, path: String, what: String) throws {
    do {
      try Account.protect(path, group: socket.group, mode: socket.mode)
    } catch {
      throw ExitError(description: "listen.\(what): \(error)")
    }
  }

  /// A socket's file, and which it was when we had opened it.
  private typealias OpenSocket = (socket: UnixSocket, identity: UnixSocket.Identity?)

  /// Once it is ours: before, the file may be that of another process.
  private func noteSocket(_ path: String) {
    let socket = UnixSocket(path: path)
    sockets.withLock { $0.append((socket, socket.identity)) }
  }

  private struct Services {
    let group: ServiceGroup
    let done: DispatchSemaphore
  }

  /// Starts the outbox, the control socket and the page; returns once the latter two listen.
  private func startServices() throws -> [Services] {
    let path = configuration.control.place
    try UnixSocket(path: path).claim()
    let control = Control(
      engine: engine, trail: books.trail, books: controlBooks, tokens: books.tokens, watchers: watchers,
      process: Control.Process(version: Version.text, pid: Int(getpid()), started: started, policyFile: file.path),
      now: clock.now, wall: clock.wall, gauges: { self.gauges() }, figures: { self.figures() },
      reload: { self.reload() }, limits: Self.limits)
    let outcome = Outcome()
    let application = ControlServer(control: control, path: path, logger: quietLogger).application {
      outcome.settle(.success(()))
    }
    let services = start([noticeLog, runner, outbox, application]) { outcome.settle(.failure($0)) }
    do {
      try outcome.wait()
    } catch {
      throw ExitError(description: "cannot listen on \(path): \(Self.reason(error))")
    }
    noteSocket(path)
    return try [services] + startWeb(control)
  }

  /// Of the kernel's errors their text, without the name of the library's function.
  private static func reason(_ error: any Error) -> String {
    (error as? IOError).map { String(cString: strerror($0.errnoCode)).lowercased() } ?? "\(error)"
  }

  private func startWeb(_ control: Control) throws -> [Services] {
    guard let web = configuration.web else { return [] }
    let outcome = Outcome()
    let server = WebServer(
      control: control, tokens: books.tokens,
      settings: .init(host: web.host, port: web.port, readsWithoutLogin: web.readsWithoutLogin, names: web.names),
      logger: quietLogger)
    let services = start([server.application { _ in outcome.settle(.success(())) }]) { outcome.settle(.failure($0)) }
    do {
      try outcome.wait()
    } catch {
      throw ExitError(description: "listen.web: cannot listen on \(web): \(Self.reason(error))")
    }
    return [services]
  }

  private func start(_ all: [any Service], onFailure: @escaping @Sendable (any Error) -> Void = { _ in }) -> Services {
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: all.map { .init(service: $0) }, gracefulShutdownSignals: [], logger: quietLogger))
    let done = DispatchSemaphore(value: 0)
    Task {
      do { try await group.run() } catch { onFailure(error) }
      done.signal()
    }
    return Services(group: group, done: done)
  }

  /// Of what libraries say only what matters: Hummingbird tells of each request at debug level.
  private var quietLogger: Logger {
    var quiet = logger
    quiet.logLevel = max(logger.logLevel, .notice)
    return quiet
  }

  private func startAlerts() -> Services {
    let service = AlertService(
      settings: configuration.alerts, host: ProcessInfo.processInfo.hostName, version: Version.text,
      documents: books.documents.all,
      surroundings: AlertSurroundings(engine: engine, clock: clock, books: books, keeper: keeper, feeds: feeds),
      logger: logger)
    alerts.withLock { $0 = service }
    return start([service])
  }

  /// Once the state is read: what a feed tells is counted on top of it.
  private func startFeeds() throws -> Services {
    let outcome = Outcome()
    let services = start(feeds.services { outcome.settle(.success(())) }) { outcome.settle(.failure($0)) }
    do {
      try outcome.wait()
    } catch {
      let place = configuration.feeds.dovecot.map { "\($0.host), port \($0.port)" } ?? ""
      throw ExitError(description: "feeds.dovecot-policy: cannot listen on \(place): \(Self.reason(error))")
    }
    feeds.follow()
    return services
  }

  /// The first of success and failure, for a thread that waits.
  private final class Outcome: Sendable {
    private let result = Locked<Result<Void, any Error>?>(nil)
    private let known = DispatchSemaphore(value: 0)
    func settle(_ outcome: Result<Void, any Error>) {
      result.withLock { if $0 == nil { $0 = outcome } }
      known.signal()
    }
    func wait() throws {
      known.wait()
      try result.withLock { $0 }!.get()
    }
  }

  /// libmilter's main loop on a thread of its own.
  private struct MilterThread {
    let done = DispatchSemaphore(value: 0)
    let isToStop = Locked(false)
    let hasFailed = Locked(false)
  }

  private func startMilter() -> MilterThread {
    let thread = MilterThread()
    Thread.detachNewThread { [self] in
      Signals.block()
      do {
        try server.run()
        if !thread.isToStop.withLock({ $0 }) {
          logger.warning("libmilter has taken a signal for an order to stop")
          kill(getpid(), SIGTERM)
        }
      } catch {
        logger.critical("the milter cannot go on; leaving", metadata: ["why": "\(error)"])
        thread.hasFailed.withLock { $0 = true }
        kill(getpid(), SIGTERM)
      }
      thread.done.signal()
    }
    return thread
  }

  // MARK: - Running

  /// What `systemctl status` shows.
  private var summary: String {
    "\(server.openSessions) sessions open, \(engine.status(at: clock.now()).penalties) penalties"
  }

  private func serveSignals() {
    while true {
      switch Signals.wait() {
      case SIGHUP: reload()
      default: return
      }
    }
  }

  /// Checks the policy file, then switches to it; a bad file leaves the running policy in force.
  @discardableResult
  private func reload() -> ReloadReport { reloading.withLock { _ in readAndSwitch() } }

  private func readAndSwitch() -> ReloadReport {
    let read = file.read()
    for diagnostic in read.diagnostics {
      switch diagnostic.severity {
      case .error: logger.error("\(diagnostic); keeping the running policy")
      case .warning: logger.warning("\(diagnostic)")
      }
    }
    var warnings = read.warnings.map(\.description)
    if let new = read.configuration {
      engine.replace(policy: new.policy)
      runner.replace(commands: new.commands)
      keeper?.replace(settings: new.history)
      alerts.withLock { $0 }?.replace(settings: new.alerts)
      onFault.withLock { $0 = FaultPolicy(new.onFault) }
      if (new.milter, new.control, new.web) != (configuration.milter, configuration.control, configuration.web)
        || (new.user, new.state, new.feeds) != (configuration.user, configuration.state, configuration.feeds)
      {
        let message =
          "\(file.path): warning: \"listen\", \"user\", \"state\" and \"feeds\" take effect at the next start"
        logger.warning("\(message)")
        warnings.append(message)
      }
      if new.policy.memory != configuration.policy.memory {
        let message = "\(file.path): warning: \"memory\" takes effect at the next start"
        logger.warning("\(message)")
        warnings.append(message)
      }
      logger.notice("reloaded", metadata: ["policy": "\(file.path)", "rules": "\(new.policy.rules.count)"])
    }
    let report = ReloadReport(
      at: clock.wall(clock.now()).rfc3339, ok: read.configuration != nil, problems: read.errors.map(\.description),
      warnings: warnings)
    lastReload.withLock { $0 = report }
    let now = clock.wall(clock.now())
    reloads.withLock { reloads in
      if report.ok { reloads.succeed(at: now) } else { reloads.failed += 1 }
    }
    return report
  }

  @Sendable private static func limits(_ text: String, of quantity: Quantity) throws(ErrorReport) -> [Limit] {
    do throws(PolicyReader.LimitProblem) {
      return try PolicyReader.limits(text, of: quantity)
    } catch {
      throw ErrorReport(error: error.message)
    }
  }

  private func gauges() -> Control.Gauges {
    Control.Gauges(
      openSessions: server.openSessions, milterFaults: server.faultCount,
      droppedNotices: outbox.dropped + LogWriter.shared.dropped, droppedCommands: runner.dropped,
      droppedHistory: keeper?.dropped ?? 0, lastReload: lastReload.withLock { $0 }, state: keeper?.report,
      alerts: alerts.withLock { $0 }?.report.map { $0.forStatus }, feeds: feeds.reports,
      distress: alerts.withLock { $0 }?.distress ?? [])
  }

  private func figures() -> Figures {
    Figures(
      decisions: meter.decisionFigures, passed: meter.passedFigures, answerTimes: answerTimes.figures,
      queues: [
        Figures.Queue(name: "notices", length: outbox.waiting, bound: Outbox.bound),
        Figures.Queue(name: "log", length: LogWriter.shared.waiting, bound: LogWriter.bound),
        Figures.Queue(name: "commands", length: runner.waiting, bound: CommandRunner.bound),
      ],
      notices: noticeLog.told, summarised: noticeLog.summarised, reloads: reloads.withLock { $0 })
  }

  private var controlBooks: Control.Books {
    Control.Books(
      enter: { [keeper, logger] action in
        let problem = await keeper?.store(.all, entering: action)
        logger.notice(
          "administrator",
          metadata: [
            "action": "\(action.action)", "who": "\(action.who)", "key": "\(action.key)", "detail": "\(action.detail)",
            "stored": keeper == nil || problem != nil ? "no" : "yes",
          ])
        return problem
      },
      read: { [keeper, clock, engine] reading in
        guard let keeper else {
          throw ErrorReport(error: "there is no history: the policy has no \"state\"", .notFound)
        }
        guard let store = keeper.store else {
          throw ErrorReport(
            error: "the history cannot be read: \(keeper.problem ?? "it is not open yet")", .unavailable)
        }
        return try store.read(reading, under: engine.policy, at: clock.wall(clock.now()))
      })
  }

  // MARK: - Stopping

  /// Lets open sessions end, then stops the milter, then what listens to it.
  private func stop(_ milter: MilterThread, _ services: [Services]) {
    server.drain()
    logger.notice("stopping", metadata: ["sessions": "\(server.openSessions)"])
    notifier?.tell("STOPPING=1", "STATUS=waiting for \(server.openSessions) sessions to end")
    let slice: Int32 = 20
    for round in 0..<(Self.drainMilliseconds / slice) {
      // A connection that has only just been accepted is not a session before it has negotiated.
      if round > 0, server.openSessions == 0 { break }
      if Signals.stopArrives(withinMilliseconds: slice) { break }
    }
    if server.openSessions > 0 {
      logger.warning(
        "sessions are still open; their MTAs answer for them", metadata: ["sessions": "\(server.openSessions)"])
    }
    milter.isToStop.withLock { $0 = true }
    server.stop()
    milter.done.wait()
    feeds.end()
    watchers.end()
    for group in services.map(\.group) { Task { await group.triggerGracefulShutdown() } }
    // Neither an administrator's connection that stays open nor a command that hangs may hold up the end.
    let end = DispatchTime.now() + Self.serviceSeconds
    if services.contains(where: { $0.done.wait(timeout: end) == .timedOut }) {
      logger.warning(
        "a connection to the control socket or the page, or a command, has not come to its end; leaving it")
    }
    noticeLog.finish()
    keeper?.stop()
    recorder?.stop()
  }
}

extension FaultPolicy {
  init(_ onFault: Configuration.OnFault) {
    switch onFault {
    case .accept: self = .accept
    case .tempfail: self = .tempfail
    }
  }
}
