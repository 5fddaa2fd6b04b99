import GRDB
import WardenCore

/// What an operator of a mail server wants to know of a day. Lists are bounded and begin with what matters most; see
/// docs/history.md for the criteria. Times are RFC 3339 in UTC.
public struct DayReport: Codable, Sendable, Equatable {
  public struct Sender: Codable, Sendable, Equatable {
    /// A user, or an address without a login.
    public let key: String
    public let messages: Int
    public let recipients: Int
  }

  public struct NewSender: Codable, Sendable, Equatable {
    public let key: String
    public let messages: Int
    /// The most that it sent on a day of the two weeks before.
    public let most_before: Int
  }

  public struct Stopped: Codable, Sendable, Equatable {
    public let key: String
    public let rule: String
    /// `refused`, `held` or `blocked`: how it began.
    public let kind: String
    public let first: String
    public let reason: String
    /// What is known to have passed on that day before.
    public let messages_before: Int
    /// What was refused or held since.
    public let stopped_since: Int
  }

  public struct Cause: Codable, Sendable, Equatable {
    /// The rule, or the signal of what the MTA refused by itself.
    public let cause: String
    /// `mailwarden` or `mta`.
    public let by: String
    public let count: Int
  }

  public struct Success: Codable, Sendable, Equatable {
    public let key: String
    /// The beginning of the hour.
    public let at: String
    public let failures: Int
    public let logins: Int
    public let messages: Int
  }

  public struct Review: Codable, Sendable, Equatable {
    public let key: String
    public let rule: String
    public let count: Int
    public let first: String
    public let reason: String
    /// The first day of which something is known of the key: `2026-11-06`.
    public let known_since: String
  }

  /// `2026-11-20`
  public let day: String
  public let from: String
  public let to: String
  /// Of the whole server, by signal.
  public let totals: [String: Int]
  public let top_senders: [Sender]
  public let new_high_volume: [NewSender]
  public let stopped: [Stopped]
  public let refused_by_cause: [Cause]
  public let successes_after_failures: [Success]
  public let to_review: [Review]
  public let actions: [ActionReport]
}

extension Store {
  public enum DayProblem: Error, Sendable, CustomStringConvertible {
    case notADay(String)
    case store(StoreProblem)

    public var description: String {
      switch self {
      case .notADay(let text): "\"\(text)\" is not a day; write 2026-11-20, today or yesterday"
      case .store(let problem): problem.description
      }
    }
  }

  /// The report of one day.
  /// - Parameters:
  ///   - day: `2026-11-20`, `today` or `yesterday`. Nothing is yesterday, the latest day that is whole: who lets a timer ask
  ///     each morning gets every day once.
  ///   - now: the wall's clock.
  public func report(day: String? = nil, at now: Timestamp) throws(DayProblem) -> DayReport {
    guard let range = range(of: day ?? "yesterday", at: now) else { throw .notADay(day ?? "") }
    let name = days.name(of: range.lowerBound)
    let days = days
    do {
      return try read("read the history from") { database in
        let query = DayQuery(database: database, range: range, days: days)
        return DayReport(
          day: name, from: Timestamp(seconds: range.lowerBound).rfc3339,
          to: Timestamp(seconds: range.upperBound).rfc3339, totals: try query.totals(),
          top_senders: try query.topSenders(), new_high_volume: try query.newHighVolume(),
          stopped: try query.stopped(), refused_by_cause: try query.causes(),
          successes_after_failures: try query.successesAfterFailures(), to_review: try query.toReview(),
          actions: try HistoryQuery.actions(about: nil, range, DayQuery.most, database).reversed())
      }
    } catch {
      throw .store(error)
    }
  }

  private func range(of day: String, at now: Timestamp) -> Range<Int>? {
    let today = days.start(of: now)
    switch day {
    case "today": return today..<days.start(1, after: today)
    case "yesterday": return days.start(-1, after: today)..<today
    default: return days.range(of: day)
    }
  }
}
