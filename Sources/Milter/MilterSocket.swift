import CLibmilter
import Glibc

/// Where a milter listens, in libmilter's words: `unix:/path` (or `local:`, or a bare path), `inet:port@host`, `inet6:port@host`.
public struct MilterSocket: Sendable, Hashable, CustomStringConvertible {
  /// A file, or an address and port.
  public enum Place: Sendable, Hashable {
    /// An absolute path of at most 106 bytes.
    case unix(path: String)
    /// IPv4, by name or number.
    case inet(host: String, port: UInt16)
    /// IPv6, by name or number.
    case inet6(host: String, port: UInt16)
  }

  /// What the text names.
  public let place: Place

  /// Why a socket cannot be used.
  public enum Problem: Error, Equatable, CustomStringConvertible {
    /// The text is none of the forms.
    case form(String)
    /// The port is no number from 1 to 65535.
    case port(String)
    /// The path has so many bytes, more than 106.
    case pathLength(Int)
    /// A living process listens there, known where the system tells.
    case inUse(socket: String, holder: SocketHolder?)

    public var description: String {
      switch self {
      case .form(let text): "\"\(text)\" is not a socket; write unix:/path or inet:port@host"
      case .port(let text): "\"\(text)\" is not a port (1 to 65535)"
      case .pathLength(let bytes): "the path is \(bytes) bytes long; a UNIX socket's has at most 106"
      case .inUse(let socket, let holder):
        "\(socket) is in use\(holder.map { " by \($0)" } ?? ""); stop that first, or listen elsewhere"
      }
    }
  }

  /// Reads the form that libmilter has: `unix:/run/x.sock`, `inet:8890@127.0.0.1`.
  public init(_ text: String) throws(Problem) {
    if text.hasPrefix("/") {
      place = .unix(path: text)
    } else {
      let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, !parts[1].isEmpty else { throw .form(text) }
      switch parts[0] {
      case "unix", "local":
        guard parts[1].hasPrefix("/") else { throw .form(text) }
        place = .unix(path: parts[1])
      case "inet", "inet6":
        let ends = parts[1].split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let port = UInt16(ends[0]), port > 0 else { throw .port(ends[0]) }
        guard ends.count == 2, !ends[1].isEmpty else { throw .form(text) }
        place = parts[0] == "inet" ? .inet(host: ends[1], port: port) : .inet6(host: ends[1], port: port)
      default:
        throw .form(text)
      }
    }
    if case .unix(let path) = place, path.utf8.count > UnixSocket.pathBytes {
      throw .pathLength(path.utf8.count)
    }
  }

  /// As libmilter writes it.
  var text: String {
    switch place {
    case .unix(let path): "unix:\(path)"
    case .inet(let host, let port): "inet:\(port)@\(host)"
    case .inet6(let host, let port): "inet6:\(port)@\(host)"
    }
  }

  public var description: String { text }

  /// Makes the way free: removes the socket file of a dead process, throws when a living one listens.
  func claim() throws {
    if case .unix(let path) = place { try UnixSocket(path: path).claim() }
  }

  /// Connects once and leaves, so that libmilter's listener wakes.
  func knock() {
    let family: Int32
    let (host, port): (String, UInt16)
    switch place {
    case .unix(let path):
      _ = UnixSocket(path: path).probe()
      return
    case .inet(let h, let p): (family, host, port) = (AF_INET, h, p)
    case .inet6(let h, let p): (family, host, port) = (AF_INET6, h, p)
    }
    var hints = addrinfo()
    hints.ai_family = family
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, String(port), &hints, &found) == 0, let address = found else { return }
    defer { freeaddrinfo(found) }
    let descriptor = Glibc.socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { Glibc.close(descriptor) }
    _ = Glibc.connect(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen)
  }

  /// Who listens there now, where the system tells.
  var holder: SocketHolder? {
    switch place {
    case .unix(let path): UnixSocket(path: path).holder
    case .inet(_, let port), .inet6(_, let port): SocketHolder.listening(onPort: port)
    }
  }
}
