@testable import Milter
@testable import WardenAlerts
@testable import WardenCore
@testable import WardenPolicy

/// A policy file: a configuration that the engine runs, or problems with their places.
let policyTarget = FuzzTarget(name: "policy") { input in
  let text = String(decoding: input, as: UTF8.self)
  let (read, again) = (readPolicy(text), readPolicy(text))
  try require(
    read.configuration == again.configuration && read.diagnostics == again.diagnostics,
    "read differently the second time")
  try require((read.configuration == nil) == !read.errors.isEmpty, "neither read nor refused, or both")
  // Ends of lines at most: \n, \r and the last bytes of U+0085 and U+2028.
  let lines = 1 + text.utf8.count { $0 == 0x0a || $0 == 0x0d || $0 == 0x85 || $0 == 0xa8 }
  for found in read.diagnostics {
    try require(
      (found.line, found.column) == (0, 0) || (1...lines + 1).contains(found.line) && found.column >= 1,
      "\(found) lies outside")
    try require(!found.message.isEmpty, "a problem without words")
  }
  guard var policy = read.configuration?.policy else { return }
  policy.memory = Fixture.policy.memory
  try run(policy)
}

private func readPolicy(_ text: String) -> ReadResult {
  PolicyReader.read(
    text, file: "any.yaml", now: Fixture.start,
    socketCheck: { place in
      do throws(MilterSocket.Problem) {
        _ = try MilterSocket(place)
        return nil
      } catch { return error.description }
    }, templateCheck: AlertTemplate.problem)
}

/// Some of everything, so that every rule has something to look at.
private func run(_ policy: Policy) throws {
  let engine = CheckedEngine(Engine(policy: policy, bounds: Fixture.bounds))
  var now = Fixture.start
  for round in 0..<6 {
    let core = engine.engine
    var session = SMTPSession(
      .init(realms: core.realms, networkPrefix: core.policy.networkPrefix, needs: core.needs))
    func decide(_ event: Event?) throws {
      guard let event else { return }
      session.settle(try engine.decide(event), at: event.step)
    }
    let address = IPAddress(v4: 0xc000_0207 + UInt32(round % 2) << 8)
    try decide(session.connect(at: now, address: address, port: 40_000, host: "mx.example.org", daemon: "smtp"))
    session.helo("client.test")
    try decide(try? session.mail(at: now, sender: "<eve@far.test>", login: round == 5 ? nil : "alice"))
    try decide(try? session.recipient(at: now, .accepted, path: "<a\(round)@far.test>", refusals: nil))
    try decide(
      try? session.recipient(
        at: now, .refused(enhancedCode: "5.1.1", text: "User unknown"), path: "<b@far.test>", refusals: nil))
    session.data()
    session.header("X-Spam-Flag", "YES")
    session.content(bytes: 5_000)
    try decide(try? session.endOfMessage(at: now, refusals: 2))
    try decide(session.badCommand(at: now))
    try decide(session.close(at: now))
    var subject = Subject()
    (subject.address, subject.ip, subject.user) = (address, address, "alice")
    for signal in Signal.allCases {
      _ = try engine.decide(Event(at: now, step: .heard, subject: subject, happened: [signal: 3], source: .log))
    }
    _ = try engine.decide(Event(at: now, step: .login, subject: subject, source: .dovecot))
    now = now + .minutes(20)
  }
  try engine.checkState(at: now)
}
