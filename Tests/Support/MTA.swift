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
    var running: [String: MTA] = [:]
  }

  /// The MTA of this kind that serves a suite of tests, started at the first use and stopped when all tests end.
  public static func of(_ kind: Kind, for suite: String = "") throws -> MTA {
    try shared.lock.withLock {
      let name = "\(kind) \(suite)"
      if let mta = shared.running[name] { return mta }
      if shared.running.isEmpty { atexit { MTA.stopAll() } }
      let mta = try MTA(kind)
      shared.running[name] = mta
      return mta
    }
  }

  private static func stopAll() {
    for mta in shared.running.values { mta.stop() }
    shared.running = [:]
  }

  /// A Postfix of one's own that asks a block list about each client: all of 127.0.66.0/24 is on it.
  public static func withBlockList() throws -> MTA {
    // Any loopback address will do for the name server; runs side by side must not meet.
    try MTA(.postfix, nameServer: "127.53.\(Int.random(in: 1...254)).\(Int.random(in: 1...254))")
  }

  private let script: [String]

  private init(_ kind: Kind, nameServer: String? = nil) throws {
    self.kind = kind
    folder = try TemporaryFolder()
    milterFolder = try TemporaryFolder()
    port = try freePort()
    xclientPort = kind == .postfix ? try freePort() : 0
    let scripts = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("mta")
    let own = scripts.appendingPathComponent("\(kind.rawValue).sh").path
    script = nameServer.map { [scripts.appendingPathComponent("dnsbl.sh").path, $0] } ?? [own]
    let socket = "unix:\(milterFolder.file("milter.sock"))"
    try run(["up", folder.file("mta"), "\(port)"] + (kind == .postfix ? ["\(xclientPort)"] : []) + [socket])
  }

  public func stop() { try? run(["down", folder.file("mta")]) }

  /// Hands a message to the MTA's own submission program.
  public func submit(from sender: String, to recipient: String) throws {
    try run(["submit", folder.file("mta"), sender, recipient])
  }

  private func run(_ arguments: [String]) throws { try Shell.check("sh", script + arguments) }
}
