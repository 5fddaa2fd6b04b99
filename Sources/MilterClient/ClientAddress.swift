/// The SMTP client's address as the MTA passes it with the connect stage.
public enum ClientAddress: Sendable, Hashable {
  case ipv4(String, port: UInt16 = 0)
  case ipv6(String, port: UInt16 = 0)
  case unix(String)
  /// No address at all: the filter gets a null sockaddr.
  case unknown

  /// Family letter, port in network order and text; the unknown family has the letter only.
  func append(to bytes: inout [UInt8]) {
    let (family, port, text): (Character, UInt16, String)
    switch self {
    case .ipv4(let address, let number): (family, port, text) = ("4", number, address)
    case .ipv6(let address, let number): (family, port, text) = ("6", number, address)
    case .unix(let path): (family, port, text) = ("L", 0, path)
    case .unknown:
      bytes.append(UInt8(ascii: "U"))
      return
    }
    bytes.append(family.asciiValue!)
    bytes.append(UInt8(port >> 8))
    bytes.append(UInt8(port & 0xff))
    bytes.append(string: text)
  }
}
