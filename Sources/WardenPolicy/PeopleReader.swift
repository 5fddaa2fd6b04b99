import WardenCore
import Yams

/// The names that one part of a policy gives and another uses.
struct Names {
  /// Where each was given.
  var commands: [String: Node] = [:]
  var groups: [String: (file: String, node: Node)] = [:]
  /// Also of rules with a fault elsewhere: naming such a rule is no second fault.
  var rules: Set<String> = []
  private var used: Set<String> = []

  /// Whether there is such a group; reported where not.
  mutating func hasGroup(_ name: String, at node: Node, _ reader: inout YAMLReader) -> Bool {
    used.insert("group \(name)")
    if groups[name] != nil { return true }
    let suggestion = Suggestion.phrase(for: name, among: groups.keys.sorted())
    reader.error("there is no group \"\(name)\"\(suggestion)", at: node)
    return false
  }

  mutating func hasCommand(_ name: String, at node: Node, _ reader: inout YAMLReader) -> Bool {
    used.insert("run \(name)")
    if commands[name] != nil { return true }
    let suggestion = Suggestion.phrase(for: name, among: commands.keys.sorted())
    reader.error("there is no command \"\(name)\"\(suggestion); say under \"commands\" what it runs", at: node)
    return false
  }

  func warnOfUnused(_ reader: inout YAMLReader, _ included: inout [PolicyReader.Included]) {
    for (name, node) in commands where !used.contains("run \(name)") {
      reader.warn("nothing runs \"\(name)\"", at: node)
    }
    for (name, place) in groups where !used.contains("group \(name)") {
      let message = "no rule and no override names group \"\(name)\""
      if let index = included.firstIndex(where: { $0.reader.file == place.file }) {
        included[index].reader.warn(message, at: place.node)
      } else {
        reader.warn(message, at: place.node)
      }
    }
  }
}

/// The overrides read so far.
struct Overrides {
  let now: Timestamp?
  fileprivate(set) var read: [Override] = []
  /// Where whose override of which rule stands: hosters have thousands.
  fileprivate var places: [Place: Int] = [:]

  /// Each window of a limit is counted for every key of its rule.
  fileprivate var windows: Set<TimeSpan> = []
  fileprivate static let mostWindows = 100

  fileprivate struct Place: Hashable {
    let target: Override.Target
    let rule: String?
  }

  init(now: Timestamp?) { self.now = now }
}

/// Groups and overrides.
extension PolicyReader {
  static func readGroups(_ node: Node?, _ policy: inout Policy, _ names: inout Names, _ reader: inout YAMLReader) {
    for (text, key, value) in reader.entries(of: node, "groups", example: "staff: [alice, bob]") {
      guard let name = reader.name(text, "a group's", at: key) else { continue }
      if let there = names.groups[name] {
        reader.error("there is a group \"\(name)\" already (\(there.file):\(there.node.mark?.line ?? 0))", at: key)
        continue
      }
      names.groups[name] = (reader.file, key)
      var members: Set<String> = []
      if value.sequence?.isEmpty != true {
        for (member, place) in reader.oneOrMore(value, "a group") {
          if member == "@" || member.contains(where: \.isWhitespace) {
            reader.error("\"\(member)\" is neither a user nor a realm; write alice or \"@example.org\"", at: place)
          }
          members.insert(member.lowercased())
        }
      }
      policy.groups[name] = members
    }
  }

  // MARK: - overrides

  static func readOverrides(
    _ node: Node?, _ overrides: inout Overrides, _ policy: Policy, _ names: inout Names, _ reader: inout YAMLReader
  ) {
    for (text, key, value) in reader.entries(of: node, "overrides", example: "alice: account-cap 500 per 1h") {
      let target = readTarget(text, key, policy, &names, &reader)
      let first = overrides.read.count
      for (effect, place) in reader.oneOrMoreWithHalves(value, "an override") {
        guard let effect = readEffect(effect, place, overrides.now, policy, names, &reader), let target else {
          continue
        }
        if case .limits(let name, _) = effect.effect {
          warnOfNobody(target, policy.rules.first { $0.name == name }, place, &reader)
        }
        let origin = "\(reader.file):\(place.mark?.line ?? 0)"
        let override = Override(target, effect.effect, until: effect.until, origin: origin)
        overrides.add(override, joining: first, at: place, &reader)
      }
    }
  }

  private static func warnOfNobody(
    _ target: Override.Target, _ rule: Rule?, _ node: Node, _ reader: inout YAMLReader
  ) {
    guard let rule, !target.canMean(rule.per) else { return }
    reader.warn("rule \"\(rule.name)\" counts per \(rule.per): nobody gets this limit", at: node)
  }

  private static func readTarget(
    _ text: String, _ node: Node, _ policy: Policy, _ names: inout Names, _ reader: inout YAMLReader
  ) -> Override.Target? {
    for prefix in ["group ", "group:"] where text.hasPrefix(prefix) {
      let name = text.dropFirst(prefix.count).trimmingPrefix { $0 == " " }
      return names.hasGroup(String(name), at: node, &reader) ? .group(String(name)) : nil
    }
    if text.hasPrefix("@"), isName(text.dropFirst()), !text.dropFirst().contains("@") {
      return .domain(text.dropFirst().lowercased())
    }
    let isNumbers = text.allSatisfy { $0.isASCII && ($0.isNumber || $0 == "." || $0 == "/") } && text.contains(".")
    if isNumbers || Network(text) != nil {
      guard let network = readNetwork(text, node, &reader) else { return nil }
      if network.prefix == 0 { reader.warn("\(text) is everybody", at: node) }
      return .network(network)
    }
    if text == KeyKind.server.name || text.contains(":") { return readKey(text, node, policy, &reader) }
    guard isName(text), !text.hasPrefix("@"), !text.contains("/") else {
      reader.error(
        "\"\(text)\" is nobody; write a user, \"@example.org\", group NAME, a network, or a key such as sender:a@example.org",
        at: node)
      return nil
    }
    return .user(text.lowercased())
  }

  private static func isName(_ text: some StringProtocol) -> Bool {
    !text.isEmpty && !text.contains(where: \.isWhitespace)
  }

  private static func readKey(
    _ text: String, _ node: Node, _ policy: Policy, _ reader: inout YAMLReader
  ) -> Override.Target? {
    do throws(Key.Problem) {
      // Realms that are learned later are known to whoever asks for an override.
      let key = try Key(text, realms: LocalRealms(listed: policy.realms ?? []))
      switch (key.first, key.second) {
      case (.user(let user), nil): return .user(user)
      case (.network(let network), nil): return .network(network)
      default: return .key(key)
      }
    } catch {
      reader.error("\(error)", at: node)
      return nil
    }
  }

  /// `exempt`, `account-cap off`, `account-cap 500 per 1h`, each with `until 2026-12-01` behind it.
  private static func readEffect(
    _ text: String, _ node: Node, _ now: Timestamp?, _ policy: Policy, _ names: Names, _ reader: inout YAMLReader
  ) -> (effect: Override.Effect, until: Timestamp?)? {
    var words = text.split(whereSeparator: \.isWhitespace).map(String.init)
    var until: Timestamp?
    var isSound = true
    if let place = words.lastIndex(of: "until") {
      let date = words[(place + 1)...].joined(separator: " ")
      words.removeSubrange(place...)
      until = DateText.timestamp(date)
      if let until {
        if let now, until <= now { reader.warn("this override has ended (\(until.rfc3339))", at: node) }
      } else {
        reader.error("\"\(date)\" is not a date; write 2026-12-01 or 2026-12-01T18:00:00+01:00", at: node)
        isSound = false
      }
    }
    if words == ["exempt"] { return isSound ? (.exempt, until) : nil }
    guard words.count > 1, let name = words.first else {
      let word = words.first ?? ""
      // Whoever names a rule alone most likely means to turn it off.
      let suggestion = names.rules.contains(word) ? "" : Suggestion.phrase(for: word, among: ["exempt"])
      reader.error(
        "\"\(text)\" is not an override\(suggestion); write exempt, RULE off or RULE 500 per 1h", at: node)
      return nil
    }
    guard names.rules.contains(name) else {
      let suggestion = Suggestion.phrase(for: name, among: names.rules.sorted())
      reader.error("there is no rule \"\(name)\"\(suggestion)", at: node)
      return nil
    }
    if words.count == 2 {
      if words[1] == "off" { return isSound ? (.off(rule: name), until) : nil }
      let suggestion = Suggestion.phrase(for: words[1], among: ["off"])
      reader.error("\"\(text)\" is not an override\(suggestion); write exempt, RULE off or RULE 500 per 1h", at: node)
      return nil
    }
    do throws(LimitText.Problem) {
      let quantity = policy.rules.first { $0.name == name }?.parts.first?.quantity
      let limit = try LimitText.limit(words.dropFirst().joined(separator: " "), of: quantity)
      return isSound ? (.limits(rule: name, [limit]), until) : nil
    } catch {
      reader.error(error.message, at: node)
      return nil
    }
  }
}

extension Overrides {
  /// - Parameter first: from where on the overrides stand in the same list: their limits are one rule's.
  fileprivate mutating func add(_ new: Override, joining first: Int, at node: Node, _ reader: inout YAMLReader) {
    if case .limits(_, let limits) = new.effect {
      let before = windows.count
      windows.formUnion(limits.map(\.window))
      if before <= Self.mostWindows, windows.count > Self.mostWindows {
        reader.error(
          "the overrides have more than \(Self.mostWindows) different windows; each is counted for everybody", at: node)
      }
    }
    let place = Place(target: new.target, rule: new.rule)
    guard let index = places[place] else {
      places[place] = read.count
      read.append(new)
      return
    }
    guard index >= first, read[index].until == new.until, case .limits(let rule, let before) = read[index].effect,
      case .limits(_, let limits) = new.effect
    else {
      let what = new.rule.map { "rule \"\($0)\" is overridden for them" } ?? "they are exempt"
      reader.error("\(what) already (\(read[index].origin))", at: node)
      return
    }
    if let limit = limits.first(where: { limit in before.contains { $0.isSameSort(as: limit) } }) {
      reader.error("there is a limit per \(limit.window) already", at: node)
    }
    read[index].effect = .limits(rule: rule, before + limits)
  }
}

extension Limit {
  /// Whether only one of the two can ever matter; a number per hour and what is usual per hour both can.
  func isSameSort(as other: Limit) -> Bool {
    guard window == other.window else { return false }
    switch (bound, other.bound) {
    case (.count, .count), (.usual, .usual), (.share, .share): return true
    default: return false
    }
  }
}
