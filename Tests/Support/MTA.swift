import Foundation

/// A private, real MTA with a milter socket of choice; one of each kind serves all tests.
public final class MTA: Sendable {
  public enum Kind: String, Sendable, CaseIterable { case postfix, sendmail }

  /// What an MTA of one's own can have beyond what every MTA here has.
  public enum Facility: Sendable {
    /// Postfix: this Dovecot checks the logins.
    case dovecot(Dovecot)
    /// Sendmail: a real saslauthd checks the logins, and tells `authLog` of them.
    case saslauthd
    /// All of 127.0.66.0/24 is on a block list. Postfix refuses such a client's recipients, Sendmail the client.
    case blockList
    /// A milter that comes after ours and refuses what `SpamFilter.mark` is on.
    case spamFilter(SpamFilter)
    /// Sendmail: delivers at once, as Postfix always does.
    case delivery
    /// Postfix: takes a `SteppedClock` with this environment for the wall's clock.
    case clock([String: String])
    /// Postfix: how many seconds it waits for a client's next word.
    case timeLimit(Int)
    /// No milter of ours: nobody need listen in `milterFolder`.
    case noMilter
  }

  public let kind: Kind
  public let port: Int
  /// Of a service that the MTA calls `submission`.
  public let submissionPort: Int
  /// Postfix only: takes XCLIENT.
  public let xclientPort: Int
  /// Where the milter is looked for; `TestDaemon`s take turns there.
  public let milterFolder: TemporaryFolder
  private let folder: TemporaryFolder
  /// What the clock's owner gives to all that is run.
  private let clock: [String: String]

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

  private let script: [String]
  private let facilities: [Facility]

  /// An MTA of one's own, which lives until `stop`.
  /// - Parameter milterFolder: another MTA's, where both are to have the same daemon.
  public init(_ kind: Kind, with facilities: [Facility] = [], milterFolder shared: TemporaryFolder? = nil) throws {
    self.kind = kind
    // A Dovecot must live as long as the MTA that asks it.
    self.facilities = facilities
    folder = try TemporaryFolder()
    milterFolder = try shared ?? TemporaryFolder()
    port = try freePort()
    submissionPort = try freePort()
    xclientPort = kind == .postfix ? try freePort() : 0
    let scripts = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("mta")
    script = [scripts.appendingPathComponent("\(kind.rawValue).sh").path]
    clock = facilities.reduce(into: [:]) { if case .clock(let clock) = $1 { $0 = clock } }
    var milter = "unix:\(milterFolder.file("milter.sock"))"
    var environment = ["SUBMISSION_PORT": "\(submissionPort)"]
    for facility in facilities {
      switch facility {
      case .dovecot(let dovecot): environment["DOVECOT"] = dovecot.path
      case .saslauthd: environment["SASLAUTHD"] = "yes"
      case .blockList:
        // Any loopback address will do for the name server; runs side by side must not meet.
        environment["DNSBL"] = "127.53.\(Int.random(in: 1...254)).\(Int.random(in: 1...254))"
      case .spamFilter(let filter): environment["FILTER"] = filter.socket
      case .delivery: environment["DELIVERY_MODE"] = "background"
      case .clock(let clock):
        // Postfix's daemons are given no variables but those that are named.
        environment["POSTFIX_EXTRA"] =
          "import_environment = MAIL_CONFIG MAIL_LOGTAG POSTLOG_SERVICE POSTLOG_HOSTNAME "
          + clock.keys.joined(separator: " ")
      case .timeLimit(let seconds): environment["POSTFIX_EXTRA"] = "smtpd_timeout = \(seconds)s"
      case .noMilter: milter = ""
      }
    }
    try run(
      ["up", folder.file("mta"), "\(port)"] + (kind == .postfix ? ["\(xclientPort)"] : []) + [milter],
      environment: environment)
  }

  public func stop() { _ = try? run(["down", folder.file("mta")]) }

  /// Hands a message to the MTA's own submission program.
  public func submit(from sender: String, to recipient: String) throws {
    try run(["submit", folder.file("mta"), sender, recipient])
  }

  /// A command of the MTA's administrator: one of Postfix's (`postfix`, `postqueue`, `postsuper`), or the arguments of `sendmail`.
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

  /// The MTA's own log; its lines begin with the time and the host name, as in RFC 3164.
  public var log: String { get throws { try folder.read(logName) } }
  public var logPath: String { folder.file(logName) }
  private var logName: String { kind == .postfix ? "mta/maillog" : "mta/syslog" }

  /// Sendmail: what was told to the auth facility: saslauthd's lines, in the same form.
  public var authLog: String { get throws { try folder.read("mta/auth.log") } }
  public var authLogPath: String { folder.file("mta/auth.log") }

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
    try Shell.check("sh", script + arguments, environment: environment.merging(clock) { $1 })
  }
}
