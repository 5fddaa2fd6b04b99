import Foundation
import Testing

@testable import WardenFeeds

@Suite("Lines of a stream")
struct InputSplitterTests {
  /// What is to come of the bytes, told without blocks.
  private func oracle(_ bytes: [UInt8], longest: Int) -> (lines: [[UInt8]], cut: Int) {
    var pieces = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map { Array($0.drop { $0 == 0 }) }
    if pieces.last == [] { pieces.removeLast() }
    let lines = pieces.map { $0.last == 0x0D ? Array($0.dropLast()) : $0 }
    return (lines.map { Array($0.prefix(longest)) }, lines.count { $0.count > longest })
  }

  private func split(_ bytes: [UInt8], longest: Int, blocks: () -> Int) -> (lines: [[UInt8]], cut: Int, left: [Int]) {
    var splitter = LineSplitter(longest: longest)
    var lines: [[UInt8]] = []
    var left: [Int] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      let block = rest.prefix(blocks())
      rest = rest.dropFirst(block.count)
      block.withUnsafeBytes { splitter.room.copyMemory(from: $0) }
      splitter.split(block.count) { lines.append(Array($0)) }
      left.append(splitter.unfinished)
    }
    splitter.finish { lines.append(Array($0)) }
    return (lines, splitter.cutLines, left)
  }

  @Test("Wherever blocks end, the lines are the same", arguments: 0..<400)
  func blocks(seed: Int) {
    var dice = InputDice(seed)
    let longest = 1 + dice.below(12)
    let alphabet: [UInt8] = [0x0A, 0x0D, 0x00, 0x61, 0x62, 0x63]
    let bytes = (0..<dice.below(200)).map { _ in alphabet[min(dice.below(9), 5)] }
    let expected = oracle(bytes, longest: longest)
    let most = 1 + dice.below(30)
    let found = split(bytes, longest: longest) { 1 + dice.below(most) }
    #expect(found.lines == expected.lines, "of \(bytes), at most \(longest)")
    #expect(found.cut == expected.cut)
    #expect(found.left.last ?? 0 == bytes.count - (bytes.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0))
  }

  @Test("A line of just the bound is whole, one byte more is cut", arguments: [-1, 0, 1, 2, 70_000, 600_000])
  func bound(extra: Int) {
    let longest = LineSplitter.longestLine
    let line = [UInt8](repeating: 0x78, count: longest + extra)
    for end in [[0x0A], [0x0D, 0x0A], []] as [[UInt8]] {
      for size in [LineSplitter.blockSize, 4_096, longest, longest + 1] {
        let found = split([0x61, 0x0A] + line + end + [0x62, 0x0A], longest: longest) { size }
        let expected = oracle([0x61, 0x0A] + line + end + [0x62, 0x0A], longest: longest)
        #expect(found.lines == expected.lines)
        #expect(found.cut == expected.cut)
      }
    }
  }

  // MARK: - Positions

  private let position = LogPosition(
    device: 5, inode: .max, offset: 12, fingerprint: "abc".utf8.withContiguousStorageIfAvailable { .init(.init($0)) }!)

  @Test("A position is what was stored")
  func positionStored() throws {
    let data = try JSONEncoder().encode(position)
    #expect(try JSONDecoder().decode(LogPosition.self, from: data) == position)
  }

  @Test("A changed position is refused or has a place in a log, and never a crash", arguments: 0..<300)
  func positionChanged(seed: Int) throws {
    var dice = InputDice(seed)
    var data = Array(try JSONEncoder().encode(position))
    for _ in 0...dice.below(4) {
      switch dice.below(4) {
      case 0: data[dice.below(data.count)] = UInt8(dice.below(256))
      case 1: data.remove(at: dice.below(data.count))
      case 2: data.insert(UInt8(ascii: "-"), at: dice.below(data.count))
      default:
        if let digit = data.indices.filter({ (0x30...0x39).contains(data[$0]) }).randomElement(using: &dice) {
          data[digit] = 0x30 + UInt8(dice.below(10))
        }
      }
    }
    guard let read = try? JSONDecoder().decode(LogPosition.self, from: Data(data)) else { return }
    #expect(read.offset >= 0)
    #expect((0...LogPosition.headSize).contains(read.fingerprint.length))
    #expect(!read.fingerprint.matches(UnsafeRawBufferPointer(start: nil, count: 0)) || read.fingerprint.length == 0)
  }

  @Test(
    "A position that is none is refused",
    arguments: [
      #"{"device":1,"inode":2,"offset":-1,"fingerprint":{"length":0,"hash":0}}"#,
      #"{"device":1,"inode":2,"offset":1,"fingerprint":{"length":-1,"hash":0}}"#,
      #"{"device":1,"inode":2,"offset":1,"fingerprint":{"length":1025,"hash":0}}"#,
      #"{"device":1,"inode":2,"offset":1e30,"fingerprint":{"length":1,"hash":0}}"#,
      #"{"device":-1,"inode":2,"offset":1,"fingerprint":{"length":1,"hash":0}}"#, "{}", "[]", "null", "",
    ])
  func positionRefused(text: String) {
    #expect(throws: DecodingError.self) { try JSONDecoder().decode(LogPosition.self, from: Data(text.utf8)) }
  }
}
