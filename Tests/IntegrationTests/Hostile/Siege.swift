import Foundation
import MilterClient
import Testing
import WardenCore
import WardenTestKit

/// A daemon under attack, and what must hold meanwhile and afterwards: good mail passes, and each message counts once; whoever is
/// blocked stays so, however it is dodged; the process is the same, knows of no fault of its own, and ends as small as it was.
///
/// Good mail is alice's. Blocked are bob, an address, and a /64.
final class Siege {
  /// Each stage is asked for, and nothing refuses by itself.
  static let rules = """
    rules:
      - {name: mail, count: messages, per: user, limit: 1000000 per 1d, then: tempfail}
      - {name: helo, count: messages, per: helo, limit: 1000000 per 1d, then: tempfail}
      - {name: sender, count: messages, per: sender, limit: 1000000 per 1d, then: tempfail}
      - {name: recipient, count: recipients, per: recipient, limit: 1000000 per 1d, then: tempfail}
      - {name: bytes, count: bytes, per: ip, limit: 1000GB per 1d, then: tempfail}
      - {name: bad, count: bad-recipients, per: ip, limit: 1000000 per 1d, then: alert}
      - {name: commands, count: bad-commands, per: ip, limit: 1000000 per 1d, then: alert}
      - {name: cut, count: cut-off-messages, per: ip, limit: 1000000 per 1d, then: alert}
      - {name: broken, count: broken-connections, per: ip, limit: 1000000 per 1d, then: alert}
    """

  /// More rounds, connections and seeds: `make hostile`.
  static let rounds = ProcessInfo.processInfo.environment["MAILWARDEN_HOSTILE_ROUNDS"].flatMap(Int.init)
  /// Threads that libmilter keeps for the next burst; it lets them go one by one.
  private static let spareThreads = 8

  let daemon: TestDaemon
  private let mta: MTA?
  private var pid: Int32
  private var calm: ProcessFigures?
  private var passed = 0
  private let place: MilterPlace
  /// Of attacks that are faults by design.
  var faultsExpected = 0

  /// - Parameters:
  ///   - mta: in front of the daemon; without one bystanders speak the milter protocol.
  ///   - settings: of the policy, before its rules.
  ///   - port: of TCP, where the milter is to listen there.
  ///   - page: the port of the page, which everybody may read.
  init(through mta: MTA? = nil, settings: String = "", port: Int? = nil, page: Int? = nil) throws {
    self.mta = mta
    let policy = "\(settings)\n\(Self.rules)"
    if let port {
      daemon = try TestDaemon(policy: policy, milter: "inet:\(port)@127.0.0.1")
      place = .inet(host: "127.0.0.1", port: UInt16(port))
    } else {
      let web = page.map { "\n  web: {at: 127.0.0.1:\($0), read-without-login: true}" } ?? ""
      daemon = try TestDaemon(policy: policy, folder: mta?.milterFolder, control: "SOCKET\(web)")
      place = .unix(daemon.milterSocket)
    }
    pid = daemon.pid
    for key in ["user:bob", "ip:127.0.90.66", "ip:192.0.2.66", "network:2001:db8:66::/64"] {
      _ = try daemon.curl("/v1/penalties", method: "POST", body: #"{"key":"\#(key)","for":"1d","reason":"siege"}"#)
    }
    try stands()
    try daemon.awaitNoSessions()
    calm = try figures
  }

  var figures: ProcessFigures { get throws { try ProcessFigures(of: pid) } }

  /// Whether all is as it must be at this moment.
  func stands(_ place: SourceLocation = #_sourceLocation) throws {
    try #require(daemon.isRunning && daemon.pid == pid, "the daemon died", sourceLocation: place)
    #expect(try goodMail(), "good mail is refused", sourceLocation: place)
    passed += 1
    #expect(try daemon.count("user:alice", rule: "mail") == passed, sourceLocation: place)
    for dodge in try dodges() { Issue.record("\(dodge) was let through", sourceLocation: place) }
    #expect(try faults == faultsExpected, sourceLocation: place)
    #expect(try daemon.log.contains(" fault ") == (faultsExpected > 0), sourceLocation: place)
  }

  /// The same, again and again while an attack goes on on a thread of its own.
  func stands(
    _ place: SourceLocation = #_sourceLocation, while attack: @escaping @Sendable () throws -> Void
  ) throws {
    let outcome = Locked<Result<Void, any Error>?>(nil)
    Thread.detachNewThread {
      let result = Result { try attack() }
      outcome.withLock { $0 = result }
    }
    repeat { try stands(place) } while outcome.withLock { $0 == nil }
    try outcome.withLock { $0 }!.get()
  }

  /// Whether all is as it must be, and what the attack took is given back.
  func recovers(_ place: SourceLocation = #_sourceLocation) throws {
    try daemon.awaitNoSessions()
    let calm = calm!
    try eventually("descriptors and threads come back from \(figures) to \(calm)", within: 30) {
      let now = try figures
      return now.descriptors <= calm.descriptors && now.threads <= calm.threads + Self.spareThreads
    }
    try stands(place)
  }

  /// The daemon was stopped: starts it again.
  func restarted() throws {
    try daemon.start()
    pid = daemon.pid
    try stands()
    try daemon.awaitNoSessions()
    calm = try figures
  }

  /// How many connections this process may hold.
  static var mostDescriptors: Int {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return Int(limit.rlim_cur)
  }

  var faults: Int {
    get throws {
      let status = try daemon.curl("/v1/status") as? [String: Any]
      return (status?["faults"] as? [String: Int])?["milter_faults"] ?? -1
    }
  }

  /// Since the start, of everybody.
  func total(_ signal: String) throws -> Int {
    let status = try daemon.curl("/v1/status") as? [String: Any]
    return (status?["totals"] as? [String: [String: Int]])?[signal]?["total"] ?? -1
  }

  // MARK: - Bystanders

  private func goodMail() throws -> Bool {
    guard let mta else {
      let client = try open(.ipv4("192.0.2.1", port: 40_000))
      let isPassed = try client.send(as: "alice", to: ["<friend@far.test>"]) == .continue
      try client.quit()
      return isPassed
    }
    let client = try SMTPClient(port: mta.port, from: "127.0.90.1")
    guard client.banner.code == 220 else { return false }
    try client.command("EHLO good.test")
    try client.authenticate("alice")
    guard try client.command("MAIL FROM:<alice@local.test>").code == 250,
      try client.command("RCPT TO:<friend@far.test>").code == 250, try client.message(bytes: 100).code == 250
    else { return false }
    return try client.command("QUIT").code == 221
  }

  /// - Returns: who should have been stopped, and was not.
  private func dodges() throws -> [String] {
    guard let mta else { return try milterDodges() }
    var through: [String] = []
    // Both MTAs say 421 and hang up.
    if try SMTPClient(port: mta.port, from: "127.0.90.66").banner.code != 421 { through.append("the address") }
    for login in ["bob", "bob@test"] {
      let client = try SMTPClient(port: mta.port, from: "127.0.90.2")
      try client.command("EHLO bad.test")
      try client.authenticate(login)
      if try client.command("MAIL FROM:<alice@local.test>").code != 450 { through.append(login) }
      client.drop()
    }
    return through
  }

  private func milterDodges() throws -> [String] {
    let addresses: [ClientAddress] = [
      .ipv4("192.0.2.66"), .ipv6("::ffff:192.0.2.66"), .ipv6("2001:db8:66::1"),
      .ipv6("2001:db8:66:0:ffff:ffff:ffff:ffff"),
    ]
    var through: [String] = []
    for address in addresses {
      let client = try connect()
      try client.negotiate()
      guard case .reply(let lines) = try client.connect(address: address), lines[0].hasPrefix("421 ") else {
        through.append("\(address)")
        continue
      }
    }
    let client = try open(.ipv4("192.0.2.2", port: 40_000))
    for login in ["bob", "Bob", "BOB@mx.test", "bob@test"] {
      guard case .reply(let lines) = try client.mail("<alice@local.test>", macros: [("{auth_authen}", login)]),
        lines[0].hasPrefix("450 ")
      else {
        through.append(login)
        continue
      }
    }
    try client.quit()
    return through
  }

  func connect() throws -> MilterClient { try MilterClient(place) }

  /// A session over the milter socket that has said hello.
  func open(_ address: ClientAddress) throws -> MilterClient {
    let client = try connect()
    try client.negotiate()
    try client.connect(address: address, macros: [("j", "mx.test")])
    try client.helo("client.test")
    return client
  }
}

extension MilterClient {
  /// A whole message, as an MTA shows it; the answer that ends it.
  @discardableResult
  func send(as user: String, to recipients: [String], body: [[UInt8]] = [Array("hello\r\n".utf8)]) throws -> Response {
    let response = try mail("<\(user)@local.test>", macros: [("{auth_authen}", user)])
    guard !response.isRefusal else { return response }
    for path in recipients {
      let response = try recipient(path, macros: [("{rcpt_mailer}", "smtp"), ("i", "Q1")])
      guard !response.isRefusal else { return response }
    }
    try data()
    try header("Subject", "test")
    try endOfHeaders()
    for chunk in body { try self.body(chunk) }
    return try endOfMessage(macros: [("i", "Q1")])
  }
}
