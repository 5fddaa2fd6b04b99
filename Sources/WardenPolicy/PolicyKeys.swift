import WardenCore

// MARK: - Settings

extension PolicyMapping {
  static let policy = PolicyMapping(
    name: "the policy",
    fields: [
      .init("listen", .mapping(.listen), "Where the MTAs, administrators and browsers connect."),
      .init(
        "state", .absolutePath,
        "The folder where counters, blocks, history and alerts survive a restart. Without it all is kept in memory."),
      .init(
        "user", .text,
        "The user to become once the sockets are open. The policy file must be readable for it, or reloads fail."),
      .init(
        "on-fault",
        .words([("accept", "The mail goes on."), ("tempfail", "The client is told to try again later.")]),
        "What a fault of Mailwarden's own does to mail: accept or tempfail.", default: Configuration().onFault.rawValue),
      exempt,
      .init(
        "network-prefix", .mapping(.networkPrefix), "How much of an address is its network, and how blocks climb."),
      .init(
        "realms", .list(.text),
        "Realms that make no other user: with [example.org], alice and alice@example.org are one. Without the key the MTAs' own"
          + " host names and their domains are taken, which are SASL's defaults; [] keeps all apart."),
      .init(
        "memory", .size, "What all counters together may take; at least 16MB.", default: sizeText(Policy().memory)),
      .init("history", .mapping(.history), "How long figures and decisions are kept, and how large they may grow."),
      groups,
      overrides,
      .init(
        "include", .oneOrMore(.text),
        "A file, or a folder whose *.yaml are read in the order of their names, relative to the policy. Each holds groups,"
          + " overrides and exempt, nothing else."),
      .init(
        "commands", .names(.oneOrMore(.text)),
        "What \"run NAME\" runs: a program's absolute path and its arguments, without a shell."),
      .init("alerts", .mapping(.alerts), "Who is told of what rules with \"alert\" see, and how often."),
      .init("feeds", .mapping(.feeds), "Who tells what a milter cannot see. Takes effect at the next start."),
      .init(
        "tests", .text, "The folder with the policy's tests, relative to it; \"tests/NAME\" beside NAME.yaml otherwise."
      ),
      .init("rules", .list(.mapping(.rule)), "What is counted, how much of it is admitted, and what follows."),
    ])

  static let included = PolicyMapping(name: "an included file", fields: [groups, overrides, exempt])

  private static let exempt = Field("exempt", .mapping(.exemptions), "Who is spared from everything, blocks included.")
  private static let groups = Field(
    "groups", .names(.either([.oneOrMore(.text), .list(.text)])),
    "Users, and all users of a realm (\"@example.org\"), under a name for rules and overrides.")
  private static let overrides = Field(
    "overrides", .names(.oneOrMore(.text)),
    "Of a user, a realm, a group, a network or another key: exempt, RULE off, or RULE and its limit instead of the rule's;"
      + " each may say until when (\"until 2026-12-01\"). The first one written for somebody wins.")

  static let listen = PolicyMapping(
    name: "listen",
    fields: [
      .init(
        "milter", .either([.text, .mapping(.milterSocket)]),
        "Where MTAs connect: unix:/path, inet:port@host, or fd:3 for the socket that systemd has opened.",
        default: Configuration().milter.place),
      .init(
        "control", .either([.absolutePath, .mapping(.controlSocket)]),
        "Where administrators ask. Always mode 0660: who can connect can release and block.",
        default: Configuration().control.place),
      .init(
        "web", .either([.place(8_025), .mapping(.web)]),
        "Where the page is; without it there is none. Takes effect at the next start."),
    ])

  static let milterSocket = PolicyMapping(
    name: "listen.milter",
    fields: [
      .init("socket", .text, "unix:/path, inet:port@host or fd:3.", isRequired: true),
      group("Without it, root gives the socket to the group postfix where there is one."),
      .init(
        "mode", .like("0?[0-7]{3}", example: "0660"), "The socket's mode, in octal digits.",
        default: "0" + String(Configuration().milter.mode, radix: 8)),
    ])

  static let controlSocket = PolicyMapping(
    name: "listen.control",
    fields: [.init("socket", .absolutePath, "The socket's path.", isRequired: true), group("")])

  private static func group(_ rest: String) -> Field {
    .init("group", .text, ("The group that the socket is given to. " + rest).trimmed)
  }

  static let web = PolicyMapping(
    name: "listen.web",
    fields: [
      .init("at", .place(8_025), "The address and port.", isRequired: true),
      .init(
        "read-without-login", .flag, "Whether all who can connect may read. Orders need a token.", default: "false"),
      .init(
        "names", .oneOrMore(.text), "What else browsers call this machine, with the port where it is not the scheme's."),
      .init(
        "beyond-loopback", .flag, "Allows an address that other machines can reach. The page speaks no TLS.",
        default: "false"),
    ])

  static let history = PolicyMapping(
    name: "history",
    fields: [
      .init("minutes", .time, "How long figures by the minute are kept.", default: "\(HistorySettings().minutes)"),
      .init("hours", .time, "How long figures by the hour are kept.", default: "\(HistorySettings().hours)"),
      .init("days", .time, "How long figures by the day are kept.", default: "\(HistorySettings().days)"),
      .init(
        "decisions", .time, "How long decisions, blocks and administrators' orders are kept.",
        default: "\(HistorySettings().decisions)"),
      .init(
        "size", .size, "How large the database may grow; at least 16MB. Beyond it the oldest goes before its time.",
        default: sizeText(HistorySettings().size)),
    ])

  static let exemptions = PolicyMapping(
    name: "exempt",
    fields: [
      .init("networks", .list(.text), "Connections from there are accepted as a whole."),
      .init("users", .list(.text), "Logins. They are known at MAIL only: a block of their address comes before."),
    ])

  static let networkPrefix = PolicyMapping(
    name: "network-prefix",
    fields: [
      .init("ipv4", .number(1...32), "How long the network's prefix is.", default: "\(NetworkPrefix().v4)"),
      .init("ipv6", .number(1...128), "How long the network's prefix is.", default: "\(NetworkPrefix().v6)"),
      .init(
        "climb", .either([.oneOrMore(.number(1...127)), .list(.number(1...127))]),
        "Larger IPv6 prefixes that are blocked once enough networks in them are; each shorter than the one before. [] turns it off.",
        default: "\(NetworkPrefix().climb)"),
      .init(
        "climb-after", .number(2...1_000), "How many blocked networks block the larger one.",
        default: "\(NetworkPrefix().climbAfter)"),
    ])

  /// For `HistorySettings` and `Policy`: bytes in the largest unit that they fill.
  private static func sizeText(_ bytes: Int) -> String {
    bytes % 1_000_000_000 == 0 ? "\(bytes / 1_000_000_000)GB" : "\(bytes / 1_000_000)MB"
  }
}

// MARK: - Alerts, feeds

extension PolicyMapping {
  static let alerts = PolicyMapping(
    name: "alerts",
    fields: [
      .init("mail", .mapping(.mail), "Tells by mail."),
      .init("webhook", .mapping(.webhook), "Tells a web address, as JSON."),
      .init("run", .text, "A name of commands; the program reads the message as JSON."),
      .init(
        "wait", .time, "How long the first message gathers what begins together.",
        default: "\(AlertSettings().wait)"),
      .init(
        "interval", .time, "At most one message in that time, from then on.", default: "\(AlertSettings().interval)"),
      .init(
        "repeat", .time, "After how long somebody is reminded of what goes on.", default: "\(AlertSettings().again)"),
      .init(
        "at-most", .like(#"\d+\s+per\s+\#(ValueForm.timePattern)"#, example: "12 per 1h"),
        "Messages of all kinds. What is held back is told in the next one.",
        default: "\(AlertSettings().most) per \(AlertSettings().mostWindow)"),
      .init(
        "silence", .like(#"off|\d+(\.\d)?x"#, example: "3x"),
        "No mail for so many times the longest silence of the last week is distress; or off.",
        default: "\(AlertSettings().silence! / 10)x"),
    ])

  static let mail = PolicyMapping(
    name: "alerts.mail",
    fields: [
      .init("to", .oneOrMore(.text), "Mail addresses.", isRequired: true),
      .init("from", .text, "The sender's address; mailwarden@ the machine's name otherwise."),
      .init(
        "program", .oneOrMore(.text), "A program that takes a message as sendmail does, and its first arguments.",
        default: "/usr/sbin/sendmail"),
      .init("smtp", .text, "A host and port instead of a program: mail.example.org:25. Without TLS."),
      .init("subject", .text, "A Mustache template."),
      .init("body", .text, "A Mustache template."),
    ])

  static let webhook = PolicyMapping(
    name: "alerts.webhook",
    fields: [
      .init(
        "url", .like("https?://.+", example: "https://hooks.example.org/mailwarden"), "Where to POST.", isRequired: true
      ),
      .init(
        "secret-file", .absolutePath, "The file with what signs; not readable by all. Without it nothing is signed."),
    ])

  static let feeds = PolicyMapping(
    name: "feeds",
    fields: [
      .init(
        "dovecot-policy", .either([.place(4_001), .mapping(.dovecot)]), "Where Dovecot's auth policy asks and reports."),
      .init(
        "mail-log", .either([.oneOrMore(.log), .mapping(.mailLog)]),
        "Files that syslog writes, or journal, or journal:/folder."),
    ])

  static let dovecot = PolicyMapping(
    name: "feeds.dovecot-policy",
    fields: [
      .init("listen", .place(4_001), "The address and port.", isRequired: true),
      .init("token-file", .absolutePath, "The file with what Dovecot has to show; needed beyond this machine."),
    ])

  static let mailLog = PolicyMapping(
    name: "feeds.mail-log",
    fields: [
      .init("from", .oneOrMore(.log), "The logs.", isRequired: true),
      .init(
        "trusted", .flag,
        "Whether the log alone may block users, and addresses from which somebody has logged in within a day. Whoever can write"
          + " to it can then, too.",
        default: "false"),
      .init("time-zone", .text, "The zone of times without one, such as Europe/Berlin; the machine's otherwise."),
    ])
}

// MARK: - Rules

extension PolicyMapping {
  static let rule = PolicyMapping(
    name: "a rule",
    fields: [
      .init("name", .text, "Letters, digits, - _ and . for the log, status and orders.", isRequired: true),
      .init("description", .text, "What the rule is about, for people."),
      .init("count", .quantity, "What is counted."),
      .init(
        "per", .oneOrMore(.words(KeyKind.allCases.map { ($0.name, $0.help) })),
        "Whose counts are kept: a kind of key, or a pair.",
        isRequired: true),
      .init("limit", .oneOrMore(.limit), "How much is still admitted in every window of that length; all hold."),
      .init(
        "all of", .list(.mapping(.part)), "Several things at once: trips when every part is over a limit of its own."),
      .init("only", .oneOrMore(.filter), "Which mail: conditions of a kind are alternatives, every kind has to hold."),
      .init("except", .oneOrMore(.filter), "Which mail not: one condition is enough to spare."),
      .init(
        "include",
        .oneOrMore(
          .words([
            ("bounces", "Mail of the null sender."),
            ("forwards", "Mail of a sender that a forwarder has rewritten (SRS)."),
          ])), "Counts per user what is otherwise left out, because it is not the user's own mail: bounces, forwards."),
      .init(
        "count-refused", .flag, "Whether what Mailwarden itself refuses counts as if it had passed.", default: "false"),
      .init("then", .oneOrMore(.action), "What follows.", isRequired: true),
      .init(
        "forget", .time, "After how long an offence is forgotten, for blocks of several lengths.",
        default: "\(Block([.hours(1)]).forget)"),
      .init(
        "reply",
        .like(
          #"[45]\d\d [45]\.\d{1,3}\.\d{1,3} [\s\S]+"#,
          example: "450 4.7.1 {user}: {count} {signal} in {window} (limit {limit})"),
        "A refusal's code, enhanced code and text, in ASCII, with fields: "
          + (ReplyTemplate.Field.named.map(\.name) + ["the parts of the key"]).joined(separator: ", ") + "."),
      .init(
        "mode", .words([("enforce", "Acts."), ("observe", "Counts, and tells what it would have done.")]),
        "Whether the rule acts (enforce), or counts and tells what it would have done (observe).",
        default: Rule.Mode.enforce.rawValue),
    ], alternatives: [["count", "limit"], ["all of"]])

  static let part = PolicyMapping(
    name: "a part",
    fields: [
      .init("count", .quantity, "What is counted.", isRequired: true),
      .init(
        "limit", .oneOrMore(.limit), "How much is still admitted; beside other parts it may be 0.", isRequired: true),
    ])

  /// What `then` can say.
  static let actions: [(name: String, pattern: String?, example: String, help: String)] = [
    ("alert", nil, "alert", "Tell the administrator, once an episode."),
    ("tempfail", nil, "tempfail", "Refuse for now (4xx) what goes over the limit."),
    ("reject", nil, "reject", "Refuse for good (5xx) what goes over the limit."),
    ("hold", nil, "hold", "Take the message into the MTA's quarantine."),
    (
      "delay", #"delay\s+for\s+\#(ValueForm.timePattern)"#, "delay for 3s",
      "Let a login wait before it is tried, where Dovecot asks; at most 1m."
    ),
    (
      // A list parts a block at its own commas, so that its further times stand alone.
      "block", #"(block(\s+[a-z-]+)?\s+for\s+)?\#(ValueForm.timePattern)(\s*,\s*\#(ValueForm.timePattern))*"#,
      "block for 1h, 1d, 7d",
      "Refuse everything of the key for a time, longer at each offence. With \"block ip for 1d\" not the whole key but a part"
        + " of it; of a key with an ip also its network."
    ),
    ("run", #"run\s+\S+"#, "run NAME", "Start that command of \"commands\", once an episode."),
  ]

  /// What `only` and `except` can say; a value follows where there is an example.
  static let filters: [(name: String, example: String?, help: String)] = [
    ("authenticated", nil, "Of users who have logged in."),
    ("anonymous", nil, "Of clients who have not."),
    ("bounces", nil, "Of the null sender."),
    ("forwards", nil, "Of a sender that a forwarder has rewritten (SRS)."),
    ("lists", nil, "Of mailing lists (List-Id, Precedence); known at the message's end."),
    ("new-network", nil, "From a network that the user first used within the last two weeks; for rules per user."),
    ("failed-logins", nil, "Logins that failed, as feeds tell of them."),
    ("daemon", "submission", "That this service of the MTA took."),
    ("network", "192.0.2.0/24", "From there."),
    ("user", "alice", "Of that user."),
    ("group", "staff", "Of members of that group."),
    ("sender-domain", "example.org", "With an envelope sender there."),
  ]
}

extension KeyKind {
  var help: String {
    switch self {
    case .user: "Who has logged in."
    case .ip: "The client's address."
    case .network: "The client's network, as network-prefix has it."
    case .helo: "The name given with HELO or EHLO."
    case .sender: "The envelope sender."
    case .senderDomain: "The envelope sender's domain."
    case .recipient: "Each recipient."
    case .recipientDomain: "Each recipient's domain."
    case .server: "Everything together."
    }
  }
}

// MARK: - Values

extension ValueForm {
  static let timePattern = #"(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+s)?"#

  static let time = shared("time", like(timePattern, example: "1h30m"))
  static let size = shared("size", like(#"\d+(kB|MB|GB)?"#, example: "200MB"))
  static let absolutePath = like("/.*", example: "/var/lib/mailwarden")
  static let log = like("/.+|journal(:/.+)?", example: "/var/log/mail.log")
  static func place(_ port: Int) -> ValueForm { like(#".+:\d+"#, example: "127.0.0.1:\(port)") }

  static let limit = shared(
    "limit",
    like(
      #"\s*(\d+(kB|MB|GB)?\s+per\s+\#(timePattern)|\d+(\.\d)?x\s+usual\b.*|\d+\s*%.*)\s*"#, example: "25 per 2h"))

  static let quantity = shared(
    "quantity",
    either([
      .words(Signal.allCases.map { ($0.name, $0.declaration.help) }),
      .words(Attribute.allCases.map { ("distinct \($0.name)", "Different \($0.declaration.help).") }),
      .words(
        Attribute.allCases.filter(\.isRemembered).map {
          ("new \($0.name)", "Never shown before by the key: \($0.declaration.help).")
        }),
      .like(#"[a-z -]+/[a-z -]+"#, example: "bad-recipients / recipients"),
    ]))

  static let filter = shared(
    "filter",
    .either(
      PolicyMapping.filters.map { name, example, help in
        guard let example else { return .words([(name, help)]) }
        return .described(like(#"\s*\#(name)\s+\S+\s*"#, example: "\(name) \(example)"), help)
      }))

  static let action = shared(
    "action",
    .either(
      PolicyMapping.actions.map { name, pattern, example, help in
        guard let pattern else { return .words([(name, help)]) }
        return .described(like(#"\s*\#(pattern)\s*"#, example: example), help)
      }))
}
