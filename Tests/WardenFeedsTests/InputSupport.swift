import Foundation
import Testing
import WardenTestKit

@testable import WardenFeeds

/// Random numbers that come again (Steele, Lea and Flood, 2014).
struct InputDice: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: Int) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
  mutating func chance(_ one: Int) -> Bool { below(one) == 0 }
}

func run(_ arguments: String...) throws {
  try #require(ChildProcess(arguments, output: "/dev/null").wait() == 0, "\(arguments)")
}

extension UnsafeRawBufferPointer {
  var text: String { String(decoding: self, as: UTF8.self) }
}
