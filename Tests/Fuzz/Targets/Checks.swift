@testable import Milter
@testable import WardenCore

/// An engine whose decisions are looked at, whoever asks it.
final class CheckedEngine: Sendable {
  let engine: Engine

  init(_ engine: Engine) { self.engine = engine }

  func decide(_ event: Event) throws -> Decision {
    for signal in Signal.allCases {
      try require(event.happened[signal] >= 0 && event.wants[signal] >= 0, "\(signal) is below nothing in \(event)")
    }
    let blocks = event.canRefuse ? engine.penalties(at: event.at).filter { concerns($0, event) } : []
    let isExempt = isExempt(event)
    let isAllowed = engine.overrides(at: event.at).contains { $0.effect == .exempt }
    let decision = engine.decide(event)
    guard case .refuse(let refusal) = decision.verdict else {
      try require(
        blocks.isEmpty || isExempt || isAllowed,
        "\(event.step) passes, though \(blocks.map(\.key)) is blocked: \(event)")
      return decision
    }
    try require(event.canRefuse, "refused at \(event.step), where nothing can be refused")
    try require(!isExempt, "somebody exempt is refused: \(event)")
    try require(refusal.reason.until > event.at, "refused until a moment that is over: \(refusal)")
    try requireSound(refusal)
    return decision
  }

  /// Penalties that stop the event whatever else is known: no filter spares it.
  private func concerns(_ penalty: Penalty, _ event: Event) -> Bool {
    guard penalty.isAdministrators || penalty.filter.isEmpty && event.step != .login else { return false }
    return penalty.key.parts.allSatisfy { part in
      if case .network(let network) = part { return event.subject.ip.map(network.contains) ?? false }
      return event.subject.part(part.kind) == part
    }
  }

  /// Whether the policy exempts it. A name that somebody only tries exempts nobody.
  private func isExempt(_ event: Event) -> Bool {
    let (exempt, subject) = (engine.policy.exempt, event.subject)
    return subject.address.map { exempt.covers($0) != nil } ?? false
      || event.isAuthenticated && exempt.covers(user: subject.user!, realms: engine.realms)
  }

  /// What must hold of all that was counted and kept.
  func checkState(at now: Timestamp) throws {
    let status = engine.status(at: now)
    try require(
      status.memory <= status.memoryBound, "\(status.memory) bytes are kept, \(status.memoryBound) are allowed")
    try require(status.penalties <= Fixture.bounds.penalties, "\(status.penalties) penalties are kept")
    var cursor: KeyCursor? = KeyCursor()
    while let place = cursor {
      let (standings, next) = engine.keys(from: place, atMost: 100, at: now)
      for standing in standings {
        try require(
          standing.count >= 0 && standing.allowed >= 0 && standing.left >= 0 && standing.share >= 0
            && standing.freeAt >= now, "a count is below nothing, or free in the past: \(standing)")
        // Keys are stored as they are, and asked for by their text.
        try require(
          standing.key.bytes.withUnsafeBytes { Key(bytes: $0) } == standing.key, "\(standing.key) is not kept")
      }
      cursor = next
    }
  }
}

/// What the MTA is given must be a reply that both MTAs pass on.
func requireSound(_ refusal: Refusal) throws {
  let code = refusal.code
  try require(
    (400...599).contains(code.code) && code.enhanced.first == "\(code.code)".first,
    "the codes are of two classes: \(code)")
  try require(
    !refusal.lines.isEmpty && !refusal.lines.contains { $0.contains(where: \.isNewline) }, "lines in lines: \(refusal)")
  try requireSound(SMTPReply(code: code.code, enhancedCode: code.enhanced, lines: refusal.lines).lines)
}

/// - Parameter lines: as they go to libmilter, which wants at most 980 bytes of each with each `%` doubled.
func requireSound(_ lines: [String]) throws {
  try require((1...32).contains(lines.count), "\(lines.count) lines")
  for line in lines {
    try require(line.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "not plain ASCII: \(line.debugDescription)")
    try require(line.replacing("%", with: "%%").utf8.count <= 900, "too long: \(line)")
  }
}
