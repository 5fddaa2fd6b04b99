import Foundation

/// A plain SMTP client with a source address of choice, for talking to real MTAs.
public final class SMTPClient {
  public struct Reply: Sendable {
    public let code: Int
    public let text: String
  }

  private let descriptor: Int32
  private var buffer: [UInt8] = []
  public private(set) var banner: Reply

  /// Connects and waits for the banner.
  public init(port: Int, from source: String) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    banner = Reply(code: 0, text: "")
    guard Self.call(bind, descriptor, source, 0), Self.call(connect, descriptor, "127.0.0.1", port) else {
      throw Shell.Failure(
        description: "cannot connect from \(source) to port \(port): \(String(cString: strerror(errno)))")
    }
    banner = try receive()
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

  @discardableResult
  public func command(_ line: String) throws -> Reply {
    try sendBytes(line + "\r\n")
    return try receive()
  }

  public func authenticate(_ user: String) throws {
    let token = Data("\0\(user)\0secret-\(user.prefix { $0 != "@" }.lowercased())".utf8).base64EncodedString()
    let reply = try command("AUTH PLAIN \(token)")
    guard reply.code == 235 else { throw Shell.Failure(description: "AUTH as \(user): \(reply)") }
  }

  /// DATA and a message of about so many bytes, with more header lines.
  public func message(bytes: Int, headers: String = "") throws -> Reply {
    let begin = try command("DATA")
    guard begin.code == 354 else { return begin }
    let line = String(repeating: "x", count: 70) + "\r\n"
    let body = String(repeating: line, count: max(1, bytes / line.utf8.count))
    return try command("From: <a@local.test>\r\nSubject: test\r\n\(headers)\r\n\(body).")
  }

  public func sendBytes(_ text: String) throws {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL)) }
      if count <= 0 { throw Shell.Failure(description: "sending failed: \(String(cString: strerror(errno)))") }
      bytes = bytes.dropFirst(count)
    }
  }

  /// Ends the connection without a word.
  public func drop() { shutdown(descriptor, Int32(SHUT_RDWR)) }

  private func receive() throws -> Reply {
    var lines: [String] = []
    while true {
      let line = try receiveLine()
      lines.append(String(line.dropFirst(4)))
      if line.count < 4 || line.dropFirst(3).first != "-" {
        return Reply(code: Int(line.prefix(3)) ?? 0, text: lines.joined(separator: "\n"))
      }
    }
  }

  private func receiveLine() throws -> String {
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
}
