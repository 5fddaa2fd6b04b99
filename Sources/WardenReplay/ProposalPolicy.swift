import WardenCore

extension Proposals {
  /// A policy with these limits, which only observes, each number with its reason.
  public var policy: String {
    var lines = [
      "# Limits proposed from what was seen from \(from.rfc3339) to \(to.rfc3339).",
      "# All rules say `mode: observe`: they tell what they would have done. Watch for some days, then take the line away.",
    ]
    lines += settings
    lines += ["", "rules:\(proposals.isEmpty ? " []" : "")"]
    for proposal in proposals { lines += self.lines(proposal) }
    if !omissions.isEmpty { lines += ["", "# Left out:"] + omissions.map { "# - \($0.sentence)" } }
    return lines.joined(separator: "\n") + "\n"
  }

  /// What is kept of the policy before.
  private var settings: [String] {
    var lines: [String] = []
    if feeds.contains(.log), proposals.contains(where: \.candidate.needsFeed) {
      lines += ["", "# Some rules count what the mail log alone tells: without a feed they never trip.", Self.feed]
    }
    let spared = [("networks", exempt.networks.map(\.description)), ("users", exempt.users.sorted())]
      .filter { !$0.1.isEmpty }
    if !spared.isEmpty { lines += ["", "exempt:"] + spared.map { "  \($0.0): \(YAMLText.list($0.1))" } }
    if let realms { lines += ["", "realms: \(YAMLText.list(realms))"] }
    if networkPrefix != NetworkPrefix() {
      let climb = networkPrefix.climb.map(String.init).joined(separator: ", ")
      lines += [
        "",
        "network-prefix: {ipv4: \(networkPrefix.v4), ipv6: \(networkPrefix.v6), climb: [\(climb)], climb-after: \(networkPrefix.climbAfter)}",
      ]
    }
    return lines
  }

  private static let feed = "# feeds: {mail-log: /var/log/mail.log}"

  private func lines(_ proposal: Proposal) -> [String] {
    let candidate = proposal.candidate
    var lines = [
      "  - name: \(candidate.name)", "    description: \(YAMLText.quoted(candidate.description))",
      "    count: \(candidate.measure.name)", "    per: \(candidate.per.name)", "    limit:",
    ]
    for limit in proposal.limits {
      lines.append("      # \(limit.reason(candidate))")
      lines += limit.names.map { "      # \($0)" }
      lines.append("      - \(limit.count) per \(limit.window)")
    }
    return lines + ["    then: \(candidate.then)", "    mode: observe"]
  }

  /// For a terminal.
  public var text: String {
    var lines: [String] = []
    for proposal in proposals {
      for limit in proposal.limits {
        lines.append("\(proposal.candidate.name): \(limit.count.grouped) per \(limit.window)")
        lines += ([limit.reason(proposal.candidate)] + limit.names).map { "  \($0)" }
      }
    }
    if !omissions.isEmpty { lines += ["", "Left out"] + omissions.map { "  \($0.sentence)" } }
    if dropped > 0 {
      lines += [
        "",
        "The counts of \(dropped.of("key")) were given up for want of memory: all were low, but may have risen later.",
      ]
    }
    return lines.joined(separator: "\n") + "\n"
  }

  public var json: String { JSONText.pretty(document) }
}

extension Candidate {
  /// Whether no milter sees what it counts.
  fileprivate var needsFeed: Bool {
    if case .signal(let signal) = measure { signal.declaration.shownBy.isEmpty } else { false }
  }
}

extension Proposals.Omission {
  var sentence: String { "\(candidate)\(window.map { " per \($0)" } ?? ""): \(why)." }
}

extension Proposals.Limit {
  /// Where the number comes from.
  func reason(_ candidate: Candidate) -> String {
    if case .server = candidate.crowd {
      return
        "The most in \(window) was \(figures.most.grouped); with half as much again, and at least \(floor.grouped)."
    }
    let who =
      if case .knownAddresses = candidate.crowd { "addresses that somebody logged in from" } else {
        "\(candidate.per.name)s"
      }
    var shares = [("half came to ", figures.half)]
    // Of fewer, such a share is the highest one itself.
    if figures.keys >= 100 { shares.append(("99% to ", figures.of99)) }
    if figures.keys >= 1_000 { shares.append(("99.9% to ", figures.of999)) }
    let counts = (shares + [("the highest to ", figures.most)]).enumerated()
      .map { "\($1.0)\($1.1.grouped)\($0 == 0 ? " at most" : "")" }.joined(separator: ", ")
    let how =
      Double(ordinary) * Proposals.margin <= Double(floor)
      ? "\(floor.grouped) is the least that makes sense"
      : "ordinary is up to \(ordinary.grouped), and half as much again is allowed"
    return "Of \(figures.keys.grouped) \(who) \(counts); \(how)."
  }

  /// The nearest below it and those above it.
  var names: [String] {
    func list(_ standings: [Proposals.Standing]) -> String {
      standings.map { "\($0.key.nickname) (\($0.count.grouped))" }.joined(separator: ", ")
    }
    var lines: [String] = []
    if !largest.isEmpty { lines.append("Nearest below: \(list(largest)).") }
    if !above.isEmpty {
      let rest = aboveCount - above.count
      lines.append(
        "Above, to look at (abuse, or in need of a limit of its own): \(list(above))\(rest > 0 ? " and \(rest.grouped) more" : "")."
      )
    }
    return lines
  }
}

/// The figures behind proposals, as JSON.
public struct ProposalDocument: Codable, Sendable, Equatable {
  public struct Rule: Codable, Sendable, Equatable {
    public let name: String
    public let measure: String
    public let per: String
    public let limits: [Limit]
  }

  public struct Limit: Codable, Sendable, Equatable {
    public let window: String
    public let count: Int
    public let floor: Int
    public let ordinary: Int
    public let keys: Int
    public let p50: Int
    public let p95: Int
    public let p99: Int
    public let p999: Int
    public let most: Int
    public let largest: [Standing]
    public let above: [Standing]
    public let above_count: Int
  }

  public struct Standing: Codable, Sendable, Equatable {
    public let key: String
    public let count: Int
  }

  public struct Omission: Codable, Sendable, Equatable {
    public let rule: String
    public let window: String?
    public let why: String
  }

  public let format: Int
  public let from: String
  public let to: String
  public let rules: [Rule]
  public let left_out: [Omission]
  public let keys_dropped: Int
}

extension Proposals {
  public var document: ProposalDocument {
    func standings(_ standings: [Standing]) -> [ProposalDocument.Standing] {
      standings.map { ProposalDocument.Standing(key: $0.key.description, count: $0.count) }
    }
    return ProposalDocument(
      format: 1, from: from.rfc3339, to: to.rfc3339,
      rules: proposals.map { proposal in
        ProposalDocument.Rule(
          name: proposal.candidate.name, measure: proposal.candidate.measure.name, per: proposal.candidate.per.name,
          limits: proposal.limits.map {
            ProposalDocument.Limit(
              window: $0.window.description, count: $0.count, floor: $0.floor, ordinary: $0.ordinary,
              keys: $0.figures.keys, p50: $0.figures.half, p95: $0.figures.of95, p99: $0.figures.of99,
              p999: $0.figures.of999, most: $0.figures.most, largest: standings($0.largest),
              above: standings($0.above), above_count: $0.aboveCount)
          })
      },
      left_out: omissions.map {
        ProposalDocument.Omission(rule: $0.candidate, window: $0.window?.description, why: $0.why)
      },
      keys_dropped: dropped)
  }
}

/// Text as YAML takes it for a text, whatever it holds.
enum YAMLText {
  static func quoted(_ text: String) -> String {
    var safe = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": safe += "\\\""
      case "\\": safe += "\\\\"
      case " "..."~": safe.unicodeScalars.append(scalar)
      default:
        let digits = String(scalar.value, radix: 16)
        safe += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
      }
    }
    return "\"\(safe)\""
  }

  static func list(_ items: [String]) -> String { "[\(items.map(quoted).joined(separator: ", "))]" }
}
