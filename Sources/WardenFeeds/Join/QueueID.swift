/// A queue id of one host, without its text.
struct QueueID: TableKey {
  private let low: UInt64
  private let high: UInt64
  private let host: UInt32

  /// Sixteen bytes are kept; of a longer one the rest as a hash.
  init?(_ text: Text?, host: UInt32) {
    guard let text, !text.isEmpty else { return nil }
    let bytes = text.bytes
    low = Self.word(bytes, from: 0)
    if bytes.count <= 16 {
      high = Self.word(bytes, from: 8)
    } else {
      var hasher = Hasher()
      hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: bytes[8...]))
      high = UInt64(bitPattern: Int64(hasher.finalize()))
    }
    self.host = host
  }

  private static func word(_ bytes: UnsafeRawBufferPointer, from start: Int) -> UInt64 {
    if bytes.count >= start + 8 { return bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self) }
    var word: UInt64 = 0
    for place in stride(from: bytes.count - 1, through: start, by: -1) { word = word << 8 | UInt64(bytes[place]) }
    return word
  }

  var hash: UInt64 { Mixed.hash(low, high ^ UInt64(host) << 40) }
}

/// A process of one host, by the name that it logs under: its number is given to others when it is gone.
struct ProcessID: TableKey {
  private let bits: UInt64

  init(_ pid: Int, program: UInt32, host: UInt32) {
    bits = UInt64(truncatingIfNeeded: pid) & 0xffff_ffff | UInt64(program & 0xffff) << 32 | UInt64(host & 0xffff) << 48
  }

  var hash: UInt64 { Mixed.hash(bits, 0) }
}

/// A quick hash, another in each process.
enum Mixed {
  private static let seed = UInt64.random(in: 0 ... .max)

  static func hash(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = (a ^ seed).multipliedFullWidth(by: b ^ 0x9e37_79b9_7f4a_7c15)
    return product.high ^ product.low
  }
}
