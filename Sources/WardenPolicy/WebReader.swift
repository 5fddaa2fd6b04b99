import WardenCore
import Yams

/// `listen.web`: where the page is, and who may read it.
extension PolicyReader {
  static func readWeb(_ node: Node, _ reader: inout YAMLReader) -> Configuration.Web? {
    let what = PolicyMapping.web.name
    var fields: [String: Node] = ["at": node]
    if node.mapping != nil {
      guard let found = reader.fields(of: node, .web) else { return nil }
      if node["at"] == nil { reader.error("\(what) has no \"at\"", at: node) }
      fields = found
    }
    let isFar = readFlag(fields["beyond-loopback"], "\(what).beyond-loopback", &reader)
    let readsWithoutLogin = readFlag(fields["read-without-login"], "\(what).read-without-login", &reader)
    let names = fields["names"].map { readNames($0, &reader) } ?? []
    guard let (address, port) = reader.addressAndPort(fields["at"], what, example: 8_025) else { return nil }
    if !address.isLoopback, !isFar {
      reader.error(
        "\(address) can be reached from beyond this machine, and the page speaks no TLS; write 127.0.0.1:\(port) and put a"
          + " proxy with TLS before it, or allow it with \"beyond-loopback: true\"", at: fields["at"])
    }
    if address.isUnspecified, names.isEmpty {
      reader.warn(
        "\(address) is no address that a browser asks for: say in \"names\" how this machine is called", at: node)
    }
    return Configuration.Web(host: address.description, port: port, readsWithoutLogin: readsWithoutLogin, names: names)
  }

  /// As browsers send them: in small letters, with the port where it is another than the scheme's.
  private static func readNames(_ node: Node, _ reader: inout YAMLReader) -> [String] {
    reader.oneOrMore(node, "listen.web.names").compactMap { text, place in
      let allowed = "abcdefghijklmnopqrstuvwxyz0123456789-.:[]"
      let name = text.lowercased()
      if name.allSatisfy(allowed.contains) { return name }
      reader.error("\"\(text)\" is not a host's name; write warden.example.org or warden.example.org:8443", at: place)
      return nil
    }
  }
}

extension IPAddress {
  fileprivate var isUnspecified: Bool { ["0.0.0.0", "::"].contains(description) }
}

extension YAMLReader {
  /// No name: a name server must not decide who is listened to.
  mutating func addressAndPort(_ node: Node?, _ what: String, example port: Int) -> (IPAddress, Int)? {
    guard let text = text(node, what) else { return nil }
    if let place = Self.addressAndPort(text) { return place }
    error("\"\(text)\" is not an address and port; write 127.0.0.1:\(port) or [::1]:\(port)", at: node)
    return nil
  }

  private static func addressAndPort(_ text: String) -> (IPAddress, Int)? {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    var host = String(text[..<colon])
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = String(host.dropFirst().dropLast()) }
    guard let address = IPAddress(host), address.isV4 != isBracketed,
      let port = Int(text[text.index(after: colon)...]), (1...65_535).contains(port)
    else { return nil }
    return (address, port)
  }
}
