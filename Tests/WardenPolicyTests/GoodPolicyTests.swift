import Testing
import WardenCore

@testable import WardenPolicy

/// What a sound policy means, and what is said about it without refusing it.
struct GoodPolicyTests {
  @Test("A policy means exactly what it says")
  func full() throws {
    // A block of addresses that no rule enforces warns nobody, but one of the whole server does.
    let configuration = try readGood(
      PolicyText.full,
      warnings: [
        """
        good.yaml:13:5: warning: exempt users are known only once they have logged in; rule "all" can turn their \
        address away before that (exempt their networks too)
        """
      ])
    let wanted = Configuration.full
    #expect(configuration.milter == wanted.milter)
    #expect(configuration.control == wanted.control)
    #expect(configuration.policy.exempt == wanted.policy.exempt)
    #expect(configuration.policy.rules.count == wanted.policy.rules.count)
    for (rule, wanted) in zip(configuration.policy.rules, wanted.policy.rules) { #expect(rule == wanted) }
    #expect(configuration.policy.overrides.count == wanted.policy.overrides.count)
    for (override, wanted) in zip(configuration.policy.overrides, wanted.policy.overrides) {
      #expect(override == wanted)
    }
    #expect(configuration == wanted)
  }

  @Test("What is not said has its default")
  func defaults() throws {
    let configuration = try readGood(PolicyText.rule)
    #expect(configuration == .rule)
    #expect(configuration.milter == .init(place: "unix:/run/mailwarden/milter.sock", group: nil, mode: 0o660))
    #expect(configuration.control == .init(place: "/run/mailwarden/control.sock", group: nil, mode: 0o660))
    #expect(configuration.user == nil)
    #expect(configuration.onFault == .accept)
    #expect(configuration.policy.exempt == Exemptions(networks: [], users: []))
    #expect(configuration.policy.networkPrefix == NetworkPrefix(v4: 24, v6: 64))
    #expect(configuration.policy.realms == nil)
    let rule = try #require(configuration.policy.rules.first)
    #expect(rule.mode == .enforce && rule.description == "" && rule.reply == nil)
  }

  @Test("An empty list of realms is not the same as none")
  func noRealms() throws {
    #expect(try readGood("realms: []\n" + PolicyText.rule).policy.realms == [])
  }

  @Test("A socket's place can stand alone")
  func sockets() throws {
    let listen = "listen:\n  milter: inet:8891@127.0.0.1\n  control: /run/mailwarden.sock\n"
    let configuration = try readGood(listen + PolicyText.rule)
    #expect(configuration.milter == .init(place: "inet:8891@127.0.0.1", group: nil, mode: 0o660))
    #expect(configuration.control == .init(place: "/run/mailwarden.sock", group: nil, mode: 0o660))
  }

  @Test(
    "A socket's mode is octal, however it is written",
    arguments: [("0600", 0o600), ("0660", 0o660), ("0666", 0o666), ("660", 0o660), ("\"0620\"", 0o620)])
  func mode(text: String, bits: Int) throws {
    let listen = "listen: {milter: {socket: unix:/run/milter.sock, mode: \(text)}}\n"
    #expect(try readGood(listen + PolicyText.rule).milter.mode == UInt32(bits))
  }

  @Test("The longest path of a control socket is taken")
  func longestPath() throws {
    let path = "/" + String(repeating: "x", count: 105)
    #expect(try readGood("listen: {control: \(path)}\n" + PolicyText.rule).control.place == path)
  }

  @Test("Every signal can be counted", arguments: Signal.allCases)
  func signal(_ signal: Signal) throws {
    let rules = try readGood(PolicyText.feeds + PolicyText.rule(count: signal.name, per: "ip")).policy.rules
    #expect(rules.map(\.parts) == [[Part(.measure(.signal(signal)), [Limit(count: 30, window: .hours(1))])]])
  }

  @Test("Every kind of key can be counted for, alone, as a list of one and in a pair", arguments: KeyKind.allCases)
  func key(_ kind: KeyKind) throws {
    for text in [kind.name, "[\(kind.name)]", "\n      - \(kind.name)"] {
      #expect(try readGood(PolicyText.rule(per: text)).policy.rules.map(\.per) == [KeyShape(kind)])
    }
    for other in [KeyKind.user, .senderDomain] where other != kind && kind != .server && kind != .sender {
      let rules = try readGood(PolicyText.rule(per: "[\(kind.name), \(other.name)]")).policy.rules
      #expect(rules.map(\.per) == [KeyShape(kind, other)])
    }
  }

  @Test("Every field of a reply is read", arguments: ReplyTemplate.Field.named.map(\.name))
  func field(name: String) throws {
    let reply = try readGood(PolicyText.rule(reply: "450 4.7.1 -{\(name)}-")).policy.rules.first?.reply
    let field = try #require(ReplyTemplate.Field.named.first { $0.name == name }?.field)
    #expect(
      reply
        == ReplyTemplate(code: .init(code: 450, enhanced: "4.7.1"), pieces: [.text("-"), .field(field), .text("-")]))
  }

  @Test("The longest name, the longest line and the most lines of a reply are taken")
  func longest() throws {
    let name = String(repeating: "x", count: 64)
    #expect(try readGood(PolicyText.rule(name: name)).policy.rules.map(\.name) == [name])
    let line = String(repeating: "y", count: 400)
    let reply = "\"450 4.7.1 " + Array(repeating: line, count: 32).joined(separator: "\\n") + "\""
    let pieces = try readGood(PolicyText.rule(reply: reply)).policy.rules.first?.reply?.pieces
    #expect(pieces == [.text(Array(repeating: line, count: 32).joined(separator: "\n"))])
  }

  @Test(
    "Both codes of a block's reply are taken", arguments: [("450", "4.7.1"), ("550", "5.7.1"), ("599", "5.123.123")])
  func blockReply(code: String, enhanced: String) throws {
    let policy = PolicyText.rule(then: "block for 1h", reply: "\(code) \(enhanced) Later")
    let wanted = try ReplyCode(code: #require(Int(code)), enhanced: enhanced)
    #expect(try readGood(policy).policy.rules.map(\.reply?.code) == [wanted])
  }

  @Test(
    "Limits can be read alone, as the command line needs them",
    arguments: [
      ("500 per 1h", [Limit(count: 500, window: .hours(1))]),
      ("500 per 1h, 2000 per 1d", [Limit(count: 500, window: .hours(1)), Limit(count: 2_000, window: .days(1))]),
      (
        "5x usual, at least 50 per 1h; 900 per 1h",
        [Limit(.usual(.init(tenths: 50, atLeast: 50)), window: .hours(1)), Limit(count: 900, window: .hours(1))]
      ),
      ("", nil), (";", nil), ("500", nil), ("500 per 1h,", nil), ("500 per 1h, 600 per 1h", nil), ("0 per 1h", nil),
      ("10% per 1h, at least 20", nil),
    ])
  func limits(text: String, wanted: [Limit]?) {
    let limits = try? PolicyReader.limits(text, of: .measure(.signal(.messages)))
    #expect(limits == wanted)
  }

  @Test("Prefixes to climb are kept shorter than the network")
  func climb() throws {
    func prefix(_ text: String) throws -> NetworkPrefix {
      try readGood("network-prefix: \(text)\n" + PolicyText.rule).policy.networkPrefix
    }
    #expect(try prefix("{ipv6: 56}").climb == [48])
    #expect(try prefix("{ipv6: 48}").climb == [])
    #expect(try prefix("{climb: []}").climb == [])
    #expect(try prefix("{climb: 60, climb-after: 2}") == NetworkPrefix(climb: [60], climbAfter: 2))
  }

  @Test("The least memory is taken", arguments: ["16MB", "16000kB", "16000000"])
  func memory(text: String) throws {
    #expect(try readGood("memory: \(text)\n" + PolicyText.rule).policy.memory == 16_000_000)
  }

  @Test("A block's times are read in every way of writing them")
  func blockTimes() throws {
    let spans: [TimeSpan] = [.hours(1), .days(1), .days(7)]
    for then in [
      "block for 1h, 1d, 7d", "[block for 1h, 1d, 7d]", "[\"block for 1h, 1d\", 7d]", "[block for 1h , 1d,7d ]",
    ] {
      #expect(try readGood(PolicyText.rule(then: then)).policy.rules.map(\.then) == [Consequences(block: Block(spans))])
    }
    let mixed = try readGood(PolicyText.rule(then: "[alert, block user for 1h, 1d, 7d, tempfail]")).policy.rules
    let wanted = Consequences(alert: true, refusal: .tempfail, block: Block(spans, kind: .user))
    #expect(mixed.map(\.then) == [wanted])
  }

  // MARK: - YAML's ways

  @Test(
    "The same rule in YAML's other ways of writing means the same",
    arguments: [
      "rules: [{name: account-cap, count: messages, per: [user], limit: [30 per 1h], then: [tempfail]}]",
      """
      {"rules": [{"name": "account-cap", "count": "messages", "per": "user", "limit": "30 per 1h", "then": "tempfail"}]}
      """,
      "%YAML 1.1\n---\n\(PolicyText.rule)...\n",
      "\u{feff}\(PolicyText.rule)",
      PolicyText.rule.replacing("\n", with: "\r\n"),
      PolicyText.rule.replacing("\n", with: "\r"),
      PolicyText.rule.replacing("\n", with: " # Größe\n\n"),
      PolicyText.rule.replacing("30 per 1h", with: "|-\n      30 per 1h"),
      PolicyText.rule.replacing("30 per 1h", with: ">-\n      30\n      per 1h"),
      PolicyText.rule.replacing("30 per 1h", with: "'30  per  60m'"),
      PolicyText.rule.replacing("30 per 1h", with: "&usual 30 per 1h"),
      PolicyText.rule.replacing("then: tempfail", with: "then: [tempfail,]"),
      PolicyText.rule.replacing("then: tempfail", with: "then: \" tempfail \""),
    ])
  func spelling(text: String) throws {
    #expect(try readGood(text) == .rule)
  }

  @Test("An alias stands for what it names")
  func alias() throws {
    let rules = try readGood(
      """
      rules:
        - {name: a, count: messages, per: ip, limit: &usual [30 per 1h, 60 per 1d], then: alert}
        - {name: b, count: recipients, per: ip, limit: *usual, then: alert}
      """
    ).policy.rules
    #expect(rules.map(\.name) == ["a", "b"])
    #expect(rules.map { $0.parts[0].limits.count } == [2, 2])
    #expect(rules[0].parts[0].limits == rules[1].parts[0].limits)
  }

  @Test(
    "Words that YAML takes for numbers or truths are words here",
    arguments: ["5", "1.0", "true", "no", "0x10", "\"null\""])
  func names(text: String) throws {
    let name = text.trimmingPrefix("\"").prefix { $0 != "\"" }
    #expect(try readGood(PolicyText.rule(name: text)).policy.rules.map(\.name) == [String(name)])
  }

  @Test(
    "Places are told in lines and characters, whatever ends a line and whatever stands before",
    arguments: [
      ("\r\n", "rules:\n  - name: a\n    count: mesages\n", "3:12"),
      ("\r", "rules:\n  - name: a\n    count: mesages\n", "3:12"),
      ("\n", "\u{feff}rules:\n  - name: a\n    count: mesages\n", "3:12"),
      ("\n", "rules: [{description: 'Größe 👍', count: mesages}]", "1:41"),
    ])
  func places(end: String, text: String, place: String) throws {
    let read = PolicyReader.read(text.replacing("\n", with: end), file: "bad.yaml")
    let found = read.diagnostics.filter { $0.message.hasPrefix("unknown signal") }
    #expect(found.map { "\($0.line):\($0.column)" } == [place])
  }

  @Test(
    "A second key and a forbidden character have their places, whatever ends a line", arguments: ["\n", "\r\n", "\r"])
  func yamlPlaces(end: String) {
    let twice = "user: a\non-fault: accept\nlisten:\n  control: /c\non-fault: accept\n".replacing("\n", with: end)
    #expect(PolicyReader.read(twice, file: "f").errors.map(\.description) == ["f:5:1: \"on-fault\" is given twice"])
    let control = PolicyReader.read("user: a\non-fault: acc\u{7}ept\n".replacing("\n", with: end), file: "f")
      .diagnostics
    #expect(control.map { "\($0.line):\($0.column)" } == ["2:14"])
  }

  @Test(
    "A broken policy still tells where the running daemon is asked",
    arguments: [
      ("listen: {control: /run/c.sock}\nruls: []\n", "/run/c.sock"), ("ruls: []\n", "/run/mailwarden/control.sock"),
      ("listen: {control: [/run/c.sock]}\n", "/run/mailwarden/control.sock"),
      ("listen: {control: c.sock}\n", "/run/mailwarden/control.sock"),
      ("listen: [", "/run/mailwarden/control.sock"), ("", "/run/mailwarden/control.sock"),
    ])
  func controlSocket(text: String, path: String) {
    let read = PolicyReader.read(text, file: "bad.yaml")
    #expect(read.configuration == nil)
    #expect(read.controlSocket == path)
  }

  // MARK: - Warnings

  @Test(
    "A policy without rules is sound, and told so",
    arguments: [
      ("# Later.\non-fault: accept\n", "2:1"), ("{}", "1:1"), ("on-fault: accept\nrules: []\n", "2:8"),
    ])
  func noRules(text: String, place: String) throws {
    let warning = "good.yaml:\(place): warning: there are no rules: nothing will ever be refused"
    #expect(try readGood(text, warnings: [warning]) == Configuration())
  }

  @Test(
    "The page has an address and a port, and is closed to readers unless it is opened",
    arguments: [
      ("127.0.0.1:8025", .init(host: "127.0.0.1", port: 8_025)),
      ("'[::1]:8025'", .init(host: "::1", port: 8_025)),
      (
        "{at: 127.0.0.1:8025, read-without-login: true, names: [Warden.example.org, 'w:8443']}",
        .init(host: "127.0.0.1", port: 8_025, readsWithoutLogin: true, names: ["warden.example.org", "w:8443"])
      ),
      (
        "{at: '0.0.0.0:80', beyond-loopback: true, names: warden.example.org}",
        .init(host: "0.0.0.0", port: 80, names: ["warden.example.org"])
      ),
    ] as [(String, Configuration.Web)])
  func web(text: String, web: Configuration.Web) throws {
    #expect(try readGood("listen: {web: \(text)}\n" + PolicyText.rule).web == web)
    #expect(try readGood(PolicyText.rule).web == nil)
  }

  @Test("Where the page listens everywhere, no browser can ask for it unless it has a name")
  func webEverywhere() throws {
    let warning =
      "good.yaml:1:15: warning: 0.0.0.0 is no address that a browser asks for: say in \"names\" how this machine is"
      + " called"
    let text = "listen: {web: {at: '0.0.0.0:80', beyond-loopback: true}}\n" + PolicyText.rule
    #expect(try readGood(text, warnings: [warning]).web?.port == 80)
  }

  @Test("A network with bits beyond its prefix means the network, and is told so")
  func hostBits() throws {
    let text = """
      exempt:
        networks:
          - 192.0.2.1/24
          - 192.0.2.0/24
          - 2001:db8::1/32
          - 192.0.2.1/32
          - 2001:DB8:0::/32

      """
    let configuration = try readGood(
      text + PolicyText.rule,
      warnings: [
        "good.yaml:3:7: warning: 192.0.2.1/24 has bits beyond its prefix; it means 192.0.2.0/24",
        "good.yaml:5:7: warning: 2001:db8::1/32 has bits beyond its prefix; it means 2001:db8::/32",
      ])
    let networks = configuration.policy.exempt.networks.map(\.description)
    #expect(networks == ["192.0.2.0/24", "192.0.2.0/24", "2001:db8::/32", "192.0.2.1/32", "2001:db8::/32"])
  }

  @Test(
    "A reply that is never given is told",
    arguments: [
      ("alert", true), ("tempfail", false), ("block for 1h", false), ("[alert, tempfail]", false), ("[alert]", true),
    ])
  func replyNeverGiven(then: String, warns: Bool) throws {
    let warning = "good.yaml:7:12: warning: the reply is never given: the rule refuses nothing"
    _ = try readGood(PolicyText.rule(then: then, reply: "450 4.7.1 Later"), warnings: warns ? [warning] : [])
  }

  @Test(
    "Exempt users behind a block of their address are told, once, and only where it is enforced",
    arguments: [
      ("ip", "block for 1h", "enforce", true), ("network", "block for 1h", "enforce", true),
      ("server", "[alert, block for 1h]", "enforce", true),
      ("ip", "block for 1h", "observe", false), ("user", "block for 1h", "enforce", false),
      ("[user, ip]", "block for 1h", "enforce", false), ("ip", "tempfail", "enforce", false),
    ])
  func exemptBehindBlock(per: String, then: String, mode: String, warns: Bool) throws {
    let rules = """
      rules:
        - {name: first, count: messages, per: \(per), limit: 5 per 1h, then: \(then), mode: \(mode)}
        - {name: second, count: messages, per: \(per), limit: 4 per 1m, then: \(then), mode: \(mode)}
      """
    let warning = """
      good.yaml:2:10: warning: exempt users are known only once they have logged in; rule "first" can turn their \
      address away before that (exempt their networks too)
      """
    let configuration = try readGood("exempt:\n  users: [backup]\n" + rules, warnings: warns ? [warning] : [])
    #expect(configuration.policy.rules.count == 2)
    _ = try readGood("exempt:\n  users: []\n" + rules)
  }

  @Test(
    "Exempt users behind a refusal of their connections are told",
    arguments: [("ip", "tempfail", true), ("server", "reject", true), ("network", "alert", false)])
  func exemptBehindConnections(per: String, then: String, warns: Bool) throws {
    let warning = """
      good.yaml:3:10: warning: exempt users are known only once they have logged in; rule "account-cap" can turn their \
      address away before that (exempt their networks too)
      """
    let text = "exempt:\n  networks: [127.0.0.1]\n  users: [backup]\n"
    let rule = PolicyText.rule(count: "connections", per: per, then: then)
    _ = try readGood(text + rule, warnings: warns ? [warning] : [])
  }

  @Test("What exempts everybody is told", arguments: ["0.0.0.0/0", "::/0"])
  func everybody(network: String) throws {
    let text = "exempt: {networks: [\"\(network)\"]}\n"
    _ = try readGood(text + PolicyText.rule, warnings: ["good.yaml:1:21: warning: \(network) exempts everybody"])
  }

  @Test(
    "Group and mode of a socket that has none, or that others open, are told to have no effect",
    arguments: [
      ("inet:8891@localhost", "1:54: warning: a network socket has neither group nor mode: they have no effect"),
      ("fd:3", "1:39: warning: whoever passes the socket sets its group and mode: they have no effect here"),
    ])
  func idleMode(_ place: String, _ warning: String) throws {
    let listen = "listen: {milter: {socket: \(place), mode: 0600}}\n"
    #expect(try readGood(listen + PolicyText.rule, warnings: ["good.yaml:\(warning)"]).milter.place == place)
  }

  @Test("Warnings stand beside errors, in the order of the file")
  func order() {
    let text =
      "exempt: {networks: [0.0.0.0/0]}\nuser: [a]\nlisten:\n  milter: {socket: inet:1@l, mode: 0600}\n  mlter: x\n"
      + PolicyText.rule(then: "alert", reply: "450 4.7.1 a")
    let read = PolicyReader.read(text, file: "bad.yaml")
    #expect(read.diagnostics.map { "\($0.line):\($0.column)" } == ["1:21", "2:7", "4:36", "5:3", "12:12"])
    #expect(read.warnings.map(\.line) == [1, 4, 12])
    #expect(read.errors.map(\.line) == [2, 5])
    #expect(read.configuration == nil)
  }
}

extension PolicyText {
  /// A policy of one rule; all but the reply stand on the same lines always.
  static func rule(
    name: String = "account-cap", count: String = "messages", per: String = "user", limit: String = "30 per 1h",
    then: String = "tempfail", reply: String? = nil
  ) -> String {
    let lines = ["- name: \(name)", "  count: \(count)", "  per: \(per)", "  limit: \(limit)", "  then: \(then)"]
    return "rules:\n" + (lines + (reply.map { ["  reply: \($0)"] } ?? [])).map { "  \($0)\n" }.joined()
  }
}
