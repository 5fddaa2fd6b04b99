import Foundation

/// A TCP connection to a port of 127.0.0.1, from a source address of choice, whose other end speaks in lines.
public final class LineConnection {
  private let descriptor: Int32
  private var buffer: [UInt8] = []

  public init(port: Int, from source: String) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    guard Self.call(bind, descriptor, source, 0), Self.call(connect, descriptor, "127.0.0.1", port) else {
      throw Shell.Failure(
        description: "cannot connect from \(source) to port \(port): \(String(cString: strerror(errno)))")
    }
  }

  deinit { close(descriptor) }

  private static func call(
    _ function: (Int32, UnsafePointer<sockaddr>?, socklen_t) -> Int32, _ descriptor: Int32, _ host: String, _ port: Int
  ) -> Bool {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr(host)
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        function(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }

  public func send(_ text: String) throws { try send(Array(text.utf8)) }

  public func send(_ bytes: [UInt8]) throws {
    var bytes = bytes[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL)) }
      if count <= 0 { throw Shell.Failure(description: "sending failed: \(String(cString: strerror(errno)))") }
      bytes = bytes.dropFirst(count)
    }
  }

  /// Without its end.
  public func receiveLine() throws -> String {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: buffer[..<end], as: UTF8.self)
        buffer.removeFirst(end + 1)
        return line.hasSuffix("\r") ? String(line.dropLast()) : line
      }
      var chunk = [UInt8](repeating: 0, count: 4096)
      let count = recv(descriptor, &chunk, chunk.count, 0)
      guard count > 0 else { throw Shell.Failure(description: "the server closed the connection or said nothing") }
      buffer += chunk[..<count]
    }
  }

  /// Ends the connection without a word.
  public func drop() { shutdown(descriptor, Int32(SHUT_RDWR)) }

  /// Sends no more, and still reads.
  public func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Goes away so that the other end hears nothing of it, not even a FIN; needs root.
  public func vanish() {
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), 19 /* TCP_REPAIR */, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Every line until the other end closes, or says nothing for 20 s.
  public func drain() -> [String] {
    var lines: [String] = []
    while let line = try? receiveLine() { lines.append(line) }
    return lines
  }

  /// Ends the connection with a RST once it is let go.
  public func resetAtEnd() {
    var now = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
  }
}
