import Foundation

@testable import WardenCore
@testable import WardenFeeds

/// What Dovecot's policy client and its event exporter send: the command or the path in the first line, then the body.
let dovecotTarget = FuzzTarget(name: "dovecot") { input in
  let engine = CheckedEngine(Fixture.engine())
  let heard = Locked([Event]())
  let orders = Locked([Key]())
  let feed = DovecotFeed(
    token: nil, setup: { SMTPSession.Setup(realms: engine.engine.realms, networkPrefix: Fixture.policy.networkPrefix) },
    now: { Fixture.start },
    decide: { event in
      heard.withLock { $0.append(event) }
      return engine.engine.decide(event)
    },
    hear: { event, _ in heard.withLock { $0.append(event) } }, reset: { key in orders.withLock { $0.append(key) } })

  let end = input.firstIndex(of: UInt8(ascii: "\n")) ?? input.endIndex
  let command = String(decoding: input[..<end], as: UTF8.self)
  let isPath = command.hasPrefix("/")
  let answer = feed.answer(
    .init(
      isPost: true, path: isPath ? command : "/", command: isPath ? nil : command, tokens: [],
      body: Array(input[end...].dropFirst())))

  try require([200, 400, 404].contains(answer.status), "status \(answer.status)")
  try require(
    (try? JSONSerialization.jsonObject(with: Data(answer.json.utf8))) is [String: Any], "no JSON: \(answer.json)")
  let events = heard.withLock { $0 }
  try require(answer.status == 200 || events.isEmpty && orders.withLock { $0.isEmpty }, "counted, though it is refused")
  for event in events {
    try require(event.source == .dovecot && event.subject.ip != nil, "an event of nobody: \(event)")
    _ = try engine.decide(event)
  }
  try engine.checkState(at: Fixture.start)
}
