import WardenCore
import Yams

/// The policy file: YAML in, a checked configuration or all its problems out.
public enum PolicyReader {
  /// Says what is wrong with a milter socket's text; nothing when it is well.
  public typealias SocketCheck = (String) -> String?

  /// - Parameter file: the name for diagnostics.
  public static func read(_ text: String, file: String, socketCheck: SocketCheck = { _ in nil }) -> ReadResult {
    var reader = YAMLReader(file: file)
    var configuration = Configuration()
    if let root = reader.root(of: text) { readRoot(root, &configuration, &reader, socketCheck) }
    let diagnostics = reader.diagnostics.sorted()
    let isSound = !diagnostics.contains { $0.severity == .error }
    return ReadResult(
      configuration: isSound ? configuration : nil, diagnostics: diagnostics, controlSocket: configuration.control.place
    )
  }

  private static func readRoot(
    _ root: Node, _ configuration: inout Configuration, _ reader: inout YAMLReader, _ socketCheck: SocketCheck
  ) {
    let known = ["listen", "state", "user", "on-fault", "exempt", "network-prefix", "realms", "rules"]
    guard let fields = reader.fields(of: root, "the policy", known: known) else { return }
    if let listen = fields["listen"] { readListen(listen, &configuration, &reader, socketCheck) }
    if let state = fields["state"] {
      _ = reader.text(state, "state")
      reader.warn("this version keeps everything in memory; \"state\" has no effect yet", at: state)
    }
    configuration.user = reader.text(fields["user"], "user")
    if let fault = reader.choice(fields["on-fault"], "on-fault", Configuration.OnFault.self) {
      configuration.onFault = fault
    }
    if let exempt = fields["exempt"] { configuration.policy.exempt = readExempt(exempt, &reader) }
    if let prefix = fields["network-prefix"] { configuration.policy.networkPrefix = readPrefix(prefix, &reader) }
    if let realms = fields["realms"] {
      configuration.policy.realms = reader.list(realms, "realms").compactMap { item in
        guard let realm = reader.text(item, "a realm") else { return nil }
        if realm.contains("@") { reader.error("\"\(realm)\" is not a realm; write example.org", at: item) }
        return realm
      }
    }
    readRules(fields["rules"], root, &configuration.policy, &reader)
    warnOfExemptUsersBehindBlocks(fields["exempt"]?["users"], configuration.policy, &reader)
  }

  // MARK: - listen

  private static func readListen(
    _ node: Node, _ configuration: inout Configuration, _ reader: inout YAMLReader, _ socketCheck: SocketCheck
  ) {
    guard let fields = reader.fields(of: node, "listen", known: ["milter", "control", "web"]) else { return }
    if let milter = fields["milter"] {
      configuration.milter = readSocket(
        milter, "listen.milter", keys: ["socket", "group", "mode"], &reader, socketCheck)
    }
    if let control = fields["control"] {
      let socket = readSocket(control, "listen.control", keys: ["socket", "group"], &reader) { path in
        if !path.hasPrefix("/") { return "\"\(path)\" is not an absolute path" }
        return path.utf8.count > 106 ? "a UNIX socket's path has at most 106 bytes" : nil
      }
      if !socket.place.isEmpty { configuration.control = socket }
    }
    if let web = fields["web"] {
      _ = reader.text(web, "listen.web")
      reader.warn("this version has no web page; \"web\" has no effect yet", at: web)
    }
  }

  /// A socket: its place alone, or a mapping with who may use it.
  private static func readSocket(
    _ node: Node, _ what: String, keys: [String], _ reader: inout YAMLReader, _ check: SocketCheck
  ) -> Configuration.Socket {
    var socket = Configuration.Socket(place: "")
    var placeNode: Node? = node
    if node.mapping != nil {
      guard let fields = reader.fields(of: node, what, known: keys) else { return socket }
      placeNode = fields["socket"]
      if node["socket"] == nil { reader.error("\(what) has no \"socket\"", at: node) }
      socket.group = reader.text(fields["group"], "\(what).group")
      if let mode = reader.text(fields["mode"], "\(what).mode") {
        // At least the owner must be able to connect; other bits than rw mean nothing for a socket.
        if isNumber(mode), let bits = UInt32(mode, radix: 8), bits & ~0o666 == 0, bits & 0o600 == 0o600 {
          socket.mode = bits
        } else {
          reader.error("\"\(mode)\" is not a mode for a socket; write 0600, 0660 or 0666", at: fields["mode"])
        }
      }
    }
    if let place = reader.text(placeNode, what) {
      if let problem = check(place) { reader.error("\(what): \(problem)", at: placeNode) } else { socket.place = place }
      if place.hasPrefix("inet"), node.mapping != nil, let idle = node["group"] ?? node["mode"] {
        reader.warn("a network socket has neither group nor mode: they have no effect", at: idle)
      }
    }
    return socket
  }

  /// Without the sign that Swift's numbers may have.
  private static func isNumber(_ text: String) -> Bool { text.utf8.allSatisfy { (0x30...0x39).contains($0) } }

  // MARK: - exempt, network-prefix

  private static func readExempt(_ node: Node, _ reader: inout YAMLReader) -> Exemptions {
    var exempt = Exemptions()
    guard let fields = reader.fields(of: node, "exempt", known: ["networks", "users"]) else { return exempt }
    for item in reader.list(fields["networks"], "exempt.networks") {
      guard let text = reader.text(item, "a network") else { continue }
      guard let network = Network(text) else {
        reader.error("\"\(text)\" is not a network; write 192.0.2.0/24, 2001:db8::/32 or one address", at: item)
        continue
      }
      if text.contains("/"), IPAddress(text.prefix { $0 != "/" }) != network.address {
        reader.warn("\(text) has bits beyond its prefix; it means \(network)", at: item)
      }
      if network.prefix == 0 { reader.warn("\(text) exempts everybody", at: item) }
      exempt.networks.append(network)
    }
    for item in reader.list(fields["users"], "exempt.users") {
      guard let text = reader.text(item, "a user") else { continue }
      exempt.users.insert(text.lowercased())
    }
    return exempt
  }

  private static func readPrefix(_ node: Node, _ reader: inout YAMLReader) -> NetworkPrefix {
    var prefix = NetworkPrefix()
    guard let fields = reader.fields(of: node, "network-prefix", known: ["ipv4", "ipv6"]) else { return prefix }
    for (name, longest, place) in [("ipv4", 32, \NetworkPrefix.v4), ("ipv6", 128, \NetworkPrefix.v6)] {
      guard let text = reader.text(fields[name], name) else { continue }
      guard isNumber(text), let length = Int(text), (1...longest).contains(length) else {
        reader.error("\(name) is a prefix length from 1 to \(longest), not \"\(text)\"", at: fields[name])
        continue
      }
      prefix[keyPath: place] = length
    }
    return prefix
  }

  // MARK: - rules

  private static func readRules(_ node: Node?, _ root: Node, _ policy: inout Policy, _ reader: inout YAMLReader) {
    guard let node, node.sequence?.isEmpty != true else {
      reader.warn("there are no rules: nothing will ever be refused", at: node ?? root)
      return
    }
    var names: Set<String> = []
    for item in reader.list(node, "rules") {
      guard let rule = readRule(item, taken: &names, &reader) else { continue }
      policy.rules.append(rule)
    }
  }

  private static func readRule(_ node: Node, taken names: inout Set<String>, _ reader: inout YAMLReader) -> Rule? {
    let known = ["name", "description", "count", "per", "limit", "then", "reply", "mode"]
    guard let fields = reader.fields(of: node, "a rule", known: known) else { return nil }
    for name in ["name", "count", "per", "limit", "then"] where fields[name] == nil {
      // A key without a value has been reported already.
      guard !(node.mapping?.keys.contains { $0.scalar?.string == name } ?? false) else { continue }
      reader.error("the rule has no \"\(name)\"", at: node)
    }
    let name = readName(fields["name"], taken: &names, &reader)
    let signal = readSignal(fields["count"], &reader)
    let shape = readShape(fields["per"], &reader)
    if let signal, let shape, signal.declaration.comesBeforeMail, !shape.isKnownAtConnect {
      reader.error(
        "\(signal.phrase) are counted before anybody has logged in or named a sender; count them per ip, network or server",
        at: fields["per"])
    }
    let limits = readLimits(fields["limit"], of: signal, &reader)
    let then = readThen(fields["then"], &reader)
    let mode = reader.choice(fields["mode"], "mode", Rule.Mode.self) ?? .enforce
    let description = reader.text(fields["description"], "description") ?? ""
    let reply = readReply(fields["reply"], per: shape, then: then, &reader)
    guard let name, let signal, let shape, let then, !limits.isEmpty else { return nil }
    return Rule(
      name: name, description: description, count: signal, per: shape, limits: limits, then: then, reply: reply,
      mode: mode)
  }

  private static func readName(_ node: Node?, taken: inout Set<String>, _ reader: inout YAMLReader) -> String? {
    guard let name = reader.text(node, "name") else { return nil }
    let allowed = name.unicodeScalars.allSatisfy {
      $0.isASCII
        && ($0.properties.isAlphabetic || $0.properties.numericType != nil || "-_.".unicodeScalars.contains($0))
    }
    guard allowed, !name.isEmpty, name.utf8.count <= 64 else {
      reader.error("a rule's name has up to 64 letters, digits, \"-\", \"_\" and \".\", not \"\(name)\"", at: node)
      return nil
    }
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

  private static func readSignal(_ node: Node?, _ reader: inout YAMLReader) -> Signal? {
    guard let name = reader.text(node, "count") else { return nil }
    if let signal = Signal(name: name) { return signal }
    if name.hasPrefix("distinct ") {
      reader.error("\"\(name)\": this version does not count different values yet", at: node)
    } else {
      let names = Signal.allCases.map(\.name)
      reader.error("unknown signal \"\(name)\"\(Suggestion.phrase(for: name, among: names))", at: node)
    }
    return nil
  }

  private static func readShape(_ node: Node?, _ reader: inout YAMLReader) -> KeyShape? {
    guard let node else { return nil }
    let words = reader.oneOrMore(node, "per")
    var kinds: [KeyKind] = []
    for (word, place) in words {
      guard let kind = KeyKind(name: word) else {
        let names = KeyKind.allCases.map(\.name)
        reader.error("unknown kind of key \"\(word)\"\(Suggestion.phrase(for: word, among: names))", at: place)
        continue
      }
      if kinds.contains(kind) || kind == .server && words.count > 1 {
        reader.error("\"\(word)\" adds nothing to the pair", at: place)
        continue
      }
      kinds.append(kind)
    }
    if words.count > 2 { reader.error("a key has one kind or two, not \(words.count)", at: node) }
    guard (1...2).contains(words.count), kinds.count == words.count else { return nil }
    return KeyShape(kinds[0], kinds.count == 2 ? kinds[1] : nil)
  }

  private static func readLimits(_ node: Node?, of signal: Signal?, _ reader: inout YAMLReader) -> [Limit] {
    guard let node else { return [] }
    var limits: [Limit] = []
    for (text, place) in reader.oneOrMore(node, "limit") {
      do throws(LimitText.Problem) {
        let limit = try LimitText.limit(text, of: signal)
        if limits.contains(where: { $0.window == limit.window }) {
          reader.error("there is a limit per \(limit.window) already", at: place)
        }
        limits.append(limit)
      } catch {
        reader.error(error.message, at: place)
      }
    }
    return limits
  }

  private static func readThen(_ node: Node?, _ reader: inout YAMLReader) -> Consequences? {
    guard let node else { return nil }
    var then = Consequences()
    var isSound = true
    var seen: Set<Substring> = []
    for (text, place) in reader.oneOrMore(node, "then") {
      let words = text.split(whereSeparator: \.isWhitespace)
      if let action = words.first, !seen.insert(action).inserted {
        reader.error("\"\(action)\" is there already", at: place)
        isSound = false
        continue
      }
      switch words.first {
      case "alert" where words.count == 1: then.alert = true
      case "tempfail" where words.count == 1, "reject" where words.count == 1:
        if then.refusal != nil {
          reader.error("a rule either tempfails or rejects", at: place)
          isSound = false
        }
        then.refusal = Consequences.Refusal(rawValue: String(words[0]))
      case "block":
        guard words.count == 3, words[1] == "for", let span = TimeSpan(words[2]), span.microseconds > 0 else {
          reader.error("\"\(text)\" is not a block; write block for 1h or block for 3d", at: place)
          isSound = false
          continue
        }
        then.block = span
      case "hold" where words.count == 1, "run":
        reader.error("\"\(text)\": this version cannot do that yet", at: place)
        isSound = false
      default:
        let actions = ["alert", "tempfail", "reject", "block"]
        let word = words.first.map(String.init) ?? text
        reader.error("unknown action \"\(text)\"\(Suggestion.phrase(for: word, among: actions))", at: place)
        isSound = false
      }
    }
    return isSound && then != Consequences() ? then : nil
  }

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

  /// Whoever is exempt by name is known only after login; a block of the address comes first.
  private static func warnOfExemptUsersBehindBlocks(_ node: Node?, _ policy: Policy, _ reader: inout YAMLReader) {
    guard !policy.exempt.users.isEmpty,
      let rule = policy.rules.first(where: { rule in
        rule.mode == .enforce && rule.per.isKnownAtConnect
          && (rule.then.block != nil || rule.then.refusal != nil && rule.count == .connections)
      })
    else { return }
    reader.warn(
      "exempt users are known only once they have logged in; rule \"\(rule.name)\" can turn their address away before that"
        + " (exempt their networks too)", at: node)
  }
}
