import Foundation

/// A private, real MTA with a milter socket of choice; one of each kind serves all tests.
public final class MTA: Sendable {
  public enum Kind: String, Sendable, CaseIterable { case postfix, sendmail }

  public let kind: Kind
  public let port: Int
  /// Of a service that the MTA calls `submission`.
  public let submissionPort: Int
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
    submissionPort = try freePort()
    xclientPort = kind == .postfix ? try freePort() : 0
    let scripts = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("mta")
    let own = scripts.appendingPathComponent("\(kind.rawValue).sh").path
    script = nameServer.map { [scripts.appendingPathComponent("dnsbl.sh").path, $0] } ?? [own]
    let socket = "unix:\(milterFolder.file("milter.sock"))"
    try run(
      ["up", folder.file("mta"), "\(port)"] + (kind == .postfix ? ["\(xclientPort)"] : []) + [socket],
      environment: ["SUBMISSION_PORT": "\(submissionPort)"])
  }

  public func stop() { _ = try? run(["down", folder.file("mta")]) }

  /// Hands a message to the MTA's own submission program.
  public func submit(from sender: String, to recipient: String) throws {
    try run(["submit", folder.file("mta"), sender, recipient])
  }

  /// A command of the MTA's administrator: Postfix's `postqueue` or `postsuper`, or the arguments of `sendmail`.
  @discardableResult
  public func administer(_ command: String...) throws -> String {
    try run(["admin", folder.file("mta")] + command)
  }

  /// Where it is configured: Postfix's folder, or Sendmail's file.
  public var configuration: String { folder.file(kind == .postfix ? "mta/etc" : "mta/mail/sendmail.cf") }

  /// What `administer` runs, for programs that call the MTA's commands themselves: Sendmail's goes before its arguments.
  public var administration: [String] { ["/bin/sh"] + script + ["admin", folder.file("mta")] }

  /// The MTA's own program that takes a message on its standard input, and its first arguments, for a shell.
  public var submission: String {
    kind == .postfix ? "sendmail -C \(configuration)" : administration.joined(separator: " ")
  }

  /// The MTA's own log.
  public var log: String { get throws { try folder.read(kind == .postfix ? "mta/maillog" : "mta/syslog") } }

  /// The queue id that the MTA's answer to a message names.
  public func queueID(in answer: String) -> String? {
    let words = answer.split(separator: " ").map(String.init)
    return kind == .postfix ? words.last : words.dropFirst().first
  }

  /// Whether the message is in the MTA's quarantine.
  public func isHeld(_ id: String) -> Bool {
    let file = kind == .postfix ? "mta/spool/hold/\(id)" : "mta/mqueue/hf\(id)"
    return FileManager.default.fileExists(atPath: folder.file(file))
  }

  @discardableResult
  private func run(_ arguments: [String], environment: [String: String] = [:]) throws -> String {
    try Shell.check("sh", script + arguments, environment: environment)
  }
}
