@testable import WardenCore
@testable import WardenPolicy
@testable import WardenScript

/// A policy's test: read, or refused with the lines that are wrong; what is read can be played.
let scriptTarget = FuzzTarget(name: "script") { input in
  let text = String(decoding: input, as: UTF8.self)
  let script: SessionScript
  do throws(SessionScript.Problems) {
    script = try SessionScript(file: "any.session", text: text)
  } catch {
    let lines = 1 + text.count(where: \.isNewline)
    try require(!error.all.isEmpty, "refused without a problem")
    for problem in error.all {
      try require((1...lines).contains(problem.line) && !problem.message.isEmpty, "\(problem) is not in the script")
    }
    return
  }
  var earlier = script.lines.first?.at
  for line in script.lines {
    try require(line.at >= earlier!, "line \(line.number) is before the one before it")
    earlier = line.at
  }
  var policy = Fixture.policy
  if case .text(let yaml) = script.policySource {
    guard let read = PolicyReader.read(yaml, file: "any.session").configuration else { return }
    policy = read.policy
  }
  policy.memory = Fixture.policy.memory
  _ = script.problems(under: policy)
  let driver = EngineDriver(policy: policy)
  // A long one takes time and shows nothing new.
  for line in script.lines.prefix(500) {
    // What the script says does not follow, and then nothing more is known.
    guard (try? driver.perform(line)) != nil else { return }
  }
}
