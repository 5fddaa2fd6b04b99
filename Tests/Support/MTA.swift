import Foundation

/// A private, real MTA with a milter socket of choice; one of each kind serves all tests.
public final class MTA: Sendable {
  public enum Kind: String, Sendable, CaseIterable { case postfix, sendmail }

  public let kind: Kind
  public let port: Int
  /// Postfix only: takes XCLIENT.
  public let xclientPort: Int
  /// Where the milter is looked for; `TestDaemon`s take turns there.
  public let milterFolder: TemporaryFolder
  private let folder: TemporaryFolder

  /// Why there is no such MTA here, or nothing.
  public static func missing(_ kind: Kind) -> String? {
    if geteuid() != 0 { return "root is needed to run a private \(kind.rawValue)" }
    return nil
  }

  private static let shared = Shared()

  private final class Shared: @unchecked Sendable {
    let lock = NSLock()
    var running: [Kind: MTA] = [:]
  }

  /// The MTA of this kind, started at the first use and stopped when the tests end.
  public static func of(_ kind: Kind) throws -> MTA {
    try shared.lock.withLock {
      if let mta = shared.running[kind] { return mta }
      if shared.running.isEmpty { atexit { MTA.stopAll() } }
      let mta = try MTA(kind)
      shared.running[kind] = mta
      return mta
    }
  }

  private static func stopAll() {
    for mta in shared.running.values { mta.stop() }
    shared.running = [:]
  }

  private init(_ kind: Kind) throws {
    self.kind = kind
    folder = try TemporaryFolder()
    milterFolder = try TemporaryFolder()
    port = try freePort()
    xclientPort = kind == .postfix ? try freePort() : 0
    let socket = "unix:\(milterFolder.file("milter.sock"))"
    let ports = kind == .postfix ? ["\(port)", "\(xclientPort)"] : ["\(port)"]
    try Shell.check(Self.script(kind), ["up", folder.file("mta")] + ports + [socket])
  }

  private func stop() { _ = try? Shell.run(Self.script(kind), ["down", folder.file("mta")]) }

  private static func script(_ kind: Kind) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("mta/\(kind.rawValue).sh").path
  }

  /// Hands a message to the MTA's own submission program.
  public func submit(from sender: String, to recipient: String) throws {
    try Shell.check(Self.script(kind), ["submit", folder.file("mta"), sender, recipient])
  }
}

