import Foundation

/// Tells the service manager how the daemon is, as sd_notify(3) does: one datagram a message.
struct Notifier: Sendable {
  /// After how long without a sign of life the manager ends the daemon; nothing where it does not watch.
  let watchdogSeconds: Double?
  private let address: sockaddr_un
  private let addressSize: socklen_t
  /// Open for as long as the process lives.
  private let descriptor: Int32

  /// What systemd hands over beside descriptors; see sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).
  private static let variables = [
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
  ]

  /// Takes what is meant for the daemon out of the environment, where programs that it starts would find it and could
  /// speak for it. Before any thread exists.
  ///
  /// - Returns: nothing where no service manager listens.
  static func fromEnvironment() -> Notifier? {
    let environment = ProcessInfo.processInfo.environment
    for name in variables { unsetenv(name) }
    return Notifier(environment)
  }

  init?(_ environment: [String: String]) {
    guard let place = environment["NOTIFY_SOCKET"], let first = place.utf8.first,
      first == UInt8(ascii: "/") || first == UInt8(ascii: "@")
    else { return nil }
    var path = Array(place.utf8)
    // Linux's abstract names begin with a NUL.
    if first == UInt8(ascii: "@") { path[0] = 0 }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
    self.address = address
    // Of an abstract name each byte counts, so none after its end.
    addressSize = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
    let isOurs = environment["WATCHDOG_PID"].map { $0 == String(getpid()) } ?? true
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    let microseconds = environment["WATCHDOG_USEC"].flatMap { Int64($0) } ?? 0
    watchdogSeconds = isOurs && microseconds > 0 ? Double(microseconds) / 1_000_000 : nil
  }

  /// Sends assignments such as `READY=1`. What does not arrive the manager finds missing by itself.
  func tell(_ assignments: String...) {
    let message = Array(assignments.joined(separator: "\n").utf8)
    withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        // Never waits: a manager that does not read must not keep the daemon from stopping.
        _ = sendto(descriptor, message, message.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT), $0, addressSize)
      }
    }
  }
}
