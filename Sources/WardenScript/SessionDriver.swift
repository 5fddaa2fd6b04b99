import WardenCore

/// Plays a script's actions at one level and tells what came back.
public protocol SessionDriver: AnyObject {
  func perform(_ line: SessionScript.Line) throws -> SessionOutcome
}

/// What an action got, as far as the level shows it.
public struct SessionOutcome: Sendable, Equatable {
  public var verdict: SessionScript.Verdict
  /// Why it was refused or held; nothing where that does not show.
  public var reason: Reason?
  /// What somebody should hear of; nothing where that does not show.
  public var notices: [Notice]?
  /// The answer to `blocked` and `free`: the keys in the penalty box.
  public var box: [String]?

  public init(
    _ verdict: SessionScript.Verdict, reason: Reason? = nil, notices: [Notice]? = nil, box: [String]? = nil
  ) {
    self.verdict = verdict
    self.reason = reason
    self.notices = notices
    self.box = box
  }

  public static let goOn = SessionOutcome(.goOn)
  public static func refused(code: Int, text: String) -> SessionOutcome {
    SessionOutcome(.refused(code: code, text: text))
  }
  public static func box(_ keys: [String]) -> SessionOutcome { SessionOutcome(.goOn, box: keys) }
}

/// Why an action cannot be played.
public struct SessionFault: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

extension SessionScript {
  /// An action that got something else than expected.
  public struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
    public let file: String
    /// From 1.
    public let line: Int
    /// As written, and the rounds around it.
    public let action: String
    /// What came and what was expected.
    public let message: String
    /// Why it came, in the words of `Reason`.
    public let reasons: [String]

    public var description: String {
      (["\(file):\(line): \(action): \(message)"] + reasons.map { "    \($0)" }).joined(separator: "\n")
    }
  }

  /// Plays the script on an engine in memory.
  ///
  /// - Parameter policy: reads the policy that the script names.
  public func run(reading policy: (PolicySource) throws -> Policy) throws -> [Failure] {
    guard let policySource else { throw SessionFault("\(file): the script names no policy; write use FILE") }
    return run(on: EngineDriver(policy: try policy(policySource)))
  }

  /// Plays the script; what went otherwise than expected, once a line of the file.
  ///
  /// It ends at the first answer that is another than expected: all that follows would follow from that.
  public func run(on driver: any SessionDriver) -> [Failure] {
    var failures: [Failure] = []
    for line in lines {
      var mismatch: Mismatch?
      do {
        mismatch = Self.compare(try driver.perform(line), with: line)
      } catch {
        mismatch = Mismatch(message: "\(error)", isFinal: true)
      }
      guard let mismatch else { continue }
      if failures.last?.line != line.number {
        let round = line.rounds.isEmpty ? "" : " (round \(line.rounds.map(String.init).joined(separator: ", ")))"
        failures.append(
          Failure(
            file: file, line: line.number, action: line.text + round, message: mismatch.message,
            reasons: mismatch.reasons))
      }
      if mismatch.isFinal { break }
    }
    return failures
  }

  private struct Mismatch {
    let message: String
    var reasons: [String] = []
    var isFinal = false
  }

  private static func compare(_ outcome: SessionOutcome, with line: Line) -> Mismatch? {
    let box = outcome.box ?? []
    switch line.action {
    case .blocked(let key):
      let others = box.isEmpty ? "nobody is" : "\(box.sorted().joined(separator: ", ")) is"
      return box.contains(key) ? nil : Mismatch(message: "\(key) is not blocked; \(others)")
    case .free(let key):
      return box.contains(key) ? Mismatch(message: "\(key) is blocked") : nil
    default: break
    }
    let expected = line.expectation
    let raised = (outcome.notices ?? []).filter { ![.refused, .held, .delayed].contains($0.kind) }
    let reasons =
      (outcome.reason.map { [$0.sentence] } ?? [])
      + raised.map { notice in
        "\(Expectation.Notice(kind: notice.kind, rule: notice.reason.rule)): \(notice.reason.sentence)"
      }
    let isOther = outcome.reason.map { expected.rule != nil && expected.rule != $0.rule } ?? false
    if isOther || !expected.verdict.admits(outcome.verdict) {
      let came = outcome.verdict.described(by: outcome.reason?.rule)
      return Mismatch(
        message: "got \(came), expected \(expected.verdict.described(by: expected.rule))", reasons: reasons,
        isFinal: true)
    }
    guard outcome.notices != nil else { return nil }
    let missing = expected.notices.filter { wanted in
      !raised.contains { $0.kind == wanted.kind && (wanted.rule == nil || wanted.rule == $0.reason.rule) }
    }
    if expected.isQuiet, !raised.isEmpty { return Mismatch(message: "expected quiet, notices came", reasons: reasons) }
    if missing.isEmpty { return nil }
    let names = missing.map(\.description).joined(separator: ", ")
    return Mismatch(
      message: "expected \(names), \(raised.isEmpty ? "no notice came" : "other notices came")", reasons: reasons)
  }
}

extension SessionScript.Verdict {
  /// Whether that is what was expected; an expected text need only be part of what came.
  fileprivate func admits(_ came: SessionScript.Verdict) -> Bool {
    switch (self, came) {
    case (.refused(let code, let text), .refused(let cameCode, let cameText)):
      code == cameCode && (text.isEmpty || cameText.contains(text))
    case (.held(let text), .held(let cameText)): text.isEmpty || cameText.contains(text)
    default: self == came
    }
  }
}

extension SessionScript.Line {
  /// What the MTA makes of the recipient, where no real MTA is there to decide. The words are Postfix's.
  public var fate: SMTPSession.RecipientFate {
    guard case .refusedByMTA(let cause) = expectation.verdict else { return .accepted }
    switch cause {
    case .unknown: return .refused(enhancedCode: "5.1.1", text: "User unknown")
    case .relayDenied: return .refused(enhancedCode: "5.7.1", text: "Relay access denied")
    case .listed:
      return .refused(
        enhancedCode: "5.7.1", text: "unavailable; Client host [192.0.2.1] blocked using dnsbl.test")
    }
  }
}
