import CLibmilter
import Glibc

/// A UNIX socket's file: who listens behind it, and taking it over when nobody does.
public struct UnixSocket: Sendable {
  /// The longest path, in bytes, that fits into a `sockaddr_un` with its NUL; libmilter wants one byte more.
  public static let pathBytes = 106

  /// Absolute, of at most ``pathBytes`` bytes.
  public let path: String
  /// A socket at that path, whether there is one or not.
  public init(path: String) { self.path = path }

  /// glibc's `struct ucred`, which needs _GNU_SOURCE to be seen.
  private struct PeerCredentials {
    var pid: Int32 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
  }

  /// Who is at the other end.
  public enum Listener: Sendable, Equatable {
    /// No file there, or none that listens.
    case nobody
    /// A living process; which one, where the kernel tells.
    case process(SocketHolder?)
    /// The answer could not be had, for example for want of permission.
    case unknown(errno: Int32)
  }

  /// Looks who listens, by connecting once.
  public func probe() -> Listener {
    // Not to wait where a process has stopped taking connections.
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return .unknown(errno: errno) }
    defer { Glibc.close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(Self.pathBytes + 1)) }
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard connected == 0 else {
      if errno == EAGAIN { return .process(nil) }
      return errno == ENOENT || errno == ECONNREFUSED ? .nobody : .unknown(errno: errno)
    }
    var credentials = PeerCredentials()
    var size = socklen_t(MemoryLayout<PeerCredentials>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 else { return .process(nil) }
    return .process(SocketHolder(pid: credentials.pid))
  }

  /// Who listens there, where the system tells.
  public var holder: SocketHolder? {
    if case .process(let holder) = probe() { holder } else { nil }
  }

  /// Which file it is now, whatever its name; nothing where there is none.
  public var identity: Identity? {
    var status = stat()
    guard lstat(path, &status) == 0 else { return nil }
    return Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }

  /// Which file it is, whatever it is called: a new one at the same path is another.
  public struct Identity: Sendable, Equatable {
    let device: UInt64
    let inode: UInt64
  }

  /// Removes the file if it is still that one: a successor may have put its own there.
  public func remove(ifStill identity: Identity?) {
    if identity != nil, self.identity == identity { unlink(path) }
  }

  /// Removes the file of a socket that nobody listens on any more; throws when somebody does, or when it is another
  /// kind of file.
  public func claim() throws {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw MilterFault.refused("replace \(path): it is there and is not a socket")
    }
    switch probe() {
    case .nobody: unlink(path)
    case .process(let holder): throw MilterSocket.Problem.inUse(socket: path, holder: holder)
    case .unknown(let code):
      throw MilterFault.refused("look who listens on \(path): \(String(cString: strerror(code)))")
    }
  }
}

/// The process behind a listening socket.
public struct SocketHolder: Sendable, Equatable, CustomStringConvertible {
  /// The process id.
  public let pid: Int32
  /// The command's short name.
  public let command: String?

  init(pid: Int32) {
    self.pid = pid
    command = Self.firstLine(of: "/proc/\(pid)/comm")
  }

  public var description: String { "process \(pid)\(command.map { " (\($0))" } ?? "")" }

  /// Looks a TCP port's listener up in `/proc`; nothing where it belongs to somebody else and we are not root.
  static func listening(onPort port: UInt16) -> SocketHolder? {
    let hexPort = String(port, radix: 16, uppercase: true)
    let suffix = ":" + String(repeating: "0", count: 4 - hexPort.count) + hexPort
    var inodes: Set<String> = []
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
      for line in lines(of: table).dropFirst() {
        let fields = line.split(separator: " ")
        // Field 1 is the local address, 3 the state (0A: LISTEN), 9 the inode.
        if fields.count > 9, fields[1].hasSuffix(suffix), fields[3] == "0A" { inodes.insert("socket:[\(fields[9])]") }
      }
    }
    guard !inodes.isEmpty else { return nil }
    for process in entries(of: "/proc") {
      guard let pid = Int32(process) else { continue }
      for descriptor in entries(of: "/proc/\(pid)/fd") {
        var target = [CChar](repeating: 0, count: 128)
        let count = readlink("/proc/\(pid)/fd/\(descriptor)", &target, target.count - 1)
        if count > 0, inodes.contains(String(decoding: target[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)) {
          return SocketHolder(pid: pid)
        }
      }
    }
    return nil
  }

  private static func lines(of path: String) -> [String] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var found: [String] = []
    var buffer = [CChar](repeating: 0, count: 1024)
    while fgets(&buffer, Int32(buffer.count), file) != nil {
      found.append(buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })
    }
    return found
  }

  private static func firstLine(of path: String) -> String? {
    lines(of: path).first.map { String($0.prefix { $0 != "\n" }) }
  }

  private static func entries(of path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var found: [String] = []
    while let entry = readdir(folder) {
      found.append(withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
    }
    return found
  }
}
