import CLibmilter
import Glibc
import Synchronization

/// Serves a socket to MTAs; each SMTP session gets a `MilterSession` of its own.
///
/// libmilter keeps its state in the process, so there is one server a process: `open()`, then `run()` on a thread of its
/// own, then `stop()` from another. libmilter treats SIGHUP and SIGTERM as orders to stop; a process that wants them
/// for itself blocks both before it starts any thread and waits for them on its main thread, which the kernel prefers.
public final class MilterServer: Sendable {
  /// Called on libmilter's threads: reports a fault and where it happened.
  public typealias FaultReport = @Sendable (_ fault: any Error, _ stage: Stage?) -> Void
  /// Called on libmilter's threads after each call for a session: how long it took.
  public typealias TimeReport = @Sendable (_ stage: Stage, _ nanoseconds: Int) -> Void

  let name: String
  /// Where MTAs connect.
  public let socket: MilterSocket
  private let faultPolicy: @Sendable () -> FaultPolicy
  private let reportFault: FaultReport
  let reportTime: TimeReport?
  private let makeSession: @Sendable (inout Negotiation) throws -> any MilterSession

  private let sessions = Atomic<Int>(0)
  private let faults = Atomic<Int>(0)
  private let mostSessions: Int
  private let isDraining = Atomic<Bool>(false)
  private let hasEnded = Atomic<Bool>(false)
  /// The thread in `run()`, which is libmilter's listener; 0 before.
  private let listener = Atomic<pthread_t>(0)

  nonisolated(unsafe) static private(set) var current: MilterServer?

  /// - Parameters:
  ///   - name: what libmilter and the MTA call the milter in their logs.
  ///   - socket: where MTAs connect.
  ///   - mostSessions: how many may be open; beyond that the MTA is told at negotiation that the milter cannot, and takes
  ///     its default action. A process that runs out of descriptors can crash: libdispatch does.
  ///   - faultPolicy: asked at each fault, so that it can change while running.
  ///   - reportFault: hears of each fault.
  ///   - reportTime: costs two looks at a clock a call; nothing where it is left out.
  ///   - makeSession: called at negotiation, once a session; settles what the session asks of the MTA.
  public init(
    name: String, socket: MilterSocket, mostSessions: Int = .max,
    faultPolicy: @escaping @Sendable () -> FaultPolicy = { .accept },
    reportFault: @escaping FaultReport = { _, _ in }, reportTime: TimeReport? = nil,
    makeSession: @escaping @Sendable (inout Negotiation) throws -> any MilterSession
  ) {
    self.name = name
    self.socket = socket
    self.mostSessions = mostSessions
    self.faultPolicy = faultPolicy
    self.reportFault = reportFault
    self.reportTime = reportTime
    self.makeSession = makeSession
  }

  /// SMTP sessions that are open now.
  public var openSessions: Int { sessions.load(ordering: .relaxed) }
  /// Faults since the start.
  public var faultCount: Int { faults.load(ordering: .relaxed) }

  /// Opens the socket, replacing one that a dead process left. MTAs can connect from here on; they are served by `run`.
  public func open() throws {
    precondition(Self.current == nil, "libmilter serves one milter a process")
    try socket.claim()
    Self.current = self
    // libmilter keeps the name.
    guard smfi_register(milterDescription(name: strdup(name))) == MI_SUCCESS else {
      throw MilterFault.refused("register the milter \(name)")
    }
    guard socket.text.withCString({ smfi_setconn(UnsafeMutablePointer(mutating: $0)) }) == MI_SUCCESS else {
      throw MilterFault.refused("use the socket \(socket)")
    }
    // 0: with 1 libmilter removes any socket file, also one that a living process listens on.
    guard smfi_opensocket(0) == MI_SUCCESS else {
      throw MilterFault.refused(
        "listen on \(socket)\(socket.holder.map { "; \($0) holds it" } ?? ": is it in use, or its folder missing?")")
    }
  }

  /// Serves sessions until `stop()`, or until libmilter takes a SIGHUP, SIGTERM or SIGINT; blocks the calling thread.
  public func run() throws {
    listener.store(pthread_self(), ordering: .relaxed)
    let status = smfi_main()
    hasEnded.store(true, ordering: .relaxed)
    if status != MI_SUCCESS { throw MilterFault.refused("go on serving \(socket) (smfi_main returned \(status))") }
  }

  /// Takes no new sessions. On a socket that was passed they wait for whoever is started next; elsewhere the MTA's
  /// default action (`milter_default_action`, `F=`) stands for us in those.
  public func drain() {
    if case .passed(let descriptor) = socket.place, PassedSocket(descriptor: descriptor).giveBack() {
      interruptListener()
    } else {
      isDraining.store(true, ordering: .relaxed)
    }
  }

  /// Has libmilter's listener look at its descriptor anew; it still waits, for up to 5 s, at the socket that was there.
  private func interruptListener() {
    let thread = listener.load(ordering: .relaxed)
    guard thread != 0, !hasEnded.load(ordering: .relaxed) else { return }
    // A signal that nobody minds: one without a handler would interrupt nothing.
    signal(SIGURG) { _ in }
    pthread_kill(thread, SIGURG)
  }

  /// Whether an MTA that connects now is answered: connects to the socket and negotiates, as it would. Takes twice the
  /// time at most. Where the process may not connect to its own socket that cannot be asked, and counts as answered.
  public func answers(withinSeconds seconds: Int) -> Bool {
    // Then it turns away whoever comes, this question too.
    if openSessions >= mostSessions { return true }
    let (connected, problem) = socket.address?.connect(seconds: seconds) ?? (nil, ENOENT)
    guard let descriptor = connected else { return problem == EACCES }
    defer { Glibc.close(descriptor) }
    // Length, command, version, and all actions and steps that libmilter knows.
    let offer: [UInt8] = [0, 0, 0, 13, UInt8(ascii: "O"), 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff]
    var answer: [UInt8] = [0, 0, 0, 0, 0]
    guard send(descriptor, offer, offer.count, Int32(MSG_NOSIGNAL)) == offer.count,
      recv(descriptor, &answer, answer.count, Int32(MSG_WAITALL)) == answer.count
    else { return false }
    let quit: [UInt8] = [0, 0, 0, 1, UInt8(ascii: "Q")]
    send(descriptor, quit, quit.count, Int32(MSG_NOSIGNAL))
    return answer[4] == UInt8(ascii: "O")
  }

  /// Ends `run()`. Sessions that are still open are cut off without `abort` and `close`; see `drain()`.
  /// Takes a few milliseconds, at worst 5 s; never call it from a callback.
  public func stop() {
    // smfi_stop() can wait for the listener, which looks for the order every 5 s or when somebody connects. So it gets
    // a thread of its own, and the listener a caller.
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { _ in
        smfi_stop()
        return nil
      }, nil)
    pthread_detach(thread)
    for _ in 0..<500 where !hasEnded.load(ordering: .relaxed) {
      socket.knock()
      usleep(10_000)
    }
  }

  // MARK: for the callbacks

  func negotiate(
    _ context: OpaquePointer, offeredActions: UInt, offeredSteps: UInt, _ actions: inout UInt, _ steps: inout UInt
  ) -> sfsistat {
    guard !isDraining.load(ordering: .relaxed) else { return SMFIS_REJECT }
    guard openSessions < mostSessions else {
      report(MilterFault.full(mostSessions), at: nil)
      return SMFIS_REJECT
    }
    var negotiation = Negotiation(offeredActions: .init(rawValue: offeredActions))
    do {
      let session = try makeSession(&negotiation)
      negotiation.complete(offered: offeredSteps)
      // libmilter would also send the lists to an MTA that does not know what they are.
      let takesLists = offeredActions & UInt(SMFIF_SETSYMLIST) != 0
      for (stage, list) in negotiation.macros.texts where takesLists {
        let set = list.withUnsafeBufferPointer {
          smfi_setsymlist(context, stage, UnsafeMutablePointer(mutating: $0.baseAddress!))
        }
        if set != MI_SUCCESS { throw MilterFault.refused("ask for macros") }
      }
      // A context that has a session already is being used for another.
      if SessionBox.detach(from: context) == nil { sessions.add(1, ordering: .relaxed) }
      SessionBox(session, withoutReply: negotiation.withoutReply).attach(to: context)
    } catch {
      report(error, at: nil)
      if faultPolicy() == .tempfail { return SMFIS_REJECT }
      negotiation.stages = []
    }
    let wantsMacros: UInt = negotiation.macros.texts.isEmpty ? 0 : UInt(SMFIF_SETSYMLIST)
    actions = (negotiation.actions.rawValue | wantsMacros) & offeredActions
    steps = negotiation.protocolBits(offered: offeredSteps)
    return SMFIS_CONTINUE
  }

  func close(_ context: OpaquePointer) {
    guard let box = SessionBox.detach(from: context) else { return }
    do {
      try box.session.close(Context(pointer: context))
    } catch {
      report(error, at: .close)
    }
    sessions.subtract(1, ordering: .relaxed)
  }

  /// The one place where a fault of the milter's becomes an answer.
  func answer(toFault fault: any Error, at stage: Stage) -> Answer {
    report(fault, at: stage)
    switch stage {
    case .connect, .mail, .recipient, .endOfMessage:
      return faultPolicy() == .tempfail ? .refuse(Self.faultReply) : .continue
    // At DATA a refusal can hang the client; elsewhere there is nothing to refuse. A later stage decides.
    case .helo, .data, .header, .endOfHeaders, .body, .abort, .close, .unknown:
      return .continue
    }
  }

  func report(_ fault: any Error, at stage: Stage?) {
    faults.add(1, ordering: .relaxed)
    reportFault(fault, stage)
  }

  private static let faultReply = try! SMTPReply(
    code: 451, enhancedCode: "4.3.0", lines: ["A mail filter failed; try again later"])
}
