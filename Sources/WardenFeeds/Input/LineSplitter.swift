import Glibc

/// Cuts a stream of bytes into lines, without `\n` and without the `\r` before it.
///
/// A line longer than the bound is handed over up to there. NULs in front of a line are the hole that a truncation
/// leaves when the writer goes on where it was, and are left out; elsewhere they are bytes like others.
struct LineSplitter: ~Copyable {
  static let longestLine = 16 << 10
  /// How much is read at once, in bytes.
  static let blockSize = 256 << 10

  private let longest: Int
  private let memory: UnsafeMutableRawBufferPointer
  /// How much of the unfinished line is in front of the memory: with the `\r` that may end it, at most `longest + 1`.
  private var held = 0
  /// How much of its end was dropped.
  private var dropped = 0

  /// Bytes since the last newline.
  private(set) var unfinished = 0
  private(set) var cutLines = 0

  init(longest: Int = Self.longestLine) {
    self.longest = longest
    memory = .allocate(byteCount: longest + 1 + Self.blockSize, alignment: 16)
  }

  deinit { memory.deallocate() }

  /// Where the next block goes.
  var room: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: memory[held..<held + Self.blockSize])
  }

  /// The last line that ends in the block now in `room`, as far as it was kept.
  func last(_ count: Int) -> UnsafeRawBufferPointer? {
    let bytes = memory[..<(held + count)]
    guard let end = bytes.lastIndex(of: 0x0A), end >= held else { return nil }
    let start = bytes[..<end].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
  }

  /// Hands over the lines that end in the block now in `room`; what is left is kept for the next one.
  mutating func split(_ count: Int, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
    let base = UnsafeRawPointer(memory.baseAddress!)
    let end = base + held + count
    var start = base
    var next = base + held
    while let newline = memchr(next, 0x0A, end - next) {
      let lineEnd = UnsafeRawPointer(newline)
      let (text, isCut) = line(from: start, to: lineEnd)
      if isCut { cutLines += 1 }
      start = lineEnd + 1
      next = start
      unfinished = 0
      dropped = 0
      try body(text)
    }
    unfinished += end - next
    start = Self.skipHole(from: start, to: end)
    let rest = end - start
    held = min(rest, longest + 1)
    dropped += rest - held
    if held > 0, start != base { memmove(memory.baseAddress!, start, held) }
  }

  /// Hands over the last line where nothing ends it.
  mutating func finish(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
    let base = UnsafeRawPointer(memory.baseAddress!)
    let (text, isCut) = line(from: base, to: base + held)
    let hasLine = held > 0
    if isCut { cutLines += 1 }
    reset()
    if hasLine { try body(text) }
  }

  /// Forgets the unfinished line.
  mutating func reset() { (held, dropped, unfinished) = (0, 0, 0) }

  private func line(from start: UnsafeRawPointer, to end: UnsafeRawPointer) -> (UnsafeRawBufferPointer, isCut: Bool) {
    let start = Self.skipHole(from: start, to: end)
    var length = end - start
    if dropped == 0, length > 0, start.load(fromByteOffset: length - 1, as: UInt8.self) == 0x0D { length -= 1 }
    return (UnsafeRawBufferPointer(start: start, count: min(length, longest)), length > longest)
  }

  private static func skipHole(from start: UnsafeRawPointer, to end: UnsafeRawPointer) -> UnsafeRawPointer {
    var start = start
    while start < end, start.load(as: UInt8.self) == 0 { start += 1 }
    return start
  }
}
