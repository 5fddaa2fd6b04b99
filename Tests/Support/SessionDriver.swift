import WardenCore

/// Plays a script's actions at one level and tells what came back.
public protocol SessionDriver: AnyObject {
  /// - Parameter fate: what the MTA makes of the recipient, where no real MTA is there to decide.
  func perform(_ action: SessionScript.Action, fate: SMTPSession.RecipientFate) throws -> SessionOutcome
}

public enum SessionOutcome: Sendable, Equatable {
  case goOn
  case unknownRecipient
  case refused(code: Int, text: String)
  /// The answer to `blocked` and `free`: what is in the box.
  case box([String])
}

extension SessionScript {
  /// Plays the script; what went otherwise than expected, line by line.
  public func run(on driver: any SessionDriver) -> [String] {
    var failures: [String] = []
    for line in lines {
      let place = "\(name):\(line.number): \(line.action)"
      let fate: SMTPSession.RecipientFate =
        line.expectation == .unknownRecipient
        ? .refused(enhancedCode: "5.1.1", text: "User unknown") : .accepted
      do {
        let outcome = try driver.perform(line.action, fate: fate)
        if let failure = Self.compare(outcome, with: line) { failures.append("\(place): \(failure)") }
      } catch {
        failures.append("\(place): \(error)")
        break
      }
    }
    return failures
  }

  private static func compare(_ outcome: SessionOutcome, with line: Line) -> String? {
    switch (outcome, line.expectation, line.action) {
    case (.box(let keys), _, .blocked(let key)): keys.contains(key) ? nil : "\(key) is not blocked; \(keys) are"
    case (.box(let keys), _, .free(let key)): keys.contains(key) ? "\(key) is blocked" : nil
    case (.goOn, .goOn, _), (.unknownRecipient, .unknownRecipient, _): nil
    case (.refused(let code, let text), .refused(let wantedCode, let wantedText), _):
      code == wantedCode && (wantedText.isEmpty || text.contains(wantedText))
        ? nil : "got \(code) \(text), expected \(line.expectation)"
    default: "got \(outcome), expected \(line.expectation)"
    }
  }
}

extension TestDaemon {
  /// Plays what a script's administrator does.
  func administer(_ action: SessionScript.Action) throws -> SessionOutcome {
    switch action {
    case .release(let key):
      let result = try command("release", key)
      if result.status != 0 { throw Shell.Failure(description: result.errors) }
      return .goOn
    case .blocked(let key):
      // The daemon can hear of the end of a session after its client does.
      try eventually("\(key) is blocked") { try blockedKeys.contains(key) }
      return .box(try blockedKeys)
    default:
      return .box(try blockedKeys)
    }
  }
}
