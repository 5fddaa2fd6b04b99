import CLibmilter
import Glibc

/// The SMTP client's address.
public struct PeerAddress: Sendable, Hashable {
  /// IPv4 or IPv6; the MTA's other families are no addresses.
  public enum Family: Sendable, Hashable {
    /// Four bytes.
    case ipv4
    /// Sixteen bytes.
    case ipv6
  }
  /// Which of the two it is.
  public let family: Family
  /// IPv6: the 16 bytes in network order as two halves. IPv4: `high` is 0 and `low` holds the 4 bytes.
  public let high: UInt64
  /// The other half; of IPv4 the whole address.
  public let low: UInt64
  /// 0 for a message that Postfix takes from the local `sendmail` program.
  public let port: UInt16

  /// Made of its parts, as they are described.
  public init(family: Family, high: UInt64, low: UInt64, port: UInt16) {
    (self.family, self.high, self.low, self.port) = (family, high, low, port)
  }

  /// Nothing for a NULL pointer and for a family that is not IP: both MTAs can have no address to give.
  init?(_ address: UnsafePointer<sockaddr>?) {
    guard let address else { return nil }
    switch Int32(address.pointee.sa_family) {
    case AF_INET:
      let v4 = UnsafeRawPointer(address).loadUnaligned(as: sockaddr_in.self)
      self.init(
        family: .ipv4, high: 0, low: UInt64(UInt32(bigEndian: v4.sin_addr.s_addr)),
        port: UInt16(bigEndian: v4.sin_port))
    case AF_INET6:
      let v6 = UnsafeRawPointer(address).loadUnaligned(as: sockaddr_in6.self)
      let (high, low) = withUnsafeBytes(of: v6.sin6_addr) {
        ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      }
      self.init(
        family: .ipv6, high: UInt64(bigEndian: high), low: UInt64(bigEndian: low),
        port: UInt16(bigEndian: v6.sin6_port))
    default:
      return nil
    }
  }
}
