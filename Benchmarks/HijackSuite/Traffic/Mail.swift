import WardenCore

/// One message as a client submits it.
public struct Mail: Sendable {
  public var at: Moment
  /// Whose login it is: an account's number.
  public var account: Int
  public var origin: Origin
  public var client: IPAddress
  public var helo: String
  var isPhone = false
  /// The envelope sender; empty for a bounce.
  public var sender: String
  public var recipients: [Recipient]
  public var mark: Mark
  public var bytes: Int

  /// What for it was written.
  public enum Origin: Sendable, Hashable {
    case honest(Occasion)
    /// The hijack's number.
    case hijack(Int)
  }

  /// What a header field says that the message is.
  public enum Mark: Sendable { case none, list, bulk }
}

/// Why an honest account sends.
public enum Occasion: String, Sendable, CaseIterable {
  case everyday
  /// Monday morning: the weekend's mail is answered.
  case replies
  /// A new colleague's first day.
  case welcome
  /// Somebody back from weeks away.
  case comeback
  /// One message with all guests, or one message each.
  case invitation, merge
  case newsletter, list, forward, vacation, tickets, monitoring, incident

  /// Programs queue what is refused for now, and send it later; to a person it is an error on the screen.
  public var hasQueue: Bool {
    switch self {
    case .newsletter, .list, .forward, .vacation, .tickets, .monitoring, .incident: true
    default: false
    }
  }
}

/// A recipient by number: an address is written only when it is said.
public struct Recipient: Sendable, Hashable {
  public let number: Int32
  /// Whether the MTA refuses it: no such user here, no such domain elsewhere.
  public let isRefused: Bool

  init(_ number: Int, isRefused: Bool = false) {
    self.number = Int32(truncatingIfNeeded: number)
    self.isRefused = isRefused
  }

  public var path: String {
    if number < Recipient.firstOutside { return "u\(number)@\(Organisation.domain)" }
    // Two in five addresses are with one of five big providers.
    let mixed = UInt32(truncatingIfNeeded: number) &* 2_654_435_761 >> 8
    return mixed % 5 < 2 ? "c\(number)@big\(mixed % 5).example" : "c\(number)@d\(mixed % 20_011).example"
  }

  /// Below: accounts of the organisation. Above: the world, of which honest users write to the first part.
  static let firstOutside: Int32 = 10_000
  static let correspondents = 10_000..<410_000
  static let spamVictims = 1_000_000..<100_000_000
}

public enum Organisation {
  public static let domain = "org.example"
  public static let host = "mail.org.example"
  /// What every client of one big maker says in HELO.
  static let commonGreeting = "smtpclient.apple"
  public static func login(of account: Int) -> String { "u\(account)" }
  public static func address(of account: Int) -> String { "u\(account)@\(domain)" }
}
