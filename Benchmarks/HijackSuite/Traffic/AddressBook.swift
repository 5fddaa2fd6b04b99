/// Whom an account writes to: mostly people it has written to before, those from long ago more often.
struct AddressBook {
  private var known: [Int] = []
  private let strangers: Double
  private let typingErrors: Double

  /// - Parameter strangers: how many messages go to somebody new.
  init(size: Int, strangers: Double, using random: inout Random) {
    self.strangers = strangers
    typingErrors = random.double(Parameters.typingErrors)
    for _ in 0..<size { known.append(Self.somebody(using: &random)) }
  }

  private static func somebody(using random: inout Random) -> Int {
    random.chance(Parameters.colleagues) ? random.int(0..<1_000) : random.int(Recipient.correspondents)
  }

  /// The recipients of an ordinary message.
  mutating func recipients(using random: inout Random) -> [Recipient] {
    let size = random.place(weights: Parameters.recipientShares)
    let count = random.int(Parameters.recipientRanges[size])
    if count == 1 { return one(using: &random) }
    var all: [Recipient] = []
    for _ in 0..<count { all += [familiar(using: &random)] }
    return withErrors(all, using: &random)
  }

  /// One recipient; with a typing error now and then, which is corrected at once.
  mutating func one(using random: inout Random) -> [Recipient] {
    let number = random.chance(strangers) ? meet(using: &random) : familiar(using: &random).number
    return withErrors([Recipient(Int(number))], using: &random)
  }

  private func familiar(using random: inout Random) -> Recipient {
    let place = random.unit() * random.unit() * Double(known.count)
    return Recipient(known[Int(place)])
  }

  private mutating func meet(using random: inout Random) -> Int32 {
    let number = Self.somebody(using: &random)
    known.append(number)
    return Int32(number)
  }

  private func withErrors(_ recipients: [Recipient], using random: inout Random) -> [Recipient] {
    recipients.flatMap { recipient in
      guard random.chance(typingErrors) else { return [recipient] }
      return [Recipient(random.int(Recipient.correspondents), isRefused: true), recipient]
    }
  }

  /// So many people: all of them known, or drawn from the known and from strangers.
  mutating func guests(_ count: Int, using random: inout Random) -> [Recipient] {
    var numbers: Set<Int> = []
    var guests: [Recipient] = []
    while guests.count < count {
      let number = random.chance(0.5) ? Int(familiar(using: &random).number) : Self.somebody(using: &random)
      if numbers.insert(number).inserted { guests.append(Recipient(number)) }
    }
    return withErrors(guests, using: &random)
  }

  static func colleagues(_ count: Int, using random: inout Random) -> [Recipient] {
    random.shuffled(Array(0..<1_000)).prefix(count).map { Recipient($0) }
  }
}
