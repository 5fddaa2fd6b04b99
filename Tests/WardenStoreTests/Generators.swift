import WardenCore

/// Values of every kind, in no particular order.
struct Generator {
  var random: SplitMix64
  init(seed: Int) { random = SplitMix64(seed: seed) }

  mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
  mutating func flag() -> Bool { Bool.random(using: &random) }
  mutating func pick<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random)! }
  mutating func maybe<Value>(_ value: (inout Generator) -> Value) -> Value? { flag() ? value(&self) : nil }
  mutating func list<Value>(_ range: ClosedRange<Int>, _ value: (inout Generator) -> Value) -> [Value] {
    (0..<number(range)).map { _ in value(&self) }
  }

  mutating func text() -> String {
    let scalars = ["a", "Z", "0", "@", ".", ",", ":", "%2C", "\"", "\\", "'", "\0", "\n", "é", "🦆", " ", "{", "=", "/"]
    return list(1...12) { $0.pick(scalars) }.joined()
  }
  mutating func moment() -> Timestamp { Timestamp(microseconds: number(1_700_000_000_000_000...1_900_000_000_000_000)) }
  mutating func address() -> IPAddress {
    flag()
      ? IPAddress(v4: UInt32(number(0...Int(UInt32.max))))
      : IPAddress(v6High: 0x2001_0db8 << 32 | UInt64(number(0...999)), low: UInt64(number(0...Int.max)))
  }
  mutating func network() -> Network {
    let address = address()
    return Network(of: address, prefix: number(0...(address.isV4 ? 32 : 128)))
  }

  mutating func part(_ kind: KeyKind) -> KeyPart {
    switch kind {
    case .user: .user(text())
    case .ip: .ip(address())
    case .network: .network(network())
    case .helo: .helo(text())
    case .sender: .sender(text())
    case .senderDomain: .senderDomain(text())
    case .recipient: .recipient(text())
    case .recipientDomain: .recipientDomain(text())
    case .server: .server
    }
  }
  mutating func key() -> Key {
    let kinds = KeyKind.allCases.filter { $0 != .server }.shuffled(using: &random)
    return number(0...9) == 0 ? Key(.server) : flag() ? Key(part(kinds[0])) : Key(part(kinds[0]), part(kinds[1]))
  }

  mutating func window() -> TimeSpan { pick([.seconds(90), .minutes(10), .hours(2), .days(1), .days(31)]) }
  mutating func limit() -> Limit {
    let bound: Limit.Bound =
      switch number(0...2) {
      case 0: .count(number(0...1_000_000))
      case 1: .usual(.init(tenths: number(1...100), atLeast: number(0...100), atFirst: number(0...100)))
      default: .share(.init(percent: number(0...300), atLeast: number(0...100)))
      }
    return Limit(bound, window: window())
  }
  mutating func measure() -> Measure {
    switch number(0...2) {
    case 0: .signal(pick(Signal.allCases))
    case 1: .distinct(pick(Attribute.allCases))
    default: .new(pick(Attribute.allCases.filter(\.isRemembered)))
    }
  }
  mutating func quantity() -> Quantity { flag() ? .measure(measure()) : .share(measure(), of: measure()) }
  mutating func finding() -> Reason.Finding {
    Reason.Finding(
      quantity: quantity(), count: number(0...1_000_000_000), isLeast: flag(), limit: number(0...1_000_000),
      bound: limit(), share: maybe { .init(part: $0.number(0...1_000), whole: $0.number(0...1_000)) })
  }
  mutating func reason(_ key: Key? = nil) -> Reason {
    switch number(0...3) {
    case 0:
      return Reason(
        rule: Reason.administrator, key: key ?? self.key(), cause: .administrator(note: flag() ? "" : text()),
        until: moment())
    case 1:
      return Reason(
        rule: text(), key: self.key(), cause: .neighbours(count: number(0...9), limit: number(0...9)), until: moment())
    default:
      return Reason(rule: text(), key: key ?? self.key(), cause: .over(list(1...3) { $0.finding() }), until: moment())
    }
  }

  mutating func match() -> Match {
    pick([
      .authenticated, .anonymous, .bounces, .forwards, .lists, .newNetwork, .daemon(text()), .network(network()),
      .user(text()), .group(text()), .senderDomain(text()),
    ])
  }
  mutating func filter() -> Filter { Filter(only: list(0...3) { $0.match() }, except: list(0...2) { $0.match() }) }
  mutating func code() -> ReplyCode { ReplyCode(code: number(400...599), enhanced: "4.7.\(number(0...9))") }
  mutating func template() -> ReplyTemplate {
    ReplyTemplate(
      code: code(),
      pieces: list(1...4) {
        $0.flag()
          ? .text($0.text())
          : .field($0.flag() ? .part($0.pick(KeyKind.allCases)) : $0.pick(ReplyTemplate.Field.named).field)
      })
  }
  mutating func penalty() -> Penalty {
    let key = key()
    return Penalty(
      key: key, reason: reason(key), code: code(), reply: maybe { $0.template() }, filter: filter(), since: moment(),
      until: moment(), attempts: number(0...1_000_000))
  }

  mutating func override() -> Override {
    let target: Override.Target =
      switch number(0...4) {
      case 0: .user(text())
      case 1: .domain(text())
      case 2: .network(network())
      case 3: .group(text())
      default: .key(key())
      }
    let effect: Override.Effect =
      switch number(0...2) {
      case 0: .exempt
      case 1: .off(rule: text())
      default: .limits(rule: text(), list(1...3) { $0.limit() })
      }
    return Override(target, effect, until: maybe { $0.moment() }, origin: text())
  }

  mutating func episode() -> Episode {
    let key = key()
    let reason = reason(key)
    return Episode(
      id: Episode.ID(rule: reason.rule, key: key), opened: moment(), last: moment(), quietAt: moment(),
      trips: number(1...1_000), worst: reason, isObserved: flag(), isAlert: flag(), refused: number(0...99),
      held: number(0...99), block: maybe { Episode.Block(key: $0.key(), since: $0.moment(), until: $0.moment()) },
      told: maybe { Episode.Told(at: $0.moment(), level: $0.number(0...9)) })
  }

  mutating func passage() -> Passage {
    Passage(
      at: moment(), queueID: text(), user: maybe { $0.text() }, ip: maybe { $0.address() }, sender: maybe { $0.text() },
      recipients: number(0...1_000), recipient: maybe { $0.text() }, isHeld: flag())
  }

  mutating func counts() -> Activity.Counts {
    var counts = Activity.Counts()
    for signal in Signal.allCases where flag() { counts.signals[signal] = number(0...100) }
    (counts.refused, counts.held) = (number(0...2), number(0...1))
    return counts
  }
}
