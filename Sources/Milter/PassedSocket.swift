import Glibc

/// A listening socket that a service manager opened and passed on (systemd's socket activation). It is the manager's:
/// it is there before us and stays when we end.
struct PassedSocket {
  let descriptor: Int32

  /// Throws unless it listens; keeps it from the programs that the process starts.
  func claim() throws {
    var listens: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0, listens != 0 else {
      throw MilterFault.refused(
        """
        listen on fd:\(descriptor): no listening socket was passed as descriptor \(descriptor); systemd passes one \
        where a socket unit belongs to the service; otherwise listen on unix:/path
        """)
    }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
  }

  /// Gives the socket back while libmilter goes on: puts one in its place that nobody else connects to. From here on
  /// connections wait at the manager's for whoever is started next.
  ///
  /// - Returns: whether that could be done; it takes a descriptor.
  func giveBack() -> Bool {
    // Non-blocking: libmilter may be about to accept what has come to the other.
    let idle = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard idle >= 0 else { return false }
    defer { close(idle) }
    // With its family alone, Linux gives it a name of its own choice (unix(7), "autobind").
    var family = sockaddr(sa_family: sa_family_t(AF_UNIX), sa_data: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    guard bind(idle, &family, socklen_t(MemoryLayout<sa_family_t>.size)) == 0, listen(idle, 1) == 0 else {
      return false
    }
    guard dup2(idle, descriptor) == descriptor else { return false }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    return true
  }

  /// Where it listens.
  var address: SocketAddress? {
    SocketAddress { getsockname(descriptor, $0, &$1) == 0 }
  }
}
