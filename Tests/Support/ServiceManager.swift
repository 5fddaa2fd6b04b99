import Foundation

/// What systemd is for a service that it starts: a listening socket that it passes, and a place that is told how the
/// service is.
public final class ServiceManager {
  public let folder: TemporaryFolder
  /// The listening socket, at `milter.sock`.
  public let listener: Int32
  /// What the service is to find in its environment.
  public let environment: [String: String]
  private let notifications: Int32

  /// - Parameter isAbstract: whether the place has a name instead of a file.
  public init(watchdogMicroseconds: Int? = nil, isAbstract: Bool = false) throws {
    folder = try TemporaryFolder()
    let name = isAbstract ? "@\(folder.path)" : folder.file("notify")
    listener = try Self.bound(Int32(SOCK_STREAM.rawValue), to: folder.file("milter.sock"))
    listen(listener, 128)
    notifications = try Self.bound(Int32(SOCK_DGRAM.rawValue), to: name)
    var limit = timeval(tv_sec: 15, tv_usec: 0)
    setsockopt(notifications, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var environment = ["NOTIFY_SOCKET": name, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "milter"]
    environment["WATCHDOG_USEC"] = watchdogMicroseconds.map(String.init)
    self.environment = environment
  }

  deinit {
    close(listener)
    close(notifications)
  }

  private static func bound(_ kind: Int32, to name: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, kind | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(name.utf8)
    if name.hasPrefix("@") { bytes[0] = 0 }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let size = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
    let outcome = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
    }
    guard outcome == 0 else {
      throw Shell.Failure(description: "cannot bind to \(name): \(String(cString: strerror(errno)))")
    }
    return descriptor
  }

  /// The next message that it is told, as lines; waits for it.
  public func nextMessage() throws -> [String] {
    var bytes = [UInt8](repeating: 0, count: 4_096)
    let count = recv(notifications, &bytes, bytes.count, 0)
    guard count >= 0 else { throw Shell.Failure(description: "the service manager was told nothing within 15 s") }
    return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// The next message with this assignment.
  @discardableResult
  public func awaitMessage(_ assignment: String) throws -> [String] {
    while true {
      let message = try nextMessage()
      if message.contains(assignment) { return message }
    }
  }

  /// Whether it is told nothing for so long.
  public func hearsNothing(forMilliseconds time: Int32) -> Bool {
    var descriptor = pollfd(fd: notifications, events: Int16(POLLIN), revents: 0)
    return poll(&descriptor, 1, time) == 0
  }
}
