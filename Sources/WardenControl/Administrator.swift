import Foundation
import Hummingbird
import NIOCore

/// A request on the control socket, with the connection that it came over.
struct ControlContext: AdministratorContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel
  let watcherPlace = Watchers.Place.control

  init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    channel = source.channel
  }

  /// The kernel's `struct ucred`, which glibc hides behind _GNU_SOURCE.
  private struct Credentials: Sendable {
    var pid: Int32 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
  }

  /// SO_PEERCRED, from asm-generic/socket.h.
  private static let peerCredentials: CInt = 17

  /// Who is at the other end, as the kernel says: `root (uid 0)`.
  func administrator() async -> String {
    guard let provider = channel as? any SocketOptionProvider,
      let credentials = try? await provider.unsafeGetSocketOption(
        level: SocketOptionLevel(SOL_SOCKET), name: SocketOptionName(Self.peerCredentials)
      ).get() as Credentials
    else { return "unknown" }
    return Self.name(ofUser: credentials.uid)
  }

  private static func name(ofUser uid: UInt32) -> String {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 4_096)
    guard getpwuid_r(uid, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return "uid \(uid)" }
    return "\(String(cString: entry.pw_name)) (uid \(uid))"
  }
}
