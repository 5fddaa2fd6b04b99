import Foundation
import WardenCore

/// What clients have written, for people's eyes: nothing in it can move a cursor, turn the direction of writing, or pass
/// for markup.
enum Shown {
  /// Characters that do something rather than show something are written as `\u{1b}`.
  static func text(_ text: String) -> String {
    var shown = ""
    for scalar in text.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned:
        shown += "\\u{\(String(scalar.value, radix: 16))}"
      default: shown.unicodeScalars.append(scalar)
      }
    }
    return shown
  }

  /// For HTML and SVG, as text and between quotes.
  static func markup(_ text: String) -> String {
    var safe = ""
    for scalar in Self.text(text).unicodeScalars {
      switch scalar {
      case "&": safe += "&amp;"
      case "<": safe += "&lt;"
      case ">": safe += "&gt;"
      case "\"": safe += "&quot;"
      case "'": safe += "&#39;"
      default: safe.unicodeScalars.append(scalar)
      }
    }
    return safe
  }

  /// A cell of comma-separated values (RFC 4180), which no spreadsheet takes for a formula.
  static func cell(_ text: String) -> String {
    var safe = Self.text(text)
    if let first = text.unicodeScalars.first, formulas.contains(first) { safe = "'" + safe }
    guard safe.utf8.contains(where: { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "'") })
    else { return safe }
    return "\"\(safe.replacing("\"", with: "\"\""))\""
  }

  private static let formulas = Set("=+-@\t\r\n＝＋－＠".unicodeScalars)
}

extension Key {
  /// `bob`, `192.0.2.7`, `sender a@example.org`: whoever reads it knows users and addresses by sight.
  var nickname: String {
    guard second == nil else { return Shown.text(phrase) }
    return switch first {
    case .user, .ip, .network: Shown.text(first.value)
    default: Shown.text(phrase)
    }
  }
}

extension Int {
  /// `3,912`
  var grouped: String {
    var text = ""
    for (place, digit) in String(magnitude).reversed().enumerated() {
      if place > 0, place.isMultiple(of: 3) { text.append(",") }
      text.append(digit)
    }
    return (self < 0 ? "-" : "") + String(text.reversed())
  }

  /// `1 message`, `26 messages`
  func of(_ noun: String) -> String { "\(grouped) \(noun)\(self == 1 ? "" : "s")" }
}

/// Times as people at the server read them.
struct LocalTimes {
  let zone: TimeZone

  private func shifted(_ time: Timestamp) -> String {
    let date = Date(timeIntervalSince1970: Double(time.microseconds) / 1e6)
    return (time + .seconds(zone.secondsFromGMT(for: date))).rfc3339
  }

  /// `2026-11-03 10:14:05`
  func text(_ time: Timestamp) -> String { String(shifted(time).dropLast().replacing("T", with: " ")) }

  /// `16:02:05` on the same day, else `2026-11-04 16:02:05`
  func second(_ time: Timestamp, after start: Timestamp) -> String {
    let text = self.text(time)
    return text.prefix(10) == self.text(start).prefix(10) ? String(text.suffix(8)) : text
  }

  /// `16:02` on the same day, else `2026-11-04 16:02`
  func minute(_ time: Timestamp, after start: Timestamp) -> String {
    let text = self.text(time).dropLast(3)
    return String(text.prefix(10) == self.text(start).prefix(10) ? text.suffix(5) : text)
  }
}

/// What a backtest has found, for people and for programs.
public struct BacktestReport {
  public let result: BacktestResult
  /// What was looked at: the logs' names.
  public let source: String
  /// What the log could not show, a sentence each.
  public let blindness: [String]
  let times: LocalTimes

  /// - Parameter zone: of the times in what is made for people; JSON and CSV are in UTC.
  public init(_ result: BacktestResult, source: String, blindness: [String], zone: TimeZone) {
    self.result = result
    self.source = source
    self.blindness = blindness
    times = LocalTimes(zone: zone)
  }

  // MARK: - Sentences

  /// `bob would have been blocked at 2026-11-03 10:14:05 by account-cap after 26 messages; it went on to send 3,912 more
  /// until 16:02, 5h48m later`. Where the first trip did less than a later one, each is told with its own figures.
  func sentence(_ incident: Incident) -> String {
    let (first, deed) = (incident.deeds[0], incident.deed)
    var text = "\(incident.key.nickname) would have been "
    if first.at != deed.at {
      text +=
        "\(first.act.verb) at \(times.text(first.at)) by \(first.reason.rule) after \(cause(first, incident)), and "
      text += "\(deed.act.verb) at \(times.second(deed.at, after: first.at))"
    } else {
      text += "\(deed.act.verb) at \(times.text(deed.at))"
    }
    text += " by \(deed.reason.rule) after \(cause(deed, incident))"
    return text + (rest(incident).map { "; \($0)" } ?? "")
  }

  /// What the rule has counted. Where that is no mail, with the mail that had gone out by then.
  private func cause(_ deed: Incident.Deed, _ incident: Incident) -> String {
    let mail = deed.countsAll && deed.before.messages > 0 ? deed.before.messages.of("message") : nil
    guard case .over(let findings) = deed.reason.cause, let first = findings.first else {
      return mail ?? "what its neighbours did"
    }
    if let mail, first.quantity == .measure(.signal(.messages)) { return mail }
    return first.amount + (mail.map { incident.key == Key(.server) ? "" : " and \($0)" } ?? "")
  }

  /// What followed. The whole server's mail goes on in any case.
  private func rest(_ incident: Incident) -> String? {
    if incident.key == Key(.server) { return nil }
    let span = (incident.last - incident.opened).rounded
    let until = "until \(times.minute(incident.last, after: incident.opened)), \(span) later"
    if incident.after.messages > 0 { return "it went on to send \(incident.after.messages.grouped) more \(until)" }
    if incident.refusedOthers > 0 { return "it came back \(incident.refusedOthers.of("time")) \(until)" }
    return incident.more > 0 ? "\(incident.more.grouped) more came \(until)" : "nothing more came of it"
  }

  /// `4 messages to 12 recipients and 2 attempts without a message refused`
  private func refusals(_ sent: Sent, _ others: Int) -> String? {
    let mail = "\(sent.messages.of("message")) to \(sent.recipients.of("recipient"))"
    let attempts = "\(others.of("attempt")) without a message"
    if sent.messages > 0 { return others > 0 ? "\(mail) and \(attempts) refused" : "\(mail) refused" }
    return others > 0 ? "\(attempts) refused" : nil
  }

  /// What would have been refused, and what not.
  func balance(_ incident: Incident) -> String? {
    var parts = refusals(incident.refused, incident.refusedOthers).map { [$0] } ?? []
    if incident.consequence.stops, incident.after.messages > 0, incident.passedAfter.messages > 0 {
      parts.append("\(incident.passedAfter.messages.grouped) of what came after would have passed")
    }
    if incident.refusedBystanders > 0 {
      parts.append("\(incident.refusedBystanders.of("attempt")) of others refused with it")
    }
    if let until = incident.consequence.blockedUntil { parts.append("blocked until \(times.text(until))") }
    if let key = incident.consequence.blockedKey { parts.append("by way of \(key.nickname)") }
    if incident.key.parts.allSatisfy({ $0.kind != .user && $0.kind != .server }), !incident.users.isEmpty {
      let names = incident.users.map(Shown.text).joined(separator: ", ")
      parts.append("logged in there: \(names)\(incident.hasMoreUsers ? ", …" : "")")
    }
    return parts.isEmpty ? nil : parts.joined(separator: "; ")
  }

  /// What was looked at.
  var trafficLine: String {
    let traffic = result.traffic
    guard let first = traffic.first, let last = traffic.last else { return "\(Shown.text(source)): no events" }
    return "\(Shown.text(source)): \(times.text(first)) to \(times.text(last)), \(traffic.events.of("event")), "
      + "\(traffic.sent.messages.of("message")) to \(traffic.sent.recipients.of("recipient")), "
      + "\(traffic.users.of("user"))\(traffic.isUsersLeast ? " or more" : ""), "
      + "\(traffic.addresses.grouped) address\(traffic.addresses == 1 ? "" : "es")"
      + (traffic.isAddressesLeast ? " or more" : "")
  }

  func summary(_ side: BacktestResult.Side) -> String {
    "\(Shown.text(side.name)): \((side.incidents.count + side.droppedIncidents).of("incident")), "
      + (refusals(side.refused, side.refusedOthers) ?? "nothing refused")
  }

  func near(_ near: BacktestResult.Near) -> String {
    let isSize = near.quantity == .measure(.signal(.bytes))
    let amount = isSize ? near.count.size : near.count.grouped
    let allowed = isSize ? near.allowed.size : "\(near.allowed.grouped) \(near.quantity.phrase)"
    return "\(near.key.nickname): \(amount) of \(allowed) in "
      + "\(near.limit.window) (\(Int(near.share * 100))%) by \(near.rule), \(times.text(near.at))"
  }

  /// What was given up for want of memory.
  var losses: [String] {
    var losses: [String] = []
    for side in result.sides {
      let name = Shown.text(side.name)
      if side.droppedKeys > 0 {
        losses.append(
          "\(name): the counts of \(side.droppedKeys.of("key")) were given up for want of memory; give the policy more."
        )
      }
      if side.droppedEpisodes > 0 {
        losses.append("\(name): \(side.droppedEpisodes.of("episode")) were forgotten early for want of room.")
      }
      if side.droppedIncidents > 0 {
        losses.append("\(name): \(side.droppedIncidents.of("incident")) with little mail are not told one by one.")
      }
    }
    if result.droppedHistories > 0 {
      losses.append("What \(result.droppedHistories.of("key")) had sent before was given up for want of memory.")
    }
    return losses
  }

  func fate(_ fate: BacktestResult.Difference.Fate?) -> String {
    guard let fate else { return "nothing" }
    let what = fate.stops ? "stopped" : "noticed"
    let mail = fate.before.messages > 0 ? " after \(fate.before.messages.of("message"))" : ""
    return "\(what) \(times.text(fate.first)) by \(fate.rule)\(mail), "
      + (refusals(fate.refused, fate.refusedOthers) ?? "nothing refused")
  }

  // MARK: - Text

  private static let mostShown = 20

  /// For a terminal.
  public var text: String {
    var lines: [String] = []
    for side in result.sides {
      let who = result.sides.count > 1 ? "\(Shown.text(side.name)): " : ""
      lines.append(
        side.incidents.first.map { who + sentence($0) } ?? "\(who)no rule would have tripped")
    }
    lines += ["", trafficLine] + result.sides.map(summary)
    for side in result.sides { lines += text(of: side) }
    if !result.differences.isEmpty { lines += differenceText }
    lines += Self.section("What this could not show", blindness.map(Shown.text) + losses)
    return lines.joined(separator: "\n") + "\n"
  }

  private static func section(_ title: String, _ items: [String]) -> [String] {
    items.isEmpty ? [] : ["", title] + items.map { "  \($0)" }
  }

  private static func cut(_ items: [String], of count: Int) -> [String] {
    let shown = Array(items.prefix(mostShown))
    return count > shown.count ? shown + ["… and \((count - shown.count).grouped) more"] : shown
  }

  private func text(of side: BacktestResult.Side) -> [String] {
    let name = result.sides.count > 1 ? " (\(Shown.text(side.name)))" : ""
    let incidents = side.incidents.prefix(Self.mostShown).flatMap { incident in
      [sentence(incident)]
        + incident.trips.map { "    \($0.rule), \(times.text($0.at)): \(Shown.text($0.reason.sentence))" }
        + (balance(incident).map { ["    \($0)"] } ?? [])
    }
    let rest = side.incidents.count + side.droppedIncidents - min(side.incidents.count, Self.mostShown)
    var lines = Self.section(
      "What would have happened\(name)", incidents + (rest > 0 ? ["… and \(rest.grouped) more"] : []))
    lines += Self.section(
      "Near a limit without reaching it\(name): look whether they are honest",
      Self.cut(side.near.map(near), of: side.nearCount))
    lines += Self.section("By rule\(name)", byRule(side))
    return lines
  }

  /// Those that did something.
  private func byRule(_ side: BacktestResult.Side) -> [String] {
    let active = side.rules.filter { $0.incidents > 0 || $0.refused.messages > 0 || $0.refusedOthers > 0 }
    let lines = active.map { rule in
      "\(rule.rule) (\(rule.mode.rawValue)): \(rule.incidents.of("incident")), "
        + (refusals(rule.refused, rule.refusedOthers) ?? "nothing refused")
    }
    let idle = side.rules.count - active.count
    return lines + (lines.isEmpty || idle == 0 ? [] : ["\(idle.of("other rule")): nothing"])
  }

  private var differenceText: [String] {
    Self.section(
      "What the two would have done otherwise",
      Self.cut(
        result.differences.map { difference in
          "\(difference.key.nickname): \(Shown.text(result.sides[0].name)): \(fate(difference.first)); "
            + "\(Shown.text(result.sides[1].name)): \(fate(difference.second))"
        }, of: result.differences.count))
  }
}

extension Incident.Act {
  var verb: String {
    switch self {
    case .blocked: "blocked"
    case .rejected: "rejected"
    case .tempfailed: "tempfailed"
    case .held: "held"
    case .delayed: "slowed down"
    case .alerted: "reported"
    case .observed: "noted (mode: observe)"
    case .spared: "noted (the log alone blocks nobody who may be innocent)"
    }
  }
}

extension Reason.Finding {
  /// `6 MTA distress`, `72MB`
  fileprivate var amount: String {
    if quantity == .measure(.signal(.bytes)) { return count.size }
    return "\(count.grouped)\(share == nil ? "" : "%") \(quantity.phrase)"
  }
}
