import Foundation
import Mustache
import WardenCore

/// A mail's subject or text: Mustache, with the message's JSON fields and a few words more.
public struct AlertTemplate: Sendable {
  private let template: MustacheTemplate

  /// - Throws: `MustacheTemplate.ParserError`
  init(_ text: String) throws {
    // This is no HTML.
    template = try MustacheTemplate(string: "{{% CONTENT_TYPE:TEXT}}\n" + text)
  }

  static let subject = try! AlertTemplate("[mailwarden {{host}}] {{summary}}")

  /// Read at three in the morning: first what happened and what was done, then what is known, then what to type.
  static let body = try! AlertTemplate(
    """
    {{#distress}}
    {{what}}: {{text}} (since {{since}})

    {{/distress}}
    {{#episodes}}
    {{what}}: {{reason}}
      {{done}}
      rule {{rule}}, since {{opened}}, last at {{last_event}}: {{trips}} times over the limit
    {{#sent}}
      {{sent}}
    {{/sent}}
    {{#from}}
      from {{from}}
    {{/from}}
    {{#recipients}}
      to {{recipients}}
    {{/recipients}}

      {{{explain}}}
    {{#release}}
      {{{release}}}
    {{/release}}
    {{#hold}}
      {{{hold}}}
    {{/hold}}

    {{/episodes}}
    {{#more}}
    and {{episodes}} more by rule {{rule}}
    {{/more}}
    {{#has_more}}

      mailwarden counters
      mailwarden penalties

    {{/has_more}}
    --
    mailwarden {{version}} on {{host}}, {{at}}, message {{id}}

    """)

  func render(_ message: AlertMessage) -> String { template.render(Self.values(of: message)) }

  /// What the templates see: every string of it is visible ASCII. The message's sentences are that already.
  private static func values(of message: AlertMessage) -> [String: Any] {
    let json = try? JSONSerialization.jsonObject(with: Data(message.json.utf8))
    var values = visible(json ?? [:]) as? [String: Any] ?? [:]
    let episodes = values["episodes"] as? [[String: Any]] ?? []
    values["episodes"] = zip(episodes, message.episodes).map { values, episode in
      values.merging(words(on: episode)) { $1 }
    }
    let distress = values["distress"] as? [[String: Any]] ?? []
    values["distress"] = zip(distress, message.distress).map { values, trouble in
      values.merging(["what": trouble.news.word, "text": trouble.text]) { $1 }
    }
    values["has_more"] = !message.more.isEmpty
    values["summary"] = message.summary
    return values
  }

  private static func visible(_ value: Any) -> Any {
    switch value {
    case let text as String: Visible.text(text)
    case let list as [Any]: list.map(visible)
    case let fields as [String: Any]: fields.mapValues(visible)
    default: value
    }
  }

  private static func words(on episode: AlertMessage.Told) -> [String: Any] {
    var done: [String] = []
    if episode.refused > 0 { done.append("\(episode.refused) refused") }
    if episode.held > 0 { done.append("\(episode.held) held") }
    if let block = episode.blocked {
      let attempts = block.attempts.map { ", \($0) attempts since" } ?? ""
      done.append("\(Visible.text(block.key)) blocked until \(block.until)\(attempts)")
    }
    if episode.news == .ended { done.append("quiet since \(episode.lastEvent)") }
    var words: [String: Any] = [
      "what": episode.news.word, "reason": episode.reason,
      "done": done.isEmpty ? "nothing was refused" : done.joined(separator: "; "),
      "explain": "mailwarden explain \(Visible.word(episode.key))",
    ]
    if episode.messagesSent > 0 {
      words["sent"] = "\(episode.messagesSent) messages to \(episode.recipientsSent) recipients had passed"
    }
    let from = episode.networks.isEmpty ? episode.ips : episode.networks
    if !from.isEmpty { words["from"] = Visible.text(from.prefix(10).joined(separator: ", ")) }
    if !episode.sampleRecipients.isEmpty {
      words["recipients"] = Visible.text(episode.sampleRecipients.prefix(5).joined(separator: ", "))
    }
    if let block = episode.blocked { words["release"] = "mailwarden release \(Visible.word(block.key))" }
    if !episode.queueIds.isEmpty, episode.news != .ended {
      // On a line of its own each could be, but one line can be pasted.
      words["hold"] = "postsuper -h \(episode.queueIds.prefix(20).map(Visible.word).joined(separator: " -h "))"
    }
    return words
  }

  // MARK: - Checking

  private static let names: Set<String> = [
    "id", "at", "host", "version", "summary", "episodes", "more", "distress", "has_more", "what", "news", "text",
    "kind", "since", "rule", "key", "mode", "reason", "opened", "last_event", "ends", "trips", "refused", "held",
    "count", "limit", "window", "blocked", "until", "attempts", "networks", "ips", "sample_recipients", "queue_ids",
    "messages_sent",
    "recipients_sent", "done", "sent", "from", "recipients", "explain", "release", "hold", ".", "first()", "last()",
  ]

  /// What is wrong with a template, with the line; nothing when it is well.
  public static func problem(in text: String) -> String? {
    do {
      _ = try AlertTemplate(text)
    } catch let error as MustacheTemplate.ParserError {
      // Our own line comes before.
      return "line \(max(1, error.context.lineNumber - 1)): \(words(for: error.error))"
    } catch {
      return "\(error)"
    }
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      var rest = line[...]
      while let open = rest.firstRange(of: "{{") {
        rest = rest[open.upperBound...]
        guard let close = rest.firstRange(of: "}}") else { break }
        let tag = rest[..<close.lowerBound]
        rest = rest[close.upperBound...]
        if let problem = problem(inTag: tag) { return "line \(number + 1): \(problem)" }
      }
    }
    return nil
  }

  private static func problem(inTag tag: Substring) -> String? {
    if tag.hasPrefix("!") { return nil }
    if let mark = tag.first, "<>$=%".contains(mark) {
      return "{{\(mark)...}} is not known here; there are values, {{#sections}} and {{^sections}}"
    }
    let name = String(tag.trimmingPrefix { "#^/&{".contains($0) }).trimmingCharacters(in: .whitespaces)
    if names.contains(name) { return nil }
    return "unknown name {{\(name)}}\(Suggestion.phrase(for: name, among: names.sorted()))"
  }

  private static func words(for error: any Error) -> String {
    switch error as? MustacheTemplate.Error {
    case .sectionCloseNameIncorrect: "this closes another section than the one that is open"
    case .expectedSectionEnd: "a section is never closed"
    // It has read to the end.
    case .unfinishedName, nil: "a \"{{\" is never closed"
    default: "this is not Mustache"
    }
  }
}
