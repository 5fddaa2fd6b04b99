import Testing
import WardenCore

@testable import WardenFeeds

/// Sessions made up at random, shown to an SMTP session field by field and written as Postfix would log them: the events
/// are the same.
@Suite("Joined sessions against SMTP sessions")
struct JoinSessionTests {
  private struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ (state >> 29)
    }
  }

  /// A client, the process that speaks with it, and what is left of its session.
  private struct Client {
    let pid: Int
    let address: String
    var session: SMTPSession
    let user: String?
    var messages: Int
    var hadMail = false
    var hasBounced = false
  }

  private let log = Joining(.replay)
  private static let setup = SMTPSession.Setup(realms: LocalRealms(listed: ["example.org"]))

  @Test("Whatever happens in sessions side by side, the log shows it as the milter does", arguments: 0..<40)
  func random(seed: Int) throws {
    var random = Random(state: UInt64(seed) &* 77 &+ 5)
    var shown: [Event] = []
    var clients: [Client] = []
    var ids = 0
    for _ in 0..<60 {
      log.wait(.seconds(Int.random(in: 0..<3, using: &random)))
      if clients.count < 5, Bool.random(using: &random) {
        let pid = (1...9).first { pid in !clients.contains { $0.pid == pid } }!
        let address = "192.0.2.\(Int.random(in: 1..<9, using: &random))"
        var client = Client(
          pid: pid, address: address, session: SMTPSession(Self.setup),
          user: ["alice", "Bob@Example.org", "carol@other.test", nil].randomElement(using: &random)!,
          messages: Int.random(in: 0..<4, using: &random))
        shown.append(client.session.connect(at: log.now, address: IPAddress(address), port: 40_000, host: nil))
        log.smtpd("connect from unknown[\(address)]", pid: pid)
        clients.append(client)
      } else if let place = clients.indices.randomElement(using: &random) {
        if clients[place].messages > 0 {
          ids += 1
          try transact(&clients[place], id: "ABCDE\(ids)", &shown, &random)
        } else {
          end(&clients[place], &shown)
          clients.remove(at: place)
        }
      }
    }
    for place in clients.indices { end(&clients[place], &shown) }
    log.finish()
    // What the log has of the end says only what counts there.
    let expected = shown.filter { $0.step != .close || !$0.happened.isEmpty }
    let told = log.events.map(\.event).filter { $0.step != .heard }
    let (left, right) = (count(told), count(expected))
    #expect(left.filter { right[$0.key] != $0.value } == [:])
    #expect(right.filter { left[$0.key] != $0.value } == [:])
  }

  private func transact(_ client: inout Client, id: String, _ shown: inout [Event], _ random: inout Random) throws {
    client.messages -= 1
    client.hadMail = true
    // Each its own, as the log does not tell two of one sender apart.
    let senders = ["alice@example.org", "Bob+x@Other.test", "srs0=a=b=c=d@fwd.test"] + (client.hasBounced ? [] : [""])
    let sender = senders.randomElement(using: &random)!.replacing("@", with: ".\(id.dropFirst(5))@")
    if sender.isEmpty { client.hasBounced = true }
    shown.append(try client.session.mail(at: log.now, sender: "<\(sender)>", login: client.user))
    let named = client.user.map { " sasl_username=<\($0)>" } ?? ""
    var accepted = 0
    for _ in 0..<Int.random(in: 1..<5, using: &random) {
      let fate = fates.randomElement(using: &random)!
      guard let (code, enhanced, text) = fate else {
        accepted += 1
        _ = try client.session.recipient(at: log.now, .accepted, path: "", refusals: nil)
        let login = client.user.map { ", sasl_method=PLAIN, sasl_username=\($0)" } ?? ""
        if accepted == 1 { log.smtpd("\(id): client=unknown[\(client.address)]\(login)", pid: client.pid) }
        continue
      }
      let event = try client.session.recipient(
        at: log.now, .refused(enhancedCode: enhanced, text: text), path: "", refusals: nil)
      if let event { shown.append(event) }
      log.smtpd(
        "\(accepted == 0 ? "NOQUEUE" : id): reject: RCPT from unknown[\(client.address)]: \(code) \(enhanced) "
          + (text.hasPrefix("unavailable") ? "Service " : "<v@mx.test>: ")
          + "\(text); from=<\(sender)> to=<v@mx.test> proto=ESMTP helo=<h>\(named)", pid: client.pid)
    }
    guard accepted > 0 else { return client.session.abort() }
    let size = Int.random(in: 1..<9_000, using: &random)
    client.session.content(bytes: size)
    var end = try client.session.endOfMessage(at: log.now, refusals: nil)
    end.wants[.recipients] = accepted
    shown.append(end)
    log.qmgr("\(id): from=<\(sender)>, size=\(size), nrcpt=\(accepted) (queue active)")
    log.qmgr("\(id): removed")
  }

  private let fates: [(code: Int, enhanced: String, text: String)?] = [
    nil, nil, (554, "5.7.1", "Relay access denied"),
    (550, "5.1.1", "Recipient address rejected: User unknown in local recipient table"),
    (554, "5.7.1", "unavailable; Client host [192.0.2.1] blocked using rbl.test"), (450, "4.2.0", "Greylisted"),
    (550, "5.7.1", "not here"),
  ]

  private func end(_ client: inout Client, _ shown: inout [Event]) {
    if let event = client.session.close(at: log.now) { shown.append(event) }
    let mail = client.hadMail ? " mail=1" : ""
    log.smtpd("disconnect from unknown[\(client.address)] ehlo=1\(mail) quit=1 commands=2", pid: client.pid)
  }

  /// How often each event came, with all that counts in it.
  private func count(_ events: [Event]) -> [String: Int] {
    events.reduce(into: [:]) { sums, event in
      let asked = Signal.allCases.filter { event.wants[$0] > 0 }.map { "\($0.name) \(event.wants[$0])" }
      let subject = event.subject
      let who = [subject.address?.description, subject.network?.description, subject.senderDomain].map { $0 ?? "-" }
      sums["\(Joining.sentence(event)) \(who) \(asked) \(event.kind.rawValue) \(event.isAnswered)", default: 0] += 1
    }
  }
}
