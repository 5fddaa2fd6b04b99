import Foundation

/// Runs what waits for a server where it keeps no server from a thread.
public final class OwnThreads: TaskExecutor {
  public init() {}

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    Thread.detachNewThread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}

/// An HTTP client on a socket: what it sends is in the test's hands.
public final class RawHTTPClient {
  public struct Answer {
    public let status: Int
    public let head: String
    public let body: String

    /// A header field's value; of several the first.
    public func field(_ name: String) -> String? {
      head.split(separator: "\r\n").first { $0.lowercased().hasPrefix(name.lowercased() + ":") }.map {
        String($0.dropFirst(name.utf8.count + 1).drop { $0 == " " })
      }
    }
  }
  /// The server has closed the connection.
  public struct Gone: Error {}
  /// Ten seconds went by.
  public struct NoAnswer: Error {}

  private let socket: CInt
  private var received: [UInt8] = []

  public init(_ port: Int) throws {
    socket = Glibc.socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw Gone() }
  }

  deinit { Glibc.close(socket) }

  public static func request(_ method: String, _ target: String, _ body: String, _ field: String? = nil) -> String {
    "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \(body.utf8.count)\r\n"
      + (field.map { "\($0)\r\n" } ?? "") + "\r\n\(body)"
  }

  public func post(_ target: String, _ body: String, _ field: String? = nil) throws -> Answer {
    try send(Self.request("POST", target, body, field))
    return try answer()
  }

  public func get(_ target: String) throws -> Answer {
    try send(Self.request("GET", target, ""))
    return try answer()
  }

  public func send(_ text: String) throws {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
      guard count > 0 else { throw Gone() }
      rest = rest.dropFirst(count)
    }
  }

  public func answer(hasBody: Bool = true) throws -> Answer {
    let mark = Array("\r\n\r\n".utf8)
    var end: Int?
    while true {
      end = end ?? received.indices.first { received[$0...].starts(with: mark) }
      if let end {
        let head = String(decoding: received[..<end], as: UTF8.self)
        let length =
          hasBody ? Answer(status: 0, head: head, body: "").field("Content-Length").flatMap { Int($0) } ?? 0 : 0
        let whole = end + mark.count + length
        if received.count >= whole {
          let body = String(decoding: received[(end + mark.count)..<whole], as: UTF8.self)
          received.removeFirst(whole)
          return Answer(status: Int(head.dropFirst(9).prefix(3)) ?? 0, head: head, body: body)
        }
      }
      guard try receive() else { throw Gone() }
    }
  }

  /// Whether the server ends the connection, whatever it says before.
  public func readsEnd() throws -> Bool {
    while try receive() {}
    return true
  }

  /// Whether the server ends the connection within so many milliseconds.
  public func isOver(within span: CInt) throws -> Bool {
    var place = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    return try poll(&place, 1, span) > 0 && !receive()
  }

  /// - Returns: false at the end.
  private func receive() throws -> Bool {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = recv(socket, &buffer, buffer.count, 0)
    if count < 0, errno == EAGAIN { throw NoAnswer() }
    guard count > 0 else { return false }
    received += buffer[..<count]
    return true
  }
}
