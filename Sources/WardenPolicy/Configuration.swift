import WardenCore

/// The policy file, read and found free of errors.
public struct Configuration: Sendable, Equatable {
  public enum OnFault: String, Sendable, CaseIterable { case accept, tempfail }

  /// A socket's place and who may use it.
  public struct Socket: Sendable, Equatable {
    public var place: String
    /// The group that the file is given to.
    public var group: String?
    /// The file's mode bits.
    public var mode: UInt32

    public init(place: String, group: String? = nil, mode: UInt32 = 0o660) {
      self.place = place
      self.group = group
      self.mode = mode
    }
  }

  /// Where the page is, and who may read it.
  public struct Web: Sendable, Equatable, CustomStringConvertible {
    /// An address, without brackets.
    public var host: String
    public var port: Int
    public var readsWithoutLogin: Bool
    /// What else browsers may call it, in small letters, with a port where one is part of it.
    public var names: [String]

    public init(host: String, port: Int, readsWithoutLogin: Bool = false, names: [String] = []) {
      self.host = host
      self.port = port
      self.readsWithoutLogin = readsWithoutLogin
      self.names = names
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
  }

  /// Where MTAs connect.
  public var milter = Socket(place: "unix:/run/mailwarden/milter.sock")
  /// The path where administrators' tools connect. Always mode 0660: who can connect can release and block.
  public var control = Socket(place: Configuration.defaultControl)
  /// Nothing: there is no page.
  public var web: Web?
  /// The user to become once the sockets are open; nothing stays who it is.
  public var user: String?
  /// What a fault of ours does to mail.
  public var onFault = OnFault.accept
  public var policy = Policy()
  /// What `run NAME` runs: a program's absolute path and its arguments.
  public var commands: [String: [String]] = [:]
  /// The folder where everything survives a restart; nothing: only in memory.
  public var state: String?
  public var history = HistorySettings()
  public var alerts = AlertSettings()
  public var feeds = FeedSettings()
  /// The folder with the policy's tests, as written: relative to the policy file.
  public var tests: String?

  public static let defaultFile = "/etc/mailwarden/mailwarden.yaml"
  public static let defaultControl = "/run/mailwarden/control.sock"

  public init() {}
}

/// One finding in a policy file.
public struct Diagnostic: Sendable, Equatable, Comparable, CustomStringConvertible {
  public enum Severity: String, Sendable { case error, warning }

  public let file: String
  /// From 1; 0 where the file as a whole is meant.
  public let line: Int
  public let column: Int
  public let severity: Severity
  public let message: String

  public init(file: String, line: Int, column: Int, severity: Severity = .error, message: String) {
    self.file = file
    self.line = line
    self.column = column
    self.severity = severity
    self.message = message
  }

  public var description: String {
    let place = line == 0 ? file : "\(file):\(line):\(column)"
    return severity == .error ? "\(place): \(message)" : "\(place): warning: \(message)"
  }

  public static func < (a: Diagnostic, b: Diagnostic) -> Bool { (a.line, a.column) < (b.line, b.column) }
}

/// A policy file as read: what it means, and all that was found in it.
public struct ReadResult: Sendable {
  /// Nothing where there is an error: a policy is used as a whole or not at all.
  public let configuration: Configuration?
  /// In the order of the file; those of included files follow, file by file.
  public let diagnostics: [Diagnostic]
  /// Where the running daemon is asked, as far as the file tells: whoever has just broken it must still find the daemon.
  public let controlSocket: String

  public init(
    configuration: Configuration?, diagnostics: [Diagnostic], controlSocket: String = Configuration.defaultControl
  ) {
    self.configuration = configuration
    self.diagnostics = diagnostics
    self.controlSocket = controlSocket
  }

  public var errors: [Diagnostic] { diagnostics.filter { $0.severity == .error } }
  public var warnings: [Diagnostic] { diagnostics.filter { $0.severity == .warning } }
}
