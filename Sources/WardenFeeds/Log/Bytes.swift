import Glibc
import WardenCore

/// Part of a line. Looked at where it is; nothing of it is copied.
typealias Bytes = UnsafeRawBufferPointer

// Release builds do not check a raw buffer's bounds: whoever adds to these takes care that no part leaves its whole.
extension UnsafeRawBufferPointer {
  /// - Precondition: `0 <= start <= end <= count`, and this is no buffer without a place.
  @inline(__always)
  func part(_ start: Int, _ end: Int) -> Bytes {
    assert(0 <= start && start <= end && end <= count)
    return Bytes(start: baseAddress! + start, count: end - start)
  }

  @inline(__always) func from(_ start: Int) -> Bytes { part(start, count) }
  @inline(__always) func upTo(_ end: Int) -> Bytes { part(0, end) }

  @inline(__always)
  func has(_ words: StaticString, at place: Int) -> Bool {
    let length = words.utf8CodeUnitCount
    return place >= 0 && count - place >= length && memcmp(baseAddress! + place, words.utf8Start, length) == 0
  }

  @inline(__always) func begins(_ words: StaticString) -> Bool { has(words, at: 0) }
  @inline(__always) func ends(_ words: StaticString) -> Bool { has(words, at: count - words.utf8CodeUnitCount) }
  @inline(__always) func `is`(_ words: StaticString) -> Bool { count == words.utf8CodeUnitCount && begins(words) }

  /// What comes after the words that it begins with.
  @inline(__always)
  func after(_ words: StaticString) -> Bytes? { begins(words) ? from(words.utf8CodeUnitCount) : nil }

  func begins(oneOf list: [StaticString]) -> Bool { list.contains { begins($0) } }

  func first(_ byte: UInt8, from start: Int = 0) -> Int? {
    guard start < count, let found = memchr(baseAddress! + start, Int32(byte), count - start) else { return nil }
    return UnsafeRawPointer(found) - baseAddress!
  }

  func first(_ words: StaticString, from start: Int = 0) -> Int? {
    let end = count - words.utf8CodeUnitCount + 1
    var place = start
    while place < end, let found = upTo(end).first(words.utf8Start.pointee, from: place) {
      if has(words, at: found) { return found }
      place = found + 1
    }
    return nil
  }

  /// The last place that the words begin at.
  func last(_ words: StaticString) -> Int? {
    let first = words.utf8Start.pointee
    var place = count - words.utf8CodeUnitCount
    while place >= 0 {
      if self[place] == first, has(words, at: place) { return place }
      place -= 1
    }
    return nil
  }

  /// The only place that the words are at; nothing where there are more.
  func only(_ words: StaticString) -> Int? {
    guard let place = first(words), first(words, from: place + 1) == nil else { return nil }
    return place
  }

  /// How many times the words are there.
  func count(of words: StaticString) -> Int {
    var number = 0
    var place = 0
    while let found = first(words, from: place) {
      number += 1
      place = found + 1
    }
    return number
  }

  /// The number that begins there, and where it ends; at most nine digits.
  @inline(__always)
  func number(at start: Int) -> (value: Int, end: Int)? {
    var value = 0
    var place = start
    while place < count, place - start < 9, self[place].isDigit {
      value = value * 10 + Int(self[place] & 15)
      place += 1
    }
    return place > start ? (value, place) : nil
  }
}

extension UInt8 {
  @inline(__always) var isDigit: Bool { self &- 48 < 10 }
  @inline(__always) var isUpper: Bool { self &- 65 < 26 }
  @inline(__always) var isLower: Bool { self &- 97 < 26 }
  @inline(__always) var isAlphanumeric: Bool { isDigit || isUpper || isLower }
}

extension IPAddress {
  /// The same addresses as from text.
  init?(_ bytes: Bytes) {
    guard let v4 = Self.v4(bytes) else {
      guard let v6 = Self.v6(bytes) else { return nil }
      self = v6
      return
    }
    self.init(v4: v4)
  }

  @inline(__always)
  private static func v4(_ bytes: Bytes) -> UInt32? {
    guard (7...15).contains(bytes.count) else { return nil }
    var address: UInt32 = 0
    var part: UInt32 = 0
    var digits = 0
    var dots = 0
    for byte in bytes {
      if byte.isDigit {
        // A leading zero would be octal to some.
        guard digits == 0 || part > 0 else { return nil }
        part = part * 10 + UInt32(byte & 15)
        digits += 1
        guard part <= 255 else { return nil }
      } else {
        guard byte == UInt8(ascii: "."), digits > 0, dots < 3 else { return nil }
        address = address << 8 | part
        (part, digits) = (0, 0)
        dots += 1
      }
    }
    return dots == 3 && digits > 0 ? address << 8 | part : nil
  }

  private static func v6(_ bytes: Bytes) -> IPAddress? {
    // A link's own address names the link: `fe80::1%eth0`.
    let bytes = bytes.first(UInt8(ascii: "%")).map(bytes.upTo) ?? bytes
    guard (2...45).contains(bytes.count), bytes.first(UInt8(ascii: ":")) != nil, bytes.first(0) == nil else {
      return nil
    }
    return withUnsafeTemporaryAllocation(byteCount: 48, alignment: 8) { buffer in
      buffer.initializeMemory(as: UInt8.self, repeating: 0)
      buffer.copyMemory(from: bytes)
      var address = in6_addr()
      guard inet_pton(AF_INET6, buffer.baseAddress!.assumingMemoryBound(to: CChar.self), &address) == 1 else {
        return nil
      }
      return withUnsafeBytes(of: address) {
        IPAddress(
          v6High: UInt64(bigEndian: $0.load(as: UInt64.self)),
          low: UInt64(bigEndian: $0.load(fromByteOffset: 8, as: UInt64.self)))
      }
    }
  }
}
