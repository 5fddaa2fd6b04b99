import Glibc
import Testing

@testable import Milter

@Suite("Client addresses as libmilter gives them")
struct PeerAddressTests {
  @Test("No address is no address")
  func null() { #expect(PeerAddress(nil) == nil) }

  @Test("IPv4, with the port in network order")
  func v4() {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("192.0.2.7")
    address.sin_port = UInt16(1234).bigEndian
    #expect(read(&address) == PeerAddress(family: .ipv4, high: 0, low: 0xc000_0207, port: 1234))
  }

  @Test("IPv6")
  func v6() {
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    inet_pton(AF_INET6, "2001:db8::9", &address.sin6_addr)
    #expect(read(&address) == PeerAddress(family: .ipv6, high: 0x2001_0db8_0000_0000, low: 9, port: 0))
  }

  @Test("A family that is not IP is no address")
  func local() {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_UNIX)
    #expect(read(&address) == nil)
  }

  private func read<Address>(_ address: inout Address) -> PeerAddress? {
    withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { PeerAddress($0) } }
  }
}
