import Testing
import WardenCore

@testable import WardenPolicy

/// Stands in for libmilter's forms of a socket.
func socketCheck(_ place: String) -> String? {
  if place.hasPrefix("unix:/") || place.hasPrefix("inet:") { return nil }
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
    network-prefix: {ipv4: 20, ipv6: 56}
    realms: [example.org, Example.COM]

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
          - 3GB per 1h30m
          - 4096 per 1d2h3m4s
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
      - {name: all, count: messages, per: [server], limit: 1000000000000000 per 31d,
         then: [block for 1h30m, alert, " tempfail"], mode: enforce}

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
            Limit(count: 3_000_000_000, window: .seconds(5_400)), Limit(count: 4_096, window: .seconds(93_784)),
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
          then: Consequences(block: .seconds(259_200)), mode: .observe),
        Rule(
          name: "all", count: .messages, per: KeyShape(.server),
          limits: [Limit(count: 1_000_000_000_000_000, window: .seconds(2_678_400))],
          then: Consequences(alert: true, refusal: .tempfail, block: .seconds(5_400))),
      ],
      exempt: Exemptions(
        networks: [
          Network(of: IPAddress(v4: 0x7f00_0000), prefix: 8), Network(of: IPAddress(v6High: 0, low: 1), prefix: 128),
          Network(of: IPAddress(v4: 0xc000_0207), prefix: 32),
          Network(of: IPAddress(v6High: 0x2001_0db8_0000_0000, low: 0), prefix: 32),
        ], users: ["postmaster@example.org", "backup"]),
      networkPrefix: NetworkPrefix(v4: 20, v6: 56), realms: ["example.org", "Example.COM"])
    return configuration
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
