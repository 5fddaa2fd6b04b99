import Testing
import WardenCore

@testable import WardenPolicy

/// Stands in for libmilter's forms of a socket.
func socketCheck(_ place: String) -> String? {
  if ["unix:/", "inet:", "fd:"].contains(where: place.hasPrefix) { return nil }
  return "\"\(place)\" is not a socket; write unix:/path or inet:port@host"
}

/// Reads a policy that must be free of errors; its warnings are told with the place.
func readGood(
  _ text: String, warnings: [String] = [], sourceLocation: SourceLocation = #_sourceLocation
) throws -> Configuration {
  let read = PolicyReader.read(text, file: "good.yaml", socketCheck: socketCheck)
  #expect(read.diagnostics.map(\.description) == warnings, sourceLocation: sourceLocation)
  return try #require(read.configuration, sourceLocation: sourceLocation)
}

/// Everything a policy can say, in every form of saying it.
enum PolicyText {
  /// Everything that can tell of something.
  static let feeds = "feeds: {dovecot-policy: {listen: '[::1]:4001', token-file: /t}, mail-log: /var/log/mail.log}\n"

  static let full = """
    # Read by machines and people.
    listen:
      milter:
        socket: unix:/run/mailwarden/in.sock
        group: postfix
        mode: 0600
      control: {socket: /run/mailwarden/admin.sock, group: "adm"}
    user: 'mailwarden'
    on-fault: tempfail
    exempt:
      networks: [127.0.0.0/8, "::1", 192.0.2.7, 2001:db8::/32]
      users:
        - Postmaster@Example.ORG
        - backup
    network-prefix: {ipv4: 20, ipv6: 56, climb: [52, 44], climb-after: 3}
    realms: [example.org, Example.COM]
    memory: 64MB
    tests: checks/policy
    commands:
      lock-account: [/usr/local/sbin/lock, --now, "a, b"]
      page: /usr/local/bin/page
    groups:
      staff: [Alice, "@Staff.Example.ORG"]
      robots: backup
      nobody: []
    overrides:
      Newsletter@Example.ORG: account-cap 5000 per 1d until 2026-12-01
      "@Example.NET": [account-cap 500 per 1h, account-cap 2000 per 1d, hijack off, exempt until 2026-12-01T18:00:00+01:00]
      group staff: "hijack 10x usual, at least 100 per 1h until 2027-01-31T00:00:00.5Z"
      group:robots: exempt
      group nobody: exempt
      192.0.2.0/24: exempt
      2001:db8::7: exempt
      user:bob: all off
      network:198.51.100.0/24: all off
      user:carol,ip:192.0.2.9: Bytes_2.0 3GB per 1d
      "@example.com": dirty-list 50 % per 1h, at least 40

    rules:
      - name: account-cap
        description: More recipients than a person writes to.
        count: recipients
        per: user
        limit: [60 per 1m, 200 per 1h, 1000 per 1d] # every one holds
        then: tempfail
        reply: "450 4.7.1 {user}: {count} {signal} in {window} (limit {limit}, rule {rule}); again in {retry}, {until}"
      - name: Bytes_2.0
        count: bytes
        per: [user, ip]
        limit:
          - 200MB per 1d
          - 50kB per 90s
          - 100MB per 1h30m
          - 4096 per 45s
          - 3GB per 1d2h3m4s
        then: [alert, reject]
        reply: |
          550 5.7.1 Too much from {key}
          in one day.
          {ip}{user}
      - name: broken-connections
        description: >-
          Connects and
          leaves without mail.
        count: broken-connections
        per: ip
        limit: 4 per 2h
        then: "block for 3d"
        mode: observe
      - {name: all, count: messages, per: [server], limit: 100000000000000 per 31d,
         then: [block for 1h30m, alert, " tempfail"], mode: enforce}
      - name: hijack
        per: user
        all of:
          - {count: recipients, limit: "2.5x usual, at least 50, at first 20 per 1h"}
          - count: distinct networks
            limit: [3 per 1h, 5 per 1d]
          - {count: new recipient-domains, limit: 0 per 1d}
        only: [authenticated, daemon submission, network 192.0.2.0/24, network 198.51.100.7, user Alice, group staff,
               sender-domain Example.org, new-network]
        except: [forwards, anonymous]
        include: bounces
        count-refused: true
        then: [hold, block for 1h, 1d, 7d, run lock-account, run page]
        forget: 60d
      - name: dirty-list
        count: bad-recipients  /  recipients
        per: [ip, sender]
        limit: ["10% per 1h, at least 20", "5 %, at least 100 per 1d"]
        then: "block network for 1d, 7d"
      - name: usual
        count: messages
        per: [user, helo]
        limit: 5x usual per 1d, at least 50
        then: alert

    """

  static let rule = """
    rules:
      - name: account-cap
        count: messages
        per: user
        limit: 30 per 1h
        then: tempfail

    """
}

extension Configuration {
  /// What `PolicyText.full` means.
  static let full: Configuration = {
    var configuration = Configuration()
    configuration.milter = Socket(place: "unix:/run/mailwarden/in.sock", group: "postfix", mode: 0o600)
    configuration.control = Socket(place: "/run/mailwarden/admin.sock", group: "adm", mode: 0o660)
    configuration.user = "mailwarden"
    configuration.onFault = .tempfail
    configuration.policy = Policy(
      rules: [
        Rule(
          name: "account-cap", description: "More recipients than a person writes to.", count: .recipients,
          per: KeyShape(.user),
          limits: [
            Limit(count: 60, window: .minutes(1)), Limit(count: 200, window: .hours(1)),
            Limit(count: 1000, window: .days(1)),
          ],
          then: Consequences(refusal: .tempfail),
          reply: ReplyTemplate(
            code: ReplyCode(code: 450, enhanced: "4.7.1"),
            pieces: [
              .field(.part(.user)), .text(": "), .field(.count), .text(" "), .field(.signal), .text(" in "),
              .field(.window), .text(" (limit "), .field(.limit), .text(", rule "), .field(.rule),
              .text("); again in "), .field(.retry), .text(", "), .field(.until),
            ])),
        Rule(
          name: "Bytes_2.0", count: .bytes, per: KeyShape(.user, .ip),
          limits: [
            Limit(count: 200_000_000, window: .seconds(86_400)), Limit(count: 50_000, window: .seconds(90)),
            Limit(count: 100_000_000, window: .seconds(5_400)), Limit(count: 4_096, window: .seconds(45)),
            Limit(count: 3_000_000_000, window: .seconds(93_784)),
          ],
          then: Consequences(alert: true, refusal: .reject),
          reply: ReplyTemplate(
            code: ReplyCode(code: 550, enhanced: "5.7.1"),
            pieces: [
              .text("Too much from "), .field(.key), .text("\nin one day.\n"), .field(.part(.ip)),
              .field(.part(.user)),
            ])),
        Rule(
          name: "broken-connections", description: "Connects and leaves without mail.", count: .brokenConnections,
          per: KeyShape(.ip), limits: [Limit(count: 4, window: .seconds(7_200))],
          then: Consequences(block: Block([.seconds(259_200)])), mode: .observe),
        Rule(
          name: "all", count: .messages, per: KeyShape(.server),
          limits: [Limit(count: 100_000_000_000_000, window: .seconds(2_678_400))],
          then: Consequences(alert: true, refusal: .tempfail, block: Block([.seconds(5_400)]))),
        Rule(
          name: "hijack", per: KeyShape(.user),
          parts: [
            Part(
              .measure(.signal(.recipients)),
              [Limit(.usual(.init(tenths: 25, atLeast: 50, atFirst: 20)), window: .hours(1))]),
            Part(
              .measure(.distinct(.networks)), [Limit(count: 3, window: .hours(1)), Limit(count: 5, window: .days(1))]),
            Part(.measure(.new(.recipientDomains)), [Limit(count: 0, window: .days(1))]),
          ],
          filter: Filter(
            only: [
              .authenticated, .daemon("submission"), .network(Network("192.0.2.0/24")!),
              .network(Network("198.51.100.7/32")!), .user("alice"), .group("staff"), .senderDomain("example.org"),
              .newNetwork,
            ], except: [.forwards, .anonymous]),
          includesBounces: true, includesForwards: false, countsRefused: true,
          then: Consequences(
            hold: true, block: Block([.hours(1), .days(1), .days(7)], forget: .days(60)), run: ["lock-account", "page"])
        ),
        Rule(
          name: "dirty-list", per: KeyShape(.ip, .sender),
          parts: [
            Part(
              .share(.signal(.badRecipients), of: .signal(.recipients)),
              [
                Limit(.share(.init(percent: 10, atLeast: 20)), window: .hours(1)),
                Limit(.share(.init(percent: 5, atLeast: 100)), window: .days(1)),
              ])
          ],
          then: Consequences(block: Block([.days(1), .days(7)], kind: .network))),
        Rule(
          name: "usual", count: .messages, per: KeyShape(.user, .helo),
          limits: [Limit(.usual(.init(tenths: 50, atLeast: 50)), window: .days(1))],
          then: Consequences(alert: true)),
      ],
      exempt: Exemptions(
        networks: [
          Network(of: IPAddress(v4: 0x7f00_0000), prefix: 8), Network(of: IPAddress(v6High: 0, low: 1), prefix: 128),
          Network(of: IPAddress(v4: 0xc000_0207), prefix: 32),
          Network(of: IPAddress(v6High: 0x2001_0db8_0000_0000, low: 0), prefix: 32),
        ], users: ["postmaster@example.org", "backup"]),
      networkPrefix: NetworkPrefix(v4: 20, v6: 56, climb: [52, 44], climbAfter: 3),
      realms: ["example.org", "Example.COM"],
      groups: ["staff": ["alice", "@staff.example.org"], "robots": ["backup"], "nobody": []],
      overrides: overrides, memory: 64_000_000)
    configuration.tests = "checks/policy"
    configuration.commands = [
      "lock-account": ["/usr/local/sbin/lock", "--now", "a, b"], "page": ["/usr/local/bin/page"],
    ]
    return configuration
  }()

  private static let overrides: [Override] = {
    let december = Timestamp(microseconds: 1_796_083_200_000_000)
    let share = Limit(.share(.init(percent: 50, atLeast: 40)), window: .hours(1))
    let usual = Limit(.usual(.init(tenths: 100, atLeast: 100)), window: .hours(1))
    func limits(_ rule: String, _ limits: Limit...) -> Override.Effect { .limits(rule: rule, limits) }
    let effects: [(Override.Target, Override.Effect, Timestamp?, Int)] = [
      (.user("newsletter@example.org"), limits("account-cap", Limit(count: 5_000, window: .days(1))), december, 27),
      (
        .domain("example.net"),
        limits("account-cap", Limit(count: 500, window: .hours(1)), Limit(count: 2_000, window: .days(1))), nil, 28
      ),
      (.domain("example.net"), .off(rule: "hijack"), nil, 28),
      (.domain("example.net"), .exempt, december + .hours(17), 28),
      (.group("staff"), limits("hijack", usual), Timestamp(microseconds: 1_801_353_600_000_000), 29),
      (.group("robots"), .exempt, nil, 30),
      (.group("nobody"), .exempt, nil, 31),
      (.network(Network("192.0.2.0/24")!), .exempt, nil, 32),
      (.network(Network("2001:db8::7/128")!), .exempt, nil, 33),
      (.user("bob"), .off(rule: "all"), nil, 34),
      (.network(Network("198.51.100.0/24")!), .off(rule: "all"), nil, 35),
      (
        .key(Key(.user("carol"), .ip(IPAddress("192.0.2.9")!))),
        limits("Bytes_2.0", Limit(count: 3_000_000_000, window: .days(1))), nil, 36
      ),
      (.domain("example.com"), limits("dirty-list", share), nil, 37),
    ]
    return effects.map { Override($0, $1, until: $2, origin: "good.yaml:\($3)") }
  }()

  /// What `PolicyText.rule` means.
  static let rule: Configuration = {
    var configuration = Configuration()
    configuration.policy.rules = [
      Rule(
        name: "account-cap", count: .messages, per: KeyShape(.user), limits: [Limit(count: 30, window: .hours(1))],
        then: Consequences(refusal: .tempfail))
    ]
    return configuration
  }()
}
