import Glibc

/// Numbers for the few words that come again and again: hosts, programs. Bounded; 0 for nothing and for what has no room.
struct WordTable {
  private static let bound = 256
  private var words: [[UInt8]] = []
  private var last = 0

  /// - Returns: the word's number, and whether it is its first time.
  mutating func number(of text: Text?) -> (number: UInt32, isNew: Bool) {
    guard let text, !text.isEmpty else { return (0, false) }
    if last < words.count, text.equals(words[last]) { return (UInt32(last + 1), false) }
    if let place = words.firstIndex(where: { text.equals($0) }) {
      last = place
      return (UInt32(place + 1), false)
    }
    guard words.count < Self.bound else { return (0, false) }
    words.append(Array(text.bytes))
    last = words.count - 1
    return (UInt32(words.count), true)
  }
}

/// What was made of texts that come again and again: logins, senders. One that falls on another's place takes it.
struct TextTable<Value> {
  private static var places: Int { 1 << 15 }
  /// What is longer comes seldom.
  private static var longest: Int { 63 }

  /// Of each place the text's length and the text.
  private var texts = [UInt8](repeating: 0, count: places * (longest + 1))
  private var values: [Value?] = Array(repeating: nil, count: places)

  subscript(text: Text) -> Value? {
    get {
      let length = text.bytes.count
      guard length <= Self.longest else { return nil }
      let place = Self.place(of: text)
      guard let value = values[place] else { return nil }
      return texts.withUnsafeBytes { texts in
        let known = texts.baseAddress! + place * (Self.longest + 1)
        let isSame =
          known.load(as: UInt8.self) == length
          && (length == 0 || memcmp(known + 1, text.bytes.baseAddress!, length) == 0)
        return isSame ? value : nil
      }
    }
    set {
      guard text.bytes.count <= Self.longest else { return }
      let place = Self.place(of: text)
      values[place] = newValue
      texts.withUnsafeMutableBytes { texts in
        let start = place * (Self.longest + 1)
        texts[start] = UInt8(text.bytes.count)
        texts[(start + 1)..<(start + 1 + text.bytes.count)].copyBytes(from: text.bytes)
      }
    }
  }

  private static func place(of text: Text) -> Int { Int(truncatingIfNeeded: text.hash) & (places - 1) }

  mutating func removeAll() { values = Array(repeating: nil, count: Self.places) }
}

extension Text {
  fileprivate var hash: UInt64 {
    var hash = UInt64(bytes.count)
    var place = 0
    while place + 8 <= bytes.count {
      hash = Mixed.hash(hash, bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
      place += 8
    }
    var rest: UInt64 = 0
    for byte in bytes[place...] { rest = rest << 8 | UInt64(byte) }
    return Mixed.hash(hash, rest)
  }

  @inline(__always)
  func equals(_ other: [UInt8]) -> Bool {
    bytes.count == other.count && (bytes.isEmpty || memcmp(other, bytes.baseAddress!, bytes.count) == 0)
  }
}
