import Crypto
import Foundation

/// What only one other knows: 256 random bits, as text that headers, cookies and shells leave alone.
enum WebSecret {
  static func make() -> String {
    let bits = SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }
    return bits.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }

  /// All that is kept of a secret. Nobody guesses 256 bits, so a plain hash tells nothing of them.
  struct Digest: Hashable, Sendable {
    private let bytes: [UInt8]

    init(of secret: String) { self.init(of: Array(secret.utf8)) }
    init(of bytes: some Sequence<UInt8>) { self.bytes = Array(SHA256.hash(data: Array(bytes))) }

    init?(hex: String) {
      let digits = Array(hex.utf8)
      guard digits.count == 64 else { return nil }
      var bytes: [UInt8] = []
      for place in stride(from: 0, to: 64, by: 2) {
        guard let byte = UInt8(String(decoding: digits[place..<place + 2], as: UTF8.self), radix: 16) else {
          return nil
        }
        bytes.append(byte)
      }
      self.bytes = bytes
    }

    var hex: String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

    /// Takes as long for any other digest.
    func matches(_ other: Digest) -> Bool {
      zip(bytes, other.bytes).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
  }
}
