import WardenCore

/// What the page may be called. A name that somebody else has pointed at this machine (DNS rebinding) is none of them.
struct WebHosts: Sendable {
  let address: IPAddress?
  let port: Int
  let names: [String]

  init(host: String, port: Int, names: [String]) {
    address = IPAddress(host)
    self.port = port
    self.names = names
  }

  /// - Parameter authority: what `Host` says, such as `localhost:8025`.
  func include(_ authority: String) -> Bool {
    let authority = authority.lowercased()
    if names.contains(authority) { return true }
    guard let (host, port) = Self.parts(of: authority) else { return false }
    // Over a tunnel it is this machine's, at another port.
    if host == "localhost" { return true }
    if let literal = IPAddress(host) { return literal.isLoopback || literal == address && port == self.port }
    return port == self.port && names.contains(host)
  }

  private static func parts(of authority: String) -> (host: String, port: Int)? {
    if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
      let rest = authority[authority.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":"), let port = port(rest.dropFirst()) else { return nil }
      return (String(authority[..<end].dropFirst()), port)
    }
    let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard let host = parts.first, !host.isEmpty, let port = port(parts.count > 1 ? parts[1] : "") else { return nil }
    return (String(host), port)
  }

  private static func port(_ text: Substring) -> Int? {
    if text.isEmpty { return 80 }
    return text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
  }
}
