import GRDB
import WardenCore

/// Keys as the history knows them: by a number.
struct KeyIDs {
  private var ids: [Key: Int] = [:]
  private let find: RawStatement
  private let insert: RawStatement

  init(_ database: Database) throws {
    find = try RawStatement(database, "SELECT id FROM keys WHERE name = ?")
    insert = try RawStatement(database, "INSERT INTO keys (kind, name) VALUES (?, ?) RETURNING id")
  }

  mutating func id(of key: Key) throws -> Int {
    if let id = ids[key] { return id }
    let name = key.description
    var id: Int?
    find.bind(1, name)
    try find.forEach { id = find.int(0) }
    if id == nil {
      insert.bind(1, key.shape.description)
      insert.bind(2, name)
      try insert.forEach { id = insert.int(0) }
    }
    ids[key] = id!
    return id!
  }

  static func known(_ key: Key, _ database: Database) throws -> Int? {
    let find = try RawStatement(database, "SELECT id FROM keys WHERE name = ?")
    find.bind(1, key.description)
    var id: Int?
    try find.forEach { id = find.int(0) }
    return id
  }
}

/// The stretches of time of which the history keeps counts; the raw value is the nominal length in seconds.
public enum Period: Int, Sendable, CaseIterable {
  case minute = 60
  case hour = 3_600
  /// From midnight to midnight where the server is.
  case day = 86_400

  public var name: String {
    switch self {
    case .minute: "minute"
    case .hour: "hour"
    case .day: "day"
    }
  }

  public init?(name: String) {
    guard let period = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = period
  }

  /// When the stretch began in which the moment lies, in seconds since 1970.
  func start(of moment: Timestamp, _ days: LocalDays) -> Int {
    self == .day ? days.start(of: moment) : moment.seconds / rawValue * rawValue
  }

  /// How far back a question goes that does not say.
  public var usualSpan: TimeSpan {
    switch self {
    case .minute: .hours(1)
    case .hour: .days(1)
    case .day: .days(31)
    }
  }

  /// How many users and addresses beside the notable ones are kept of a stretch that is over, each.
  var busiest: Int {
    switch self {
    case .minute: 50
    case .hour: 200
    case .day: 1_000
    }
  }
}

/// What happened, counted: one row for each key in each minute, hour and day.
enum CountRows {
  /// The columns, in the order of `Activity.Counts.names`.
  static let columns = Activity.Counts.names.map { $0.replacing("-", with: "_") }
  static let isNotable = "refused + held + observed + blocked > 0"

  private static let add = """
    INSERT INTO counts (period, at, key, \(columns.joined(separator: ", ")))
    VALUES (?, ?, ?\(String(repeating: ", ?", count: columns.count)))
    ON CONFLICT (period, at, key) DO UPDATE SET \(columns.map { "\($0) = \($0) + excluded.\($0)" }.joined(separator: ", "))
    """

  static func add(_ slices: [Activity.Slice], _ days: LocalDays, _ keys: inout KeyIDs, _ database: Database) throws {
    let statement = try RawStatement(database, add)
    // What comes late for a stretch that was tidied up has it tidied up again.
    let reopen = try RawStatement(database, "UPDATE pruned SET at = min(at, ?) WHERE period = ?")
    for slice in slices {
      let starts = Period.allCases.map { ($0.rawValue, $0.start(of: slice.minute, days)) }
      for (period, start) in starts {
        reopen.bind(1, start - 1)
        reopen.bind(2, period)
        try reopen.run()
      }
      for (key, counts) in slice.counts {
        let id = try keys.id(of: key)
        let values = counts.values
        for (period, start) in starts {
          statement.bind(1, period)
          statement.bind(2, start)
          statement.bind(3, id)
          for (place, value) in values.enumerated() { statement.bind(Int32(4 + place), value) }
          try statement.run()
        }
      }
    }
  }
}
