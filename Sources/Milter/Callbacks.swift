import CLibmilter
import Glibc

/// A session beside what was negotiated for it; hangs on `smfi_setpriv`, because threads change between callbacks.
final class SessionBox {
  let session: any MilterSession
  let withoutReply: Stages

  init(_ session: any MilterSession, withoutReply: Stages) {
    self.session = session
    self.withoutReply = withoutReply
  }

  static func of(_ context: OpaquePointer) -> SessionBox? {
    smfi_getpriv(context).map { Unmanaged<SessionBox>.fromOpaque($0).takeUnretainedValue() }
  }

  func attach(to context: OpaquePointer) {
    smfi_setpriv(context, Unmanaged.passRetained(self).toOpaque())
  }

  /// Takes the box off the context; libmilter warns of private data that outlives its session.
  static func detach(from context: OpaquePointer) -> SessionBox? {
    guard let pointer = smfi_getpriv(context) else { return nil }
    smfi_setpriv(context, nil)
    return Unmanaged<SessionBox>.fromOpaque(pointer).takeRetainedValue()
  }
}

/// The C callbacks: they translate, and nothing else.
///
/// The description is made here, outside any actor: closures made inside `@main`'s `main()` inherit the main actor and
/// trap on libmilter's threads.
func milterDescription(name: UnsafeMutablePointer<CChar>) -> smfiDesc {
  var description = smfiDesc()
  description.xxfi_name = name
  description.xxfi_version = SMFI_VERSION
  description.xxfi_negotiate = { context, actions, steps, _, _, wantedActions, wantedSteps, wanted2, wanted3 in
    wanted2?.pointee = 0
    wanted3?.pointee = 0
    return MilterServer.current!.negotiate(
      context!, offeredActions: UInt(actions), offeredSteps: UInt(steps), &wantedActions!.pointee, &wantedSteps!.pointee
    )
  }
  description.xxfi_connect = { context, host, address in
    answer(context!, .connect) {
      try $0.connect(host: host.map { String(cString: $0) } ?? "", address: PeerAddress(address), $1)
    }
  }
  description.xxfi_helo = { context, name in
    answer(context!, .helo) { try $0.helo(name.map { String(cString: $0) } ?? "", $1) }
  }
  description.xxfi_envfrom = { context, argv in
    answer(context!, .mail) { try $0.mail(EnvelopeArguments(argv: argv!), $1) }
  }
  description.xxfi_envrcpt = { context, argv in
    answer(context!, .recipient) { try $0.recipient(EnvelopeArguments(argv: argv!), $1) }
  }
  description.xxfi_data = { context in answer(context!, .data) { try $0.data($1) } }
  description.xxfi_header = { context, name, value in
    answer(context!, .header) { try $0.header(UnsafePointer(name!), UnsafePointer(value!), $1) }
  }
  description.xxfi_eoh = { context in answer(context!, .endOfHeaders) { try $0.endOfHeaders($1) } }
  description.xxfi_body = { context, bytes, count in
    answer(context!, .body) { try $0.body(UnsafeRawBufferPointer(start: bytes, count: count), $1) }
  }
  description.xxfi_eom = { context in answer(context!, .endOfMessage) { try $0.endOfMessage($1) } }
  description.xxfi_abort = { context in
    answer(context!, .abort) {
      try $0.abort($1)
      return .continue
    }
  }
  description.xxfi_close = { context in
    timed(.close) { MilterServer.current!.close(context!) }
    return SMFIS_CONTINUE
  }
  // libmilter does not look whether the command's text ends with a NUL, and does not say how long it is.
  description.xxfi_unknown = { context, _ in answer(context!, .unknown) { try $0.unknown($1) } }
  return description
}

/// Asks the session for its answer and hands it to libmilter; a fault becomes the fault policy's answer.
private func answer(
  _ context: OpaquePointer, _ stage: Stage, _ ask: (any MilterSession, Context) throws -> Answer
) -> sfsistat {
  guard let box = SessionBox.of(context) else { return answerUnwatched(context, stage) }
  return timed(stage) { answer(context, box, stage, ask) }
}

/// Where negotiation failed under `accept` no MAIL comes. It comes without a session from an MTA that has negotiated nothing, or that
/// goes on with another client on the same connection (SMFIC_QUIT_NC), which neither Postfix nor Sendmail does.
private func answerUnwatched(_ context: OpaquePointer, _ stage: Stage) -> sfsistat {
  guard stage == .mail else { return SMFIS_CONTINUE }
  let given = MilterServer.current!.answer(toFault: MilterFault.notNegotiated, at: stage)
  if case .refuse(let reply) = given { _ = reply.set(on: context) }
  return given.status
}

private func answer(
  _ context: OpaquePointer, _ box: SessionBox, _ stage: Stage,
  _ ask: (any MilterSession, Context) throws -> Answer
) -> sfsistat {
  let given: Answer
  do {
    given = try ask(box.session, Context(pointer: context))
  } catch {
    given = MilterServer.current!.answer(toFault: error, at: stage)
  }
  // libmilter logs a complaint for each reply where none was negotiated.
  if box.withoutReply.contains(stage) { return SMFIS_NOREPLY }
  if case .refuse(let reply) = given, !reply.set(on: context) {
    MilterServer.current!.report(MilterFault.refused("set the reply \(reply.code)"), at: stage)
  }
  return given.status
}

/// Reports how long the MTA's call took, where somebody wants to know.
private func timed<Result>(_ stage: Stage, _ body: () -> Result) -> Result {
  guard let report = MilterServer.current!.reportTime else { return body() }
  let start = monotonicNanoseconds()
  defer { report(stage, monotonicNanoseconds() - start) }
  return body()
}

private func monotonicNanoseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}
