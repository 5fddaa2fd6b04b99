/// SipHash-1-3 (Aumasson and Bernstein, 2012): the hash of values that are stored, keyed so that nobody outside can choose
/// two that collide. Swift's own hashing is the same, but seeded anew in each process.
public struct HashSeed: Sendable, Equatable {
  public let low: UInt64
  public let high: UInt64
  public init(_ low: UInt64, _ high: UInt64) {
    self.low = low
    self.high = high
  }

  func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var state = State(self)
    var offset = 0
    while offset + 8 <= bytes.count {
      state.take(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
      offset += 8
    }
    var last = UInt64(truncatingIfNeeded: bytes.count) << 56
    for place in offset..<bytes.count { last |= UInt64(bytes[place]) << UInt64(8 * (place - offset)) }
    state.take(last)
    return state.finish()
  }

  private struct State {
    var v0, v1, v2, v3: UInt64

    init(_ seed: HashSeed) {
      v0 = seed.low ^ 0x736f_6d65_7073_6575
      v1 = seed.high ^ 0x646f_7261_6e64_6f6d
      v2 = seed.low ^ 0x6c79_6765_6e65_7261
      v3 = seed.high ^ 0x7465_6462_7974_6573
    }

    mutating func take(_ word: UInt64) {
      v3 ^= word
      round()
      v0 ^= word
    }

    mutating func finish() -> UInt64 {
      v2 ^= 0xff
      for _ in 0..<3 { round() }
      return v0 ^ v1 ^ v2 ^ v3
    }

    private mutating func round() {
      v0 &+= v1
      v1 = v1 << 13 | v1 >> 51
      v1 ^= v0
      v0 = v0 << 32 | v0 >> 32
      v2 &+= v3
      v3 = v3 << 16 | v3 >> 48
      v3 ^= v2
      v0 &+= v3
      v3 = v3 << 21 | v3 >> 43
      v3 ^= v0
      v2 &+= v1
      v1 = v1 << 17 | v1 >> 47
      v1 ^= v2
      v2 = v2 << 32 | v2 >> 32
    }
  }
}
