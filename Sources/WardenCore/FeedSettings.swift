/// Who tells the daemon what a milter cannot see.
public struct FeedSettings: Sendable, Equatable {
  /// Where Dovecot asks and tells: its auth policy requests and its event exporter.
  public struct Dovecot: Sendable, Equatable {
    /// An address, not a name.
    public var host: String
    public var port: Int
    /// The path of the file with what requests must bring along; nothing: whoever can connect is believed.
    public var tokenFile: String?

    public init(host: String, port: Int, tokenFile: String? = nil) {
      self.host = host
      self.port = port
      self.tokenFile = tokenFile
    }
  }

  /// A mail log.
  public enum Log: Sendable, Hashable {
    /// A file's absolute path.
    case file(String)
    /// systemd's, or the one in a folder.
    case journal(folder: String?)

    /// As the policy file writes it, and as it is named to people.
    public var name: String {
      switch self {
      case .file(let path): path
      case .journal(nil): "journal"
      case .journal(let folder?): "journal:\(folder)"
      }
    }
  }

  public var dovecot: Dovecot?
  public var logs: [Log]
  /// The zone of lines that name none, as tzdata calls it; nothing: the machine's own.
  public var timeZone: String?

  public init(dovecot: Dovecot? = nil, logs: [Log] = [], timeZone: String? = nil) {
    self.dovecot = dovecot
    self.logs = logs
    self.timeZone = timeZone
  }

  /// Which sources there are beside the milter.
  public var sources: Set<Source> {
    Set((dovecot == nil ? [] : [.dovecot]) + (logs.isEmpty ? [] : [.log]))
  }
}
