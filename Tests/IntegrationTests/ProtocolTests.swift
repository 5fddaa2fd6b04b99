import Foundation
import MilterClient
import Testing
import WardenTestKit

/// Oddities that MTAs and networks bring to the milter socket.
@Suite("The milter protocol")
struct ProtocolTests {
  private static func daemon(onFault: String = "accept", _ rules: String) throws -> TestDaemon {
    try TestDaemon(policy: "on-fault: \(onFault)\nrules: [\(rules)]")
  }

  private static let perIP = "{name: r, count: messages, per: ip, limit: 1 per 1h, then: reject}"
  private static let broken = "{name: b, count: broken-connections, per: ip, limit: 9 per 1h, then: block for 1h}"

  private func open(_ daemon: TestDaemon, _ address: ClientAddress, host: String = "h") throws -> MilterClient {
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    try client.connect(host: host, address: address, macros: [("j", "mx.test")])
    return client
  }

  private func pass(_ client: MilterClient, sender: String = "<a@b.test>", login: String? = nil) throws -> Bool {
    let macros = login.map { [("{auth_authen}", $0)] } ?? []
    if try client.mail(sender, macros: macros).isRefusal { return false }
    return try !client.endOfMessage(macros: [("i", "Q")]).isRefusal
  }

  @Test("A NULL address is nobody's: counted for no address, and no broken connection")
  func unknownAddress() throws {
    let daemon = try Self.daemon("\(Self.perIP), \(Self.broken)")
    let client = try open(daemon, .unknown, host: "unknown")
    for _ in 0..<3 { #expect(try pass(client)) }
    try client.quit()
    let silent = try open(daemon, .unknown, host: "unknown")
    try silent.quit()
    try daemon.awaitNoSessions()
    #expect(try totals(daemon)["broken-connections"] == 0)
  }

  @Test(
    "With few descriptors sessions are taken only as long as some are left for all else; the daemon goes on"
  )
  func fewDescriptors() throws {
    let daemon = try TestDaemon(
      policy: "rules: [\(Self.perIP)]", launcher: ["prlimit", "--nofile=120:120"])
    var sessions: [MilterClient] = []
    for _ in 0..<60 { sessions.append(try open(daemon, .ipv4("192.0.2.7", port: 1))) }
    for _ in 0..<5 { #expect(throws: MilterClientError.self) { try open(daemon, .ipv4("192.0.2.8", port: 1)) } }
    #expect(try daemon.status("sessions_open") == 60)
    #expect(try daemon.logLine("sessions turned away").contains("open=60"))
    for session in sessions { try session.quit() }
    try daemon.awaitNoSessions()
    #expect(try pass(open(daemon, .ipv4("192.0.2.8", port: 1))))
  }

  @Test("Port 0 is this machine's own mail: counted for no address")
  func portZero() throws {
    let daemon = try Self.daemon(Self.perIP)
    let client = try open(daemon, .ipv4("127.0.0.1", port: 0), host: "localhost")
    for _ in 0..<3 { #expect(try pass(client, sender: "root@local.test")) }
  }

  @Test("An IPv4 address is the same mapped into IPv6")
  func mapped() throws {
    let daemon = try Self.daemon(Self.perIP)
    #expect(try pass(open(daemon, .ipv4("192.0.2.7", port: 1))))
    #expect(try !pass(open(daemon, .ipv6("::ffff:192.0.2.7", port: 1))))
    #expect(try daemon.count("ip:192.0.2.7", rule: "r") == 1)
  }

  @Test("IPv6 addresses count by themselves and by their /64")
  func ipv6() throws {
    let daemon = try Self.daemon("{name: n, count: messages, per: network, limit: 1 per 1h, then: reject}")
    #expect(try pass(open(daemon, .ipv6("2001:db8::1", port: 1))))
    #expect(try !pass(open(daemon, .ipv6("2001:db8::2", port: 1))))
    #expect(try pass(open(daemon, .ipv6("2001:db8:0:1::1", port: 1))))
    #expect(try daemon.count("network:2001:db8::/64", rule: "n") == 1)
  }

  @Test("One login in all its spellings is one user; a foreign realm makes another")
  func spellings() throws {
    let daemon = try Self.daemon("{name: u, count: messages, per: user, limit: 9 per 1h, then: reject}")
    for login in ["alice", "Alice", "ALICE@mx.test", "alice@test", "alice@elsewhere.example"] {
      #expect(try pass(open(daemon, .ipv4("192.0.2.1", port: 1)), login: login))
    }
    #expect(try daemon.count("user:alice", rule: "u") == 4)
    #expect(try daemon.count("user:alice@elsewhere.example", rule: "u") == 1)
  }

  @Test("A sender without angle brackets, in other case or with a source route is the same sender")
  func paths() throws {
    let daemon = try Self.daemon("{name: s, count: messages, per: sender, limit: 9 per 1h, then: reject}")
    let client = try open(daemon, .ipv4("192.0.2.1", port: 1))
    for path in ["<a@b.test>", "a@b.test", "<A@B.TEST>", "<@relay.test:a@b.test>"] {
      #expect(try pass(client, sender: path))
    }
    #expect(try daemon.count("sender:a@b.test", rule: "s") == 4)
  }

  @Test("CLOSE without CONNECT and ABORT without MAIL pass without a fault")
  func incomplete() throws {
    let daemon = try Self.daemon(Self.broken)
    let early = try MilterClient(.unix(daemon.milterSocket))
    try early.negotiate()
    try early.quit()
    let silent = try MilterClient(.unix(daemon.milterSocket))
    silent.close()
    let client = try open(daemon, .ipv4("192.0.2.1", port: 1))
    try client.abort()
    #expect(try pass(client))
    try client.quit()
    try daemon.awaitNoSessions()
    #expect(try faults(daemon) == 0)
    #expect(try totals(daemon)["broken-connections"] == 0)
  }

  @Test(
    "A stage out of order is a fault: it is counted, told, and gets the configured verdict",
    arguments: ["accept", "tempfail"])
  func outOfOrder(_ onFault: String) throws {
    let daemon = try Self.daemon(
      onFault: onFault, "{name: r, count: recipients, per: ip, limit: 1 per 1h, then: reject}")
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    // MAIL before CONNECT: libmilter's own state machine lets it through.
    try client.sendRaw(command: UInt8(ascii: "M"), payload: Array("<a@b.test>\0".utf8))
    let answer = try client.receiveResponse()
    if onFault == "accept" {
      #expect(answer == .continue)
    } else {
      #expect(answer == .reply(["451 4.3.0 A mail filter failed; try again later"]))
    }
    try eventually("the fault is counted") { try faults(daemon) == 1 }
    #expect(try daemon.log.contains("MAIL came without CONNECT"))
  }

  @Test(
    "Garbage ends its own session and no other",
    arguments: [
      [UInt8](repeating: 0xff, count: 64), [0, 0, 0, 0], [0x7f, 0xff, 0xff, 0xff, 0x43],
      Array("GET / HTTP/1.1\r\n\r\n".utf8),
    ])
  func garbage(_ bytes: [UInt8]) throws {
    let daemon = try Self.daemon(Self.perIP)
    let good = try open(daemon, .ipv4("192.0.2.9", port: 1))
    let bad = try MilterClient(.unix(daemon.milterSocket))
    try bad.sendBytes(bytes)
    bad.close()
    let worse = try open(daemon, .ipv4("192.0.2.8", port: 1))
    try worse.sendBytes(bytes)
    worse.close()
    #expect(try pass(good))
    try good.quit()
    try daemon.awaitNoSessions()
    #expect(daemon.isRunning)
  }

  @Test("A stage that no rule needs is not asked for")
  func negotiation() throws {
    func steps(_ rules: String, exempt: String = "") throws -> UInt32 {
      let daemon = try TestDaemon(policy: "\(exempt)\nrules: [\(rules)]")
      return try MilterClient(.unix(daemon.milterSocket)).negotiate().steps
    }
    let (noRecipients, noData, noBody, noHELO, noUnknown): (UInt32, UInt32, UInt32, UInt32, UInt32) = (
      0x8, 0x200, 0x10, 0x2, 0x100
    )
    let (noReplyConnect, noReplyRecipient, showsRefused): (UInt32, UInt32, UInt32) = (0x1000, 0x8000, 0x800)
    let messages = "{name: m, count: messages, per: user, limit: 9 per 1h, then: reject}"
    let few = try steps(messages)
    #expect(
      few & noRecipients != 0 && few & noData != 0 && few & noBody != 0 && few & noHELO != 0 && few & noUnknown != 0)
    #expect(few & noReplyConnect != 0)
    let recipients = try steps("{name: m, count: recipients, per: user, limit: 9 per 1h, then: reject}")
    #expect(recipients & noRecipients == 0 && recipients & noReplyRecipient != 0 && recipients & showsRefused == 0)
    let bad = try steps("{name: m, count: bad-recipients, per: user, limit: 9 per 1h, then: reject}")
    #expect(bad & noReplyRecipient == 0 && bad & showsRefused != 0)
    #expect(try steps(Self.broken) & noReplyConnect == 0)
    #expect(try steps(messages, exempt: "exempt: {networks: [192.0.2.0/24]}") & noReplyConnect == 0)
  }

  @Test("An administrator's block of an address turns it away at connect, also under a policy that does not wait there")
  func blockAtConnect() throws {
    let daemon = try Self.daemon("{name: m, count: messages, per: user, limit: 9 per 1h, then: reject}")
    #expect(try daemon.command("block", "network:192.0.2.0/28", "--for", "1h", "--reason", "abuse desk").status == 0)
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    guard case .reply(let lines) = try client.connect(address: .ipv4("192.0.2.7", port: 1)) else {
      Issue.record("it was let in")
      return
    }
    #expect(lines[0].hasPrefix("421 4.7.1 network 192.0.2.0/28: blocked by the administrator; try again in "))
  }

  @Test("An exempt network is accepted as a whole as it connects")
  func exempt() throws {
    let daemon = try TestDaemon(policy: "exempt: {networks: [192.0.2.0/24]}\nrules: [\(Self.perIP)]")
    let client = try MilterClient(.unix(daemon.milterSocket))
    try client.negotiate()
    #expect(try client.connect(address: .ipv4("192.0.2.7", port: 1)) == .accept)
  }

  private func totals(_ daemon: TestDaemon) throws -> [String: Int] {
    let status = try daemon.curl("/v1/status") as? [String: Any]
    return (status?["totals"] as? [String: [String: Int]] ?? [:]).mapValues { $0["total"] ?? -1 }
  }

  private func faults(_ daemon: TestDaemon) throws -> Int {
    let status = try daemon.curl("/v1/status") as? [String: Any]
    return (status?["faults"] as? [String: Int])?["milter_faults"] ?? -1
  }
}
