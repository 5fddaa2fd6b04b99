/// Where a filter listens.
public enum MilterPlace: Sendable, Hashable, CustomStringConvertible {
  case unix(String)
  case inet(host: String, port: UInt16)

  /// Reads libmilter's notation: `unix:PATH`, `local:PATH`, a bare path, `inet:PORT@HOST`, `inet6:PORT@HOST`.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
    switch (parts.first, parts.count) {
    case ("unix", 2), ("local", 2):
      self = .unix(parts[1])
    case ("inet", 2), ("inet6", 2):
      let ends = parts[1].split(separator: "@", maxSplits: 1).map(String.init)
      guard let port = ends.first.flatMap({ UInt16($0) }) else { return nil }
      self = .inet(host: ends.count == 2 ? ends[1] : "localhost", port: port)
    default:
      guard text.hasPrefix("/") else { return nil }
      self = .unix(text)
    }
  }

  /// libmilter's notation.
  public var description: String {
    switch self {
    case .unix(let path): "unix:\(path)"
    case .inet(let host, let port): "\(host.contains(":") ? "inet6" : "inet"):\(port)@\(host)"
    }
  }
}
