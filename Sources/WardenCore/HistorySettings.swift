/// How long the history is kept, and how large the database may grow.
public struct HistorySettings: Sendable, Equatable {
  public var minutes: TimeSpan
  public var hours: TimeSpan
  public var days: TimeSpan
  /// Decisions, penalties and administrators' actions.
  public var decisions: TimeSpan
  /// In bytes. Beyond it the oldest goes before its time, minutes first.
  public var size: Int

  public init(
    minutes: TimeSpan = .days(2), hours: TimeSpan = .days(60), days: TimeSpan = .days(730),
    decisions: TimeSpan = .days(90), size: Int = 2_000_000_000
  ) {
    self.minutes = minutes
    self.hours = hours
    self.days = days
    self.decisions = decisions
    self.size = size
  }
}
