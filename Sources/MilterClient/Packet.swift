/// One packet of the milter protocol: on the wire a length in four bytes (big-endian, the command counted),
/// the command, the payload.
public struct Packet: Sendable, Hashable {
  public var command: UInt8
  public var payload: [UInt8]

  public init(command: UInt8, payload: [UInt8] = []) {
    self.command = command
    self.payload = payload
  }
}

extension [UInt8] {
  mutating func append(number: UInt32) {
    for shift in stride(from: UInt32(24), through: 0, by: -8) { append(UInt8(truncatingIfNeeded: number >> shift)) }
  }

  /// Strings end with a NUL.
  mutating func append(string: String) {
    append(contentsOf: string.utf8)
    append(0)
  }

  /// Appends a packet whose payload `fill` appends.
  mutating func append(packet command: UInt8, _ fill: (inout [UInt8]) -> Void = { _ in }) {
    let start = count
    append(number: 0)
    append(command)
    fill(&self)
    let length = UInt32(count - start - 4)
    for i in 0..<4 { self[start + i] = UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * i)) }
  }
}

/// Takes numbers and strings off the front of a payload.
struct PayloadReader {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { position == bytes.count }

  mutating func number() throws(MilterClientError) -> UInt32 {
    guard bytes.count - position >= 4 else { throw .malformed("a number is cut short") }
    defer { position += 4 }
    return bytes[position..<position + 4].reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// A string up to its NUL; invalid UTF-8 is repaired.
  mutating func string() throws(MilterClientError) -> String {
    guard let end = bytes[position...].firstIndex(of: 0) else { throw .malformed("a string without its NUL") }
    defer { position = end + 1 }
    return String(decoding: bytes[position..<end], as: UTF8.self)
  }

  mutating func strings() throws(MilterClientError) -> [String] {
    var all: [String] = []
    while !isAtEnd { all.append(try string()) }
    return all
  }
}
