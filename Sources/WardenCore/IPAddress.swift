import Glibc

/// An IPv4 or IPv6 address. An IPv4 address that is mapped into IPv6 (`::ffff:192.0.2.7`) is the IPv4 address.
public struct IPAddress: Hashable, Sendable {
  // IPv4 lives in its mapped form, so that one comparison serves both.
  let high: UInt64
  let low: UInt64

  private static let mappedPrefix: UInt64 = 0xffff << 32

  public init(v4 address: UInt32) {
    high = 0
    low = Self.mappedPrefix | UInt64(address)
  }

  public init(v6High high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  public var isV4: Bool { high == 0 && low >> 32 == 0xffff }
  public var isLoopback: Bool { isV4 ? (low >> 24) & 0xff == 127 : high == 0 && low == 1 }

  public init?(_ text: some StringProtocol) {
    let text = String(text)
    // inet_pton stops at a NUL.
    guard !text.utf8.contains(0) else { return nil }
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, text, &v4) == 1 {
      self.init(v4: UInt32(bigEndian: v4.s_addr))
    } else if inet_pton(AF_INET6, text, &v6) == 1 {
      let halves = withUnsafeBytes(of: v6) { ($0.load(as: UInt64.self), $0.load(fromByteOffset: 8, as: UInt64.self)) }
      self.init(v6High: UInt64(bigEndian: halves.0), low: UInt64(bigEndian: halves.1))
    } else {
      return nil
    }
  }
}

extension IPAddress: CustomStringConvertible {
  public var description: String {
    var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    if isV4 {
      var v4 = in_addr(s_addr: UInt32(truncatingIfNeeded: low).bigEndian)
      inet_ntop(AF_INET, &v4, &buffer, socklen_t(buffer.count))
    } else {
      var halves = (high.bigEndian, low.bigEndian)
      inet_ntop(AF_INET6, &halves, &buffer, socklen_t(buffer.count))
    }
    return buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }
}

/// A network: an address with all bits beyond the prefix at zero.
public struct Network: Hashable, Sendable {
  public let address: IPAddress
  /// 0…32 for IPv4, 0…128 for IPv6.
  public let prefix: Int

  /// - Precondition: `prefix` fits the address's family.
  public init(of address: IPAddress, prefix: Int) {
    precondition((0...(address.isV4 ? 32 : 128)).contains(prefix))
    self.prefix = prefix
    let bits = address.isV4 ? prefix + 96 : prefix
    let highMask: UInt64 = bits >= 64 ? .max : bits == 0 ? 0 : .max << UInt64(64 - bits)
    let lowMask: UInt64 = bits <= 64 ? 0 : .max << UInt64(128 - bits)
    // Of IPv4 only the last 32 bits are the address; the mapping before them stays.
    self.address =
      address.isV4
      ? IPAddress(v4: UInt32(truncatingIfNeeded: address.low & lowMask))
      : IPAddress(v6High: address.high & highMask, low: address.low & lowMask)
  }

  /// Reads `192.0.2.0/24`, `2001:db8::/32`, or an address alone, which is a network of one.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let address = IPAddress(parts[0]) else { return nil }
    let longest = address.isV4 ? 32 : 128
    if parts.count == 2 {
      guard let prefix = Int(parts[1]), (0...longest).contains(prefix), parts[1].allSatisfy(\.isNumber) else {
        return nil
      }
      self.init(of: address, prefix: prefix)
    } else {
      self.init(of: address, prefix: longest)
    }
  }

  /// Whether the address lies in it; one of the other family never does.
  public func contains(_ other: IPAddress) -> Bool {
    address.isV4 == other.isV4 && Network(of: other, prefix: prefix).address == address
  }
}

extension Network: CustomStringConvertible {
  public var description: String { "\(address)/\(prefix)" }
}
