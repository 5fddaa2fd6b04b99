import Foundation

/// A `mailwarden run` of its own, with its sockets in a folder of its own.
public final class TestDaemon {
  public let folder: TemporaryFolder
  public enum Log { case file, unreadPipe }

  private let milter: String
  private let control: String
  private let logKind: Log
  private let readyWords: String?
  private let arguments: [String]
  private let environment: [String: String]
  private let passing: Int32?
  private let launcher: [String]
  private var unreadPipe: Int32 = -1
  private var process: ChildProcess?

  public var milterSocket: String { folder.file("milter.sock") }
  public var controlSocket: String { folder.file("control.sock") }
  public var policyFile: String { folder.file("mailwarden.yaml") }
  public var pid: Int32 { process?.pid ?? 0 }
  public var isRunning: Bool { process?.isRunning ?? false }

  /// - Parameters:
  ///   - policy: YAML without `listen:`, which the daemon brings.
  ///   - log: where it goes; a pipe that nobody reads stands for a journal that stands still.
  ///   - arguments: of `mailwarden run`, beside `--config`.
  ///   - environment: beside that of the tests.
  ///   - readyWords: what the log says once it is ready; nothing where the log does not tell.
  ///   - milter, control: how `listen.milter` and `listen.control` are written; `SOCKET` stands for its path.
  ///   - passing: a listening socket that the daemon gets as its descriptor 3, for `milter: fd:3`.
  ///   - launcher: a command that becomes the daemon, such as `prlimit`.
  public init(
    policy: String, folder: TemporaryFolder? = nil, arguments: [String] = [], environment: [String: String] = [:],
    milter: String = #"{socket: "unix:SOCKET", mode: "0666"}"#,
    control: String = "SOCKET", log: Log = .file, readyWords: String? = " ready ", passing: Int32? = nil,
    launcher: [String] = []
  ) throws {
    self.launcher = launcher
    self.environment = environment
    self.passing = passing
    self.folder = try folder ?? TemporaryFolder()
    logKind = log
    self.readyWords = readyWords
    self.arguments = arguments
    self.milter = milter.replacing("SOCKET", with: self.folder.file("milter.sock"))
    self.control = control.replacing("SOCKET", with: self.folder.file("control.sock"))
    try write(policy: policy)
    try start()
  }

  deinit {
    kill()
    if unreadPipe >= 0 { close(unreadPipe) }
  }

  public func write(policy: String) throws {
    try folder.write(
      """
      listen:
        milter: \(milter)
        control: \(control)
      \(policy)
      """, to: "mailwarden.yaml")
  }

  /// Starts it and waits until it is ready.
  public func start() throws {
    if logKind == .unreadPipe {
      mkfifo(folder.file("log"), 0o600)
      unreadPipe = open(folder.file("log"), O_RDWR | O_NONBLOCK | O_CLOEXEC)
    }
    let process = try ChildProcess(
      launcher + [builtProgram("mailwarden"), "run", "--config", policyFile] + arguments, environment: environment,
      output: folder.file("log"), passing: passing)
    self.process = process
    try eventually("the daemon is ready") {
      guard logKind == .file, let readyWords else {
        return try Shell.run("curl", ["-s", "--unix-socket", controlSocket, "http://x/"]).status == 0
      }
      if !process.isRunning { throw Shell.Failure(description: "the daemon ended: \(try self.log)") }
      return try self.log.contains(readyWords)
    }
  }

  public var log: String { get throws { try folder.read("log") } }

  /// The first line of the log with these words, once there is one.
  public func logLine(_ words: String) throws -> String {
    var line: Substring?
    try eventually("the log says \(words)") {
      line = try log.split(separator: "\n").first { $0.contains(words) }
      return line != nil
    }
    return String(line!)
  }

  public func signal(_ number: Int32) { process?.signal(number) }

  /// SIGTERM, and the exit status.
  public func stop() throws -> Int32 {
    signal(SIGTERM)
    return try awaitExit()
  }

  public func awaitExit() throws -> Int32 {
    try eventually("the daemon stops") { !self.isRunning }
    let status = process!.wait()
    if status != 0 { print("the daemon ended with \(status):\n\(try log)") }
    return status
  }

  public func kill() {
    process?.signal(SIGKILL)
    process?.wait()
  }

  // MARK: - Questions, as an administrator asks them

  /// `curl` over the control socket: the answer's JSON.
  public func curl(_ endpoint: String, method: String = "GET", body: String? = nil) throws -> Any {
    var arguments = ["-s", "-S", "-X", method, "--unix-socket", controlSocket, "http://localhost\(endpoint)"]
    if let body { arguments += ["-H", "Content-Type: application/json", "-d", body] }
    return try JSONSerialization.jsonObject(with: Data(Shell.check("curl", arguments).utf8), options: .fragmentsAllowed)
  }

  /// The `mailwarden` command, talking to this daemon.
  public func command(_ arguments: String...) throws -> Shell.Result { try command(arguments) }

  public func command(_ arguments: [String]) throws -> Shell.Result {
    try Shell.run(builtProgram("mailwarden"), arguments + ["--config", policyFile])
  }

  public func status(_ field: String) throws -> Int {
    let status = try curl("/v1/status") as? [String: Any]
    return (status?[field] as? NSNumber)?.intValue ?? -1
  }

  /// The keys in the penalty box.
  public var blockedKeys: [String] {
    get throws { (try curl("/v1/penalties") as? [[String: Any]] ?? []).compactMap { $0["key"] as? String } }
  }

  /// The count of a key under a rule.
  public func count(_ key: String, rule: String) throws -> Int? {
    let escaped = key.addingPercentEncoding(withAllowedCharacters: .alphanumerics)!
    let counters = try curl("/v1/counters?key=\(escaped)") as? [[String: Any]] ?? []
    return (counters.first { $0["rule"] as? String == rule }?["count"] as? NSNumber)?.intValue
  }

  /// Waits until every SMTP session that an MTA has shown is over: an MTA tells of a lost client in its own time.
  public func awaitNoSessions() throws {
    try eventually("all sessions have ended") { try self.status("sessions_open") == 0 }
  }
}
