import WardenCore

/// How a hijacker goes about it.
public enum Style: String, Sendable, CaseIterable {
  case burst
  case slowAndWide = "slow and wide"
  case night = "night trickle"
  case forging
  case dirtyList = "dirty list"
  case ramp
  case insider
  case ownNetwork = "own network"
  case bcc = "bcc blasts"

  public var help: String {
    switch self {
    case .burst: "thousands of messages in an hour from one new network, again the next day"
    case .slowAndWide: "10 to 60 messages an hour, each from another network of a botnet"
    case .night: "5 to 15 messages an hour while the victim sleeps, from one to three networks"
    case .forging: "20 to 200 messages an hour under changing envelope senders"
    case .dirtyList: "30 to 300 messages an hour to a list of which 20 to 40 % are refused"
    case .ramp: "three messages a day, 20 to 40 % more each day"
    case .insider: "phishing of the organisation's own people, two in five of them known to the victim"
    case .ownNetwork: "malware on the victim's own computer, while that runs"
    case .bcc: "6 to 20 messages a day with 100 recipients each"
    }
  }
}

/// A stolen password in use.
public struct Hijack: Sendable {
  public let number: Int
  public let style: Style
  public let victim: Int
  public let start: Moment
  /// Nobody stops this hijacker: a refusal is answered by the next message, at the same pace.
  public let end: Moment
  public let mail: [Mail]

  static func all(of accounts: [Account], _ random: Random) -> [Hijack] {
    var draw = random.stream(-1)
    let victims = victims(among: accounts, using: &draw)
    let styles = styles(using: &draw)
    return (0..<Parameters.hijacks).map { number in
      Hijacker(number: number, style: styles[number], victim: accounts[victims[number]], random: random.stream(number))
        .act()
    }
  }

  private static func styles(using random: inout Random) -> [Style] {
    var styles = Array(repeating: Style.allCases, count: Parameters.everyStyle).joined() + []
    while styles.count < Parameters.hijacks { styles.append(random.pick(Style.allCases)) }
    return random.shuffled(styles)
  }

  private static func victims(among accounts: [Account], using random: inout Random) -> [Int] {
    var victims: [Int] = []
    for kind in Parameters.certainVictims {
      victims.append(random.pick(accounts.filter { $0.kind == kind && !victims.contains($0.number) }).number)
    }
    while victims.count < Parameters.hijacks {
      let victim = random.int(0..<accounts.count)
      if !victims.contains(victim) { victims.append(victim) }
    }
    return victims
  }

  fileprivate init(_ hijacker: Hijacker, mail: [Mail]) {
    number = hijacker.number
    style = hijacker.style
    victim = hijacker.victim.number
    start = mail.first?.at ?? hijacker.start
    end = hijacker.end
    self.mail = mail
  }
}

private struct Hijacker {
  let number: Int
  let style: Style
  let victim: Account
  private(set) var start: Moment
  private(set) var end: Moment
  private let mark: Mail.Mark
  private var refusedShare: Double
  private var random: Random
  private var mail: [Mail] = []

  init(number: Int, style: Style, victim: Account, random: Random) {
    var random = random
    self.number = number
    self.style = style
    self.victim = victim
    let starts = style == .ramp ? Parameters.ramp.start : Parameters.hijackStart
    var startDay = Double(Parameters.warmUpDays) + random.double(starts)
    if let telling = victim.telling {
      // While the victim is new, away or on the road; but within the days of all hijacks.
      let first = Parameters.warmUpDays + Int(Parameters.hijackStart.lowerBound)
      let last = Parameters.warmUpDays + Int(Parameters.hijackStart.upperBound)
      let day = min(max(random.int(telling), first), last - 1)
      startDay = Double(day) + random.unit()
    }
    let days = random.double(style == .ramp ? Parameters.ramp.days : Parameters.hijackDays)
    start = Moment(day: 0, hour: startDay * 24)
    end = min(Moment(day: 0, hour: (startDay + days) * 24), Moment(day: Parameters.allDays.upperBound))
    mark = random.chance(Parameters.markedSpam) ? .bulk : .none
    refusedShare = random.double(style == .dirtyList ? Parameters.dirtyList : Parameters.cleanList)
    self.random = random
  }

  func act() -> Hijack {
    var hijacker = self
    switch style {
    case .burst: hijacker.burst()
    case .slowAndWide: hijacker.slowAndWide()
    case .night: hijacker.night()
    case .forging: hijacker.forging()
    case .dirtyList: hijacker.dirtyList()
    case .ramp: hijacker.ramp()
    case .insider: hijacker.insider()
    case .ownNetwork: hijacker.ownNetwork()
    case .bcc: hijacker.bcc()
    }
    return Hijack(hijacker, mail: hijacker.mail)
  }

  // MARK: - Styles

  private mutating func burst() {
    let size = random.pick(Parameters.burst.recipients)
    var at = start
    while at < end {
      let place = bot()
      let messages = random.logUniform(Parameters.burst.messages)
      let pause = Parameters.burst.hours * 3_600 / messages
      for _ in 0..<Int(messages) {
        send(at, list(size), from: place)
        at = at + pause * random.double(0.5...1.5)
      }
      at = at + random.double(18...26) * 3_600
    }
  }

  private mutating func slowAndWide() {
    let size = random.pick(Parameters.slowAndWide.recipients)
    for at in steady(random.logUniform(Parameters.slowAndWide.hourly)) { send(at, list(size), from: bot()) }
  }

  private mutating func night() {
    let size = random.pick(Parameters.night.recipients)
    let places = bots(Parameters.night.networks)
    for at in steady(random.double(Parameters.night.hourly)) where isWithin(victim.shift.quiet, at) {
      send(at, list(size), from: random.pick(places))
    }
  }

  private mutating func forging() {
    let size = random.pick(Parameters.forging.recipients)
    let perSender = random.pick(Parameters.forging.perSender)
    let places = bots(Parameters.forging.networks)
    for (index, at) in steady(random.logUniform(Parameters.forging.hourly)).enumerated() {
      let forged = Recipient((index / perSender &* 7_919 &+ number &* 104_729) % 90_000 + 10_000).path
      send(at, list(size), from: random.pick(places), sender: forged)
    }
  }

  private mutating func dirtyList() {
    let size = random.pick(Parameters.dirty.recipients)
    let places = bots(Parameters.dirty.networks)
    for at in steady(random.logUniform(Parameters.dirty.hourly)) { send(at, list(size), from: random.pick(places)) }
  }

  private mutating func ramp() {
    let size = random.pick(Parameters.ramp.recipients)
    let places = bots(Parameters.ramp.networks)
    let growth = random.double(Parameters.ramp.growth)
    var (day, daily) = (0, Parameters.ramp.first)
    while start + Double(day) * 86_400 < end {
      let midnight = start + Double(day) * 86_400
      let moments = (0..<Int(daily.rounded())).map { _ in midnight + random.unit() * 86_400 }.sorted()
      for at in moments where at < end { send(at, list(size), from: random.pick(places)) }
      day += 1
      daily *= growth
    }
  }

  private mutating func insider() {
    let size = random.pick(Parameters.insider.recipients)
    let places = bots(Parameters.insider.networks)
    let before = victim.mail.prefix { $0.at < start }
    let known = before.flatMap(\.recipients).filter { $0.number < Recipient.firstOutside && !$0.isRefused }
    for at in steady(random.double(Parameters.insider.hourly)) where isWithin(Shift.office.busy, at) {
      let people = (0..<size).map { _ in
        !known.isEmpty && random.chance(Parameters.insider.known)
          ? random.pick(known) : Recipient(random.int(0..<1_000))
      }
      send(at, people, from: random.pick(places))
    }
  }

  private mutating func ownNetwork() {
    let size = random.pick(Parameters.ownNetwork.recipients)
    // Where the computer stands: not where the phone was.
    let atDesk = victim.mail.filter { !$0.isPhone }
    var next = 0
    for at in steady(random.logUniform(Parameters.ownNetwork.hourly)) where isWithin(victim.shift.busy, at) {
      while next < atDesk.count, atDesk[next].at < at { next += 1 }
      let place = next == 0 ? bot() : Place(address: atDesk[next - 1].client, helo: atDesk[next - 1].helo)
      send(at, list(size), from: place)
    }
  }

  private mutating func bcc() {
    let places = bots(Parameters.bcc.networks)
    for at in steady(random.double(Parameters.bcc.daily) / 24) {
      send(at, list(Parameters.bcc.recipients), from: random.pick(places))
    }
  }

  // MARK: -

  /// From start to end, so many an hour.
  private mutating func steady(_ hourly: Double) -> [Moment] {
    var moments: [Moment] = []
    var at = start
    while at < end {
      moments.append(at)
      at = at + random.waiting(mean: 3_600 / hourly)
    }
    return moments
  }

  private func isWithin(_ hours: Range<Double>, _ at: Moment) -> Bool {
    let hour = at.local(victim.zone).hour
    return hours.contains(hour) || hours.contains(hour + 24)
  }

  private mutating func bot() -> Place {
    let helo =
      random.chance(Parameters.imitatedGreeting)
      ? Organisation.commonGreeting : random.pick(["localhost", "[127.0.0.1]", "WIN-\(random.int(0..<99))"])
    return Place(address: World.botnet(using: &random), helo: helo)
  }

  private mutating func bots(_ count: ClosedRange<Int>) -> [Place] { (0..<random.int(count)).map { _ in bot() } }

  /// So many of a bought list that the MTA accepts; what it refuses comes on top.
  private mutating func list(_ count: Int) -> [Recipient] {
    (0..<count).map { _ in Recipient(random.int(Recipient.spamVictims), isRefused: random.chance(refusedShare)) }
  }

  private mutating func send(_ at: Moment, _ recipients: [Recipient], from place: Place, sender: String? = nil) {
    mail.append(
      Mail(
        at: at, account: victim.number, origin: .hijack(number), client: place.address, helo: place.helo,
        sender: sender ?? Organisation.address(of: victim.number), recipients: recipients, mark: mark, bytes: 4_000))
  }
}
