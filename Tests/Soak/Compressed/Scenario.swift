import WardenCore
import WardenPolicy

/// The policy of the compressed run, in two versions that reloads switch between, and the same once more as the books have it.
enum Scenario {
  /// Rules that block an address.
  enum Blocking: String, CaseIterable {
    case leavers, harvest, guessing

    var window: TimeSpan {
      switch self {
      case .leavers, .harvest: .hours(2)
      case .guessing: .minutes(10)
      }
    }
    var limit: Int {
      switch self {
      case .leavers: 4
      case .harvest: 8
      case .guessing: 5
      }
    }
    var spans: [TimeSpan] {
      switch self {
      case .leavers: [.hours(1), .hours(6)]
      case .harvest: [.hours(6), .days(1)]
      case .guessing: [.minutes(30), .hours(2)]
      }
    }
  }

  static let recipientsPerDay = 150
  static let messagesPerDay = 60
  static func messagesPerHour(_ version: Int) -> Int { version == 0 ? 12 : 20 }

  static func policy(_ version: Int) throws -> Policy {
    let text = """
      realms: [local.test]
      rules:
        - name: messages
          count: messages
          per: user
          limit: [\(messagesPerHour(version)) per 1h, \(messagesPerDay) per 1d]
          then: [alert, tempfail]
        - {name: recipients, count: recipients, per: user, limit: \(recipientsPerDay) per 1d, then: tempfail}
        - {name: leavers, count: broken-connections, per: ip, limit: 4 per 2h, then: "block for 1h, 6h"}
        - {name: harvest, count: unknown-recipients, per: ip, limit: 8 per 2h, then: "block for 6h, 1d"}
        - {name: guessing, count: auth-failures, per: ip, limit: 5 per 10m, then: "block for 30m, 2h"}
        - {name: networks, count: distinct networks, per: user, limit: 3 per 1h, then: alert, mode: observe}
        - {name: bytes, count: bytes, per: user, limit: 1000000 per 1d, then: tempfail}
        - {name: cut-off, count: cut-off-messages, per: ip, limit: 9 per 1h, then: alert, mode: observe}
        - {name: strangers, count: recipients, per: sender, limit: 50 per 2h, then: alert, mode: observe}
      \(version == 0 ? "" : "  - {name: helos, count: distinct helos, per: ip, limit: 2 per 1h, then: alert, mode: observe}")
      """
    let read = PolicyReader.read(text, file: "scenario")
    guard let configuration = read.configuration else { throw Broken("\(read.errors)") }
    return configuration.policy
  }

  struct Broken: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }
}
