import WardenCore

/// Text in, a script's actions or all its problems out.
struct ScriptReader {
  private enum Statement {
    case line(Int, Substring)
    indirect case rounds(Int, count: Int, [Statement])
  }

  /// What the script says is open. After a line that could not be read nobody knows, and nothing is said about order.
  private enum Open { case no, yes, refused, unknown }

  /// 2027-01-15T08:00:00Z, for scripts that do not care.
  private static let start = Timestamp(microseconds: 1_800_000_000_000_000)
  /// 9999-12-31T23:59:59Z
  private static let end = Timestamp(microseconds: 253_402_300_799_000_000)
  private static let mostSteps = 200_000
  private static let deepestNesting = 8
  private static let largestMessage = 1_000_000_000

  let file: String
  private(set) var policySource: SessionScript.PolicySource?
  private(set) var lines: [SessionScript.Line] = []
  private(set) var problems: [SessionScript.Problem] = []

  private var rounds: [Int] = []
  /// In which round a line's problems were told: once is enough.
  private var toldIn: [Int: [Int]] = [:]
  private var steps = 0
  private var clock: Timestamp?
  private var pace = TimeSpan.seconds(1)
  private var daemon: String?
  private var connection = Open.no
  private var transaction = Open.no

  init(file: String) { self.file = file }

  mutating func read(_ text: String) {
    unroll(statements(of: text))
    if lines.isEmpty, problems.isEmpty { tell(1, "the script does nothing") }
  }

  private mutating func tell(_ line: Int, _ message: String) {
    guard toldIn[line, default: rounds] == rounds else { return }
    toldIn[line] = rounds
    problems.append(SessionScript.Problem(file: file, line: line, message: message))
  }

  // MARK: - Lines and rounds

  private mutating func statements(of text: String) -> [Statement] {
    let raws = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    // The blocks that are open, outermost first; the whole script is the first.
    var blocks: [(line: Int, count: Int, body: [Statement])] = [(0, 1, [])]
    func closeBlock() {
      let block = blocks.removeLast()
      blocks[blocks.count - 1].body.append(.rounds(block.line, count: block.count, block.body))
    }
    // Repeats that are too deep, and so no blocks.
    var tooDeep = 0
    var index = 0
    while index < raws.count {
      let line = raws[index].withoutComment.trimmed
      index += 1
      let (word, argument) = line.firstWord
      switch word {
      case "": continue
      case "policy":
        if !argument.isEmpty { tell(index, "\"policy\" stands alone; a policy in a file is named by \"use FILE\"") }
        let first = index
        while index < raws.count, raws[index].isEmpty || raws[index].first == " " { index += 1 }
        let yaml = raws[first..<index].map { String($0.dropFirst(2)) }
        setPolicy(.text(String(repeating: "\n", count: first) + yaml.joined(separator: "\n")), at: first)
      case "use":
        if argument.isEmpty { tell(index, "use which file? write use ../../default.yaml") }
        setPolicy(.file(path(beside: argument)), at: index)
      case "repeat":
        let count = Int(argument) ?? 0
        if count < 1 { tell(index, "\"\(argument)\" is not how often; write repeat 25") }
        if tooDeep > 0 || blocks.count > Self.deepestNesting {
          if tooDeep == 0 { tell(index, "repeats nest at most \(Self.deepestNesting) deep") }
          tooDeep += 1
        } else {
          // What cannot be repeated is read once, for the problems in it.
          blocks.append((index, max(1, count), []))
        }
      case "end":
        if !argument.isEmpty { tell(index, "\"end\" stands alone") }
        if tooDeep > 0 {
          tooDeep -= 1
        } else if blocks.count > 1 {
          closeBlock()
        } else {
          tell(index, "there is no \"repeat\" to end here")
        }
      default: blocks[blocks.count - 1].body.append(.line(index, line))
      }
    }
    while blocks.count > 1 {
      tell(blocks[blocks.count - 1].line, "the \"repeat\" has no \"end\"")
      closeBlock()
    }
    return blocks[0].body
  }

  private mutating func setPolicy(_ source: SessionScript.PolicySource, at line: Int) {
    if policySource != nil { tell(line, "the script has a policy already") }
    policySource = source
  }

  private func path(beside other: Substring) -> String {
    guard !other.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return String(other) }
    return String(file[...slash] + other)
  }

  private mutating func unroll(_ statements: [Statement]) {
    for statement in statements {
      switch statement {
      case .line(let number, let text):
        guard step(number) else { return }
        read(text, number)
      case .rounds(let number, let count, let body):
        rounds.append(0)
        defer { rounds.removeLast() }
        for round in 1...count {
          rounds[rounds.count - 1] = round
          // An empty round takes time as well.
          guard step(number) else { return }
          unroll(body)
        }
      }
    }
  }

  private mutating func step(_ line: Int) -> Bool {
    steps += 1
    if steps == Self.mostSteps + 1 { tell(line, "the script has more than \(Self.mostSteps) steps, from here on") }
    return steps <= Self.mostSteps
  }

  // MARK: - One line

  private mutating func read(_ line: Substring, _ number: Int) {
    var text = String(line)
    if text.contains("{n}") {
      if let round = rounds.last {
        text = text.replacing("{n}", with: "\(round)")
      } else {
        tell(number, "{n} is the number of a round, and nothing is repeated here")
      }
    }
    var (said, expected): (Substring, Substring?) = (text[...], nil)
    if let arrow = text.firstRange(of: " =>"), arrow.upperBound == text.endIndex || text[arrow.upperBound] == " " {
      (said, expected) = (text[..<arrow.lowerBound].trimmed, text[arrow.upperBound...].trimmed)
    } else if text.contains("=>") {
      tell(number, "write \" => \", with a space on either side")
    }
    let action = action(said, number)
    let expectation = expected.map { self.expectation($0, of: said.firstWord.word, number) }
    guard let action else {
      if !Self.settings.contains(String(said.firstWord.word)) { (connection, transaction) = (.unknown, .unknown) }
      return
    }
    if action != .time { advance(by: pace, number) }
    follow(action, expectation?.verdict ?? .goOn, number)
    lines.append(
      SessionScript.Line(
        number: number, rounds: rounds, text: String(said), action: action,
        expectation: expectation ?? SessionScript.Expectation(), at: clock ?? Self.start))
  }

  /// How each action is written.
  private static let forms = [
    "from": "from 192.0.2.7", "daemon": "daemon submission", "helo": "helo mail.far.test", "login": "login alice",
    "mail": "mail alice@local.test, or mail <>", "rcpt": "rcpt friend@far.test",
    "header": "header List-Id: <news.local.test>", "message": "message 1000", "cut-off": "cut-off",
    "command": "command XYZZY", "rset": "rset", "quit": "quit", "drop": "drop",
    "block": "block user:alice for 1h", "release": "release user:alice", "allow": "allow user:alice for 1d",
    "blocked": "blocked user:alice", "free": "free user:alice",
    "heard": "heard auth-failures 3 ip 192.0.2.7 user alice", "try": "try ip 192.0.2.7 user alice",
    "wait": "wait 90m", "at": "at 2026-11-24T10:00:00Z", "pace": "pace 0s",
    "use": "use FILE", "policy": "policy", "repeat": "repeat 25", "end": "end",
  ]
  private static let standAlone: [String: SessionScript.Action] = [
    "cut-off": .cutOff, "rset": .reset, "quit": .quit, "drop": .drop,
  ]
  /// What is no action of its own.
  private static let settings: Set<String> = ["daemon", "pace"]

  /// - Returns: nothing for a setting, and for what could not be read.
  private mutating func action(_ text: Substring, _ number: Int) -> SessionScript.Action? {
    let (first, argument) = text.firstWord
    let word = String(first)
    guard let form = Self.forms[word] else {
      let near = Suggestion.phrase(for: word, among: Self.forms.keys.sorted())
      tell(number, "\"\(word)\" is no action\(near)")
      return nil
    }
    if let action = Self.standAlone[word] {
      if !argument.isEmpty { tell(number, "\"\(word)\" stands alone, without \"\(argument)\"") }
      return action
    }
    guard !argument.isEmpty else {
      tell(number, "\"\(word)\" needs more: write \(form)")
      return nil
    }
    let value = String(argument)
    func wrong(_ what: String = "") { tell(number, "\"\(value)\" is not \(what); write \(form)") }
    switch word {
    case "daemon":
      daemon = value
      return nil
    case "pace":
      if let span = time(argument, number) { pace = span }
      return nil
    case "from":
      guard IPAddress(value) != nil else {
        wrong("an address")
        return nil
      }
      return .from(value, daemon: daemon)
    case "helo": return .helo(value)
    case "login": return .login(value)
    case "mail": return .mail(value.withoutBrackets)
    case "rcpt": return .recipient(value.withoutBrackets)
    case "header":
      guard let colon = argument.firstIndex(of: ":"), colon != argument.startIndex,
        !argument[..<colon].contains(where: \.isWhitespace)
      else {
        wrong("a header field")
        return nil
      }
      return .header(
        name: String(argument[..<colon]), value: String(argument[argument.index(after: colon)...].trimmed))
    case "message":
      guard let bytes = Int(value), (0...Self.largestMessage).contains(bytes) else {
        wrong("a number of bytes up to \(Self.largestMessage)")
        return nil
      }
      return .message(bytes: bytes)
    case "command": return .command(value)
    case "heard": return heard(argument, number)
    case "try": return told(argument.split(separator: " ")[...], form, number).map { .attempt($0) }
    case "release": return key(argument, number).map { .release($0) }
    case "blocked": return key(argument, number).map { .blocked($0) }
    case "free": return key(argument, number).map { .free($0) }
    case "block", "allow":
      guard let split = argument.ranges(of: " for ").last else {
        wrong("a key and a time")
        return nil
      }
      let key = key(argument[..<split.lowerBound].trimmed, number)
      let span = time(argument[split.upperBound...].trimmed, number)
      guard let key, let span else { return nil }
      return word == "block" ? .block(key, for: span) : .allow(key, for: span)
    case "wait":
      guard let span = time(argument, number) else { return nil }
      advance(by: span, number)
      return .time
    case "at":
      guard let moment = DateText.timestamp(value) else {
        wrong("a moment in UTC")
        return nil
      }
      if let clock, moment < clock {
        tell(number, "it is \(clock.rfc3339) already: time does not go back to \(value)")
      } else {
        clock = moment
      }
      return .time
    default:
      // `use`, `policy`, `repeat` and `end` have been read before.
      return nil
    }
  }

  /// `SIGNAL [COUNT] …`
  private mutating func heard(_ text: Substring, _ number: Int) -> SessionScript.Action? {
    var words = text.split(separator: " ")[...]
    let name = words.removeFirst()
    guard let signal = Signal(name: name) else {
      tell(
        number, "unknown signal \"\(name)\"\(Suggestion.phrase(for: String(name), among: Signal.allCases.map(\.name)))")
      return nil
    }
    var count = 1
    if let given = words.first.flatMap({ Int($0) }) {
      words.removeFirst()
      count = given
      if !(1...1_000_000).contains(given) { tell(number, "\"\(given)\" is not how often; write 1 to 1000000") }
    }
    return told(words, Self.forms["heard"]!, number).map { .heard(signal, count: count, $0) }
  }

  /// `[ip ADDRESS] [user USER] [password WORD] [by SOURCE]`
  private mutating func told(_ words: ArraySlice<Substring>, _ form: String, _ number: Int) -> SessionScript.Told? {
    var told = SessionScript.Told()
    var words = words
    while let name = words.popFirst() {
      guard let value = words.popFirst().map(String.init) else {
        tell(number, "\"\(name)\" needs more: write \(form)")
        return nil
      }
      switch name {
      case "ip" where IPAddress(value) != nil: told.address = value
      case "user": told.user = value
      case "password": told.password = value
      case "by" where value == "log": told.source = .log
      case "by" where value == "dovecot": told.source = .dovecot
      default:
        tell(number, "\"\(name) \(value)\" is nothing that a feed tells; write \(form)")
        return nil
      }
    }
    return told
  }

  private mutating func advance(by span: TimeSpan, _ number: Int) {
    let moment = (clock ?? Self.start) + span
    if moment > Self.end { tell(number, "this would be after \(Self.end.rfc3339)") }
    clock = min(moment, Self.end)
  }

  private mutating func time(_ text: Substring, _ number: Int) -> TimeSpan? {
    if let span = TimeSpan(text) { return span }
    tell(number, "\"\(text)\" is not a time; write 90s, 30m, 2h, 3d or 1h30m")
    return nil
  }

  /// The key in its one form.
  private mutating func key(_ text: Substring, _ number: Int) -> String? {
    do throws(Key.Problem) {
      return try Key(String(text), realms: LocalRealms(listed: [])).description
    } catch {
      tell(number, error.description)
      return nil
    }
  }

  // MARK: - Order

  private mutating func follow(_ action: SessionScript.Action, _ verdict: SessionScript.Verdict, _ number: Int) {
    let isRefused = if case .refused = verdict { true } else { false }
    switch action {
    case .from:
      if connection == .yes { tell(number, "the connection before is still open; end it with quit or drop") }
      (connection, transaction) = (isRefused ? .refused : .yes, .no)
    case .helo, .login, .command, .reset, .mail, .recipient, .header, .message, .cutOff:
      if connection == .no || connection == .refused {
        tell(number, "no connection is open; open one with from ADDRESS")
        (connection, transaction) = (.unknown, .unknown)
      }
      followInConnection(action, isRefused, number)
    case .quit, .drop:
      if connection == .no { tell(number, "no connection is open") }
      (connection, transaction) = (.no, .no)
    case .heard, .attempt, .block, .release, .allow, .blocked, .free, .time: break
    }
  }

  private mutating func followInConnection(_ action: SessionScript.Action, _ isRefused: Bool, _ number: Int) {
    switch action {
    case .mail:
      if transaction == .yes { tell(number, "a message is begun already; end it with message or rset") }
      transaction = isRefused ? .no : .yes
    case .recipient, .header, .message, .cutOff:
      if transaction == .no { tell(number, "no message is begun; begin one with mail ADDRESS") }
      if case .message = action { transaction = .no }
      if action == .cutOff { (connection, transaction) = (.no, .no) }
    case .reset: transaction = .no
    default: break
    }
  }

  // MARK: - Expectations

  private static let noticeWords = ["alert", "observed", "blocked", "run", "quiet"]
  private static let answerWords =
    ["go-on", "refused", "held", "delayed"] + SessionScript.MTARefusal.allCases.map(\.rawValue)

  private static func answers(to word: Substring) -> [String] {
    switch word {
    case "from", "mail": ["go-on", "refused"]
    case "try": ["go-on", "refused", "delayed"]
    case "rcpt": ["go-on", "refused"] + SessionScript.MTARefusal.allCases.map(\.rawValue)
    case "message": ["go-on", "refused", "held"]
    default: ["go-on"]
    }
  }
  /// What the engine does not hear of, so that nothing can follow.
  private static let withoutAnswer: Set<Substring> = [
    "daemon", "pace", "wait", "at", "login", "block", "release", "allow", "blocked", "free",
  ]

  private mutating func expectation(
    _ text: Substring, of word: Substring, _ number: Int
  ) -> SessionScript.Expectation {
    var expectation = SessionScript.Expectation()
    guard !text.isEmpty else {
      tell(number, "nothing follows \"=>\"; write go-on, or what is expected")
      return expectation
    }
    if Self.withoutAnswer.contains(word) { tell(number, "\"\(word)\" has no answer to expect") }
    var parts = text.split(separator: ", ", omittingEmptySubsequences: false).map(\.trimmed)[...]
    // From the end, since a reply's text may have commas too.
    while let part = parts.last, Self.noticeWords.contains(String(part.firstWord.word)) {
      parts.removeLast()
      if part == "quiet" {
        expectation.isQuiet = true
      } else if let notice = notice(part, number) {
        expectation.notices.insert(notice, at: 0)
      }
    }
    if expectation.isQuiet, !expectation.notices.isEmpty {
      tell(number, "\"quiet\" means no notice at all, not even \"\(expectation.notices[0])\"")
    }
    guard let first = parts.first else { return expectation }
    let answer = String(first.firstWord.word)
    guard Self.answerWords.contains(answer) else {
      tellUnknown(answer, number)
      return expectation
    }
    if !Self.answers(to: word).contains(answer), Self.forms[String(word)] != nil {
      tell(number, "\"\(answer)\" cannot follow \"\(word)\"; \(Self.answers(to: word).joined(separator: ", ")) can")
    }
    let rest = first.firstWord.rest
    var hasText = false
    switch answer {
    case "refused":
      let (code, words) = rest.firstWord
      guard let reply = Int(code), (400...599).contains(reply) else {
        tell(number, "\"\(code)\" is not the code of a refusal; write refused 450, or refused 550")
        return expectation
      }
      let text = reason(words, parts.dropFirst(), &expectation, number)
      hasText = !text.isEmpty
      expectation.verdict = .refused(code: reply, text: text)
    case "held":
      let text = reason(rest, parts.dropFirst(), &expectation, number)
      hasText = !text.isEmpty
      expectation.verdict = .held(text: text)
    case "delayed":
      expectation.verdict = time(rest, number).map { .delayed($0) } ?? .goOn
    default:
      if !rest.isEmpty { tell(number, "\"\(answer)\" stands alone, without \"\(rest)\"") }
      if let cause = SessionScript.MTARefusal(rawValue: answer) { expectation.verdict = .refusedByMTA(cause) }
    }
    if !hasText { for part in parts.dropFirst() { tellUnknown(String(part.firstWord.word), number) } }
    return expectation
  }

  /// `[by RULE[:]] [TEXT]`.
  private mutating func reason(
    _ words: Substring, _ more: ArraySlice<Substring>, _ expectation: inout SessionScript.Expectation, _ number: Int
  ) -> String {
    var words = words
    if words.firstWord.word == "by" {
      let (rule, text) = words.firstWord.rest.firstWord
      let hasColon = rule.last == ":"
      let name = hasColon ? rule.dropLast() : rule
      if name.isEmpty { tell(number, "by which rule? write by RULE, or by RULE: TEXT") }
      if !hasColon, !text.isEmpty { tell(number, "write a colon between rule and text: by \(name): \(text)") }
      expectation.rule = String(name)
      words = text
    }
    return words.isEmpty ? "" : ([words] + more).joined(separator: ", ")
  }

  private mutating func notice(_ text: Substring, _ number: Int) -> SessionScript.Expectation.Notice? {
    let words = text.split(separator: " ").map(String.init)
    let kinds: [String: Notice.Kind] = ["alert": .alert, "observed": .observed, "blocked": .blocked]
    if words.count == 2, let kind = kinds[words[0]] { return .init(kind: kind, rule: words[1]) }
    if words[0] == "run", words.count == 2 || words.count == 4 && words[2] == "by" {
      return .init(kind: .run(words[1]), rule: words.count == 4 ? words[3] : nil)
    }
    let form =
      switch words[0] {
      case "run": "run NAME, or run NAME by RULE"
      case "quiet": "quiet alone"
      default: "\(words[0]) RULE"
      }
    tell(number, "\"\(text)\" is not a notice; write \(form)")
    return nil
  }

  private mutating func tellUnknown(_ word: String, _ number: Int) {
    let near = Suggestion.phrase(for: word, among: Self.answerWords + Self.noticeWords)
    tell(number, "\"\(word)\" is not an expectation\(near)")
  }
}

// MARK: - Text

extension StringProtocol {
  fileprivate var trimmed: SubSequence {
    guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace }) else {
      return self[startIndex..<startIndex]
    }
    return self[first...last]
  }

  /// Without what follows a `#` that begins the line or stands after a space.
  fileprivate var withoutComment: SubSequence {
    let comment = indices.first { self[$0] == "#" && ($0 == startIndex || self[index(before: $0)].isWhitespace) }
    return self[..<(comment ?? endIndex)]
  }

  fileprivate var firstWord: (word: SubSequence, rest: SubSequence) {
    let end = firstIndex(where: \.isWhitespace) ?? endIndex
    let rest = firstIndexOfWord(from: end)
    return (self[..<end], self[rest...])
  }

  private func firstIndexOfWord(from index: Index) -> Index {
    self[index...].firstIndex { !$0.isWhitespace } ?? endIndex
  }

  fileprivate var withoutBrackets: String {
    count >= 2 && first == "<" && last == ">" ? String(dropFirst().dropLast()) : String(self)
  }
}
