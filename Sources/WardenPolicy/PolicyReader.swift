import WardenCore
import Yams

/// The policy file: YAML in, a checked configuration or all its problems out.
///
/// Settings are read here, rules in `RuleReader`, alerts in `AlertsReader`, feeds in
/// `FeedsReader`, groups and overrides in `PeopleReader`; `RuleAnalysis` then looks for
/// rules that cannot work.
public enum PolicyReader {
  /// Says what is wrong with a milter socket's text; nothing when it is well.
  public typealias SocketCheck = (String) -> String?
  /// Says what is wrong with a template of alerts; nothing when it is well.
  public typealias TemplateCheck = (String) -> String?
  /// Fetches what `include:` names, a file or a folder's files in their order, each with its name for diagnostics.
  public typealias Loader = (String) throws(IncludeProblem) -> [(file: String, text: String)]

  public struct IncludeProblem: Error, CustomStringConvertible {
    /// What follows the name and a colon: `No such file or directory`.
    public let description: String
    public init(_ description: String) { self.description = description }
  }

  /// - Parameters:
  ///   - file: the name for diagnostics.
  ///   - now: for warnings of overrides that have ended; nothing gives none.
  public static func read(
    _ text: String, file: String, now: Timestamp? = nil, socketCheck: SocketCheck = { _ in nil },
    templateCheck: TemplateCheck = { _ in nil },
    load: Loader = { _ throws(IncludeProblem) in throw IncludeProblem("nothing can be included here") }
  ) -> ReadResult {
    var reader = YAMLReader(file: file)
    var included: [Included] = []
    var configuration = Configuration()
    if let root = reader.root(of: text) {
      included = readRoot(root, &configuration, &reader, now, socketCheck, templateCheck, load)
    }
    let diagnostics = ([reader] + included.map(\.reader)).flatMap { $0.diagnostics.sorted() }
    let isSound = !diagnostics.contains { $0.severity == .error }
    return ReadResult(
      configuration: isSound ? configuration : nil, diagnostics: diagnostics, controlSocket: configuration.control.place
    )
  }

  /// Another file's part of the policy.
  struct Included {
    var reader: YAMLReader
    var fields: [String: Node]
  }

  private static func readRoot(
    _ root: Node, _ configuration: inout Configuration, _ reader: inout YAMLReader, _ now: Timestamp?,
    _ socketCheck: SocketCheck, _ templateCheck: TemplateCheck, _ load: Loader
  ) -> [Included] {
    guard let fields = reader.fields(of: root, .policy, misplaced: ["web"]) else { return [] }
    readSettings(fields, &configuration, &reader, socketCheck)

    // Who is who comes first: rules name groups, overrides name rules.
    var included = readIncludes(fields["include"], &reader, load)
    var names = Names()
    readGroups(fields["groups"], &configuration.policy, &names, &reader)
    if let exempt = fields["exempt"] { configuration.policy.exempt = readExempt(exempt, &reader) }
    for index in included.indices {
      readGroups(included[index].fields["groups"], &configuration.policy, &names, &included[index].reader)
      guard let exempt = included[index].fields["exempt"] else { continue }
      let more = readExempt(exempt, &included[index].reader)
      configuration.policy.exempt.networks += more.networks
      configuration.policy.exempt.users.formUnion(more.users)
    }
    configuration.commands = readCommands(fields["commands"], &names, &reader)
    configuration.alerts = readAlerts(fields["alerts"], configuration.commands, &names, &reader, templateCheck)
    readFeeds(fields["feeds"], &configuration, &reader)
    configuration.policy.feeds = configuration.feeds.sources
    let places = readRules(fields["rules"], root, &configuration.policy, &names, &reader)

    var overrides = Overrides(now: now)
    readOverrides(fields["overrides"], &overrides, configuration.policy, &names, &reader)
    for index in included.indices {
      readOverrides(
        included[index].fields["overrides"], &overrides, configuration.policy, &names, &included[index].reader)
    }
    configuration.policy.overrides = overrides.read

    warnOfExemptUsersBehindBlocks(fields["exempt"]?["users"], configuration.policy, &reader)
    for index in included.indices {
      warnOfExemptUsersBehindBlocks(
        included[index].fields["exempt"]?["users"], configuration.policy, &included[index].reader)
    }
    // What is at fault is not looked at further: a rule that was not read would be missed.
    if !reader.hasErrors, !included.contains(where: \.reader.hasErrors) {
      RuleAnalysis(policy: configuration.policy, feeds: configuration.feeds, places: places).run(&reader)
      names.warnOfUnused(&reader, &included)
    }
    return included
  }

  private static func readSettings(
    _ fields: [String: Node], _ configuration: inout Configuration, _ reader: inout YAMLReader,
    _ socketCheck: SocketCheck
  ) {
    if let web = fields["web"] {
      reader.error("\"web\" belongs under \"listen\": listen: {web: 127.0.0.1:8025}", at: web)
    }
    if let listen = fields["listen"] { readListen(listen, &configuration, &reader, socketCheck) }
    configuration.state = readState(fields["state"], &reader)
    configuration.history = readHistory(fields["history"], &reader)
    configuration.user = reader.text(fields["user"], "user")
    if let fault = reader.choice(fields["on-fault"], "on-fault", Configuration.OnFault.self) {
      configuration.onFault = fault
    }
    if let prefix = fields["network-prefix"] { configuration.policy.networkPrefix = readPrefix(prefix, &reader) }
    if let realms = fields["realms"] {
      configuration.policy.realms = reader.list(realms, "realms").compactMap { item in
        guard let realm = reader.text(item, "a realm") else { return nil }
        if realm.contains("@") { reader.error("\"\(realm)\" is not a realm; write example.org", at: item) }
        return realm
      }
    }
    if let memory = reader.text(fields["memory"], "memory") {
      do throws(LimitText.Problem) {
        configuration.policy.memory = try LimitText.size(memory)
        if configuration.policy.memory < 16_000_000 {
          reader.error("\(memory) is too little to count anything in; write at least 16MB", at: fields["memory"])
        }
      } catch {
        reader.error(error.message, at: fields["memory"])
      }
    }
    configuration.tests = reader.text(fields["tests"], "tests")
  }

  // MARK: - include, commands

  private static func readIncludes(_ node: Node?, _ reader: inout YAMLReader, _ load: Loader) -> [Included] {
    guard let node else { return [] }
    var included: [Included] = []
    for (name, place) in reader.oneOrMore(node, "include", commas: true) {
      do throws(IncludeProblem) {
        for (file, text) in try load(name) {
          if file == reader.file || included.contains(where: { $0.reader.file == file }) {
            reader.error("\(file) is included twice", at: place)
            continue
          }
          var other = YAMLReader(file: file)
          // A file in which everything has been taken back says nothing, which is no fault.
          var fields: [String: Node] = [:]
          if let root = other.root(of: text, mayBeEmpty: true) {
            fields = other.fields(of: root, .included) ?? [:]
          }
          included.append(Included(reader: other, fields: fields))
        }
      } catch {
        reader.error("\"\(name)\" cannot be included: \(error)", at: place)
      }
    }
    return included
  }

  private static func readCommands(
    _ node: Node?, _ names: inout Names, _ reader: inout YAMLReader
  ) -> [String: [String]] {
    var commands: [String: [String]] = [:]
    for (text, key, value) in reader.entries(of: node, "commands", example: "lock-account: [/usr/local/sbin/lock, ...]")
    {
      guard let name = reader.name(text, "a command's", at: key) else { continue }
      names.commands[name] = key
      let words = reader.oneOrMore(value, "a command", commas: true)
      guard let program = words.first else { continue }
      if !program.text.hasPrefix("/") {
        reader.error("\"\(program.text)\" is not a program's absolute path", at: program.node)
      } else if value.sequence == nil, program.text.contains(where: \.isWhitespace) {
        let list = program.text.split(whereSeparator: \.isWhitespace).joined(separator: ", ")
        reader.error("no shell parts a command into its words; write a list: [\(list)]", at: value)
      }
      commands[name] = words.map(\.text)
    }
    return commands
  }

  // MARK: - listen

  private static func readListen(
    _ node: Node, _ configuration: inout Configuration, _ reader: inout YAMLReader, _ socketCheck: SocketCheck
  ) {
    guard let fields = reader.fields(of: node, .listen) else { return }
    if let milter = fields["milter"] {
      configuration.milter = readSocket(milter, .milterSocket, &reader, socketCheck)
    }
    if let control = fields["control"] {
      let socket = readSocket(control, .controlSocket, &reader) { path in
        if !path.hasPrefix("/") { return "\"\(path)\" is not an absolute path" }
        return path.utf8.count > 106 ? "a UNIX socket's path has at most 106 bytes" : nil
      }
      if !socket.place.isEmpty { configuration.control = socket }
    }
    if let web = fields["web"] { configuration.web = readWeb(web, &reader) }
  }

  /// A socket: its place alone, or a mapping with who may use it.
  private static func readSocket(
    _ node: Node, _ shape: PolicyMapping, _ reader: inout YAMLReader, _ check: SocketCheck
  ) -> Configuration.Socket {
    let what = shape.name
    var socket = Configuration.Socket(place: "")
    var placeNode: Node? = node
    if node.mapping != nil {
      guard let fields = reader.fields(of: node, shape) else { return socket }
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
      if node.mapping != nil, let idle = node["group"] ?? node["mode"] {
        if place.hasPrefix("inet") {
          reader.warn("a network socket has neither group nor mode: they have no effect", at: idle)
        } else if place.hasPrefix("fd:") {
          reader.warn("whoever passes the socket sets its group and mode: they have no effect here", at: idle)
        }
      }
    }
    return socket
  }

  /// Without the sign that Swift's numbers may have.
  private static func isNumber(_ text: String) -> Bool { text.utf8.allSatisfy { (0x30...0x39).contains($0) } }

  // MARK: - exempt, network-prefix

  static func readExempt(_ node: Node, _ reader: inout YAMLReader) -> Exemptions {
    var exempt = Exemptions()
    guard let fields = reader.fields(of: node, .exemptions) else { return exempt }
    for item in reader.list(fields["networks"], "exempt.networks") {
      guard let text = reader.text(item, "a network"), let network = readNetwork(text, item, &reader) else { continue }
      if network.prefix == 0 { reader.warn("\(text) exempts everybody", at: item) }
      exempt.networks.append(network)
    }
    for item in reader.list(fields["users"], "exempt.users") {
      guard let text = reader.text(item, "a user") else { continue }
      exempt.users.insert(text.lowercased())
    }
    return exempt
  }

  static func readNetwork(_ text: String, _ node: Node, _ reader: inout YAMLReader) -> Network? {
    guard let network = Network(text) else {
      reader.error("\"\(text)\" is not a network; write 192.0.2.0/24, 2001:db8::/32 or one address", at: node)
      return nil
    }
    if text.contains("/"), IPAddress(text.prefix { $0 != "/" }) != network.address {
      reader.warn("\(text) has bits beyond its prefix; it means \(network)", at: node)
    }
    return network
  }

  private static func readPrefix(_ node: Node, _ reader: inout YAMLReader) -> NetworkPrefix {
    var prefix = NetworkPrefix()
    guard let fields = reader.fields(of: node, .networkPrefix) else { return prefix }
    for (name, longest, place) in [("ipv4", 32, \NetworkPrefix.v4), ("ipv6", 128, \NetworkPrefix.v6)] {
      guard let text = reader.text(fields[name], name) else { continue }
      guard isNumber(text), let length = Int(text), (1...longest).contains(length) else {
        reader.error("\(name) is a prefix length from 1 to \(longest), not \"\(text)\"", at: fields[name])
        continue
      }
      prefix[keyPath: place] = length
    }
    if let climb = fields["climb"] {
      prefix.climb = readClimb(climb, below: prefix.v6, &reader)
    } else {
      prefix.climb.removeAll { $0 >= prefix.v6 }
    }
    if let text = reader.text(fields["climb-after"], "climb-after") {
      if isNumber(text), let count = Int(text), (2...1_000).contains(count) {
        prefix.climbAfter = count
      } else {
        reader.error("climb-after is a number of blocks from 2 to 1000, not \"\(text)\"", at: fields["climb-after"])
      }
    }
    return prefix
  }

  private static func readClimb(_ node: Node, below longest: Int, _ reader: inout YAMLReader) -> [Int] {
    guard node.sequence?.isEmpty != true else { return [] }
    var lengths: [Int] = []
    for (text, place) in reader.oneOrMore(node, "climb") {
      guard isNumber(text), let length = Int(text), length >= 1, length < lengths.last ?? longest else {
        let than = lengths.last.map { "the /\($0) before it" } ?? "the network itself, a /\(longest)"
        reader.error("\"\(text)\" does not climb: each prefix is shorter than \(than)", at: place)
        continue
      }
      lengths.append(length)
    }
    return lengths
  }

  // MARK: - What is sound alone but not together

  /// Whoever is exempt by name is known only after login; a block of the address comes first.
  private static func warnOfExemptUsersBehindBlocks(_ node: Node?, _ policy: Policy, _ reader: inout YAMLReader) {
    guard let users = node?.sequence, !users.isEmpty,
      let rule = policy.rules.first(where: { $0.mode == .enforce && $0.stopsConnections })
    else { return }
    reader.warn(
      "exempt users are known only once they have logged in; rule \"\(rule.name)\" can turn their address away before that"
        + " (exempt their networks too)", at: node)
  }
}

extension Rule {
  var measures: [Measure] { parts.flatMap(\.quantity.measures) }

  /// Whether it can turn somebody away as they connect.
  fileprivate var stopsConnections: Bool {
    // A block that spares by login waits for it.
    let waits = filter.matches.contains(where: \.isOfLogin)
    if then.block != nil, blockedShape.isKnownAtConnect, !waits { return true }
    return then.refusal != nil && per.isKnownAtConnect && measures.contains(.signal(.connections))
  }
}
