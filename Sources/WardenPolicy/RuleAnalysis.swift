import WardenCore
import Yams

/// Looks for rules, and limits of rules, that can never do anything. What it tells must be true: where that is not
/// certain it is silent.
struct RuleAnalysis {
  let policy: Policy
  let feeds: FeedSettings
  /// Of each rule.
  let places: [RulePlaces]

  func run(_ reader: inout YAMLReader) {
    for (index, rule) in policy.rules.enumerated() {
      warnOfNoEffect(rule, places[index], &reader)
      if let (message, node) = nothingLeft(for: rule, places[index]) {
        reader.warn("the rule never trips: \(message)", at: node)
        continue
      }
      for (part, nodes) in zip(rule.parts, places[index].limits) {
        for (limit, node) in zip(part.limits, nodes) {
          let idle = idle(limit, in: part) ?? whole(limit, of: part.quantity) ?? shadow(on: limit, part, ofRule: index)
          if let idle { reader.warn("\"\(limit)\" \(idle)", at: node) }
        }
      }
    }
  }

  // MARK: - Words without effect

  private func warnOfNoEffect(_ rule: Rule, _ places: RulePlaces, _ reader: inout YAMLReader) {
    let isOfMail = rule.measures.contains { $0.counting == .admitted }
    let first = rule.measures[0].phrase
    if let include = places.include {
      if !isOfMail {
        reader.warn("include has no effect: \(first) count, whatever mail they come with", at: include)
      }
      for (match, isIncluded) in [(Match.bounces, rule.includesBounces), (.forwards, rule.includesForwards)]
      where isIncluded && rule.filter.matches.contains(match) {
        reader.warn("include has no effect: \"only\" and \"except\" speak of \(match) already", at: include)
      }
    }
    if rule.countsRefused, !isOfMail {
      reader.warn("count-refused has no effect: \(first) count in any case", at: places.countRefused)
    }
    if let untold = rule.decisive.first(where: { !feeds.tells($0) }) {
      let feed = untold == .distinct(.passwords) ? "feeds: dovecot-policy" : untold.feeds
      reader.warn("nobody tells of \(untold.phrase), so the rule never trips; see \"\(feed)\"", at: places.rule)
    }
    if rule.then.delay != nil, feeds.dovecot == nil || !rule.isAboutLogins {
      let why = feeds.dovecot == nil ? "no \"feeds: dovecot-policy\" asks us" : "the rule is not about logins"
      reader.warn("delay has no effect: \(why)", at: places.then)
    }
    if rule.then.hold, let refusal = rule.then.refusal {
      reader.warn("what is refused is never held: beside \(refusal.rawValue), hold has no effect", at: places.then)
    }
    if rule.then.block == nil, let early = rule.measures.first(where: \.comesBeforeMail) {
      for (match, node) in zip(rule.filter.except, places.except) where match.isOfLogin && match != .anonymous {
        reader.warn(
          "\"\(match)\" spares nobody: \(early.phrase) are counted before that is known, and the rule blocks nobody",
          at: node)
      }
    }
  }

  // MARK: - Filters that leave nothing

  private func nothingLeft(for rule: Rule, _ places: RulePlaces) -> (message: String, node: Node?)? {
    let filter = rule.filter
    let ofKind = Dictionary(grouping: filter.only, by: \.kind)
    for (match, node) in zip(filter.only, places.only) {
      let alternatives = ofKind[match.kind]!
      if let except = filter.except.first(where: { $0.covers(match, policy.groups) }),
        alternatives.allSatisfy({ other in filter.except.contains { $0.covers(other, policy.groups) } })
      {
        return ("\"except: \(except)\" takes away all that \"only: \(match)\" leaves", node)
      }
      if alternatives.allSatisfy({ isExempt($0) }) { return ("\(match) is exempt", node) }
    }
    if let node = place(of: .authenticated, filter.except, places.except), filter.except.contains(.anonymous) {
      return ("all mail is either authenticated or anonymous", node)
    }

    // A failed login names a user, and is nobody's.
    if rule.decisive.contains(where: \.isShownByFailedLogins) { return nil }
    let noLogin =
      ofKind[.authentication] == [.anonymous]
      ? place(of: .anonymous, filter.only, places.only) : place(of: .authenticated, filter.except, places.except)
    if let noLogin, let login = needOfLogin(rule, ofKind) { return ("\(login), which is left out here", noLogin) }

    if ofKind[.mail] == [.bounces], let sender = needOfSender(rule, ofKind) {
      return ("bounces have no sender, and \(sender)", place(of: .bounces, filter.only, places.only))
    }
    return nil
  }

  private func place(of match: Match, _ matches: [Match], _ nodes: [Node]) -> Node? {
    zip(matches, nodes).first { $0.0 == match }?.1
  }

  private func isExempt(_ match: Match) -> Bool {
    switch match {
    case .user(let user): policy.exempt.users.contains(user)
    case .network(let network): policy.exempt.networks.contains { $0.contains(network) }
    default: false
    }
  }

  /// What of the rule is seen only with mail of users who have logged in.
  private func needOfLogin(_ rule: Rule, _ only: [Match.Kind: [Match]]) -> String? {
    if rule.per.kinds.contains(.user) { return "a user is known of authenticated mail alone" }
    if only[.authentication] == [.authenticated] || only[.who] != nil || only[.network] == [.newNetwork] {
      return "\"only\" asks for authenticated mail"
    }
    return rule.decisive.first {
      [.signal(.logins), .signal(.submissions), .signal(.senderMismatch), .distinct(.users), .new(.users)].contains($0)
    }
    .map { "\($0.phrase) come with authenticated mail alone" }
  }

  private func needOfSender(_ rule: Rule, _ only: [Match.Kind: [Match]]) -> String? {
    if let kind = rule.per.kinds.first(where: { $0 == .sender || $0 == .senderDomain }) {
      return "the rule counts per \(kind.name)"
    }
    if only[.senderDomain] != nil { return "\"only\" asks for a sender's domain" }
    return rule.decisive.contains(.signal(.senderMismatch)) ? "are never a sender mismatch" : nil
  }

  // MARK: - Limits that are never reached

  /// Whoever is over it is over another limit of the same part already.
  private func idle(_ limit: Limit, in part: Part) -> String? {
    guard let smallest = limit.smallest else { return nil }
    let other = part.limits.first { other in
      guard other != limit, case .count(let count) = other.bound else { return false }
      return count <= smallest && other.window >= limit.window
    }
    return other.map { "is never reached: \($0) comes first" }
  }

  /// A part can be no more than its whole.
  private func whole(_ limit: Limit, of quantity: Quantity) -> String? {
    guard case .share(let share) = limit.bound, share.percent >= 100, case .share(let part, let whole) = quantity,
      part.isAlwaysWith(whole)
    else { return nil }
    return "is never exceeded: there are never more \(part.phrase) than \(whole.phrase)"
  }

  /// Another rule keeps the count from getting there.
  private func shadow(on limit: Limit, _ part: Part, ofRule index: Int) -> String? {
    guard case .measure(let measure) = part.quantity, let smallest = limit.smallest else { return nil }
    for (other, rule) in policy.rules.enumerated() where other != index {
      guard let blocker = rule.onlyLimits(of: measure)?.first(where: { isBefore($0, limit, smallest) }),
        mayShadow(rule, measure, index)
      else { continue }
      if measure.counting == .occurred {
        // Once the block ends the window must have been left.
        guard let spans = rule.then.block?.spans, spans.allSatisfy({ $0 >= limit.window }), blocker.smallest! < smallest
        else { continue }
        return "is hardly ever reached: rule \"\(rule.name)\" blocks at \(blocker)"
      }
      switch standing(of: index, behind: rule, blocker, smallest, measure) {
      case .free: continue
      case .neverReached: return "is never reached: rule \"\(rule.name)\" refuses at \(blocker)"
      case .addsNothing:
        // Of two that do the same at the same limit the later one is too many.
        let isSame = blocker.smallest == smallest && blocker.window == limit.window
        if other > index, isSame, mayShadow(policy.rules[index], measure, other),
          standing(of: other, behind: policy.rules[index], limit, smallest, measure) == .addsNothing
        {
          continue
        }
        return "adds nothing: rule \"\(rule.name)\" refuses at \(blocker)"
      }
    }
    return nil
  }

  private func isBefore(_ blocker: Limit, _ limit: Limit, _ smallest: Int) -> Bool {
    guard case .count(let count) = blocker.bound, blocker.window >= limit.window else { return false }
    return count <= smallest
  }

  /// Whether the other rule sees all that this one sees, of everybody.
  private func mayShadow(_ rule: Rule, _ measure: Measure, _ index: Int) -> Bool {
    let shadowed = policy.rules[index]
    guard rule.mode == .enforce, rule.per == shadowed.per,
      rule.filter(of: measure).isWider(than: shadowed.filter(of: measure)),
      !policy.overrides.contains(where: { $0.rule == rule.name })
    else { return false }
    guard measure.counting == .occurred else { return rule.then.refusal != nil && !shadowed.countsRefused }
    // What is blocked as it connects is not counted; what is under way then still is.
    return rule.then.block != nil && rule.blockedShape.isKnownAtConnect
      && !rule.filter.matches.contains(where: \.isOfLogin)
  }

  private enum Standing { case free, neverReached, addsNothing }

  private func standing(
    of index: Int, behind rule: Rule, _ blocker: Limit, _ smallest: Int, _ measure: Measure
  ) -> Standing {
    let shadowed = policy.rules[index]
    let then = shadowed.then
    // A rule that only tells looks at what has passed: no more than the other's limit.
    guard shadowed.mode == .enforce, then.refusal != nil || then.block != nil || then.hold else { return .neverReached }
    // The others look at what is asked for: a message is one, but it can ask for any number of recipients.
    if measure.comesOneByOne, case .count(let count) = blocker.bound, count < smallest { return .neverReached }
    // What the other refuses cannot be held.
    let doesNoMore =
      (then.refusal == nil || then.refusal == rule.then.refusal) && (rule.then.alert || !then.alert)
      && (then.block == nil || then.block == rule.then.block) && then.run.allSatisfy(rule.then.run.contains)
    return doesNoMore ? .addsNothing : .free
  }
}

extension Rule {
  /// What must have been counted at least once before the rule can trip.
  fileprivate var decisive: [Measure] {
    parts.map {
      switch $0.quantity {
      case .measure(let measure): measure
      case .share(let part, _): part
      }
    }
  }

  /// The limits to the measure of which any trips the rule.
  fileprivate func onlyLimits(of measure: Measure) -> [Limit]? {
    parts.count == 1 && parts[0].quantity == .measure(measure) ? parts[0].limits : nil
  }
}

extension Limit {
  /// What is allowed to any key, however little is usual for it; nothing of a share.
  fileprivate var smallest: Int? {
    switch bound {
    case .count(let count): count
    case .usual(let usual): min(usual.atLeast, usual.atFirst)
    case .share: nil
    }
  }
}

extension Measure {
  /// Whether a message adds one at most.
  fileprivate var comesOneByOne: Bool {
    switch self {
    case .signal(.messages), .signal(.submissions), .signal(.senderMismatch), .signal(.spam): true
    default: false
    }
  }
}

extension Measure {
  /// Whether each comes with one of the other, at the same moment. (A broken connection was a connection earlier.)
  fileprivate func isAlwaysWith(_ whole: Measure) -> Bool {
    switch (self, whole) {
    case (.signal(.unknownRecipients), .signal(.badRecipients)), (.signal(.relayAttempts), .signal(.badRecipients)),
      (.signal(.dnsblRejections), .signal(.badRecipients)), (.signal(.spam), .signal(.messages)),
      (.signal(.submissions), .signal(.messages)), (.signal(.submissions), .signal(.recipients)),
      (.signal(.senderMismatch), .signal(.submissions)), (.signal(.senderMismatch), .signal(.messages)),
      (.signal(.messages), .signal(.recipients)),
      (.signal(.spam), .signal(.recipients)), (.signal(.senderMismatch), .signal(.recipients)),
      (.new(.recipients), .signal(.recipients)), (.new(.recipientDomains), .new(.recipients)):
      true
    default: false
    }
  }
}

extension Network {
  fileprivate func contains(_ other: Network) -> Bool { prefix <= other.prefix && contains(other.address) }
}

extension Match {
  /// Whether it is known only when the client has had the chance to log in.
  var isOfLogin: Bool { kind == .authentication || kind == .who }

  /// Whether all that the other holds for is this one's, too.
  fileprivate func covers(_ other: Match, _ groups: [String: Set<String>]) -> Bool {
    switch (self, other) {
    case (.authenticated, .user), (.authenticated, .group), (.authenticated, .newNetwork): true
    case (.group(let group), .user(let user)): groups[group]?.contains(user) ?? false
    case (.network(let network), .network(let other)): network.contains(other)
    default: self == other
    }
  }
}

extension Filter {
  /// Whether it certainly lets through all that the other does.
  fileprivate func isWider(than other: Filter) -> Bool {
    func isWithin(_ match: Match, _ matches: [Match]) -> Bool { matches.contains { $0.covers(match, [:]) } }
    let kinds = Set(only.map(\.kind))
    let takesAll = kinds.allSatisfy { kind in
      let others = other.only.filter { $0.kind == kind }
      return !others.isEmpty && others.allSatisfy { isWithin($0, only) }
    }
    return takesAll && except.allSatisfy { isWithin($0, other.except) }
  }
}

extension Measure {
  /// The feeds that could tell of it, for people.
  fileprivate var feeds: String {
    guard case .signal(let signal) = self else { return "feeds" }
    return signal.declaration.toldBy.contains(.dovecot) ? "feeds: dovecot-policy, mail-log" : "feeds: mail-log"
  }
}
