import WardenCore
import Yams

/// Where a rule's parts stand in the file.
struct RulePlaces {
  let rule: Node
  /// Of each part its limits.
  var limits: [[Node]] = []
  var only: [Node] = []
  var except: [Node] = []
  var include: Node?
  var countRefused: Node?
  var then: Node?
}

/// Rules.
extension PolicyReader {
  /// - Returns: the places of each rule that was read.
  static func readRules(
    _ node: Node?, _ root: Node, _ policy: inout Policy, _ names: inout Names, _ reader: inout YAMLReader
  ) -> [RulePlaces] {
    guard let node, node.sequence?.isEmpty != true else {
      reader.warn("there are no rules: nothing will ever be refused", at: node ?? root)
      return []
    }
    var places: [RulePlaces] = []
    for item in reader.list(node, "rules") {
      guard let (rule, place) = readRule(item, &names, &reader) else { continue }
      policy.rules.append(rule)
      places.append(place)
    }
    return places
  }

  private static func readRule(
    _ node: Node, _ names: inout Names, _ reader: inout YAMLReader
  ) -> (rule: Rule, places: RulePlaces)? {
    guard let fields = reader.fields(of: node, .rule) else { return nil }
    let isGiven = { (name: String) in node.mapping?.keys.contains { $0.scalar?.string == name } ?? false }
    let hasParts = isGiven("all of")
    for name in ["name", "count", "per", "limit", "then"] where !isGiven(name) {
      if hasParts, name == "count" || name == "limit" { continue }
      reader.error("the rule has no \"\(name)\"", at: node)
    }
    for name in ["count", "limit"] where hasParts && isGiven(name) {
      reader.error("beside \"all of\" there is no \"\(name)\": each of its parts has its own", at: fields[name] ?? node)
    }

    var places = RulePlaces(rule: node)
    let name = readName(fields["name"], taken: &names.rules, &reader)
    let shape = readShape(fields["per"], &reader)
    let found =
      hasParts
      ? readParts(fields["all of"], per: shape, fields["per"], &places, &reader)
      : [readPart(fields, mayBeNone: false, per: shape, fields["per"], &places, &reader)]
    let measures = found.compactMap(\.quantity).flatMap(\.measures)
    let filter = readFilter(fields, measures, per: shape, &places, &names, &reader)
    let includes = readInclude(fields["include"], per: shape, &reader)
    places.include = fields["include"]
    places.countRefused = fields["count-refused"]
    let countsRefused = readFlag(fields["count-refused"], "count-refused", &reader)
    places.then = fields["then"]
    var then = readThen(fields["then"], per: shape, &names, &reader)
    readForget(fields["forget"], &then, fields["then"], &reader)
    if then?.hold == true, let measure = measures.first, measures.allSatisfy(\.comesBeforeMail) {
      reader.error("\(measure.phrase) come without a message: there is nothing to hold", at: fields["then"])
    }
    let mode = reader.choice(fields["mode"], "mode", Rule.Mode.self) ?? .enforce
    let description = reader.text(fields["description"], "description") ?? ""
    let reply = readReply(fields["reply"], per: shape, then: then, &reader)
    let parts = found.compactMap(\.part)
    guard let name, let shape, let then, !parts.isEmpty, parts.count == found.count else { return nil }
    let rule = Rule(
      name: name, description: description, per: shape, parts: parts, filter: filter,
      includesBounces: includes.contains("bounces"), includesForwards: includes.contains("forwards"),
      countsRefused: countsRefused, then: then, reply: reply, mode: mode)
    return (rule, places)
  }

  private static func readName(_ node: Node?, taken: inout Set<String>, _ reader: inout YAMLReader) -> String? {
    guard let text = reader.text(node, "name"), let name = reader.name(text, "a rule's", at: node) else { return nil }
    guard name != Reason.administrator else {
      reader.error("no rule can be called \"\(name)\": that names an administrator's blocks", at: node)
      return nil
    }
    guard taken.insert(name).inserted else {
      reader.error("there is a rule \"\(name)\" already", at: node)
      return nil
    }
    return name
  }

  static func readFlag(_ node: Node?, _ what: String, _ reader: inout YAMLReader) -> Bool {
    guard let text = reader.text(node, what) else { return false }
    if text != "true", text != "false" { reader.error("\(what) is true or false, not \"\(text)\"", at: node) }
    return text == "true"
  }

  // MARK: - per

  private static func readShape(_ node: Node?, _ reader: inout YAMLReader) -> KeyShape? {
    guard let node else { return nil }
    let words = reader.oneOrMore(node, "per")
    var kinds: [KeyKind] = []
    for (word, place) in words {
      guard let kind = readKind(word, place, &reader) else { continue }
      if kinds.contains(kind) || kind == .server && words.count > 1 {
        reader.error("\"\(word)\" adds nothing to the pair", at: place)
        continue
      }
      if KeyShape(kind).isPerRecipient, let other = kinds.first(where: { KeyShape($0).isPerRecipient }) {
        reader.error("\"\(word)\" and \"\(other.name)\" are of the same recipient; one of them is enough", at: place)
        continue
      }
      kinds.append(kind)
    }
    if words.count > 2 { reader.error("a key has one kind or two, not \(words.count)", at: node) }
    guard (1...2).contains(words.count), kinds.count == words.count else { return nil }
    return KeyShape(kinds[0], kinds.count == 2 ? kinds[1] : nil)
  }

  private static func readKind(_ word: String, _ node: Node, _ reader: inout YAMLReader) -> KeyKind? {
    if let kind = KeyKind(name: word) { return kind }
    let names = KeyKind.allCases.map(\.name)
    reader.error("unknown kind of key \"\(word)\"\(Suggestion.phrase(for: word, among: names))", at: node)
    return nil
  }

  // MARK: - count, limit, all of

  private static func readParts(
    _ node: Node?, per shape: KeyShape?, _ per: Node?, _ places: inout RulePlaces, _ reader: inout YAMLReader
  ) -> [(quantity: Quantity?, part: Part?)] {
    guard let node else { return [] }
    let items = reader.list(node, "all of")
    if node.sequence?.isEmpty == true { reader.error("all of is an empty list", at: node) }
    return items.map { item in
      guard let fields = reader.fields(of: item, .part) else { return (nil, nil) }
      for name in ["count", "limit"] where !(item.mapping?.keys.contains { $0.scalar?.string == name } ?? false) {
        reader.error("the part has no \"\(name)\"", at: item)
      }
      return readPart(fields, mayBeNone: items.count > 1, per: shape, per, &places, &reader)
    }
  }

  private static func readPart(
    _ fields: [String: Node], mayBeNone: Bool, per shape: KeyShape?, _ per: Node?, _ places: inout RulePlaces,
    _ reader: inout YAMLReader
  ) -> (quantity: Quantity?, part: Part?) {
    let quantity = readQuantity(fields["count"], &reader)
    if let quantity, let shape { check(quantity, fields["count"], per: shape, per, &reader) }
    var limits: [Limit] = []
    var nodes: [Node] = []
    var texts: [(text: String, node: Node)] = []
    if let node = fields["limit"] { texts = reader.oneOrMoreWithHalves(node, "limit") }
    for (text, place) in texts {
      do throws(LimitText.Problem) {
        let limit = try LimitText.limit(text, of: quantity, mayBeNone: mayBeNone)
        if limits.contains(where: { $0.isSameSort(as: limit) }) {
          reader.error("there is a limit per \(limit.window) already", at: place)
        }
        limits.append(limit)
        nodes.append(place)
      } catch {
        reader.error(error.message, at: place)
      }
    }
    // Its faults are told; a rule with some of its limits is not looked at further.
    guard let quantity, !limits.isEmpty, limits.count == texts.count else { return (quantity, nil) }
    places.limits.append(nodes)
    return (quantity, Part(quantity, limits))
  }

  private static func readQuantity(_ node: Node?, _ reader: inout YAMLReader) -> Quantity? {
    guard let text = reader.text(node, "count") else { return nil }
    let sides = text.split(separator: "/", omittingEmptySubsequences: false)
      .map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
    guard sides.count <= 2, !sides.contains("") else {
      reader.error("a share is of two signals, as in bad-recipients / recipients", at: node)
      return nil
    }
    let measures = sides.compactMap { name -> Measure? in
      if let measure = Measure(name: name) { return measure }
      let words = name.split(separator: " ").map(String.init)
      let attributes = Attribute.allCases.map(\.name)
      if words.first == "distinct" || words.first == "new",
        words.count != 2
          || Suggestion.nearest(to: words[1], among: attributes) == nil
      {
        reader.error("\"\(name)\": \(words[0]) goes with \(attributes.joined(separator: ", "))", at: node)
      } else {
        reader.error("unknown signal \"\(name)\"\(Suggestion.phrase(for: name, among: Measure.allNames))", at: node)
      }
      return nil
    }
    guard measures.count == sides.count else { return nil }
    if measures.count == 1 { return .measure(measures[0]) }
    let (part, whole) = (measures[0], measures[1])
    if let other = measures.first(where: { if case .distinct = $0 { true } else { false } }) {
      reader.error("a share is of signals or of what is new; \(other.phrase) cannot be one of them", at: node)
      return nil
    }
    guard part != whole else {
      reader.error("\(part.phrase) are always all of \(whole.phrase)", at: node)
      return nil
    }
    return .share(part, of: whole)
  }

  /// Whether what is counted is known, and differs, where the key is known.
  private static func check(
    _ quantity: Quantity, _ count: Node?, per shape: KeyShape, _ per: Node?, _ reader: inout YAMLReader
  ) {
    for measure in quantity.measures {
      if measure.comesBeforeMail, !shape.isKnownAtConnect {
        reader.error(
          "\(measure.phrase) are counted before anybody has logged in or named a sender; count them per ip, network or server",
          at: per)
      } else if shape.isPerRecipient, !measure.isAboutRecipients {
        reader.error("\(measure.phrase) are counted without a recipient; count them per user, ip or sender", at: per)
      }
      guard let attribute = measure.attribute,
        let kind = shape.kinds.first(where: attribute.declaration.isWithin.contains)
      else { continue }
      reader.error(
        "one \(kind.name) has no different \(attribute.name.replacing("-", with: " ")) to count", at: count)
    }
  }

  // MARK: - only, except, include

  private static func readFilter(
    _ fields: [String: Node], _ measures: [Measure], per shape: KeyShape?, _ places: inout RulePlaces,
    _ names: inout Names,
    _ reader: inout YAMLReader
  ) -> Filter {
    var filter = Filter()
    for (what, list, nodes) in [
      ("only", \Filter.only, \RulePlaces.only), ("except", \Filter.except, \RulePlaces.except),
    ] {
      guard let node = fields[what] else { continue }
      for (text, place) in reader.oneOrMore(node, what) {
        guard let match = readMatch(text, place, &names, &reader) else { continue }
        if filter[keyPath: list].contains(match) {
          reader.error("\"\(match)\" is there already", at: place)
          continue
        }
        if match == .newNetwork, let shape, shape != KeyShape(.user) {
          reader.error(
            "which networks are new is known of users; a rule with \"new-network\" counts per user", at: place)
        } else if let problem = problem(with: match, isOnly: what == "only", measures) {
          reader.error(problem, at: place)
        }
        filter[keyPath: list].append(match)
        places[keyPath: nodes].append(place)
      }
    }
    return filter
  }

  /// What a filter can never know of what the rule counts.
  private static func problem(with match: Match, isOnly: Bool, _ measures: [Measure]) -> String? {
    let isEarly: Bool
    switch match {
    case .daemon, .network, .anonymous: isEarly = true
    // Spares from the rule's block, if not from the count.
    case .authenticated, .user, .group: isEarly = !isOnly
    case .bounces, .forwards, .lists, .newNetwork, .senderDomain: isEarly = false
    case .failedLogins:
      return measures.first { !$0.isShownByFailedLogins }.map { "a failed login shows no \($0.phrase)" }
    }
    if !isEarly, let measure = measures.first(where: \.comesBeforeMail) {
      return
        "\(measure.phrase) are counted before anybody has logged in or named a sender; \"\(match)\" is never known then"
    }
    if match == .lists, let measure = measures.first(where: { $0.counting == .occurred }) {
      return "what comes from a mailing list is known only at a message's end, after \(measure.phrase) are counted"
    }
    return nil
  }

  private static func readMatch(
    _ text: String, _ node: Node, _ names: inout Names, _ reader: inout YAMLReader
  ) -> Match? {
    let words = text.split(whereSeparator: \.isWhitespace).map(String.init)
    let word = words.first ?? ""
    if let match = Match.words.first(where: { $0.name == word })?.match {
      if words.count == 1 { return match }
      reader.error("\"\(word)\" stands alone, without \"\(words.dropFirst().joined(separator: " "))\"", at: node)
      return nil
    }
    guard let example = PolicyMapping.filters.first(where: { $0.name == word })?.example else {
      let known = PolicyMapping.filters.map(\.name)
      reader.error("unknown filter \"\(text)\"\(Suggestion.phrase(for: word, among: known))", at: node)
      return nil
    }
    guard words.count == 2 else {
      reader.error("\"\(text)\" is not a filter; write \(word) \(example)", at: node)
      return nil
    }
    let value = words[1]
    switch word {
    case "daemon": return .daemon(value)
    case "network": return readNetwork(value, node, &reader).map(Match.network)
    case "user": return .user(value.lowercased())
    case "group": return names.hasGroup(value, at: node, &reader) ? .group(value) : nil
    default:
      guard !value.contains("@") else {
        reader.error("\"\(value)\" is not a domain; write \(example)", at: node)
        return nil
      }
      return .senderDomain(value.lowercased())
    }
  }

  private static func readInclude(_ node: Node?, per shape: KeyShape?, _ reader: inout YAMLReader) -> Set<String> {
    guard let node else { return [] }
    var words: Set<String> = []
    let known = ["bounces", "forwards"]
    for (word, place) in reader.oneOrMore(node, "include") {
      if !known.contains(word) {
        let suggestion = Suggestion.phrase(for: word, among: known)
        reader.error("include is bounces or forwards, not \"\(word)\"\(suggestion)", at: place)
      } else if !words.insert(word).inserted {
        reader.error("\"\(word)\" is there already", at: place)
      }
    }
    if let shape, !shape.kinds.contains(.user) {
      reader.error("bounces and forwards are left out per user alone; here they count anyway", at: node)
    }
    return words
  }

  // MARK: - then, forget

  private static func readThen(
    _ node: Node?, per shape: KeyShape?, _ names: inout Names, _ reader: inout YAMLReader
  ) -> Consequences? {
    guard let node else { return nil }
    var then = Consequences()
    var isSound = true
    var seen: Set<String> = []
    // Where a list is parted at a block's own commas, its times follow as items of their own.
    var followsBlock = false
    for (text, place) in reader.oneOrMore(node, "then", commas: true) {
      let pieces = text.split(separator: ",", omittingEmptySubsequences: false)
      let words = pieces[0].split(whereSeparator: \.isWhitespace).map(String.init)
      let action = words.first ?? ""
      if let span = TimeSpan(text.trimmed) {
        if followsBlock {
          add(span, text, place, to: &then, &isSound, &reader)
        } else {
          reader.error("\"\(text)\" stands alone; write block for \(text)", at: place)
          isSound = false
        }
        continue
      }
      followsBlock = action == "block"
      if pieces.count > 1, action != "block" || pieces.dropFirst().contains(where: { TimeSpan($0.trimmed) == nil }) {
        reader.error("then with several values is a list: [\(text)]", at: place)
        isSound = false
        continue
      }
      if !action.isEmpty, !seen.insert(action == "run" ? words.joined(separator: " ") : action).inserted {
        reader.error("\"\(words[0] == "run" ? words.joined(separator: " ") : action)\" is there already", at: place)
        isSound = false
        continue
      }
      switch action {
      case "alert" where words.count == 1: then.alert = true
      case "hold" where words.count == 1: then.hold = true
      case "tempfail" where words.count == 1, "reject" where words.count == 1:
        if then.refusal != nil {
          reader.error("a rule either tempfails or rejects", at: place)
          isSound = false
        }
        then.refusal = Consequences.Refusal(rawValue: action)
      case "run":
        if words.count == 2, names.hasCommand(words[1], at: place, &reader) {
          then.run.append(words[1])
        } else {
          if words.count != 2 { reader.error("\"\(text)\" runs nothing; write run NAME", at: place) }
          isSound = false
        }
      case "block":
        guard let block = readBlock(words, text, place, per: shape, &reader) else {
          isSound = false
          continue
        }
        then.block = block
        for span in pieces.dropFirst() {
          TimeSpan(span.trimmed).map { add($0, span.trimmed, place, to: &then, &isSound, &reader) }
        }
      case "delay":
        if let delay = readDelay(words, text, place, &reader) { then.delay = delay } else { isSound = false }
      default:
        let actions = PolicyMapping.actions.map(\.name)
        reader.error("unknown action \"\(text)\"\(Suggestion.phrase(for: action, among: actions))", at: place)
        isSound = false
      }
    }
    return isSound && then != Consequences() ? then : nil
  }

  private static func readDelay(
    _ words: [String], _ text: String, _ node: Node, _ reader: inout YAMLReader
  ) -> TimeSpan? {
    guard words.count == 3, words[1] == "for", let span = TimeSpan(words[2]), span >= .seconds(1), span <= .minutes(1)
    else {
      reader.error("\"\(text)\" is not a delay; write delay for 3s, at most 1m", at: node)
      return nil
    }
    if span > .seconds(8) {
      reader.warn("Postfix waits for Dovecot for 10s at most; with more than 8s its logins fail", at: node)
    }
    return span
  }

  private static func readBlock(
    _ words: [String], _ text: String, _ node: Node, per shape: KeyShape?, _ reader: inout YAMLReader
  ) -> Block? {
    guard words.count == 3 || words.count == 4, words[words.count - 2] == "for", let span = TimeSpan(words.last!),
      span.microseconds > 0
    else {
      reader.error("\"\(text)\" is not a block; write block for 1h or block for 3d", at: node)
      return nil
    }
    guard words.count == 4 else { return Block([span]) }
    guard let kind = readKind(words[1], node, &reader) else { return nil }
    if let shape, !shape.kinds.contains(kind), kind != .network || !shape.kinds.contains(.ip) {
      let parts = shape.kinds.map(\.name) + (shape.kinds.contains(.ip) ? ["network"] : [])
      reader.error(
        "the rule counts per \(shape), so it cannot block the \(kind.name); what it can block: "
          + parts.joined(separator: ", "), at: node)
      return nil
    }
    return Block([span], kind: kind)
  }

  /// A further offence's time.
  private static func add(
    _ span: TimeSpan, _ text: String, _ node: Node, to then: inout Consequences, _ isSound: inout Bool,
    _ reader: inout YAMLReader
  ) {
    guard span.microseconds > 0 else {
      reader.error("\"\(text)\" is no time to block for", at: node)
      isSound = false
      return
    }
    if let last = then.block?.spans.last, span <= last {
      reader.warn("the next offence is blocked no longer (\(span)) than the one before (\(last))", at: node)
    }
    then.block?.spans.append(span)
  }

  private static func readForget(
    _ node: Node?, _ then: inout Consequences?, _ thenNode: Node?, _ reader: inout YAMLReader
  ) {
    if let text = reader.text(node, "forget") {
      guard let span = TimeSpan(text), span.microseconds > 0, span <= .days(366) else {
        reader.error("\"\(text)\" is not a time after which to forget; write 30d, at most 366d", at: node)
        return
      }
      if let block = then?.block, block.spans.count > 1 {
        then?.block?.forget = span
      } else if then != nil {
        reader.warn("there is nothing to forget: only blocks of several lengths remember offences", at: node)
      }
    }
    guard let block = then?.block, block.spans.count > 1, let longest = block.spans.max(), block.forget <= longest
    else {
      return
    }
    reader.warn(
      "an offence is forgotten after \(block.forget), before its block of \(longest) has ended", at: node ?? thenNode)
  }

  // MARK: - reply

  private static func readReply(
    _ node: Node?, per shape: KeyShape?, then: Consequences?, _ reader: inout YAMLReader
  ) -> ReplyTemplate? {
    guard let text = reader.text(node, "reply") else { return nil }
    do throws(ReplyText.Problems) {
      let reply = try ReplyText.template(text, per: shape)
      guard let then else { return reply }
      if let refusal = then.refusal, reply.code.isTemporary != (refusal == .tempfail) {
        reader.error("the reply's code is \(reply.code.code), but the rule says \(refusal.rawValue)", at: node)
      }
      if then.refusal == nil, then.block == nil {
        reader.warn("the reply is never given: the rule refuses nothing", at: node)
      }
      return reply
    } catch {
      for message in error.messages { reader.error(message, at: node) }
      return nil
    }
  }
}

extension Measure {
  var attribute: Attribute? {
    switch self {
    case .signal: nil
    case .distinct(let attribute), .new(let attribute): attribute
    }
  }

  /// Whether a failed login counts in it.
  var isShownByFailedLogins: Bool {
    switch self {
    case .signal(.authFailures): true
    case .distinct(.users), .distinct(.passwords), .distinct(.ips), .distinct(.networks): true
    default: false
    }
  }

  /// Whether it is counted when a recipient, or a message with its recipients, is at hand.
  var isAboutRecipients: Bool { counting == .admitted || needs.contains(.refusedRecipients) }
}

extension StringProtocol {
  var trimmed: String { split(whereSeparator: \.isWhitespace).joined(separator: " ") }
}
