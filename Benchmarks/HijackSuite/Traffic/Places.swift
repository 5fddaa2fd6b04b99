import WardenCore

/// Where a client stands while it sends.
struct Place {
  let address: IPAddress
  let helo: String
  var isPhone = false
}

/// What a mail program says in HELO: its machine's name, the same words everywhere, or its address in the local net.
enum Greeting: CaseIterable { case name, words, address }

/// The networks of the world, in blocks that belong to nobody: private, reserved and documentation addresses.
enum World {
  static func office(_ network: Int, host: Int) -> IPAddress { v4(0x0a00_0000, network, host) }
  /// A home line's /24: pool by pool.
  static func home(_ network: Int, host: Int) -> IPAddress { v4(0x0a40_0000, network, host) }
  static func carrier(_ network: Int, host: Int) -> IPAddress { v4(0x0a80_0000, network, host) }
  static func vpn(_ exit: Int, host: Int) -> IPAddress { v4(0x0ac0_0000, exit, host) }
  static func server(_ number: Int) -> IPAddress { v4(0x0ae0_0000, number, 25) }
  static func hotel(using random: inout Random) -> IPAddress {
    v4(0xf000_0000, random.int(0..<65_536), random.int(2..<250))
  }
  static func botnet(using random: inout Random) -> IPAddress {
    v4(0xf200_0000, random.int(0..<500_000), random.int(2..<250))
  }
  /// A /64 for each attachment.
  static func mobileV6(using random: inout Random) -> IPAddress {
    IPAddress(v6High: 0x2001_0db8_0000_0000 | UInt64(random.int(0..<1 << 28)), low: 0x1000 | random.next() >> 16)
  }

  private static func v4(_ block: UInt32, _ network: Int, _ host: Int) -> IPAddress {
    IPAddress(v4: block + UInt32(network) << 8 + UInt32(host))
  }
}

/// The places that one person writes from, as they change from day to day.
struct Habitat {
  private let number: Int
  private var office: Int
  private var homePool: Int
  private var home: Int
  private let dailyRenewal: Double
  private let isHomeWorker: Bool
  private let phoneShare: Double
  private let hasIPv6: Bool
  private let carrierPool: Range<Int>
  private var carrier: Int
  private let usesVPN: Bool
  /// Days abroad.
  private let trips: [Range<Int>]
  private var hotel: Place?
  private var isHomeDay = false
  /// The computer's and the phone's way to greet; which computer it is; its address in the local nets of office and home.
  private let greetings: (computer: Greeting, phone: Greeting)
  private var computer = 0
  private var lease: Int

  init(account number: Int, phoneShare: ClosedRange<Double>, trips: [Range<Int>], using random: inout Random) {
    self.number = number
    self.trips = trips
    office = random.int(0..<Parameters.officeNetworks)
    homePool = random.int(0..<400)
    home = random.int(0..<Parameters.homePool)
    let renewal = random.place(weights: Parameters.homeRenewal.map(\.share))
    dailyRenewal = Parameters.homeRenewal[renewal].daily
    isHomeWorker = random.chance(Parameters.homeWorkers)
    self.phoneShare = random.double(phoneShare)
    hasIPv6 = random.chance(Parameters.carriersWithIPv6)
    let kind = random.int(Parameters.carrierNetworks.indices)
    carrierPool = kind * 1_000..<kind * 1_000 + Parameters.carrierNetworks[kind]
    carrier = random.int(carrierPool)
    usesVPN = random.chance(Parameters.vpnUsers)
    greetings = (
      Greeting.allCases[random.place(weights: Parameters.computerGreetings)],
      Greeting.allCases[random.place(weights: Parameters.phoneGreetings)]
    )
    lease = random.int(2..<250)
  }

  /// Another house, another provider: what was known of this person's networks is worth nothing.
  mutating func move(using random: inout Random) {
    homePool = random.int(400..<800)
    // The new office is another company's building.
    office = 100 + number
    carrier = random.int(carrierPool)
  }

  mutating func begin(day: Int, using random: inout Random) {
    if random.chance(Parameters.newComputer) { computer += 1 }
    if random.chance(Parameters.newLease) { lease = random.int(2..<250) }
    if random.chance(dailyRenewal) { home = random.int(0..<Parameters.homePool) }
    let share = isHomeWorker ? Parameters.homeDays.homeWorker : Parameters.homeDays.other
    isHomeDay = Weekday.isWeekend(day) || random.chance(share)
    // Two nights in each hotel.
    if !trips.contains(where: { $0.contains(day) }) {
      hotel = nil
    } else if hotel == nil || random.chance(0.5) {
      hotel = away(World.hotel(using: &random), using: &random)
    }
  }

  /// Where the next sitting takes place.
  /// - Parameter isTyped: nobody writes to 200 guests on a phone.
  mutating func place(atLocal hour: Double, isTyped: Bool = false, using random: inout Random) -> Place {
    let host = 2 + number % 200
    let isAtWork = !isHomeDay && (8..<18).contains(hour)
    if !isTyped, random.chance(phoneShare * (isAtWork ? 0.4 : 1)) {
      if hotel != nil || random.chance(Parameters.phoneOutside) { return mobile(using: &random) }
      return Place(
        address: World.home(homePool * 100 + home, host: host), helo: phone("[192.168.1.\(lease / 2)]"), isPhone: true)
    }
    if usesVPN {
      return away(World.vpn(random.int(0..<Parameters.vpnExits), host: random.int(2..<250)), using: &random)
    }
    if let hotel {
      // Airports, trains and customers' guest networks.
      return random.chance(0.3) ? away(World.hotel(using: &random), using: &random) : hotel
    }
    if isAtWork { return Place(address: World.office(office, host: host), helo: computer("[10.1.\(office).\(lease)]")) }
    return Place(address: World.home(homePool * 100 + home, host: host), helo: computer("[192.168.1.\(lease)]"))
  }

  private func away(_ address: IPAddress, using random: inout Random) -> Place {
    Place(address: address, helo: computer("[10.\(random.int(2..<250)).0.\(random.int(2..<250))]"))
  }

  private mutating func mobile(using random: inout Random) -> Place {
    let helo = phone("[100.64.\(random.int(0..<250)).\(random.int(2..<250))]")
    if hasIPv6 { return Place(address: World.mobileV6(using: &random), helo: helo, isPhone: true) }
    if random.chance(Parameters.newCarrierNetwork) { carrier = random.int(carrierPool) }
    return Place(address: World.carrier(carrier, host: random.int(2..<250)), helo: helo, isPhone: true)
  }

  private func computer(_ address: String) -> String {
    switch greetings.computer {
    case .name: "pc-\(number)-\(computer).local"
    case .words: Organisation.commonGreeting
    case .address: address
    }
  }

  private func phone(_ address: String) -> String {
    switch greetings.phone {
    case .name: "phone-\(number).local"
    case .words: Organisation.commonGreeting
    case .address: address
    }
  }
}
