import Glibc

/// A connected stream socket with a time limit on each read and write.
final class Connection {
  private var descriptor: Int32
  private var buffer = [UInt8](repeating: 0, count: 4096)
  /// What has been read and not yet taken.
  private var pending = 0..<0

  init(to place: MilterPlace, timeLimit: Int) throws(MilterClientError) {
    switch place {
    case .unix(let path): descriptor = try Self.openUnix(path)
    case .inet(let host, let port): descriptor = try Self.openInet(host, port)
    }
    var limit = timeval(tv_sec: timeLimit, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
  }

  deinit { close() }

  func close() {
    if descriptor >= 0 { _ = Glibc.close(descriptor) }
    descriptor = -1
  }

  /// Closes for writing alone.
  func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Closes without a word: over TCP with a RST.
  func reset() {
    var now = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  /// The other side has closed and nothing is left to read.
  var isClosedByPeer: Bool {
    guard pending.isEmpty else { return false }
    var byte: UInt8 = 0
    let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
    return count == 0 || count < 0 && errno != EAGAIN && errno != EINTR
  }

  func send(_ bytes: [UInt8]) throws(MilterClientError) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count < 0 { try Self.check(errno) } else { sent += count }
    }
  }

  func receive(_ count: Int) throws(MilterClientError) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
      if pending.isEmpty { try refill() }
      let piece = pending.prefix(count - bytes.count)
      bytes.append(contentsOf: buffer[piece])
      pending = piece.upperBound..<pending.upperBound
    }
    return bytes
  }

  private func refill() throws(MilterClientError) {
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count == 0 { throw .closed }
      if count > 0 {
        pending = 0..<count
        return
      }
      try Self.check(errno)
    }
  }

  /// Returns where the call is to be tried again.
  private static func check(_ code: Int32) throws(MilterClientError) {
    switch code {
    case EINTR: return
    case EAGAIN: throw .timedOut
    default: throw .closed
    }
  }

  private static func openUnix(_ path: String) throws(MilterClientError) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw .unreachable("the path is too long: \(path)")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let descriptor = try open(AF_UNIX)
    let status = withUnsafeBytes(of: &address) {
      connect(descriptor, $0.assumingMemoryBound(to: sockaddr.self).baseAddress!, socklen_t($0.count))
    }
    if status < 0 { throw unreachable(path, closing: descriptor) }
    return descriptor
  }

  private static func openInet(_ host: String, _ port: UInt16) throws(MilterClientError) -> Int32 {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let failure = getaddrinfo(host, String(port), &hints, &found)
    guard failure == 0, let first = found else {
      throw .unreachable("\(host): \(String(cString: gai_strerror(failure)))")
    }
    defer { freeaddrinfo(first) }
    let descriptor = try open(first.pointee.ai_family)
    // Without this, unanswered packets wait for the delayed acknowledgement of the one before (40 ms).
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    if connect(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) < 0 {
      throw unreachable("\(host) port \(port)", closing: descriptor)
    }
    return descriptor
  }

  private static func open(_ family: Int32) throws(MilterClientError) -> Int32 {
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if descriptor < 0 { throw .unreachable("no socket: \(String(cString: strerror(errno)))") }
    return descriptor
  }

  private static func unreachable(_ what: String, closing descriptor: Int32) -> MilterClientError {
    let why = String(cString: strerror(errno))
    _ = Glibc.close(descriptor)
    return .unreachable("\(what): \(why)")
  }
}
