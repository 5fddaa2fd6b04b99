import Foundation
import MilterClient
import Testing
import WardenPolicy
import WardenTestKit

private let examples = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .appendingPathComponent("../../Examples").standardizedFileURL

@Suite("Examples")
struct ExampleTests {
  static let policies = ["policies", "policies/moving"].flatMap { folder in
    try! FileManager.default.contentsOfDirectory(
      at: examples.appendingPathComponent(folder), includingPropertiesForKeys: nil)
  }.filter { $0.pathExtension == "yaml" }

  @Test("Every example policy is good", arguments: policies)
  func policyIsGood(_ file: URL) throws {
    let result = try Shell.run(builtProgram("mailwarden"), ["check", file.path])
    #expect(result.status == 0 && result.errors == "", "\(result.errors)")
  }

  @Test("The tests of the example policies pass, and see every enforcing rule act")
  func policyTests() throws {
    let folders = ["policies/tests", "policies/moving/tests"].map { examples.appendingPathComponent($0).path }
    let result = try Shell.run(builtProgram("mailwarden"), ["test"] + folders)
    #expect(result.status == 0 && result.errors == "", "\(result.output)\(result.errors)")
    let coverage = result.output.split(separator: "\n").filter { $0.contains("enforcing rules were seen to act") }
    #expect(coverage.count == Self.policies.count)
    #expect(!coverage.contains { $0.contains("without a test") }, "\(coverage)")
  }

  @Test("Each guide for moving has a policy, and shows rules as they stand in it")
  func guides() throws {
    let docs = examples.appendingPathComponent("../docs/moving").standardizedFileURL
    let guides = try FileManager.default.contentsOfDirectory(at: docs, includingPropertiesForKeys: nil)
    let moving = Self.policies.filter { $0.path.contains("/moving/") }
    #expect(
      guides.map { $0.deletingPathExtension().lastPathComponent }.sorted()
        == moving.map { $0.deletingPathExtension().lastPathComponent }.sorted())
    func lines(_ text: String) -> [String] {
      text.split(separator: "\n").map { line in
        String(line.prefix { $0 != "#" }).trimmingCharacters(in: .whitespaces)
      }
    }
    for guide in guides {
      let policy = examples.appendingPathComponent(
        "policies/moving/\(guide.deletingPathExtension().lastPathComponent).yaml")
      let blocks = try String(contentsOf: guide, encoding: .utf8).components(separatedBy: "```yaml\n")
      let shown = lines(blocks[1].components(separatedBy: "```")[0])
      let written = Set(lines(try String(contentsOf: policy, encoding: .utf8)))
      #expect(shown.filter { !written.contains($0) } == [], "\(guide.lastPathComponent)")
    }
  }

  @Test("The default policy enforces only what no honest user does, and tells why beside each rule")
  func defaultPolicy() throws {
    let text = try String(contentsOf: examples.appendingPathComponent("policies/default.yaml"), encoding: .utf8)
    let policy = try #require(PolicyReader.read(text, file: "default.yaml").configuration?.policy)
    let biting = policy.rules.filter { $0.mode == .enforce && ($0.then.refusal != nil || $0.then.block != nil) }
    #expect(
      biting.map(\.name) == [
        "hijack-strangers", "hijack-botnet", "hijack-flood", "hijack-mixed", "hijack-volume", "not-smtp",
      ])
    #expect(policy.rules.allSatisfy { !$0.description.isEmpty })
    for rule in text.components(separatedBy: "\n  - name: ").dropFirst() { #expect(rule.contains("    # ")) }
  }

  @Test("A milter of one's own: the example of the Milter library")
  func recipientCount() throws {
    let folder = try TemporaryFolder()
    let socket = folder.file("milter.sock")
    let milter = try ChildProcess(
      [builtProgram("recipient-count"), "unix:\(socket)", "2"], output: folder.file("log"))
    defer {
      milter.signal(SIGKILL)
      milter.wait()
    }
    try eventually("it listens") { (try? MilterClient(.unix(socket))) != nil }

    let client = try MilterClient(.unix(socket))
    try client.negotiate()
    #expect(try client.connect() == .notAsked)
    #expect(try client.mail("<nobody>") == .reply(["451-4.1.8 Who is <nobody>?", "451 4.1.8 Try again later."]))
    #expect(try client.mail("<a@b.test>") == .continue)
    for _ in 0..<2 { #expect(try client.recipient("<c@d.test>") == .continue) }
    // A percent sign is doubled on the wire; the MTA makes one of it.
    #expect(try client.recipient("<e@d.test>") == .reply(["550 5.5.3 2 recipients are 100%% of what is allowed"]))
    #expect(try client.endOfMessage() == .continue)
    #expect(client.changes == [.addHeader(name: "X-Recipients", value: "2")])
    try client.quit()

    milter.signal(SIGTERM)
    try eventually("it stops") { !milter.isRunning }
    #expect(milter.wait() == 0)
    #expect(try folder.read("log") == "")
  }
}

/// The consultant's table, row by row, as it is shipped.
@Suite("The consultant's policy", .serialized)
struct ConsultantTests {
  private static let policy = try! String(
    contentsOf: examples.appendingPathComponent("policies/consultant.yaml"), encoding: .utf8)

  @Test(
    "Five broken connections block an address for 3 days",
    .enabled(if: geteuid() == 0, "root is needed for private MTAs"), arguments: MTA.Kind.allCases)
  func brokenConnections(_ kind: MTA.Kind) throws {
    let (mta, daemon) = try start(kind)
    for count in 1...5 {
      try SMTPClient(port: mta.port, from: "127.0.71.1").drop()
      try daemon.awaitNoSessions()
      #expect(try daemon.blockedKeys == (count == 5 ? ["ip:127.0.71.1"] : []))
    }
    #expect(try SMTPClient(port: mta.port, from: "127.0.71.1").banner.code == 421)
    #expect(try blockedFor(daemon) == 3 * 86_400)
  }

  @Test(
    "More than 8 unknown recipients block an address for a day",
    .enabled(if: geteuid() == 0, "root is needed for private MTAs"), arguments: MTA.Kind.allCases)
  func flood(_ kind: MTA.Kind) throws {
    let (mta, daemon) = try start(kind)
    let client = try SMTPClient(port: mta.port, from: "127.0.71.2")
    try client.command("EHLO x.test")
    try client.command("MAIL FROM:<a@sender.test>")
    for count in 1...9 {
      #expect(try client.command("RCPT TO:<guess\(count)@local.test>").code == 550)
      #expect(try daemon.blockedKeys == (count == 9 ? ["ip:127.0.71.2"] : []))
    }
    #expect(try client.command("RCPT TO:<alice@local.test>").code == 450)
    #expect(try blockedFor(daemon) == 86_400)
  }

  @Test(
    "More than 10 DNSBL rejections block an address for a day",
    .enabled(if: geteuid() == 0, "root is needed for private MTAs"))
  func dnsbl() throws {
    let mta = try MTA(.postfix, with: [.blockList])
    defer { mta.stop() }
    let daemon = try TestDaemon(policy: Self.policy, folder: mta.milterFolder)
    let client = try SMTPClient(port: mta.port, from: "127.0.66.8")
    try client.command("EHLO x.test")
    try client.command("MAIL FROM:<a@sender.test>")
    for count in 1...11 {
      let reply = try client.command("RCPT TO:<alice@local.test>")
      #expect(reply.code == 554 && reply.text.contains("blocked using dnsbl.test"), "\(reply)")
      #expect(try daemon.blockedKeys == (count == 11 ? ["ip:127.0.66.8"] : []))
    }
    #expect(try blockedFor(daemon) == 86_400)
    #expect(try daemon.count("ip:127.0.66.8", rule: "rcpt-flood") == 0)
  }

  @Test(
    "More than 25 logins, and more than 25 messages, alert the administrator once each",
    .enabled(if: geteuid() == 0, "root is needed for private MTAs"), arguments: MTA.Kind.allCases)
  func accounts(_ kind: MTA.Kind) throws {
    let (mta, daemon) = try start(kind)
    func alerts() throws -> Int { try daemon.log.components(separatedBy: " alert ").count - 1 }
    for count in 1...28 {
      let client = try SMTPClient(port: mta.port, from: "127.0.71.\(10 + count)")
      try client.command("EHLO x.test")
      try client.authenticate("frank")
      try client.command("MAIL FROM:<frank@local.test>")
      try client.command("RCPT TO:<friend@far.test>")
      #expect(try client.message(bytes: 10).code == 250)
      try client.command("QUIT")
      client.drop()
      if count == 25 { #expect(try alerts() == 0) }
    }
    try eventually("both rules have told") { try alerts() == 2 }
    let log = try daemon.log
    #expect(log.contains(#"reason="user frank: 26 logins in 2h (limit 25)""#))
    #expect(log.contains(#"reason="user frank: 26 messages in 2h (limit 25)""#))
    #expect(try alerts() == 2)
  }

  private func start(_ kind: MTA.Kind) throws -> (MTA, TestDaemon) {
    let mta = try MTA.of(kind, for: "consultant")
    return (mta, try TestDaemon(policy: Self.policy, folder: mta.milterFolder))
  }

  /// How long the only penalty lasts, in seconds.
  private func blockedFor(_ daemon: TestDaemon) throws -> Double {
    let penalties = try #require(try daemon.curl("/v1/penalties") as? [[String: Any]])
    let dates = ISO8601DateFormatter()
    let since = try #require(dates.date(from: penalties.first?["since"] as? String ?? ""))
    let until = try #require(dates.date(from: penalties.first?["until"] as? String ?? ""))
    return until.timeIntervalSince(since)
  }
}
