import Foundation
import WardenCore
import WardenScript

/// What scripts need to be played against a running daemon.
extension SessionScript {
  public init(file: URL) throws {
    try self.init(file: file.path, text: String(contentsOf: file, encoding: .utf8))
  }

  /// The policy that stands in the script.
  public var policy: String { if case .text(let text) = policySource { text } else { "" } }
}

extension TestDaemon {
  /// Plays what a script's administrator does.
  func administer(_ action: SessionScript.Action) throws -> SessionOutcome {
    func order(_ arguments: String...) throws -> SessionOutcome {
      let result = try command(arguments)
      if result.status != 0 { throw SessionFault(result.errors) }
      return .goOn
    }
    switch action {
    case .block(let key, let span): return try order("block", key, "--for", "\(span)")
    case .release(let key): return try order("release", key)
    case .allow(let key, let span): return try order("allow", key, "--for", "\(span)")
    case .blocked(let key):
      // The daemon can hear of the end of a session after its client does.
      try eventually("\(key) is blocked") { try blockedKeys.contains(key) }
      return .box(try blockedKeys)
    case .free: return .box(try blockedKeys)
    default: throw SessionFault("a running daemon has the time of the day: no script can set it")
    }
  }
}
