import WardenCore

/// What is asserted: how often it was looked at, how often it did not hold, and the first times that it did not.
///
/// What was never looked at has not held either.
final class Findings<Assertion: CaseIterable & Hashable & RawRepresentable & Sendable>: Sendable
where Assertion.RawValue == String, Assertion.AllCases: Sendable {
  private struct Entry {
    var looks = 0
    var failures = 0
    var examples: [String] = []
  }
  private static var mostExamples: Int { 5 }
  private let entries = Locked<[Assertion: Entry]>([:])

  func check(_ assertion: Assertion, _ holds: Bool, _ evidence: @autoclosure () -> String) {
    entries.withLock { entries in
      entries[assertion, default: Entry()].looks += 1
      guard !holds else { return }
      entries[assertion]!.failures += 1
      guard entries[assertion]!.examples.count < Self.mostExamples else { return }
      entries[assertion]!.examples.append(evidence())
    }
  }

  func check<Value: Equatable>(_ assertion: Assertion, _ what: @autoclosure () -> String, _ found: Value, is due: Value)
  {
    check(assertion, found == due, "\(what()): \(found) instead of \(due)")
  }

  /// Prints a line for each assertion.
  /// - Returns: whether all of them held.
  func report() -> Bool {
    let entries = entries.withLock { $0 }
    var allHold = true
    for assertion in Assertion.allCases {
      let entry = entries[assertion, default: Entry()]
      let holds = entry.looks > 0 && entry.failures == 0
      allHold = allHold && holds
      let word = holds ? "ok    " : "BROKEN"
      say(
        "  \(word)  \(assertion.rawValue) (\(entry.failures == 0 ? "" : "\(entry.failures) of ")\(entry.looks) looks)")
      for example in entry.examples { say("            \(example)") }
    }
    return allHold
  }
}
