import WardenCore

/// An account through which a program sends: newsletters, lists, forwards, tickets, monitoring.
struct Program {
  private let number: Int
  private let kind: Kind
  private let place: Place
  private var book: AddressBook
  /// Which of its kind: it decides a newsletter's rhythm and manner.
  private let variety: Int

  init(number: Int, kind: Kind, variety: Int, random: inout Random) {
    self.number = number
    self.kind = kind
    self.variety = variety
    place = Place(address: World.server(number), helo: "\(kind.rawValue)\(variety).\(Organisation.domain)")
    book = AddressBook(size: 60, strangers: kind == .tickets ? 0.3 : 0.1, using: &random)
  }

  func write(random: Random) -> [Mail] {
    var (program, random) = (self, random)
    var mail: [Mail] = []
    switch kind {
    case .newsletter: program.newsletters(into: &mail, using: &random)
    case .list: program.list(into: &mail, using: &random)
    case .forwarder: program.forward(into: &mail, using: &random)
    case .tickets: program.tickets(into: &mail, using: &random)
    default: program.monitor(into: &mail, using: &random)
    }
    return mail
  }

  // MARK: - Newsletters and lists

  private mutating func newsletters(into mail: inout [Mail], using random: inout Random) {
    let period = Parameters.newsletterPeriods[variety]
    let subscribers = people(
      Int(random.logUniform(Parameters.subscribers)), dead: random.double(Parameters.deadSubscribers), using: &random)
    let mark: Mail.Mark = [.bulk, .none, .list][variety % 3]
    // One message each, from a mail program in large Bcc portions, or in portions by the program.
    let chunk = variety % 3 == 0 ? 1 : random.int(Parameters.newsletterChunk)
    let minutes = random.double(Parameters.newsletterMinutes)
    var day = random.int(0..<period)
    while day < Parameters.allDays.upperBound {
      let start = Moment(day: day, hour: random.double(8...15))
      let parts = stride(from: 0, to: subscribers.count, by: chunk).map { subscribers[$0...].prefix(chunk) }
      for (index, part) in parts.enumerated() {
        let at = start + minutes * 60 * Double(index) / Double(parts.count)
        mail.append(message(at, Array(part), .newsletter, mark: mark, bytes: 60_000))
      }
      day += period
    }
    // Somebody also answers what comes back.
    for day in Parameters.allDays where !Weekday.isWeekend(day) {
      for _ in 0..<random.poisson(mean: 2) {
        let at = Moment(day: day, hour: Shift.office.hour(using: &random))
        mail.append(message(at, book.one(using: &random), .everyday, bytes: 8_000))
      }
    }
  }

  private mutating func list(into mail: inout [Mail], using random: inout Random) {
    let rate = random.double(Parameters.listPosts)
    let subscribers = people(Int(random.logUniform(Parameters.listSubscribers)), dead: 0.003, using: &random)
    for post in moments(mean: rate, .evening, using: &random) {
      for start in stride(from: 0, to: subscribers.count, by: Parameters.listChunk) {
        let sender = "list\(variety)-bounces@lists.\(Organisation.domain)"
        let part = Array(subscribers[start...].prefix(Parameters.listChunk))
        mail.append(message(post + Double(start) / 50, part, .list, sender: sender, mark: .list, bytes: 15_000))
      }
    }
  }

  private func people(_ count: Int, dead: Double, using random: inout Random) -> [Recipient] {
    (0..<count).map { _ in Recipient(random.int(Recipient.correspondents), isRefused: random.chance(dead)) }
  }

  // MARK: - Forwards, tickets, monitoring

  /// Mail for somebody who reads it elsewhere: sent on with the stranger's sender rewritten, and answered while away.
  private func forward(into mail: inout [Mail], using random: inout Random) {
    let rate = random.double(Parameters.forwards)
    let reader = Recipient(random.int(Recipient.correspondents))
    for at in moments(mean: rate, .evening, using: &random) {
      let stranger = Recipient(random.int(Recipient.correspondents))
      let address = stranger.path.split(separator: "@")
      let sender = "SRS0=a\(random.int(10...99))x=7Q=\(address[1])=\(address[0])@\(Organisation.domain)"
      mail.append(message(at, [reader], .forward, sender: sender, bytes: 20_000))
      if random.chance(Parameters.vacationReplies) {
        mail.append(message(at + 2, [stranger], .vacation, sender: "", bytes: 2_000))
      }
    }
  }

  private mutating func tickets(into mail: inout [Mail], using random: inout Random) {
    for at in moments(mean: Parameters.tickets, .office, using: &random) {
      mail.append(
        message(at, book.one(using: &random), .tickets, sender: "support@\(Organisation.domain)", bytes: 6_000))
    }
    incidents(.tickets, into: &mail, using: &random) { book, random in book.one(using: &random) }
  }

  private mutating func monitor(into mail: inout [Mail], using random: inout Random) {
    let operators = [Recipient(random.int(0..<1_000)), Recipient(random.int(0..<1_000))]
    for at in moments(mean: random.double(Parameters.monitoringReports), .always, using: &random) {
      mail.append(message(at, operators, .monitoring, bytes: 3_000))
    }
    incidents(.monitoring, into: &mail, using: &random) { _, _ in operators }
  }

  /// Everything fails at once, and everybody is told.
  private mutating func incidents(
    _ occasion: Occasion, into mail: inout [Mail], using random: inout Random,
    to recipients: (inout AddressBook, inout Random) -> [Recipient]
  ) {
    for _ in 0..<random.int(Parameters.incidents.count) {
      let start = Moment(day: random.int(Parameters.allDays), hour: random.double(0...24))
      let minutes = random.double(Parameters.incidents.minutes)
      for _ in 0..<random.int(Parameters.incidents.messages) {
        let at = start + random.unit() * minutes * 60
        mail.append(message(at, recipients(&book, &random), .incident, bytes: 3_000))
      }
    }
  }

  // MARK: -

  /// So many a day on average, at the shift's hours.
  private func moments(mean: Double, _ shift: Shift, using random: inout Random) -> [Moment] {
    var moments: [Moment] = []
    for day in Parameters.allDays {
      for _ in 0..<random.poisson(mean: mean * shift.share(of: day)) {
        moments.append(Moment(day: day, hour: shift.hour(using: &random)))
      }
    }
    return moments
  }

  private func message(
    _ at: Moment, _ recipients: [Recipient], _ occasion: Occasion, sender: String? = nil, mark: Mail.Mark = .none,
    bytes: Int
  ) -> Mail {
    Mail(
      at: at, account: number, origin: .honest(occasion), client: place.address, helo: place.helo,
      sender: sender ?? Organisation.address(of: number), recipients: recipients, mark: mark, bytes: bytes)
  }
}
