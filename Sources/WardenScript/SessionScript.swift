import WardenCore

/// A test of a policy as a file: what clients, the MTA and an administrator do, and what is expected to follow.
///
///     # Comments begin a line or follow a space. Empty lines and indentation mean nothing.
///     use ../../default.yaml                 the policy that is tested, relative to this file; or within it:
///     policy                                 YAML, indented by two, up to the first line that is not
///       rules: …
///
/// **Clients.** One connection at a time; the one before must have ended.
///
///     daemon submission                      the MTA's service that takes the connections that follow
///     from 192.0.2.7                         opens a connection
///     helo mail.far.test
///     login alice                            for the rest of the connection
///     mail alice@local.test                  or mail <>
///     rcpt friend@far.test
///     header List-Id: <news.local.test>      of the message that follows
///     message 1000                           DATA, so many bytes and the end of the message
///     rset | quit | drop | cut-off           drop: hangs up; cut-off: in the middle of a message
///     command XYZZY                          one that the MTA does not know
///
/// **Feeds.** They tell of clients and users that need no connection.
///
///     heard auth-failures 3 ip 192.0.2.7 user alice password p{n} by log     what is not told is left out; by dovecot
///     try ip 192.0.2.7 user alice            asks whether a login may be tried
///
/// **Administrators.**
///
///     block KEY for 1h | release KEY | allow KEY for 1d
///     blocked KEY | free KEY                 checks: is the key in the penalty box?
///
/// **Time.** An action takes a second, or what `pace` says.
///
///     at 2026-11-24T10:00:00Z                never back; the first one, before all actions, sets the clock
///     wait 90m
///     pace 0s
///
/// **Rounds.** They nest; `{n}` is the number of the innermost round, from 1.
///
///     repeat 25
///       rcpt guest{n}@far.test
///     end
///
/// **Expectations** follow `=>`: one answer, then notices, with commas between. Without an answer it is `go-on`; without
/// `=>` it is `go-on` too. A notice that is not named may come or not.
///
///     go-on
///     refused CODE [TEXT]                    by us; TEXT is part of the reply
///     refused CODE by RULE[: TEXT]           after a block, the rule that blocked, or administrator
///     delayed 5s                             to try alone
///     held [TEXT] | held by RULE[: TEXT]     to message alone; TEXT is part of the reason
///     unknown | relay-denied | listed        to rcpt alone: the MTA itself refuses, since the mailbox does not exist, since
///                                            it does not relay, since the client is on a DNS block list
///     alert RULE | observed RULE | blocked RULE | run NAME [by RULE]
///     quiet                                  no notice at all
///
/// So: `message 1000 => refused 450 by account-cap: 26 messages, alert account-cap`, or `quit => blocked harvest`.
///
/// The same script can run against the engine, through the milter protocol and through real MTAs, and has to get the same
/// decisions at the same stages. Rules and notices show on the engine alone.
public struct SessionScript: Sendable {
  /// Where the policy that is tested stands.
  public enum PolicySource: Sendable, Hashable {
    /// In the script itself, after as many empty lines as precede it there, so that places in it are places in the script.
    case text(String)
    /// In a file: the script's `use`, joined to the script's own folder.
    case file(String)
  }

  public enum Action: Sendable, Equatable {
    case from(String, daemon: String?)
    case helo(String)
    case login(String)
    case mail(String)
    case recipient(String)
    case header(name: String, value: String)
    case message(bytes: Int)
    /// DATA, half a message, and the connection is lost.
    case cutOff
    case command(String)
    case heard(Signal, count: Int, Told), attempt(Told)
    case reset, quit, drop
    case block(String, for: TimeSpan), release(String), allow(String, for: TimeSpan)
    case blocked(String), free(String)
    /// `wait` and `at`: the line's time says it all.
    case time
  }

  /// Of whom a feed tells.
  public struct Told: Sendable, Equatable {
    public var address: String?
    public var user: String?
    public var password: String?
    public var source = Source.dovecot
  }

  /// Why the MTA itself refuses a recipient.
  public enum MTARefusal: String, Sendable, CaseIterable {
    case unknown
    case relayDenied = "relay-denied"
    case listed
  }

  /// The answer to an action.
  public enum Verdict: Sendable, Equatable {
    case goOn
    case refusedByMTA(MTARefusal)
    case refused(code: Int, text: String)
    case held(text: String)
    case delayed(TimeSpan)
  }

  public struct Expectation: Sendable, Equatable {
    public struct Notice: Sendable, Hashable {
      public let kind: WardenCore.Notice.Kind
      /// Always there but for `run`.
      public let rule: String?
    }

    public var verdict = Verdict.goOn
    /// Whose refusal or hold it is to be.
    public var rule: String?
    public var notices: [Notice] = []
    /// Whether nobody is to hear of it.
    public var isQuiet = false
  }

  /// One action, after rounds are unrolled.
  public struct Line: Sendable {
    /// In the file, from 1.
    public let number: Int
    /// Of the repeats around it, outermost first.
    public let rounds: [Int]
    /// The action as written, with `{n}` filled in.
    public let text: String
    public let action: Action
    public let expectation: Expectation
    public let at: Timestamp
  }

  public struct Problem: Error, Sendable, Hashable, CustomStringConvertible {
    public let file: String
    public let line: Int
    public let message: String

    public var description: String { "\(file):\(line): \(message)" }
  }

  /// All that is wrong with a script, in the order of the file.
  public struct Problems: Error, CustomStringConvertible {
    public let all: [Problem]
    public var description: String { all.map(\.description).joined(separator: "\n") }
  }

  /// As given: a path, or a name for messages.
  public let file: String
  /// Nothing where the script leaves it to whoever runs it.
  public let policySource: PolicySource?
  public let lines: [Line]

  /// - Parameter file: the script's path, for messages and for `use`; it is not read.
  public init(file: String, text: String) throws(Problems) {
    var reader = ScriptReader(file: file)
    reader.read(text)
    guard reader.problems.isEmpty else { throw Problems(all: reader.problems.sorted { $0.line < $1.line }) }
    self.file = file
    policySource = reader.policySource
    lines = reader.lines
  }

  /// The file's name without its ending.
  public var name: String {
    let last = file.split(separator: "/").last ?? ""
    return last.hasSuffix(".session") ? String(last.dropLast(".session".count)) : String(last)
  }
}

// MARK: - Rules

extension SessionScript {
  /// Rules and commands that expectations name but the policy does not have: nothing could ever meet them.
  public func problems(under policy: Policy) -> [Problem] {
    let rules = policy.rules.map(\.name)
    let commands = policy.rules.flatMap(\.then.run)
    var found: [Problem] = []
    func look(for name: String?, among names: [String], _ what: String, _ line: Line) {
      guard let name, !names.contains(name) else { return }
      let message = "the policy has no \(what) \"\(name)\"\(Suggestion.phrase(for: name, among: names))"
      let problem = Problem(file: file, line: line.number, message: message)
      // Rounds repeat themselves.
      if !found.contains(problem) { found.append(problem) }
    }
    for line in lines {
      look(for: line.expectation.rule, among: rules + [Reason.administrator], "rule", line)
      for notice in line.expectation.notices {
        look(for: notice.rule, among: rules, "rule", line)
        if case .run(let command) = notice.kind { look(for: command, among: commands, "command", line) }
      }
    }
    return found
  }

  /// Whether the script expects the rule to act.
  public func tests(_ rule: Rule) -> Bool {
    lines.contains { line in
      line.expectation.rule == rule.name
        || line.expectation.notices.contains { notice in
          if let name = notice.rule { return name == rule.name }
          if case .run(let command) = notice.kind { return rule.then.run.contains(command) }
          return false
        }
    }
  }
}

// MARK: - As written

extension SessionScript.Verdict: CustomStringConvertible {
  var word: String {
    switch self {
    case .goOn: "go-on"
    case .refusedByMTA(let cause): cause.rawValue
    case .refused: "refused"
    case .held: "held"
    case .delayed(let span): "delayed \(span)"
    }
  }

  public var description: String { described(by: nil) }

  func described(by rule: String?) -> String {
    var text = word
    var words = ""
    switch self {
    case .goOn, .refusedByMTA, .delayed: break
    case .refused(let code, let reply): (text, words) = ("refused \(code)", reply)
    case .held(let reason): words = reason
    }
    if let rule { text += " by \(rule)" }
    return words.isEmpty ? text : text + (rule == nil ? " " : ": ") + words
  }
}

extension SessionScript.Expectation: CustomStringConvertible {
  public var description: String {
    ([verdict.described(by: rule)] + notices.map(\.description) + (isQuiet ? ["quiet"] : [])).joined(separator: ", ")
  }
}

extension SessionScript.Expectation.Notice: CustomStringConvertible {
  public var description: String {
    if case .run(let command) = kind { return "run \(command)" + (rule.map { " by \($0)" } ?? "") }
    return "\(kind.name) \(rule ?? "")"
  }
}
