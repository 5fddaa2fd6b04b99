import Testing

@testable import WardenCore

/// Anything in any order, under any policy: what must hold all the same.
struct RandomSessionTests {
  private static let names = [
    "alice", "Alice@example.org", "eve@other.test", "", "\u{0}", "a\r\nb", "é@É", "@", "bob+x", "exempt",
    "exempt@example.org", String(repeating: "x", count: 3_000),
  ]
  private static let addresses: [String?] = [
    nil, "192.0.2.7", "192.0.2.8", "2001:db8::7", "::ffff:192.0.2.7", "127.0.0.1", "198.51.100.1", "::",
  ]
  private static let exempt = Exemptions(networks: [Network("198.51.100.0/24")!], users: ["exempt@example.org"])

  private static let matches: [Match] = [
    .authenticated, .anonymous, .bounces, .forwards, .lists, .newNetwork, .daemon("smtp"),
    .network(Network("192.0.2.0/24")!), .user("alice"), .group("staff"), .senderDomain("example.org"),
  ]

  private static func part(_ shape: KeyShape, using random: inout SplitMix64) -> Part {
    let windows = (1...3).map { _ in TimeSpan.randomWindow(using: &random) }
    func count() -> Int { Int.random(in: 1...5, using: &random) }
    let measure = Measure(name: Measure.allNames.randomElement(using: &random)!)!
    switch Int.random(in: 0..<6, using: &random) {
    case 0:
      let window = Limit.usualWindows.randomElement(using: &random)!
      let limit = Limit(.usual(.init(tenths: 25, atLeast: count())), window: window)
      return Part(.measure(.signal(Signal.allCases.randomElement(using: &random)!)), [limit])
    case 1:
      let limit = Limit(.share(.init(percent: 50, atLeast: count())), window: windows[0])
      return Part(.share(.signal(.badRecipients), of: .signal(.recipients)), [limit])
    default:
      return Part(
        .measure(measure),
        windows.prefix(Int.random(in: 1...3, using: &random)).map { Limit(count: count(), window: $0) })
    }
  }

  private static func rule(_ number: Int, _ modes: [Rule.Mode], using random: inout SplitMix64) -> Rule {
    let kinds = KeyKind.allCases.shuffled(using: &random)
    let isPair = Int.random(in: 0..<4, using: &random) == 0 && !kinds.prefix(2).contains(.server)
    let shape = KeyShape(kinds[0], isPair ? kinds[1] : nil)
    var then = Consequences(
      alert: Bool.random(using: &random), refusal: [nil, .tempfail, .reject].randomElement(using: &random)!,
      hold: Bool.random(using: &random), run: Bool.random(using: &random) ? ["command"] : [])
    if Bool.random(using: &random) {
      then.block = Block((0..<Int.random(in: 1...3, using: &random)).map { _ in .randomWindow(using: &random) })
    }
    func some() -> [Match] {
      Int.random(in: 0..<3, using: &random) == 0
        ? [matches.filter { $0 != .newNetwork || shape == .user }.randomElement(using: &random)!] : []
    }
    return Rule(
      name: "rule\(number)", per: shape,
      parts: (0..<Int.random(in: 1...2, using: &random)).map { _ in part(shape, using: &random) },
      filter: Filter(only: some(), except: some()), includesBounces: Bool.random(using: &random),
      includesForwards: Bool.random(using: &random), countsRefused: Bool.random(using: &random), then: then,
      mode: modes.randomElement(using: &random)!)
  }

  private static func policy(_ modes: [Rule.Mode], using random: inout SplitMix64) -> Policy {
    Policy(
      rules: (0..<Int.random(in: 0...6, using: &random)).map { rule($0, modes, using: &random) }, exempt: exempt,
      realms: Bool.random(using: &random) ? nil : ["example.org"], groups: ["staff": ["alice", "@other.test"]],
      memory: 300_000)
  }

  /// What is wrong with the decision; nothing where it is sound.
  private static func fault(_ decision: Decision, of event: Event, _ server: Server) -> String? {
    guard let refusal = decision.refusal else { return nil }
    let isExempt =
      event.subject.address.map { exempt.covers($0) != nil } ?? false
      || event.subject.user.map { exempt.covers(user: $0, realms: server.engine.realms) } ?? false
    if isExempt { return "somebody exempt was refused" }
    if !event.step.canRefuse { return "refused where nothing can be refused" }
    if refusal.lines.isEmpty || refusal.lines.contains(where: { $0.contains { $0.isNewline } }) { return "lines" }
    if refusal.code.enhanced.first != "\(refusal.code.code)".first { return "the codes are of two classes" }
    if refusal.reason.until <= server.now { return "it ends before it begins" }
    let held = refusal.reason.key.parts.allSatisfy { part in
      if case .network(let network) = part, let ip = event.subject.ip { return network.contains(ip) }
      var subject = event.subject
      for recipient in event.recipients where event.step == .endOfMessage {
        subject.recipient = recipient
        if subject.part(part.kind) == part { return true }
      }
      return event.subject.part(part.kind) == part
    }
    return held ? nil : "refused for another's key \(refusal.reason.key)"
  }

  private func run(seed: Int, _ modes: [Rule.Mode], isFaulty: (Decision, Event, Server) -> String?) throws {
    var random = SplitMix64(seed: seed)
    let bounds = Engine.Bounds(penalties: 4, episodes: 4, orders: 4)
    let server = Server(bounds: bounds)
    server.engine.replace(policy: Self.policy(modes, using: &random))
    var session = SMTPSession(SMTPSession.Setup())
    for step in 0..<400 {
      server.wait(TimeSpan(microseconds: [0, 1, 1_000_000, 600_000_000].randomElement(using: &random)!))
      let now = server.now
      let name = Self.names.randomElement(using: &random)!
      let login = [nil, Self.names.randomElement(using: &random)!].randomElement(using: &random)!
      let count = [nil, 0, 3, 1_000].randomElement(using: &random)!
      var event: Event?
      switch Int.random(in: 0..<16, using: &random) {
      case 0:
        let needs = Needs(rawValue: UInt16.random(in: 0...2_047, using: &random))
        session = SMTPSession(SMTPSession.Setup(realms: server.engine.realms, needs: needs))
        let address = Self.addresses.randomElement(using: &random)!
        event = session.connect(
          at: now, address: address.map(ip), port: [0, 25].randomElement(using: &random)!,
          host: [nil, "mail.example.org", name].randomElement(using: &random)!)
      case 1, 2, 3: event = try? session.mail(at: now, sender: name, login: login)
      case 4, 5: event = try? session.recipient(at: now, .accepted, path: name, refusals: count)
      case 6:
        event = try? session.recipient(
          at: now, .refused(enhancedCode: "5.1.1", text: name), path: name, refusals: count)
      case 7:
        session.data()
        session.helo(name)
        session.header("List-Id", name)
      case 8: session.content(bytes: 1_000)
      case 9, 10, 11: event = try? session.endOfMessage(at: now, refusals: count)
      case 12: session.abort()
      case 13: event = session.badCommand(at: now)
      case 14: event = session.close(at: now)
      default:
        switch Int.random(in: 0..<3, using: &random) {
        case 0: server.engine.replace(policy: Self.policy(modes, using: &random))
        case 1:
          let limits = [Limit.of(2, per: .randomWindow(using: &random))]
          _ = server.engine.allow(
            Override(.user("bob+x"), .limits(rule: "none", limits), until: now + .hours(1), origin: "test"), at: now)
        default:
          _ = server.engine.release(.user("alice"), at: now)
        }
      }
      guard let event else { continue }
      let decision = server.decide(event)
      session.settle(decision, at: event.step)
      if let fault = isFaulty(decision, event, server) {
        Issue.record("seed \(seed), step \(step), \(event.step): \(fault)")
        return
      }
    }
    let status = server.engine.status(at: server.now)
    #expect(status.penalties <= bounds.penalties, "seed \(seed)")
    #expect(status.memory <= status.memoryBound, "seed \(seed)")
  }

  @Test("No order of things faults, refuses somebody exempt, or gives an unsound reason", arguments: 0..<120)
  func anything(seed: Int) throws { try run(seed: seed, [.enforce, .observe], isFaulty: Self.fault) }

  @Test("A policy that only observes refuses and blocks nobody", arguments: 0..<40)
  func observing(seed: Int) throws {
    try run(seed: seed, [.observe]) { decision, _, server in
      let told = Set(decision.notices.map(\.kind))
      return decision.isRefused || decision.held != nil || !told.isSubset(of: [.observed]) ? "it acted: \(told)" : nil
    }
  }
}
