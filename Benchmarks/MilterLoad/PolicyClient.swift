import Glibc
import MilterClient

/// Postfix's side of its policy delegation protocol, over one connection that is kept.
final class PolicyClient {
  private let descriptor: Int32
  private let timeLimit: Int

  init(_ place: MilterPlace, timeLimit: Int = 30) throws(MilterClientError) {
    guard case .unix(let path) = place else { throw .unreachable("policy servers only at unix:PATH") }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw .unreachable("the path is too long: \(path)")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    self.timeLimit = timeLimit
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    let status = withUnsafeBytes(of: &address) {
      connect(descriptor, $0.assumingMemoryBound(to: sockaddr.self).baseAddress!, socklen_t($0.count))
    }
    guard status == 0 else { throw .unreachable("\(path): \(String(cString: strerror(errno)))") }
    var limit = timeval(tv_sec: timeLimit, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  /// Sends a request and returns the action.
  func ask(_ attributes: [(String, String)]) throws(MilterClientError) -> String {
    var request: [UInt8] = []
    for (name, value) in attributes { request += Array("\(name)=\(value)\n".utf8) }
    request.append(UInt8(ascii: "\n"))
    guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { throw .closed }

    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1024)
    while !answer.suffix(2).elementsEqual("\n\n".utf8) {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count < 0, errno == EAGAIN { throw .timedOut }
      guard count > 0 else { throw .closed }
      answer += buffer.prefix(count)
    }
    let text = String(decoding: answer, as: UTF8.self)
    guard text.hasPrefix("action=") else { throw .malformed(text) }
    return String(text.dropFirst(7).prefix { $0 != "\n" })
  }
}
