import Glibc
import Testing

@testable import Milter

@Suite("Milter sockets")
struct MilterSocketTests {
  @Test("The forms of libmilter are read")
  func forms() throws {
    #expect(try MilterSocket("unix:/run/a.sock").place == .unix(path: "/run/a.sock"))
    #expect(try MilterSocket("local:/run/a.sock").place == .unix(path: "/run/a.sock"))
    #expect(try MilterSocket("/run/a.sock").place == .unix(path: "/run/a.sock"))
    #expect(try MilterSocket("inet:8025@127.0.0.1").place == .inet(host: "127.0.0.1", port: 8025))
    #expect(try MilterSocket("fd:3").place == .passed(descriptor: 3))
    #expect(try MilterSocket("inet6:8025@::1").place == .inet6(host: "::1", port: 8025))
  }

  @Test(
    "Anything else is refused with its reason",
    arguments: [
      "", "unix:", "tcp:1@h", "inet:0@h", "inet:70000@h", "inet:25", "inet:25@", "inet:x@h", "relative/path",
      "fd:", "fd:2", "fd:milter",
    ])
  func bad(_ text: String) {
    #expect(throws: MilterSocket.Problem.self) { try MilterSocket(text) }
  }

  @Test("A path that does not fit a socket address is refused")
  func long() {
    #expect(throws: MilterSocket.Problem.pathLength(107)) { try MilterSocket("/" + String(repeating: "a", count: 106)) }
    #expect(throws: Never.self) { try MilterSocket("/" + String(repeating: "a", count: 105)) }
  }

  @Test("A socket file that nobody listens on is replaced; a living one and a plain file are not")
  func claim() throws {
    let path = "/tmp/mw-claim-\(getpid()).sock"
    defer { unlink(path) }
    let descriptor = try listener(at: path)
    guard
      case .inUse(_, let holder)? = #expect(
        throws: MilterSocket.Problem.self,
        performing: {
          try UnixSocket(path: path).claim()
        })
    else { return }
    #expect(holder?.pid == getpid())
    close(descriptor)
    try UnixSocket(path: path).claim()
    #expect(access(path, F_OK) != 0)

    close(open(path, O_CREAT | O_WRONLY, 0o600))
    #expect(throws: MilterFault.self) { try UnixSocket(path: path).claim() }
    #expect(access(path, F_OK) == 0)
  }

  private func listener(at path: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    #expect(bound == 0 && listen(descriptor, 5) == 0)
    return descriptor
  }
}
