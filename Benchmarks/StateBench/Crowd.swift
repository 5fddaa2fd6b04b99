import WardenCore

/// Everybody whom a server has seen, as events: people with a history, senders, robots that connect and leave, and
/// addresses that get themselves blocked.
struct Crowd {
  let engine: Engine
  private let setup: SMTPSession.Setup

  init(_ engine: Engine) {
    self.engine = engine
    setup = SMTPSession.Setup(networkPrefix: engine.policy.networkPrefix, needs: engine.needs)
  }

  /// The number's own address, in 32.0.0.0/3: neighbours by number are none by address.
  static func address(_ number: Int) -> IPAddress {
    IPAddress(v4: 0x2000_0000 | UInt32(truncatingIfNeeded: number &* 0x9e37_79b1) & 0x1fff_ffff)
  }

  // Each kind of client has its own addresses.
  static func blocked(_ number: Int) -> IPAddress { address(number) }
  static func robot(_ number: Int) -> IPAddress {
    number.isMultiple(of: 8)
      ? IPAddress(v6High: 0x2001_0db8_0000_0000 | UInt64(number), low: 1) : address(1_000_000 + number)
  }
  private static func home(_ user: Int, _ network: Int) -> IPAddress { address(20_000_000 + user * 8 + network) }

  /// A message from one of the user's three networks, to two of the people that he writes to.
  func mail(user: Int, number: Int, at now: Timestamp) throws -> Passage {
    var session = SMTPSession(setup)
    let login = "\(Self.firstNames[user % 16]).\(Self.lastNames[user / 16 % 16])\(user / 256)@mail.example"
    let address = Self.home(user, number % 3)
    _ = engine.decide(session.connect(at: now, address: address, port: 4_711, host: "mx.example"))
    _ = engine.decide(try session.mail(at: now, sender: "<\(login)>", login: login))
    for friend in 0..<2 {
      let recipient = "friend\((user + number * 2 + friend) % 20)@domain\(user % 400).example"
      if let event = try session.recipient(at: now, .accepted, path: "<\(recipient)>", refusals: nil) {
        _ = engine.decide(event)
      }
    }
    let event = try session.endOfMessage(at: now, refusals: nil)
    _ = engine.decide(event)
    return Passage(
      at: now, queueID: String(user * 100 + number, radix: 16, uppercase: true), user: login, ip: address,
      sender: login,
      recipients: 2, recipient: "friend\(number % 20)@domain\(user % 400).example", isHeld: false)
  }

  /// A message from elsewhere, with a sender of its own.
  func mail(sender: Int, at now: Timestamp) throws {
    var session = SMTPSession(setup)
    _ = engine.decide(session.connect(at: now, address: Self.address(10_000_000 + sender % 5_000), port: 25, host: nil))
    let name = "<bounce-\(String(sender &* 7_368_787, radix: 36))@news\(sender % 300).example>"
    _ = engine.decide(try session.mail(at: now, sender: name, login: nil))
    _ = engine.decide(try session.endOfMessage(at: now, refusals: nil))
  }

  /// Connects and leaves.
  func visit(robot number: Int, at now: Timestamp) {
    var session = SMTPSession(setup)
    _ = engine.decide(session.connect(at: now, address: Self.robot(number), port: 4_711, host: nil))
    if let event = session.close(at: now) { _ = engine.decide(event) }
  }

  /// Speaks something that is not SMTP until the rule blocks it.
  func block(_ number: Int, at now: Timestamp) {
    var session = SMTPSession(setup)
    _ = engine.decide(session.connect(at: now, address: Self.blocked(number), port: 4_711, host: nil))
    for _ in 0...20 {
      if let event = session.badCommand(at: now) { _ = engine.decide(event) }
    }
  }

  private static let firstNames = [
    "anna", "boris", "chiara", "daniel", "elif", "farid", "greta", "hiroshi", "ines", "jan", "katarzyna", "liam",
    "maria",
    "nils", "olga", "pedro",
  ]
  private static let lastNames = [
    "andersson", "becker", "costa", "dubois", "eriksen", "ferrari", "garcia", "huber", "ivanova", "jansen", "kowalski",
    "lopez", "moreau", "novak", "okafor", "papadopoulos",
  ]
}
