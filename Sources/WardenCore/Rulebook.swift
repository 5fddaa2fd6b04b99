/// A policy worked out for speed: which meters there are, what feeds them, which rules read them. Never changes; a reload
/// makes another.
final class Rulebook: Sendable {
  let policy: Policy
  let filters: [Filter]
  let filterGates: [FilterGate]
  let shelves: [Shelf]
  let layout: Shard.Layout
  let overrides: Overrides
  /// The least that the MTA must show and wait for.
  let needs: Needs
  /// Whether any meter counts what was refused.
  let countsRefused: Bool
  /// Bit n: filter n asks whether the network is new.
  let newNetworkFilters: UInt64
  /// Rules whose blocks stop logins, too.
  let loginRules: Set<String>
  /// Meters keep their ids over a reload and a restart, so that counts stay and no record has to be touched.
  let ids: [String: UInt16]
  /// What values are hashed with.
  let seed: HashSeed

  /// - Parameter ids: of meters that were there before, by their identities' texts.
  init(_ policy: Policy, orders: [Override] = [], ids: [String: UInt16] = [:], seed: HashSeed) {
    self.policy = policy
    self.seed = seed
    var builder = Builder(ids: ids)
    // What was ordered last, at run time, comes before what is written.
    // An order outlives its rule, and what the rule counts.
    let all = orders.reversed().filter { $0.fits(policy.rules) } + policy.overrides
    var shapes: [KeyShape] = []
    for rule in policy.rules {
      if !shapes.contains(rule.per) { shapes.append(rule.per) }
      // Blocks are counted with the key that they block.
      if rule.then.block != nil, !shapes.contains(rule.blockedShape) { shapes.append(rule.blockedShape) }
    }
    shelves = shapes.map { builder.shelf($0, policy, overrides: all) }
    filters = builder.filters
    filterGates = filters.map(FilterGate.init)
    newNetworkFilters = filters.prefix(64).enumerated().reduce(0) { bits, filter in
      filter.element.matches.contains(.newNetwork) ? bits | 1 << UInt64(filter.offset) : bits
    }
    layout = Shard.Layout(meters: builder.meters)
    self.ids = builder.ids
    countsRefused = shelves.contains(where: \.countsRefused)
    loginRules = Set(policy.rules.filter(\.isAboutLogins).map(\.name))
    overrides = Overrides(all, groups: policy.groups, rules: shelves.flatMap(\.rules), builder: &builder)
    needs = Self.needs(of: policy)
  }

  private static func needs(of policy: Policy) -> Needs {
    var needs: Needs = policy.exempt.networks.isEmpty ? [] : .connectReply
    for rule in policy.rules {
      for measure in rule.parts.flatMap(\.quantity.measures) { needs.formUnion(measure.needs) }
      for match in rule.filter.matches { needs.formUnion(match.needs) }
      if rule.blocks, rule.blockedShape.isKnownAtConnect, !rule.filter.matches.contains(where: \.isAboutLogin) {
        needs.insert(.connectReply)
      }
      if rule.per.kinds.contains(.helo) { needs.insert(.helo) }
      if rule.per.isPerRecipient { needs.formUnion([.recipients, .recipientNames, .recipientReply]) }
    }
    return needs
  }

  func shelf(of shape: KeyShape) -> Shelf? { shelves.first { $0.shape == shape } }
}

/// What is kept for the keys of one shape, and the rules that read it. A class, like all that every event walks through, so
/// that walking copies nothing.
final class Shelf: Sendable {
  let shape: KeyShape
  let feeds: [Feed]
  let rules: [MeteredRule]
  let feedGates: [FeedGate]
  let ruleGates: [RuleGate]
  /// What is remembered of the keys, by attribute.
  let memories: [Memory]
  /// When each history of a key began: what is remembered, and what is usual.
  let births: [Meter]
  /// Whether a feed takes what was refused.
  let countsRefused: Bool
  /// Bit n: a feed takes signal n as it happens, or when it is admitted.
  let happening: UInt32
  let admitted: UInt32
  /// Whether attributes are fed at MAIL, or when a message is admitted.
  let feedsAtMail: Bool
  let feedsAtEnd: Bool
  /// Whether a rule may stand in the way of mail without a penalty: when asked, and afterwards.
  let looksAtWants: Bool
  let looksAfter: Bool

  init(_ shape: KeyShape, feeds: [Feed], rules: [MeteredRule], memories: [Memory], births: [Meter]) {
    self.shape = shape
    self.feeds = feeds
    self.rules = rules
    feedGates = feeds.map {
      FeedGate(source: $0.source, filter: $0.filter, countsRefused: $0.countsRefused, counting: $0.counting)
    }
    ruleGates = rules.map(\.gate)
    self.memories = memories
    self.births = births
    countsRefused = feeds.contains(where: \.countsRefused)
    happening = feeds.reduce(0) { $0 | $1.bit(if: .occurred) }
    admitted = feeds.reduce(0) { $0 | $1.bit(if: .admitted) }
    func feedsAttributes(_ counting: Signal.Counting) -> Bool {
      memories.contains { $0.attribute.declaration.counting == counting }
        || feeds.contains { feed in
          if case .signal = feed.source { false } else { feed.counting == counting }
        }
    }
    feedsAtMail = feedsAttributes(.occurred)
    feedsAtEnd = feedsAttributes(.admitted)
    looksAtWants = ruleGates.contains(where: \.looksAtWants)
    looksAfter = ruleGates.contains(where: \.looksAfter)
  }
}

/// What flows into meters together: one source under one filter.
final class Feed: Sendable {
  enum Source: Sendable, Hashable {
    case signal(Signal)
    case attribute(Attribute)
    /// What the key has never shown before.
    case new(Attribute)
  }
  let source: Source
  let filter: Int
  let countsRefused: Bool
  let counting: Signal.Counting
  let meters: [Meter]

  init(_ source: Source, filter: Int, countsRefused: Bool, _ counting: Signal.Counting, meters: [Meter] = []) {
    self.source = source
    self.filter = filter
    self.countsRefused = countsRefused
    self.counting = counting
    self.meters = meters
  }

  fileprivate func with(_ meter: Meter) -> Feed {
    Feed(
      source, filter: filter, countsRefused: countsRefused, counting,
      meters: meters.filter { $0.id != meter.id } + [meter])
  }

  fileprivate func isSame(as other: Feed) -> Bool {
    source == other.source && filter == other.filter && countsRefused == other.countsRefused
  }

  fileprivate func bit(if counting: Signal.Counting) -> UInt32 {
    if case .signal(let signal) = source, counting == self.counting { signal.bit } else { 0 }
  }
}

/// What is remembered of an attribute, and since when.
struct Memory: Sendable {
  let attribute: Attribute
  let meter: Meter
  let birth: Meter
}

/// A limit with the meters that it reads.
struct MeteredLimit: Sendable {
  let limit: Limit
  let meter: Meter
  /// Of a share: the whole.
  var whole: Meter?
  var usual: (meter: Meter, birth: Meter)?
}

struct MeteredPart: Sendable {
  let quantity: Quantity
  let limits: [MeteredLimit]
}

/// A rule with what every event asks of it at hand. A class, so that walking the rules copies none.
final class MeteredRule: Sendable {
  let rule: Rule
  let parts: [MeteredPart]
  let gate: RuleGate
  let offences: Meter?
  let neighbours: Meter?
  /// How long the rule must not trip on a key before the next trip opens a new episode.
  let quiet: TimeSpan
  let name: String
  let refuses: Bool
  let blocks: Bool
  let holds: Bool
  /// Whether the log alone tells of what it counts.
  let isHearsay: Bool

  init(
    _ rule: Rule, parts: [MeteredPart], filter: Int, offences: Meter?, neighbours: Meter?, isHearsay: Bool
  ) {
    self.rule = rule
    self.isHearsay = isHearsay
    name = rule.name
    (refuses, blocks, holds) = (rule.refuses, rule.blocks, rule.holds)
    self.parts = parts
    self.offences = offences
    self.neighbours = neighbours
    quiet = parts.flatMap(\.limits).map(\.limit.window).max() ?? .hours(1)
    var (happening, admitted): (UInt32, UInt32) = (0, 0)
    var (atMail, atEnd, atFailedLogin) = (false, false, false)
    for measure in rule.parts.flatMap(\.quantity.measures) {
      switch (measure, measure.counting) {
      case (.signal(let signal), .occurred): happening |= signal.bit
      case (.signal(let signal), .admitted): admitted |= signal.bit
      case (.distinct(let attribute), .occurred):
        atMail = true
        atFailedLogin = atFailedLogin || attribute.isShown(byFailedLoginUnder: rule.filter)
      case (.new, .occurred): atMail = true
      case (_, .admitted): atEnd = true
      }
    }
    let isAboutWants = admitted != 0 || atEnd
    let onlyConnections = happening == Signal.connections.bit && !atMail
    // A message that is refused at MAIL has named nobody that could be counted.
    let countsNames = rule.countsRefused && atEnd
    gate = RuleGate(
      happening: happening, admitted: admitted, filter: filter, readsAttributesAtMail: atMail,
      readsAttributesAtFailedLogin: atFailedLogin,
      readsAttributesAtEnd: atEnd, looksAtWants: isAboutWants && (rule.refuses || rule.blocks || rule.holds),
      looksAfter: !isAboutWants && (rule.refuses || rule.holds || rule.delay != nil) && !onlyConnections,
      waitsForEnd: rule.holds && !rule.refuses || rule.filter.matches.contains(.lists) || countsNames,
      countsRefused: rule.countsRefused, isAboutLogins: rule.isAboutLogins)
  }

  /// Whether a trip refuses the event itself.
  var refusesNow: Bool { refuses || blocks && !holds }

  var onlyHolds: Bool { holds && !refuses }

  /// Whether it refuses or holds without a penalty at all, at whichever stage.
  var acts: Bool { refuses || holds || gate.looksAtWants }
}

/// What tells that an event is not a rule's, without touching the rule: most are not.
struct RuleGate: Sendable {
  /// Bit n: a part counts signal n.
  let happening: UInt32
  let admitted: UInt32
  let filter: Int
  let readsAttributesAtMail: Bool
  let readsAttributesAtFailedLogin: Bool
  let readsAttributesAtEnd: Bool
  /// Whether something may be done before what is asked for is counted: refused, or held.
  let looksAtWants: Bool
  /// Whether everything that comes after what has happened too often is refused or held. A block followed as it
  /// happened, and a connection that was let in stays in: those over the limit were refused as they came.
  let looksAfter: Bool
  /// Whether it is judged at the end of a message only: it holds, looks at header fields, or counts whom refused messages
  /// were for.
  let waitsForEnd: Bool
  let countsRefused: Bool
  /// Whether it has a say where somebody wants to log in.
  let isAboutLogins: Bool

  /// Whether the event brings something that the rule counts as it happens.
  func hears(_ event: borrowing Event) -> Bool {
    happening & event.happened.mask != 0 || readsAttributesAtMail && event.step == .mail
      || readsAttributesAtFailedLogin && event.isFailedLogin
  }

  /// Whether the message asks for something that the rule counts.
  func isAsked(_ event: borrowing Event) -> Bool { admitted & event.wants.mask != 0 || readsAttributesAtEnd }
}

/// The same for what feeds meters.
struct FeedGate: Sendable {
  let source: Feed.Source
  let filter: Int
  let countsRefused: Bool
  let counting: Signal.Counting
}

extension Signal {
  var bit: UInt32 { 1 << UInt32(rawValue) }
}

/// Works out shelf after shelf.
struct Builder {
  private(set) var ids: [String: UInt16]
  private(set) var meters: [Meter?] = []
  /// The first is the empty one.
  private(set) var filters: [Filter] = [Filter()]
  private var feeds: [Feed] = []
  private var memories: [Memory] = []
  private var births: [Meter] = []

  init(ids: [String: UInt16]) {
    self.ids = ids
    meters = Array(repeating: nil, count: ids.values.max().map { Int($0) + 1 } ?? 0)
  }

  mutating func shelf(_ shape: KeyShape, _ policy: Policy, overrides: [Override]) -> Shelf {
    feeds = []
    memories = []
    births = []
    let rules = policy.rules.filter { $0.per == shape }.map { rule -> MeteredRule in
      if rule.filter.matches.contains(.newNetwork) { remember(.networks) }
      let parts = rule.parts.map { part in
        MeteredPart(quantity: part.quantity, limits: part.limits.map { metered($0, part.quantity, rule) })
      }
      // The limits of overrides are counted for everybody: who is meant can change at any time.
      for case .limits(rule.name, let limits) in overrides.map(\.effect) {
        if let first = rule.parts.first { for limit in limits { _ = metered(limit, first.quantity, rule) } }
      }
      return MeteredRule(
        rule, parts: parts,
        filter: filter(
          rule.parts.flatMap(\.quantity.measures).first { $0.counting == .admitted }.map(rule.filter(of:))
            ?? rule.filter),
        offences: rule.then.block.map { block in
          meter(.offences(rule: rule.name, window: block.forget), .offences, smallestLimit: 1)
        },
        neighbours: isClimbing(rule, policy)
          ? meter(
            .neighbours(rule: rule.name, window: max(.days(1), rule.then.block!.spans[0])), .neighbours,
            smallestLimit: policy.networkPrefix.climbAfter, capacity: policy.networkPrefix.climbAfter + 1)
          : nil, isHearsay: rule.isHearsay(under: policy))
    }
    return Shelf(shape, feeds: feeds, rules: rules, memories: memories, births: births)
  }

  private func isClimbing(_ rule: Rule, _ policy: Policy) -> Bool {
    rule.then.block != nil && rule.blockedShape == KeyShape(.network) && !policy.networkPrefix.climb.isEmpty
  }

  /// The limit with its meters, which are made if need be.
  mutating func metered(_ limit: Limit, _ quantity: Quantity, _ rule: Rule) -> MeteredLimit {
    switch quantity {
    case .measure(.distinct(let attribute)):
      guard case .count(let most) = limit.bound else { fatalError("only fixed limits are set to different values") }
      let wanted = rule.filter(of: .distinct(attribute))
      return MeteredLimit(
        limit: limit,
        meter: fed(
          Feed(.attribute(attribute), filter: filter(wanted), countsRefused: false, attribute.declaration.counting),
          meter(
            .distinct(attribute, wanted, window: limit.window), .distinct(attribute), smallestLimit: most,
            capacity: most + 1)))
    case .measure(let measure):
      let (smallest, usual): (Int, Limit.Usual?) =
        switch limit.bound {
        case .count(let count): (count, nil)
        case .usual(let usual): (min(usual.atFirst, usual.atLeast), usual)
        case .share: (1, nil)
        }
      return MeteredLimit(
        limit: limit,
        meter: count(measure, rule, limit.window, countsRefused: rule.countsRefused, smallestLimit: smallest),
        usual: usual.map {
          // From nothing no doubling leads on.
          let free = max(1, $0.atLeast * 10 / max(1, $0.tenths))
          let wanted = rule.filter(of: measure).anyNetwork
          let history = Meter.Identity.usual(measure, wanted, window: limit.window)
          let meter = meter(history, .usual(free: free), smallestLimit: smallest)
          return (
            fed(Feed(source(of: measure), filter: filter(wanted), countsRefused: false, measure.counting), meter),
            birth(of: history)
          )
        })
    case .share(let part, let whole):
      guard case .share(let share) = limit.bound else { fatalError("only percentages are set to shares") }
      // A share is of what is tried: if what is refused counted in one of the two only, a refusal would feed itself.
      return MeteredLimit(
        limit: limit, meter: count(part, rule, limit.window, countsRefused: true, smallestLimit: share.atLeast),
        whole: count(whole, rule, limit.window, countsRefused: true, smallestLimit: share.atLeast))
    }
  }

  private mutating func count(
    _ measure: Measure, _ rule: Rule, _ window: TimeSpan, countsRefused: Bool, smallestLimit: Int
  ) -> Meter {
    let wanted = rule.filter(of: measure)
    let countsRefused = countsRefused && measure.counting == .admitted
    return fed(
      Feed(source(of: measure), filter: filter(wanted), countsRefused: countsRefused, measure.counting),
      meter(
        .count(measure, wanted, countsRefused: countsRefused, window: window), .count, smallestLimit: smallestLimit))
  }

  private mutating func source(of measure: Measure) -> Feed.Source {
    switch measure {
    case .signal(let signal): return .signal(signal)
    case .distinct(let attribute): return .attribute(attribute)
    case .new(let attribute):
      remember(attribute)
      return .new(attribute)
    }
  }

  private mutating func remember(_ attribute: Attribute) {
    guard !memories.contains(where: { $0.attribute == attribute }) else { return }
    memories.append(
      Memory(
        attribute: attribute, meter: meter(.memory(attribute), .memory, smallestLimit: 1, capacity: Meter.remembered),
        birth: birth(of: .memory(attribute))))
  }

  private mutating func birth(of history: Meter.Identity) -> Meter {
    let birth = meter(.birth(of: history), .birth, smallestLimit: 1)
    if !births.contains(where: { $0.id == birth.id }) { births.append(birth) }
    return birth
  }

  private mutating func fed(_ feed: Feed, _ meter: Meter) -> Meter {
    if let place = feeds.firstIndex(where: { $0.isSame(as: feed) }) {
      feeds[place] = feeds[place].with(meter)
    } else {
      feeds.append(feed.with(meter))
    }
    return meter
  }

  /// The meter of that identity; of several limits the smallest weighs, and the largest says how much is kept.
  private mutating func meter(
    _ identity: Meter.Identity, _ kind: Meter.Kind, smallestLimit: Int, capacity: Int = 0
  ) -> Meter {
    let name = identity.text
    let id = ids[name] ?? UInt16(meters.count)
    ids[name] = id
    if Int(id) == meters.count { meters.append(nil) }
    let old = meters[Int(id)]
    var kind = kind
    if case .usual(let free) = kind, case .usual(let before)? = old?.kind { kind = .usual(free: max(free, before)) }
    let meter = Meter(
      id: id, kind: kind, window: identity.window,
      smallestLimit: min(smallestLimit, old?.smallestLimit ?? .max), capacity: max(capacity, old?.capacity ?? 0))
    meters[Int(id)] = meter
    return meter
  }

  private mutating func filter(_ filter: Filter) -> Int {
    if let place = filters.firstIndex(of: filter) { return place }
    filters.append(filter)
    return filters.count - 1
  }
}
