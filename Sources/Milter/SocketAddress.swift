import Glibc

/// An address of any family, to connect to.
struct SocketAddress {
  private var storage = sockaddr_storage()
  private var size = socklen_t(MemoryLayout<sockaddr_storage>.size)

  /// - Parameter fill: writes the address and its size; false where there is none.
  init?(_ fill: (UnsafeMutablePointer<sockaddr>, inout socklen_t) -> Bool) {
    var size = size
    let isFilled = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { fill($0, &size) }
    }
    guard isFilled else { return nil }
    self.size = size
  }

  init(path: String) {
    storage.ss_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &storage) {
      $0[MemoryLayout<sa_family_t>.size...].copyBytes(from: path.utf8.prefix(UnixSocket.pathBytes + 1))
    }
    size = socklen_t(MemoryLayout<sockaddr_un>.size)
  }

  /// Looked up where the host is a name.
  init?(host: String, port: UInt16, family: Int32) {
    var hints = addrinfo()
    hints.ai_family = family
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, String(port), &hints, &found) == 0, let first = found?.pointee else { return nil }
    defer { freeaddrinfo(found) }
    self.init { address, size in
      memcpy(address, first.ai_addr, Int(first.ai_addrlen))
      size = first.ai_addrlen
      return true
    }
  }

  /// A descriptor that is connected to it, or the reason why not.
  ///
  /// - Parameter seconds: how long connecting, each read and each write may take; 0: connecting is not waited for.
  func connect(seconds: Int) -> (descriptor: Int32?, errno: Int32) {
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(Int32(storage.ss_family), seconds == 0 ? kind | Int32(SOCK_NONBLOCK.rawValue) : kind, 0)
    guard descriptor >= 0 else { return (nil, errno) }
    var limit = timeval(tv_sec: seconds, tv_usec: 0)
    for side in [SO_SNDTIMEO, SO_RCVTIMEO] {
      setsockopt(descriptor, SOL_SOCKET, side, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    var storage = storage
    let connected = withUnsafePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, size) }
    }
    guard connected == 0 || seconds == 0 else {
      defer { close(descriptor) }
      return (nil, errno)
    }
    return (descriptor, 0)
  }
}
