import Foundation
import WardenCore

/// A backtest as JSON. Times are RFC 3339 in UTC.
public struct BacktestDocument: Codable, Sendable, Equatable {
  public struct Traffic: Codable, Sendable, Equatable {
    public let from: String?
    public let to: String?
    public let events: Int
    public let messages: Int
    public let recipients: Int
    /// At least so many, where there is a million.
    public let users: Int
    public let addresses: Int
  }

  public struct Policy: Codable, Sendable, Equatable {
    public let name: String
    public let messages_refused: Int
    public let recipients_refused: Int
    public let others_refused: Int
    public let incidents: [Incident]
    public let incidents_dropped: Int
    public let rules: [Rule]
    public let near: [Near]
    public let near_count: Int
    public let keys_dropped: Int
  }

  public struct Incident: Codable, Sendable, Equatable {
    public let key: String
    public let sentence: String
    public let opened: String
    public let last: String
    public let trips: [Trip]
    /// `blocked`, `refused`, `held`, `delayed`, `alerted`, `observed`, `spared`: all that apply.
    public let consequences: [String]
    public let blocked_until: String?
    public let blocked_key: String?
    public let code: Int?
    /// Up to the first trip: within the rule's window, and within a day.
    public let messages_before: Int
    public let recipients_before: Int
    public let messages_day_before: Int
    public let recipients_day_before: Int
    public let messages_after: Int
    public let recipients_after: Int
    public let messages_refused: Int
    public let recipients_refused: Int
    public let messages_passed_after: Int
    public let others_refused: Int
    public let bystanders_refused: Int
    public let users: [String]
    public let users_is_cut: Bool
    public let hours: [Hour]
  }

  public struct Trip: Codable, Sendable, Equatable {
    public let rule: String
    public let at: String
    public let reason: String
    public let times: Int
  }

  public struct Hour: Codable, Sendable, Equatable {
    public let at: String
    public let passed: Int
    public let refused: Int
  }

  public struct Rule: Codable, Sendable, Equatable {
    public let rule: String
    public let mode: String
    public let incidents: Int
    public let messages_refused: Int
    public let recipients_refused: Int
    public let others_refused: Int
  }

  public struct Near: Codable, Sendable, Equatable {
    public let key: String
    public let rule: String
    public let count: Int
    public let limit: Int
    public let measure: String
    public let window: String
    public let at: String
  }

  public struct Difference: Codable, Sendable, Equatable {
    public struct Fate: Codable, Sendable, Equatable {
      public let policy: String
      public let first: String
      public let rule: String
      public let stops: Bool
      public let messages_before: Int
      public let messages_refused: Int
      public let others_refused: Int
    }
    public let key: String
    /// One for each policy that has anything against the key.
    public let fates: [Fate]
  }

  public let format: Int
  public let source: String
  public let traffic: Traffic
  public let policies: [Policy]
  public let differences: [Difference]
  /// What the log could not show.
  public let not_shown: [String]
}

extension BacktestReport {
  public var document: BacktestDocument {
    BacktestDocument(
      format: 1, source: source,
      traffic: BacktestDocument.Traffic(
        from: result.traffic.first?.rfc3339, to: result.traffic.last?.rfc3339, events: result.traffic.events,
        messages: result.traffic.sent.messages, recipients: result.traffic.sent.recipients,
        users: result.traffic.users, addresses: result.traffic.addresses),
      policies: result.sides.map(policy),
      differences: result.differences.map { difference in
        BacktestDocument.Difference(
          key: difference.key.description,
          fates: zip(result.sides, [difference.first, difference.second]).compactMap { side, fate in
            fate.map {
              BacktestDocument.Difference.Fate(
                policy: side.name, first: $0.first.rfc3339, rule: $0.rule, stops: $0.stops,
                messages_before: $0.before.messages, messages_refused: $0.refused.messages,
                others_refused: $0.refusedOthers)
            }
          })
      },
      not_shown: blindness + losses)
  }

  private func policy(_ side: BacktestResult.Side) -> BacktestDocument.Policy {
    BacktestDocument.Policy(
      name: side.name, messages_refused: side.refused.messages, recipients_refused: side.refused.recipients,
      others_refused: side.refusedOthers, incidents: side.incidents.map(incident),
      incidents_dropped: side.droppedIncidents,
      rules: side.rules.map {
        BacktestDocument.Rule(
          rule: $0.rule, mode: $0.mode.rawValue, incidents: $0.incidents, messages_refused: $0.refused.messages,
          recipients_refused: $0.refused.recipients, others_refused: $0.refusedOthers)
      },
      near: side.near.map {
        BacktestDocument.Near(
          key: $0.key.description, rule: $0.rule, count: $0.count, limit: $0.allowed, measure: $0.quantity.name,
          window: $0.limit.window.description, at: $0.at.rfc3339)
      },
      near_count: side.nearCount, keys_dropped: side.droppedKeys)
  }

  private func incident(_ incident: Incident) -> BacktestDocument.Incident {
    BacktestDocument.Incident(
      key: incident.key.description, sentence: sentence(incident), opened: incident.opened.rfc3339,
      last: incident.last.rfc3339,
      trips: incident.trips.map {
        BacktestDocument.Trip(rule: $0.rule, at: $0.at.rfc3339, reason: $0.reason.sentence, times: $0.times)
      },
      consequences: incident.consequence.names, blocked_until: incident.consequence.blockedUntil?.rfc3339,
      blocked_key: incident.consequence.blockedKey?.description, code: incident.consequence.refusal,
      messages_before: incident.before.messages, recipients_before: incident.before.recipients,
      messages_day_before: incident.beforeInDay.messages, recipients_day_before: incident.beforeInDay.recipients,
      messages_after: incident.after.messages, recipients_after: incident.after.recipients,
      messages_refused: incident.refused.messages, recipients_refused: incident.refused.recipients,
      messages_passed_after: incident.passedAfter.messages, others_refused: incident.refusedOthers,
      bystanders_refused: incident.refusedBystanders, users: incident.users, users_is_cut: incident.hasMoreUsers,
      hours: incident.hours.map {
        BacktestDocument.Hour(at: $0.start.rfc3339, passed: $0.passed, refused: $0.refused)
      })
  }

  public var json: String { JSONText.pretty(document) }

  // MARK: - CSV

  private static let columns = [
    "policy", "key", "opened", "last", "rules", "consequences", "blocked_until", "messages_before", "recipients_before",
    "messages_after", "recipients_after", "messages_refused", "recipients_refused", "messages_passed_after",
    "others_refused", "bystanders_refused", "users", "reason",
  ]

  /// A row for each incident, and one for each sentence about what the log could not show.
  public var csv: String {
    var rows = [Self.columns]
    for policy in document.policies {
      for incident in policy.incidents {
        let counts = [
          incident.messages_before, incident.recipients_before, incident.messages_after, incident.recipients_after,
          incident.messages_refused, incident.recipients_refused, incident.messages_passed_after,
          incident.others_refused, incident.bystanders_refused,
        ]
        rows.append(
          [
            policy.name, incident.key, incident.opened, incident.last,
            incident.trips.map(\.rule).joined(separator: " "),
            incident.consequences.joined(separator: " "), incident.blocked_until ?? "",
          ] + counts.map(String.init) + [incident.users.joined(separator: " "), incident.trips[0].reason])
      }
    }
    // In the columns of rules and reasons.
    rows += (blindness + losses).map { sentence in
      Self.columns.map { $0 == "rules" ? "not shown" : $0 == "reason" ? sentence : "" }
    }
    return rows.map { $0.map(Shown.cell).joined(separator: ",") + "\r\n" }.joined()
  }
}

extension Incident.Consequence {
  var names: [String] {
    [
      ("blocked", blockedUntil != nil), ("refused", refusal != nil), ("held", isHeld), ("delayed", isDelayed),
      ("alerted", isAlerted), ("observed", isObserved), ("spared", isSpared),
    ].filter(\.1).map(\.0)
  }
}

enum JSONText {
  /// What is written holds strings, finite numbers and flags: there is nothing that could fail.
  static func pretty(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
    return String(decoding: try! encoder.encode(value), as: UTF8.self) + "\n"
  }
}
