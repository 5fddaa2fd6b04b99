/// Something that reads what others send, and what must hold whatever that is.
struct FuzzTarget: Sendable {
  /// Its corpus and its dictionary are called the same.
  let name: String
  /// Throws what does not hold. Keeps nothing from one input to the next: what fails must fail when it is run alone.
  let check: @Sendable (UnsafeRawBufferPointer) throws -> Void
}

struct Violation: Error, CustomStringConvertible {
  let description: String
}

/// - Parameter problem: what it means that the condition does not hold, with the values that show it.
func require(_ condition: Bool, _ problem: @autoclosure () -> String) throws {
  if !condition { throw Violation(description: problem()) }
}

let fuzzTargets = [
  dovecotTarget, httpTarget, joinerTarget, logTarget, milterTarget, policyTarget, recordingTarget, scriptTarget,
  sessionTarget, textsTarget,
]
