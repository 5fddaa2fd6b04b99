import Foundation

/// A private, real Dovecot: it checks the logins of IMAP, and of an `MTA` that is given it.
public final class Dovecot: Sendable {
  public let imapPort: Int
  private let folder: TemporaryFolder

  /// - Parameters:
  ///   - policyURL: an auth policy server's; it is asked before each password is looked at, and told of each outcome.
  ///   - token: what it gets as `X-Mailwarden-Token`.
  ///   - eventURL: where each finished login is posted as an event.
  ///   - settings: more lines of `dovecot.conf`.
  public init(
    policyURL: String? = nil, token: String = "", eventURL: String? = nil, settings: String = ""
  ) throws {
    folder = try TemporaryFolder()
    imapPort = try freePort()
    try Self.run(
      ["up", path, "\(imapPort)"],
      environment: [
        "POLICY_URL": policyURL ?? "", "POLICY_TOKEN": token, "EVENT_URL": eventURL ?? "", "DOVECOT_EXTRA": settings,
      ])
  }

  public func stop() { _ = try? Self.run(["down", path]) }

  public var path: String { folder.file("dovecot") }

  /// Its own log; its lines begin with the time, but have no host name.
  public var log: String { get throws { try folder.read("dovecot/dovecot.log") } }
  public var logPath: String { folder.file("dovecot/dovecot.log") }

  @discardableResult
  private static func run(_ arguments: [String], environment: [String: String] = [:]) throws -> String {
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("mta/dovecot.sh")
    return try Shell.check("sh", [script.path] + arguments, environment: environment)
  }
}
