import Testing

@testable import WardenCore

struct AddressTests {
  @Test(
    "Addresses are written in their shortest form",
    arguments: [
      ("192.0.2.7", "192.0.2.7"), ("0.0.0.0", "0.0.0.0"), ("::", "::"), ("::1", "::1"),
      ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("::ffff:192.0.2.7", "192.0.2.7"), ("::FFFF:c000:207", "192.0.2.7"),
      ("2001:db8::1:0:0:1", "2001:db8::1:0:0:1"),
    ])
  func forms(text: String, written: String) { #expect(IPAddress(text)?.description == written) }

  @Test(
    "What is no address is not read as one",
    arguments: [
      "", " ", "192.0.2", "192.0.2.256", "192.0.2.7.1", "192.0.2.07x", " 192.0.2.7", "192.0.2.7 ", "192.0.2.7/32",
      "::g",
      ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "fe80::1%eth0", "[::1]", "IPv6:::1", "unknown", "192.0.2.7\u{0}junk",
      "192.0.2.7\r\n", "::ffff:192.0.2.999", String(repeating: "1", count: 10_000),
    ])
  func bad(text: String) { #expect(IPAddress(text) == nil) }

  @Test("Any address is read back from what is written, and only equal ones are written alike", arguments: 0..<10)
  func roundTrip(seed: Int) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<200 {
      let address = IPAddress.random(using: &random)
      guard IPAddress(address.description) == address else {
        Issue.record("seed \(seed): \(address)")
        return
      }
    }
  }

  @Test("A network holds an address where their first bits are the same, and only of its own family", arguments: 0..<10)
  func contains(seed: Int) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<300 {
      let address = IPAddress.random(using: &random)
      let bits = address.isV4 ? 32 : 128
      let prefix = Int.random(in: 0...bits, using: &random)
      let network = Network(of: address, prefix: prefix)
      // Another address that differs in one bit, or of the other family.
      let flipped = Int.random(in: 0..<bits, using: &random)
      let other = address.flipping(bit: flipped, of: bits)
      let isSound =
        network.contains(address)
        && network.contains(other) == (flipped >= prefix || other.isV4 != address.isV4 && false)
        && Network(network.description) == network
        && (!network.contains(address.isV4 ? IPAddress(v6High: 0, low: 1) : IPAddress(v4: 1)))
      // A flipped bit can make an IPv6 address an IPv4 one; then the family decides.
      guard isSound || other.isV4 != address.isV4 else {
        Issue.record("seed \(seed): \(network), \(address), \(other)")
        return
      }
    }
  }

  @Test(
    "Networks are read with the bits beyond the prefix taken off",
    arguments: [
      ("192.0.2.7/24", "192.0.2.0/24"), ("192.0.2.7", "192.0.2.7/32"), ("10.1.2.3/0", "0.0.0.0/0"),
      ("2001:db8::1/64", "2001:db8::/64"), ("::1", "::1/128"), ("2001:db8:ffff::/33", "2001:db8:8000::/33"),
      ("::ffff:192.0.2.7/24", "192.0.2.0/24"),
    ])
  func networks(text: String, written: String) { #expect(Network(text)?.description == written) }

  @Test(
    "What is no network is not read as one",
    arguments: [
      "", "/", "/24", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+24", "192.0.2.0/24/8", "192.0.2.0/2 4",
      "::/129", "192.0.2.0/٢٤", "192.0.2/24", "192.0.2.0/99999999999999999999",
    ])
  func badNetworks(text: String) { #expect(Network(text) == nil) }

  @Test(
    "Loopback addresses are known in both families",
    arguments: [
      ("127.0.0.1", true), ("127.255.0.9", true), ("::1", true), ("::ffff:127.0.0.1", true), ("128.0.0.1", false),
      ("::2", false), ("7f00::1", false),
    ])
  func loopback(text: String, isLoopback: Bool) { #expect(ip(text).isLoopback == isLoopback) }
}

extension IPAddress {
  /// Both families, with long runs of zeros now and then.
  static func random(using random: inout SplitMix64) -> IPAddress {
    let (high, low) = (random.next(), random.next())
    switch high % 4 {
    case 0, 1: return IPAddress(v4: UInt32(truncatingIfNeeded: low))
    case 2: return IPAddress(v6High: high, low: low)
    default: return IPAddress(v6High: high & 0xffff_0000_0000_ffff, low: low & 0xffff)
    }
  }

  func flipping(bit: Int, of bits: Int) -> IPAddress {
    if bits == 32 { return IPAddress(v4: UInt32(truncatingIfNeeded: low) ^ (1 << UInt32(31 - bit))) }
    return bit < 64
      ? IPAddress(v6High: high ^ (1 << UInt64(63 - bit)), low: low)
      : IPAddress(v6High: high, low: low ^ (1 << UInt64(127 - bit)))
  }
}
