import WardenCore

/// What has happened lately, newest first: the same rule on the same key is one line, with how often.
public struct Recent: Sendable {
  public struct Happening: Sendable {
    public let kind: String
    public let rule: String
    public let key: String
    public fileprivate(set) var reason: String
    public fileprivate(set) var at: String
    public fileprivate(set) var times: Int

    var id: String { "\(kind) \(rule) \(key)" }
  }

  /// More than a screen shows.
  static let most = 200

  public private(set) var happenings: [Happening] = []
  public private(set) var skipped = 0

  public init() {}

  public mutating func take(_ record: StreamRecord) {
    switch record {
    case .event(let event):
      for notice in event.notices {
        add(
          Happening(
            kind: notice.kind, rule: notice.rule, key: notice.key, reason: notice.reason, at: event.at, times: 1))
      }
    case .action(let action):
      add(
        Happening(
          kind: action.action, rule: action.who, key: action.key, reason: action.detail, at: action.at, times: 1))
    case .skipped(let more): skipped += more.count
    }
  }

  private mutating func add(_ new: Happening) {
    var new = new
    if let place = happenings.firstIndex(where: { $0.id == new.id }) { new.times += happenings.remove(at: place).times }
    happenings.insert(new, at: 0)
    if happenings.count > Self.most { happenings.removeLast() }
  }
}
