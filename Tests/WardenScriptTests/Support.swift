import Testing
import WardenCore
import WardenScript

/// A script that must be free of problems.
func script(_ text: String, file: String = "a.session") throws -> SessionScript {
  try SessionScript(file: file, text: text)
}

/// The problems of a script, without the file's name.
func problems(_ text: String) -> [String] {
  do throws(SessionScript.Problems) {
    _ = try SessionScript(file: "a.session", text: text)
    return []
  } catch {
    return error.all.map { "\($0.line): \($0.message)" }
  }
}

func rule(
  _ name: String, _ count: Signal, per: KeyKind = .user, _ limit: Int, then: Consequences, mode: Rule.Mode = .enforce
) -> Rule {
  Rule(
    name: name, count: count, per: KeyShape(per), limits: [Limit(count: limit, window: .hours(1))], then: then,
    mode: mode)
}

/// Answers as it is told, in turn.
final class CannedDriver: SessionDriver {
  private var outcomes: [SessionOutcome]
  private(set) var played: [String] = []

  init(_ outcomes: [SessionOutcome]) { self.outcomes = outcomes }

  func perform(_ line: SessionScript.Line) throws -> SessionOutcome {
    played.append(line.text)
    guard !outcomes.isEmpty else { throw SessionFault("the MTA hung up") }
    return outcomes.removeFirst()
  }
}
