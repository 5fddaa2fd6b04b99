import WardenCore

/// What a watcher wants to see: everything, but for what is said here.
struct WatchFilter: Sendable {
  var key: Key?
  var rule: String?
  /// Decisions and kinds of notices; empty for all.
  var decisions: Set<String> = []
  var wantsPulse = false

  /// Beside the decisions' own.
  private static let kinds = ["blocked", "observed", "alert", "run"]

  init() {}

  /// - Parameter rules: those of the running policy.
  init(
    key: Key?, rule: String?, decisions: String?, pulse: String?, rules: [String]
  ) throws(ErrorReport) {
    self.key = key
    if let rule {
      let known = rules + [Reason.administrator]
      guard known.contains(rule) else {
        throw ErrorReport(error: "there is no rule \"\(rule)\"\(Suggestion.phrase(for: rule, among: known))", .notFound)
      }
      self.rule = rule
    }
    for name in (decisions ?? "").split(separator: ",").map(String.init) {
      let known = Decision.names + Self.kinds
      guard known.contains(name) else {
        throw ErrorReport(
          error: "there is no decision \"\(name)\"\(Suggestion.phrase(for: name, among: known)); "
            + "write \(known.joined(separator: ", "))")
      }
      self.decisions.insert(name)
    }
    switch pulse {
    case nil, "no": break
    case "yes": wantsPulse = true
    case let other?: throw ErrorReport(error: "pulse is yes or no, not \"\(other)\"")
    }
  }

  func takes(_ event: borrowing Event, _ decision: borrowing Decision) -> Bool {
    if isAll { return true }
    if !decisions.isEmpty, !decisions.contains(decision.name),
      !decision.notices.contains(where: { decisions.contains($0.kind.name) })
    {
      return false
    }
    if let rule, decision.reason?.rule != rule, !decision.notices.contains(where: { $0.reason.rule == rule }) {
      return false
    }
    guard let key else { return true }
    return key.parts.allSatisfy { Self.concerns($0, event) } || decision.reason?.key == key
      || decision.notices.contains { $0.reason.key == key }
  }

  private var isAll: Bool { key == nil && rule == nil && decisions.isEmpty }

  func takes(_ action: AdministratorAction) -> Bool {
    rule == nil && decisions.isEmpty && (key == nil || key?.description == action.key)
  }

  private static func concerns(_ part: KeyPart, _ event: Event) -> Bool {
    switch part {
    case .network(let network): event.subject.address.map(network.contains) ?? false
    case .ip(let address): event.subject.address == address
    case .recipient(let address):
      event.subject.recipient?.address == address || event.recipients.contains { $0.address == address }
    case .recipientDomain(let domain):
      event.subject.recipient?.domain == domain || event.recipients.contains { $0.domain == domain }
    default: event.subject.part(part.kind) == part
    }
  }
}
