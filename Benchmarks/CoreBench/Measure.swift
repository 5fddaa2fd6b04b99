import Foundation

/// Nanoseconds that the work takes.
func nanoseconds(_ work: () -> Void) -> Double {
  var (start, end) = (timespec(), timespec())
  clock_gettime(CLOCK_MONOTONIC, &start)
  work()
  clock_gettime(CLOCK_MONOTONIC, &end)
  return Double(end.tv_sec - start.tv_sec) * 1e9 + Double(end.tv_nsec - start.tv_nsec)
}

/// What the process has in memory, in bytes.
func resident() -> Int {
  let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
  return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(getpagesize())
}

/// The same numbers on every machine.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}

/// A walk over 0..<count that visits each once, in no order that a cache could guess.
func scattered(_ index: Int, of count: Int) -> Int { (index &* 7_368_787 &+ 12_345) % count }

/// Prints at once, also into a file: the large tables take minutes.
func say(_ columns: String...) {
  FileHandle.standardOutput.write(Data((columns.joined(separator: " ") + "\n").utf8))
}

func column(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}

func number(_ value: Double, _ digits: Int = 0) -> String { String(format: "%.\(digits)f", value) }
