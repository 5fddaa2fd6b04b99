import WardenCore

/// What sort of account it is; for the report, and for who is hijacked.
public enum Kind: String, Sendable, CaseIterable {
  case occasional, clerk, lively, busy, desk, newcomer, returner, mover, traveller
  case newsletter, list, forwarder, tickets, monitoring

  var isPerson: Bool {
    switch self {
    case .newsletter, .list, .forwarder, .tickets, .monitoring: false
    default: true
    }
  }
}

/// One account, and all that its owner sends.
public struct Account: Sendable {
  public let number: Int
  public let kind: Kind
  let shift: Shift
  /// Hours ahead of UTC.
  let zone: Int
  /// The days at which its kind shows: the first week, the absence, the trip.
  let telling: Range<Int>?
  /// In the order of time.
  public private(set) var mail: [Mail]

  /// - Parameter variety: which of its kind it is.
  init(number: Int, kind: Kind, variety: Int, random: Random) {
    var random = random
    self.number = number
    self.kind = kind
    if kind.isPerson {
      let person = Person(number: number, kind: kind, random: &random)
      (shift, zone, telling) = (person.shift, person.zone, person.telling)
      mail = person.write(random: random)
    } else {
      (shift, zone, telling) = (.always, 0, nil)
      mail = Program(number: number, kind: kind, variety: variety, random: &random).write(random: random)
    }
    mail.sort { $0.at < $1.at }
  }

  /// So many accounts of all kinds, in the shares of the whole population.
  static func population(_ count: Int, _ random: Random) -> [Account] {
    let kinds = Parameters.population.flatMap { kind, whole in
      Array(repeating: kind, count: max(min(2, whole), whole * count / Parameters.accounts))
    }
    return kinds.enumerated().map { number, kind in
      Account(number: number, kind: kind, variety: number - kinds.firstIndex(of: kind)!, random: random.stream(number))
    }
  }
}

/// Somebody who writes mail.
private struct Person {
  let number: Int
  let kind: Kind
  let rate: Double
  let shift: Shift
  let zone: Int
  let presence: Presence
  let telling: Range<Int>?
  private let alias: String?
  private let role: String?
  private var book: AddressBook
  private var habitat: Habitat
  private let inviting: Int?

  /// The days on which there is anything to tell.
  struct Presence {
    var firstDay = 0
    var absence: Range<Int>?
    var moving: Int?
    var trips: [Range<Int>] = []

    func has(_ day: Int) -> Bool { day >= firstDay && !(absence?.contains(day) ?? false) }
  }

  init(number: Int, kind: Kind, random: inout Random) {
    self.number = number
    self.kind = kind
    shift =
      kind == .desk
      ? .office
      : random.chance(Parameters.nightWorkers)
        ? .night
        : random.chance(Parameters.eveningWorkers) ? .evening : .office
    zone = random.pick(Parameters.zones)
    rate =
      switch kind {
      case .occasional: random.logUniform(Parameters.occasionalRate)
      case .lively: random.double(Parameters.livelyRate)
      case .busy: random.double(Parameters.busyRate)
      case .desk: random.double(Parameters.deskRate)
      default:
        min(
          max(
            random.logNormal(median: Parameters.clerkRate.median, spread: Parameters.clerkRate.spread),
            Parameters.clerkRate.range.lowerBound), Parameters.clerkRate.range.upperBound)
      }
    presence = Self.presence(of: kind, using: &random)
    telling = Self.telling(kind, presence)
    alias = random.chance(Parameters.aliasHolders) ? "first.last\(number)@\(Organisation.domain)" : nil
    let hasRole = kind == .desk || random.chance(Parameters.roleHolders)
    role = hasRole ? "info\(number % 7)@\(Organisation.domain)" : nil
    let strangers = kind == .desk ? Parameters.deskStrangers : random.double(Parameters.strangers)
    let known = kind == .newcomer ? 10 : random.int(Parameters.firstBook)
    book = AddressBook(size: known, strangers: strangers, using: &random)
    let phoneShare = kind == .desk ? Parameters.deskPhoneShare : Parameters.phoneShare
    habitat = Habitat(account: number, phoneShare: phoneShare, trips: presence.trips, using: &random)
    inviting = random.chance(Parameters.invitation.chance) ? random.int(Parameters.allDays) : nil
  }

  private static func presence(of kind: Kind, using random: inout Random) -> Presence {
    var presence = Presence()
    let measured = Parameters.warmUpDays..<Parameters.allDays.upperBound
    switch kind {
    case .newcomer:
      presence.firstDay = random.int(measured.dropLast(5))
      // Nobody begins on a Sunday.
      while Weekday.isWeekend(presence.firstDay) { presence.firstDay += 1 }
    case .returner:
      // One in three was away when the run began.
      let start = random.chance(0.33) ? 0 : random.int(5..<20)
      presence.absence = start..<start + random.int(Parameters.absence)
    case .mover: presence.moving = random.int(measured.dropFirst(3).dropLast(5))
    case .traveller:
      let start = random.int(Parameters.warmUpDays..<Parameters.warmUpDays + 18)
      presence.trips = [start..<start + random.int(Parameters.trip)]
      if random.chance(0.5) { presence.trips.append(2..<2 + random.int(Parameters.trip)) }
    default: break
    }
    return presence
  }

  private static func telling(_ kind: Kind, _ presence: Presence) -> Range<Int>? {
    switch kind {
    case .newcomer: presence.firstDay + 1..<presence.firstDay + 8
    case .returner: presence.absence
    case .mover: presence.moving.map { $0..<$0 + 7 }
    case .traveller: presence.trips.first
    default: nil
    }
  }

  // MARK: - Their days

  func write(random: Random) -> [Mail] {
    var (person, random) = (self, random)
    var mail: [Mail] = []
    for day in Parameters.allDays where presence.has(day) { person.write(day, into: &mail, using: &random) }
    return mail
  }

  private mutating func write(_ day: Int, into mail: inout [Mail], using random: inout Random) {
    if presence.moving == day { habitat.move(using: &random) }
    habitat.begin(day: day, using: &random)
    if Weekday.isMonday(day), rate > 3, random.chance(Parameters.mondayReplies.chance) {
      let replies = Parameters.mondayReplies
      series(
        random.int(replies.count), .replies, from: Moment(day: day, hour: start + random.unit()),
        minutes: replies.minutes, into: &mail, using: &random)
    }
    if kind == .newcomer, day == presence.firstDay { welcome(day, into: &mail, using: &random) }
    if let absence = presence.absence, comesBack(day, absence) {
      let comeback = Parameters.comeback
      series(
        random.int(comeback.count), .comeback, from: Moment(day: day, hour: start), minutes: comeback.hours * 60,
        into: &mail, using: &random)
    }
    if inviting == day { invite(day, into: &mail, using: &random) }
    let mean = rate * shift.share(of: day) * random.logNormal(median: 0.9, spread: Parameters.daySpread)
    var left = random.poisson(mean: mean)
    let size = rate > 40 ? Parameters.busySittingSize : Parameters.sittingSize
    while left > 0 {
      let count = min(left, 1 + random.poisson(mean: size - 1))
      left -= count
      let hour = shift.hour(using: &random)
      let place = habitat.place(atLocal: hour, using: &random)
      var at = Moment(day: day, hour: hour)
      for _ in 0..<count {
        let recipients = book.recipients(using: &random)
        mail.append(message(at, recipients, .everyday, from: place, using: &random))
        at = at + Parameters.shortestGap + random.waiting(mean: Parameters.gap)
      }
    }
  }

  /// The local hour at which the day begins.
  private var start: Double { shift.busy.lowerBound + 0.5 }

  /// The first working day after the absence.
  private func comesBack(_ day: Int, _ absence: Range<Int>) -> Bool {
    guard day >= absence.upperBound, !Weekday.isWeekend(day) else { return false }
    return (absence.upperBound..<day).allSatisfy { Weekday.isWeekend($0) }
  }

  /// One message after the other to known people, at even pace.
  private mutating func series(
    _ count: Int, _ occasion: Occasion, from start: Moment, minutes: Double, into mail: inout [Mail],
    using random: inout Random
  ) {
    let place = habitat.place(atLocal: start.hour, using: &random)
    for _ in 0..<count {
      let recipients = book.one(using: &random)
      let at = start + random.unit() * minutes * 60
      mail.append(message(at, recipients, occasion, from: place, using: &random))
    }
  }

  private mutating func welcome(_ day: Int, into mail: inout [Mail], using random: inout Random) {
    let people = AddressBook.colleagues(random.int(Parameters.welcome.people), using: &random)
    let at = Moment(day: day, hour: start + 1)
    spread(people, .welcome, .welcome, at, minutes: Parameters.welcome.minutes, into: &mail, using: &random)
  }

  private mutating func invite(_ day: Int, into mail: inout [Mail], using random: inout Random) {
    let guests = book.guests(random.int(Parameters.invitation.guests), using: &random)
    let at = Moment(day: day, hour: shift.hour(using: &random))
    spread(guests, .invitation, .merge, at, minutes: Parameters.invitation.minutes, into: &mail, using: &random)
  }

  /// To all in one message, or to each of them one of their own.
  private mutating func spread(
    _ people: [Recipient], _ together: Occasion, _ each: Occasion, _ at: Moment, minutes: Double,
    into mail: inout [Mail], using random: inout Random
  ) {
    let place = habitat.place(atLocal: at.hour, isTyped: true, using: &random)
    if random.chance(0.5) {
      mail.append(message(at, people, together, from: place, using: &random))
    } else {
      for (index, person) in people.enumerated() {
        let at = at + minutes * 60 * Double(index) / Double(people.count)
        mail.append(message(at, [person], each, from: place, using: &random))
      }
    }
  }

  private func message(
    _ local: Moment, _ recipients: [Recipient], _ occasion: Occasion, from place: Place, using random: inout Random
  ) -> Mail {
    var sender = Organisation.address(of: number)
    if let role, kind == .desk || random.chance(Parameters.roleShare) {
      sender = role
    } else if let alias, random.chance(Parameters.aliasShare) {
      sender = alias
    }
    return Mail(
      at: local.utc(from: zone), account: number, origin: .honest(occasion), client: place.address, helo: place.helo,
      isPhone: place.isPhone, sender: sender, recipients: recipients, mark: .none,
      bytes: Int(random.logNormal(median: 12_000, spread: 1.2)))
  }
}
