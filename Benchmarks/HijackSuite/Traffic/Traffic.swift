import WardenCore

/// What 1,000 accounts and 20 hijackers submit, in the order of time.
public struct Traffic: Sendable {
  public let seed: Int
  public let accounts: [Account]
  public let hijacks: [Hijack]
  public let mail: [Mail]

  /// - Parameter accounts: fewer make a run that shows the same in less time, for tests.
  public init(seed: Int, accounts count: Int = Parameters.accounts) {
    let random = Random(seed: seed)
    self.seed = seed
    accounts = Account.population(count, random.stream(1))
    hijacks = Hijack.all(of: accounts, random.stream(2))
    let all = accounts.map(\.mail) + hijacks.map(\.mail)
    mail = all.joined().enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
  }

  /// When learning ends and counting begins.
  public static let warmUpEnd = Moment(day: Parameters.warmUpDays)
  public static let warmUpDays = Parameters.warmUpDays
  public static let days = Parameters.days

  /// The same number for the same traffic, on any machine (FNV-1a).
  public var digest: UInt64 {
    var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    func add(_ value: Int) { digest = (digest ^ UInt64(bitPattern: Int64(value))) &* 0x100_0000_01b3 }
    for message in mail {
      add(message.at.milliseconds)
      add(message.account)
      add(message.bytes)
      for byte in message.sender.utf8 { add(Int(byte)) }
      for byte in message.client.description.utf8 { add(Int(byte)) }
      for byte in message.helo.utf8 { add(Int(byte)) }
      for recipient in message.recipients { add(Int(recipient.number) * 2 + (recipient.isRefused ? 1 : 0)) }
    }
    return digest
  }
}
