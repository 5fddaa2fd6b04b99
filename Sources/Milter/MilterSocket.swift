import CLibmilter
import Glibc

/// Where a milter listens, in libmilter's words: `unix:/path` (or `local:`, or a bare path), `inet:port@host`,
/// `inet6:port@host`; `fd:N` for a socket that a service manager passes (Debian's libmilter).
public struct MilterSocket: Sendable, Hashable, CustomStringConvertible {
  /// A file, or an address and port.
  public enum Place: Sendable, Hashable {
    /// An absolute path of at most 106 bytes.
    case unix(path: String)
    /// IPv4, by name or number.
    case inet(host: String, port: UInt16)
    /// IPv6, by name or number.
    case inet6(host: String, port: UInt16)
    /// A listening socket that is open already.
    case passed(descriptor: Int32)
  }

  /// What the text names.
  public let place: Place

  /// Why a socket cannot be used.
  public enum Problem: Error, Equatable, CustomStringConvertible {
    /// The text is none of the forms.
    case form(String)
    /// The port is no number from 1 to 65535.
    case port(String)
    /// The descriptor is no number above 2.
    case descriptor(String)
    /// The path has so many bytes, more than 106.
    case pathLength(Int)
    /// A living process listens there, known where the system tells.
    case inUse(socket: String, holder: SocketHolder?)

    public var description: String {
      switch self {
      case .form(let text): "\"\(text)\" is not a socket; write unix:/path, inet:port@host or fd:3"
      case .port(let text): "\"\(text)\" is not a port (1 to 65535)"
      case .descriptor(let text): "\"\(text)\" is not a descriptor that a service manager passes (3, or higher)"
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
      case "fd":
        // Below are standard input, output and error.
        guard let descriptor = Int32(parts[1]), descriptor > 2 else { throw .descriptor(parts[1]) }
        place = .passed(descriptor: descriptor)
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
    case .passed(let descriptor): "fd:\(descriptor)"
    }
  }

  public var description: String { text }

  /// Makes the way free: removes the socket file of a dead process, throws when a living one listens; of a socket that is
  /// passed it sees whether it was.
  func claim() throws {
    switch place {
    case .unix(let path): try UnixSocket(path: path).claim()
    case .passed(let descriptor): try PassedSocket(descriptor: descriptor).claim()
    case .inet, .inet6: break
    }
  }

  /// Connects once and leaves, so that libmilter's listener wakes.
  func knock() {
    if let descriptor = address?.connect(seconds: 0).descriptor { close(descriptor) }
  }

  /// Where to connect to.
  var address: SocketAddress? {
    switch place {
    case .unix(let path): SocketAddress(path: path)
    case .inet(let host, let port): SocketAddress(host: host, port: port, family: AF_INET)
    case .inet6(let host, let port): SocketAddress(host: host, port: port, family: AF_INET6)
    case .passed(let descriptor): PassedSocket(descriptor: descriptor).address
    }
  }

  /// Who listens there now, where the system tells.
  var holder: SocketHolder? {
    switch place {
    case .unix(let path): UnixSocket(path: path).holder
    case .inet(_, let port), .inet6(_, let port): SocketHolder.listening(onPort: port)
    case .passed: nil
    }
  }
}
