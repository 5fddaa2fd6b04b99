import Foundation
import Testing
import WardenTestKit

private let actions = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .appendingPathComponent("../../Examples/actions").standardizedFileURL.path

/// The scripts of Examples/actions, against what they are written for.
@Suite("Actions that are shipped", .serialized)
struct ActionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  // MARK: - Running an action as the daemon does

  private func run(
    _ action: String, _ arguments: [String] = [], told input: Data, in wrapper: [String] = []
  ) throws -> Shell.Result {
    try input.write(to: URL(fileURLWithPath: folder.file("input")))
    let command = wrapper + ["\(actions)/\(action)"] + arguments
    return try Shell.run("/bin/sh", ["-c", #"cd "${0%/*}" && exec "$@" <"$0""#, folder.file("input")] + command)
  }

  /// An episode of a rule per user, with other fields where they are given.
  private func episode(_ fields: [String: Any] = [:]) throws -> Data {
    let user = fields["user"] ?? "alice"
    let all: [String: Any] = [
      "command": "action", "rule": "cap", "key": "user:\(user)", "reason": "user \(user): 3 messages in 1h (limit 2)",
      "at": Date.now.ISO8601Format(), "until": (Date.now + 3600).ISO8601Format(), "stage": "end-of-message",
      "user": user, "ip": "192.0.2.7", "network": "192.0.2.0/24", "sender": "alice@local.test", "queue_ids": [String](),
    ]
    return try JSONSerialization.data(withJSONObject: all.merging(fields) { $1 })
  }

  /// It did nothing, and said why.
  private func expectRefusal(
    _ result: Shell.Result, by action: String, _ location: SourceLocation = #_sourceLocation
  ) {
    #expect(result.status == 1, "\(result)", sourceLocation: location)
    #expect(result.errors.hasPrefix("\(action): "), "\(result)", sourceLocation: location)
    #expect(result.output == "", sourceLocation: location)
    expectNothingWasRun(location)
  }

  /// What `hostile` values would make, were they run.
  private func expectNothingWasRun(_ location: SourceLocation = #_sourceLocation) {
    #expect(!FileManager.default.fileExists(atPath: folder.file("pwned")), sourceLocation: location)
  }

  /// What clients may call themselves. Actions run in the test's folder.
  private static let hostile = [
    "", " ", "-h", "--help", "-", "$(touch pwned)", "`touch pwned`", "alice;touch pwned", "alice|touch pwned",
    "alice bob", "alice\n", "\nalice", "alice\nbob", "alice\0", "../alice", "/etc/passwd", "alice/..", "*", "[a-z]*",
    "ALL",
    "alice:x", "alice,ip:192.0.2.1", "'alice'", "\"alice\"", "al\u{ef}ce", "al\u{fffd}ce", "${HOME}", "\\alice",
    String(repeating: "a", count: 10_000),
  ]

  @Test(
    "What is no episode is refused",
    arguments: ["hold-postfix", "hold-sendmail", "block-nftables", "lock-account", "lock-dovecot"])
  func garbage(_ action: String) throws {
    try folder.write("", to: "denied")
    let episode = try episode(["queue_ids": ["5F992FB646B"]])
    let inputs = [
      Data(), Data("\n".utf8), Data("{".utf8), Data("[]".utf8), Data("null".utf8), Data("\"x\"".utf8), Data("{}".utf8),
      Data("$(touch pwned)".utf8), Data([0xff, 0xfe, 0]), episode + episode, Data(episode.dropLast()),
      Data(repeating: UInt8(ascii: "["), count: 100_000),
    ]
    // Were one taken, nothing of this machine's may be within reach.
    let arguments = [
      "hold-postfix": [folder.file("none")], "hold-sendmail": ["/bin/false"], "block-nftables": ["none"],
      "lock-account": ["--prefix", folder.file("none")], "lock-dovecot": [folder.file("denied")],
    ]
    for input in inputs { expectRefusal(try run(action, arguments[action]!, told: input), by: action) }
    for input in inputs { expectRefusal(try run(action, ["a", "b", "c", "d"], told: input), by: action) }
    #expect(try folder.read("denied") == "")
  }

  // MARK: - What is still in the queue

  private static let watching =
    "rules: [{name: watch, count: messages, per: user, limit: 1000 per 1h, then: alert}]"

  /// Sends messages that stay in the queue: their queue ids.
  private func send(_ count: Int, by mta: MTA, to recipient: String = "friend@later.test") throws -> [String] {
    let client = try SMTPClient(port: mta.port, from: "127.0.86.1")
    try client.command("EHLO client.test")
    try client.authenticate("alice")
    let ids = try (0..<count).map { _ in
      try client.command("MAIL FROM:<alice@local.test>")
      try client.command("RCPT TO:<\(recipient)>")
      let reply = try client.message(bytes: 10)
      #expect(reply.code == 250, "\(reply)")
      return try #require(mta.queueID(in: reply.text))
    }
    try client.command("QUIT")
    return ids
  }

  /// Where the message is in Postfix's queue, or nothing.
  private func queue(of id: String, _ mta: MTA) throws -> String? {
    try mta.administer("postqueue", "-j").split(separator: "\n").compactMap {
      try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
    }.first { $0["queue_id"] as? String == id }?["queue_name"] as? String
  }

  @Test(
    "hold-postfix: what is still queued goes on hold, and can be let go",
    .enabled(if: MTA.missing(.postfix) == nil, "root is needed for a private Postfix"))
  func holdPostfix() throws {
    let mta = try MTA.of(.postfix, for: "actions")
    let daemon = try TestDaemon(policy: Self.watching, folder: mta.milterFolder)
    let delivered = try send(1, by: mta, to: "friend@far.test")[0]
    let ids = try send(3, by: mta)
    try eventually("all are deferred") { try ids.allSatisfy { try queue(of: $0, mta) == "deferred" } }
    try eventually("one is delivered") { try mta.log.contains("\(delivered): removed") }

    let result = try run(
      "hold-postfix", [mta.configuration], told: episode(["queue_ids": [delivered, ids[0], ids[1], ids[1]]]))
    #expect(result.status == 0 && result.output == "hold-postfix: 2 of 3 put on hold\n", "\(result)")
    #expect(try ids.map { try queue(of: $0, mta) } == ["hold", "hold", "deferred"])

    let again = try run("hold-postfix", [mta.configuration], told: episode(["queue_ids": [ids[0], ids[1]]]))
    #expect(again.status == 0 && again.output == "hold-postfix: 0 of 2 put on hold\n", "\(again)")
    let none = try run("hold-postfix", [mta.configuration], told: episode())
    #expect(none.status == 0 && none.output == "hold-postfix: 0 of 0 put on hold\n", "\(none)")

    try mta.administer("postsuper", "-H", ids[0])
    #expect(try ids.map { try queue(of: $0, mta) } == ["deferred", "hold", "deferred"])
    #expect(try daemon.stop() == 0)
  }

  @Test(
    "hold-postfix: what is no queue id holds nothing, least of all the whole queue",
    .enabled(if: MTA.missing(.postfix) == nil, "root is needed for a private Postfix"))
  func holdPostfixHostile() throws {
    let mta = try MTA.of(.postfix, for: "actions")
    let daemon = try TestDaemon(policy: Self.watching, folder: mta.milterFolder)
    let ids = try send(2, by: mta)
    try eventually("all are deferred") { try ids.allSatisfy { try queue(of: $0, mta) == "deferred" } }
    let hostile: [Any] = Self.hostile + ["\(ids[0])\n", "ALL\n", "\(ids[0]) \(ids[1])", 7, NSNull(), [ids[0]]]
    for id in hostile {
      let result = try run("hold-postfix", [mta.configuration], told: episode(["queue_ids": [id]]))
      #expect(result.status == 1 && result.errors.contains("1 of 1 do not look like queue ids"), "\(id): \(result)")
    }
    #expect(try ids.map { try queue(of: $0, mta) } == ["deferred", "deferred"])
    expectNothingWasRun()
    for list: Any in [NSNull(), "ALL", ids[0], 7, ["a": ids[0]]] {
      expectRefusal(
        try run("hold-postfix", [mta.configuration], told: episode(["queue_ids": list])), by: "hold-postfix")
    }
    // They save nobody else's message.
    let mixed = try run("hold-postfix", [mta.configuration], told: episode(["queue_ids": ["ALL", ids[0], "-h"]]))
    #expect(mixed.status == 1 && mixed.output == "hold-postfix: 1 of 3 put on hold\n", "\(mixed)")
    #expect(try ids.map { try queue(of: $0, mta) } == ["hold", "deferred"])
    #expect(try daemon.stop() == 0)
  }

  @Test(
    "hold-sendmail: what is still queued is quarantined with the rule's name, and can be let go",
    .enabled(if: MTA.missing(.sendmail) == nil, "root is needed for a private Sendmail"))
  func holdSendmail() throws {
    let mta = try MTA.of(.sendmail, for: "actions")
    let daemon = try TestDaemon(policy: Self.watching, folder: mta.milterFolder)
    let ids = try send(3, by: mta)
    let gone = String(ids[0].dropLast(6)) + "999999"
    let result = try run("hold-sendmail", mta.administration, told: episode(["queue_ids": [gone, ids[0], ids[1]]]))
    #expect(result.status == 0 && result.output == "hold-sendmail: 2 of 3 put on hold\n", "\(result)")
    #expect(ids.map(mta.isHeld) == [true, true, false])
    #expect(try mta.administer("-bp", "-qQ").contains("QUARANTINE: Mailwarden: cap"))

    let again = try run("hold-sendmail", mta.administration, told: episode(["queue_ids": [ids[0], ids[1]]]))
    #expect(again.status == 0 && again.output == "hold-sendmail: 0 of 2 put on hold\n", "\(again)")
    // Without an id, -Q would quarantine all there is.
    let none = try run("hold-sendmail", mta.administration, told: episode())
    #expect(none.status == 0 && none.output == "hold-sendmail: 0 of 0 put on hold\n", "\(none)")
    #expect(!mta.isHeld(ids[2]))

    try mta.administer("-qQ", "-Q", "-qI\(ids[0])")
    #expect(ids.map(mta.isHeld) == [false, true, false])
    #expect(try daemon.stop() == 0)
  }

  @Test(
    "hold-sendmail: what is no whole queue id, or not Sendmail, quarantines nothing",
    .enabled(if: MTA.missing(.sendmail) == nil, "root is needed for a private Sendmail"))
  func holdSendmailHostile() throws {
    let mta = try MTA.of(.sendmail, for: "actions")
    let daemon = try TestDaemon(policy: Self.watching, folder: mta.milterFolder)
    let ids = try send(2, by: mta)
    let hostile: [Any] = Self.hostile + [String(ids[0].prefix(6)), "\(ids[0])\n", 7, NSNull()]
    for id in hostile {
      let result = try run("hold-sendmail", mta.administration, told: episode(["queue_ids": [id]]))
      #expect(result.status == 1 && result.errors.contains("1 of 1 do not look like queue ids"), "\(id): \(result)")
    }
    for rule in Self.hostile where rule != "ALL" && rule != "-h" && rule != "--help" && rule != "-" {
      expectRefusal(
        try run("hold-sendmail", mta.administration, told: episode(["rule": rule, "queue_ids": ids])),
        by: "hold-sendmail")
    }
    // Postfix brings a command of the same name, which would deliver what -qI names.
    let postfix = try run("hold-sendmail", ["/usr/sbin/sendmail"], told: episode(["queue_ids": ids]))
    #expect(postfix.status == 1 && postfix.errors.contains("is not Sendmail"), "\(postfix)")
    #expect(ids.map(mta.isHeld) == [false, false])
    let mixed = try run("hold-sendmail", mta.administration, told: episode(["queue_ids": ["ALL", ids[0], "-h"]]))
    #expect(mixed.status == 1 && mixed.output == "hold-sendmail: 1 of 3 put on hold\n", "\(mixed)")
    #expect(ids.map(mta.isHeld) == [true, false])
    #expect(try daemon.stop() == 0)
  }

  @Test(
    "From the rule to the queue: what an account had sent before its rule tripped is held",
    .enabled(if: geteuid() == 0, "root is needed for private MTAs"), arguments: MTA.Kind.allCases)
  func endToEnd(_ kind: MTA.Kind) throws {
    let mta = try MTA.of(kind, for: "actions")
    let command =
      kind == .postfix
      ? ["\(actions)/hold-postfix", mta.configuration] : ["\(actions)/hold-sendmail"] + mta.administration
    let daemon = try TestDaemon(
      policy: """
        commands:
          hold-sent: [\(command.map { "\"\($0)\"" }.joined(separator: ", "))]
        rules:
          - {name: cap, count: messages, per: user, limit: 2 per 1h, then: [alert, hold, run hold-sent]}
        """, folder: mta.milterFolder)
    // The third is held by the rule itself.
    let ids = try send(3, by: mta)
    try eventually("all are held") { ids.allSatisfy(mta.isHeld) }
    #expect(try daemon.logLine("command ended").contains("command=hold-sent"))
    #expect(try daemon.stop() == 0)
  }

  // MARK: - The firewall

  /// Two machines with a wire between them: a mail server at 192.0.2.1 and 2001:db8::1, and a client at .7 and ::7.
  private final class Wire {
    let server: ChildProcess
    private let client: ChildProcess
    private let folder: TemporaryFolder

    static let missing: String? = {
      guard geteuid() == 0 else { return "root is needed for network namespaces" }
      let script = "ip link add v0 type veth peer name v1 && nft -f \(actions)/mailwarden.nft"
      guard let result = try? Shell.run("unshare", ["--net", "sh", "-c", script]) else {
        return "unshare cannot be run"
      }
      return result.status == 0
        ? nil : "a network namespace with veth and nftables is needed: \(result.errors.prefix(200))"
    }()

    init() throws {
      folder = try TemporaryFolder()
      server = try ChildProcess(["unshare", "--net", "sleep", "300"], output: folder.file("server"))
      client = try ChildProcess(["unshare", "--net", "sleep", "300"], output: folder.file("client"))
      let own = try Self.network(of: getpid())
      for child in [server, client] {
        try eventually("the network is there") { try Self.network(of: child.pid) != own }
      }
      try serve("ip link add v0 type veth peer name v0 netns \(client.pid) && nft -f \(actions)/mailwarden.nft")
      for (child, host) in [(server, "1"), (client, "7")] {
        try Shell.check(
          "nsenter",
          [
            "--net=/proc/\(child.pid)/ns/net", "sh", "-c",
            """
            ip link set lo up && ip link set v0 up && ip address add 192.0.2.\(host)/24 dev v0 &&
            ip address add 2001:db8::\(host)/64 dev v0 nodad && ip address add 198.51.100.\(host)/24 dev v0
            """,
          ])
      }
    }

    deinit {
      for child in [server, client] {
        child.signal(SIGKILL)
        child.wait()
      }
    }

    private static func network(of pid: pid_t) throws -> String {
      try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/net")
    }

    var onServer: [String] { ["nsenter", "--net=/proc/\(server.pid)/ns/net"] }

    @discardableResult
    func serve(_ script: String) throws -> String {
      try Shell.check("nsenter", Array(onServer.dropFirst()) + ["sh", "-c", script])
    }

    /// What a client's connection comes to. Nobody listens there, so a server that is reached refuses as well: what the
    /// firewall has counted tells them apart.
    func isBlocked(_ address: String, from source: String, port: Int = 25) throws -> Bool {
      // The server's own address: it talks to itself.
      let machine = source == address ? server : client
      let before = try counted()
      _ = try Shell.run(
        "nsenter",
        [
          "--net=/proc/\(machine.pid)/ns/net", "perl", "-MIO::Socket::IP", "-e",
          "IO::Socket::IP->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1], LocalAddr => $ARGV[2], Timeout => 3)",
          address, "\(port)", source,
        ])
      return try counted() > before
    }

    private func counted() throws -> Int {
      let words = try serve("nft list chain inet mailwarden blocked").split(whereSeparator: \.isWhitespace)
      return Int(words[words.firstIndex(of: "packets")! + 1])!
    }

    func elements() throws -> String { try serve("nft list table inet mailwarden | grep elements || :") }
  }

  @Test(
    "block-nftables: an address, or a network, is blocked for as long as the episode says",
    .enabled(if: Wire.missing == nil, "\(Wire.missing ?? "")"))
  func blockNftables() throws {
    let wire = try Wire()
    func block(_ fields: [String: Any]) throws {
      let result = try run("block-nftables", told: episode(fields), in: wire.onServer)
      #expect(result.status == 0, "\(result)")
    }
    #expect(try !wire.isBlocked("192.0.2.1", from: "192.0.2.7"))
    try block(["until": (Date.now + 630).ISO8601Format()])
    #expect(try wire.elements().contains("192.0.2.7 timeout 10m"))
    for port in [25, 465, 587] { #expect(try wire.isBlocked("192.0.2.1", from: "192.0.2.7", port: port)) }
    #expect(try !wire.isBlocked("192.0.2.1", from: "192.0.2.7", port: 443))
    #expect(try !wire.isBlocked("2001:db8::1", from: "2001:db8::7"))

    // Longer, and one that stood there already.
    try block(["until": (Date.now + 7230).ISO8601Format()])
    #expect(try wire.elements().contains("192.0.2.7 timeout 2h"))
    // Loading the rules again leaves what is blocked, and doubles nothing.
    try wire.serve("nft -f \(actions)/mailwarden.nft")
    #expect(try wire.isBlocked("192.0.2.1", from: "192.0.2.7"))
    #expect(try wire.serve("nft list table inet mailwarden | grep -c jump") == "4\n")

    try wire.serve("nft delete element inet mailwarden addresses4 '{ 192.0.2.7 }'")
    #expect(try !wire.isBlocked("192.0.2.1", from: "192.0.2.7"))
    try block(["ip": "2001:db8::7"])
    #expect(try wire.isBlocked("2001:db8::1", from: "2001:db8::7"))
    // A network beside an address of its own, which neither ends nor prolongs it.
    try block(["key": "user:alice,network:198.51.100.0/24", "ip": "198.51.100.7", "network": "198.51.100.0/24"])
    try block(["ip": "198.51.100.7"])
    #expect(try wire.isBlocked("198.51.100.1", from: "198.51.100.7"))
    try wire.serve("nft delete element inet mailwarden addresses4 '{ 198.51.100.7 }'")
    #expect(try wire.isBlocked("198.51.100.1", from: "198.51.100.7"))
    try wire.serve("nft flush set inet mailwarden addresses6")
    try block(["key": "network:2001:db8::/64", "ip": "2001:db8::7", "network": "2001:db8::/64"])
    #expect(try wire.isBlocked("2001:db8::1", from: "2001:db8::7"))

    // This machine's own mail goes over the loopback interface, whatever the address.
    try wire.serve("nft flush set inet mailwarden networks6")
    for address in ["192.0.2.1", "2001:db8::1"] {
      try block(["ip": address])
      #expect(try !wire.isBlocked(address, from: address))
    }

    // It ends by itself; one that has ended is no failure.
    try wire.serve("nft flush set inet mailwarden networks4")
    try block(["ip": "198.51.100.7", "until": (Date.now + 2).ISO8601Format()])
    try eventually("the block has ended") { try !wire.isBlocked("198.51.100.1", from: "198.51.100.7") }
    try block(["ip": "198.51.100.7", "until": (Date.now - 60).ISO8601Format()])
    #expect(try !wire.elements().contains("198.51.100.7"))
  }

  @Test(
    "block-nftables: what is no address, or this machine's, is refused",
    .enabled(if: Wire.missing == nil, "\(Wire.missing ?? "")"))
  func blockNftablesHostile() throws {
    let wire = try Wire()
    func refused(_ fields: [String: Any], _ arguments: [String] = []) throws {
      let result = try run("block-nftables", arguments, told: episode(fields), in: wire.onServer)
      expectRefusal(result, by: "block-nftables")
    }
    let addresses =
      Self.hostile + [
        "127.0.0.1", "127.255.0.1", "::1", "::", "0.0.0.0", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1", "192.0.2.7/24",
        "192.0.2.256", "192.0.2", "192.0.2.7, 198.51.100.1", "192.0.2.1-192.0.2.9", "192.0.2.7 }; flush ruleset; {",
        "fe80::1%lo", "1:2:3", "2001:db8::g", "localhost", "@addresses4", "192.0.2.7\n",
      ]
    for address in addresses { try refused(["ip": address]) }
    let networks =
      Self.hostile + [
        "0.0.0.0/0", "126.0.0.0/7", "127.0.0.0/8", "::/0", "::/64", "::1/128", "2000::/3", "192.0.2.0", "192.0.2.0/33",
        "2001:db8::/129", "192.0.2.0/24 }",
      ]
    for network in networks { try refused(["key": "network:\(network)", "network": network]) }
    for until in Self.hostile + ["tomorrow", "2026-11-21", "@9999999999"] { try refused(["until": until]) }
    for table in ["none", "-h", "mailwarden addresses4 { 192.0.2.9 } ;"] { try refused([:], [table]) }
    #expect(try wire.elements() == "")
  }

  // MARK: - The account

  /// The private part of a machine: its accounts, and how PAM asks for them.
  private func makeAccounts() throws {
    try FileManager.default.createDirectory(atPath: folder.file("etc/pam.d"), withIntermediateDirectories: true)
    let hash = try Shell.check("openssl", ["passwd", "-6", "secret"]).trimmingCharacters(in: .newlines)
    let users = [
      ("root", 0), ("mail", 8), ("nobody", 65534), ("alice", 1000), ("bob", 1001), ("10", 1002), ("toor", 0),
    ]
    let passwd = users.map { "\($0):x:\($1):\($1)::/nonexistent:/bin/sh\n" }.joined()
    try folder.write(passwd, to: "etc/passwd")
    try folder.write(users.map { "\($0.0):\(hash):20000:0:99999:7:::\n" }.joined(), to: "etc/shadow")
    try folder.write(users.map { "\($0):x:\($1):\n" }.joined(), to: "etc/group")
    try folder.write("passwd: files\nshadow: files\ngroup: files\n", to: "etc/nsswitch.conf")
    try folder.write("auth required pam_unix.so\naccount required pam_unix.so\n", to: "etc/pam.d/smtp")
    try folder.write("UID_MIN 1000\n", to: "etc/login.defs")
  }

  /// The accounts whose password is locked, and which have expired.
  private func locked() throws -> [String] {
    try folder.read("etc/shadow").split(separator: "\n").compactMap { line in
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      return fields[1].hasPrefix("!") && fields[7] == "1" ? String(fields[0]) : nil
    }
  }

  @Test(
    "lock-account: no login for SMTP any more, until it is unlocked",
    .enabled(if: geteuid() == 0, "root is needed for usermod, and a private /etc"))
  func lockAccount() throws {
    try makeAccounts()
    // saslauthd asks PAM, as it does for Postfix and Sendmail. It ends its process group with itself.
    let script = #"mount --bind "$0/etc" /etc && exec setsid saslauthd -a pam -m "$0" -n 1 -d"#
    let daemon = try ChildProcess(
      ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, folder.path],
      output: folder.file("saslauthd"))
    defer {
      daemon.signal(SIGKILL)
      daemon.wait()
    }
    func canLogIn(_ user: String) throws -> Bool {
      let test = ["-u", user, "-p", "secret", "-s", "smtp", "-f", folder.file("mux")]
      return try Shell.run("testsaslauthd", test).output.contains("OK")
    }
    try eventually("saslauthd lets alice in") { try canLogIn("alice") }
    let prefix = ["--prefix", folder.path]
    for _ in 0..<2 {
      let result = try run("lock-account", prefix, told: episode())
      #expect(result.status == 0 && result.output == "lock-account: alice: locked\n", "\(result)")
    }
    #expect(try !canLogIn("alice"))
    #expect(try canLogIn("bob"))
    #expect(try locked() == ["alice"])

    let undone = try run("lock-account", ["--unlock", "alice"] + prefix, told: Data())
    #expect(undone.status == 0 && undone.output == "lock-account: alice: unlocked\n", "\(undone)")
    #expect(try canLogIn("alice"))
    #expect(try locked() == [])
  }

  @Test(
    "lock-account: root, the system's own users and what is no account are refused",
    .enabled(if: geteuid() == 0, "root is needed for usermod"))
  func lockAccountHostile() throws {
    try makeAccounts()
    let before = try folder.read("etc/shadow")
    func refused(_ fields: [String: Any], _ arguments: [String] = []) throws {
      expectRefusal(
        try run("lock-account", ["--prefix", folder.path] + arguments, told: episode(fields)), by: "lock-account")
    }
    for user in Self.hostile + ["root", "toor", "mail", "nobody", "zoe", "alice@local.test", "1e1", "10"] {
      try refused(["user": user])
    }
    // An argument ends where a NUL is.
    for user in Self.hostile + ["root", "zoe"] where !user.contains("\0") { try refused([:], ["--unlock", user]) }
    // Whoever was logged in as another's rule tripped.
    for key in ["ip:192.0.2.7", "user:bob", "user:alice2,ip:192.0.2.7", "sender:user:alice", "server"] {
      try refused(["key": key])
    }
    for uid in ["x", "", "-1", "1001", "1e9"] { try refused([:], ["--min-uid", uid]) }
    try refused(["user": "root"], ["--min-uid", "0"])
    try refused(["user": "nobody"], ["--min-uid", "0"])
    #expect(try folder.read("etc/shadow") == before)
    // A pair's key counts for its user, too; and a uid of one's own.
    let pair = try run(
      "lock-account", ["--prefix", folder.path, "--min-uid", "8"],
      told: episode(["user": "mail", "key": "user:mail,ip:192.0.2.7"]))
    #expect(pair.status == 0, "\(pair)")
    #expect(try locked() == ["mail"])
  }

  @Test(
    "lock-dovecot: no login any more, until it is unlocked; the others' passwords work",
    .enabled(if: geteuid() == 0, "root is needed for a private Dovecot"))
  func lockDovecot() throws {
    try folder.write("alice:{PLAIN}secret\nbob:{PLAIN}secret\ncarol@local.test:{PLAIN}secret\n", to: "users")
    // An administrator's own line, without its end.
    try folder.write("mallory", to: "denied")
    try folder.write(
      """
      base_dir = \(folder.path)/run
      state_dir = \(folder.path)/state
      log_path = \(folder.path)/log
      protocols =
      ssl = no
      # Wrong passwords are not made to wait.
      auth_failure_delay = 0
      service anvil {
        unix_listener anvil-auth-penalty {
          mode = 0
        }
      }
      passdb {
        driver = passwd-file
        deny = yes
        args = username_format=%u \(folder.path)/denied
      }
      passdb {
        driver = passwd-file
        args = \(folder.path)/users
      }
      userdb {
        driver = static
        args = uid=nobody gid=nogroup home=/nonexistent
      }
      """, to: "dovecot.conf")
    let dovecot = try ChildProcess(["dovecot", "-F", "-c", folder.file("dovecot.conf")], output: folder.file("out"))
    defer {
      dovecot.signal(SIGTERM)
      dovecot.wait()
    }
    func canLogIn(_ user: String) throws -> Bool {
      let test = ["-c", folder.file("dovecot.conf"), "auth", "test", user, "secret"]
      return try Shell.run("doveadm", test).output.contains("auth succeeded")
    }
    try eventually("Dovecot lets alice in") { try canLogIn("alice") }
    let file = folder.file("denied")
    for answer in ["alice: denied", "alice: was denied before"] {
      let result = try run("lock-dovecot", [file], told: episode())
      #expect(result.status == 0 && result.output == "lock-dovecot: \(answer)\n", "\(result)")
    }
    let carol = try run("lock-dovecot", [file, "local.test"], told: episode(["user": "carol"]))
    #expect(carol.status == 0, "\(carol)")
    #expect(try folder.read("denied") == "mallory\nalice\ncarol@local.test\n")
    // Dovecot looks once a second.
    try eventually("alice is kept out") { try !canLogIn("alice") }
    #expect(try !canLogIn("carol@local.test"))
    #expect(try canLogIn("bob"))

    let undone = try run("lock-dovecot", ["--unlock", "alice", file], told: Data())
    #expect(undone.status == 0, "\(undone)")
    #expect(try folder.read("denied") == "mallory\ncarol@local.test\n")
    try eventually("alice is let in") { try canLogIn("alice") }
  }

  @Test("lock-dovecot: the file's owner and mode stay, several at once all come in, hostile names do not")
  func lockDovecotFile() throws {
    let file = folder.file("denied")
    try folder.write("10\n", to: "denied")
    chmod(file, 0o640)
    for user in Self.hostile {
      expectRefusal(try run("lock-dovecot", [file], told: episode(["user": user])), by: "lock-dovecot")
    }
    // An argument ends where a NUL is.
    for user in Self.hostile where !user.contains("\0") {
      expectRefusal(try run("lock-dovecot", ["--unlock", user, file], told: episode()), by: "lock-dovecot")
    }
    for key in ["ip:192.0.2.7", "user:bob", "sender:user:alice", "server"] {
      expectRefusal(try run("lock-dovecot", [file], told: episode(["key": key])), by: "lock-dovecot")
    }
    for arguments in [[], [folder.file("none")], [file, "a", "b"], ["--unlock", file], [folder.path]] {
      expectRefusal(try run("lock-dovecot", arguments, told: episode()), by: "lock-dovecot")
    }
    #expect(try folder.read("denied") == "10\n")

    let users = (1...12).map { "user\($0)" } + ["1e1"]
    for user in users { try episode(["user": user]).write(to: URL(fileURLWithPath: folder.file(user))) }
    let script = #"cd "$0" && for user in user* 1e1; do "$1" denied <"$user" & done; wait"#
    try Shell.check("/bin/sh", ["-c", script, folder.path, "\(actions)/lock-dovecot"])
    #expect(try folder.read("denied").split(separator: "\n").map(String.init).sorted() == (users + ["10"]).sorted())
    let attributes = try FileManager.default.attributesOfItem(atPath: file)
    #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o640)
    #expect(!FileManager.default.fileExists(atPath: "\(file).new"))
  }
}
