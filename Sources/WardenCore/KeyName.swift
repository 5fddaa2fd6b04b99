/// Keys as bytes, as the table holds them: the shape, then each part. Written straight from the subject of an event, so
/// that nothing needs to be made of a key that only counts.
///
/// A part is its length (two bytes), then a text's UTF-8, or an address's 4 or 16 bytes with the prefix after it.
package struct KeyNames {
  private(set) var bytes: [UInt8] = []

  package struct Name {
    let range: Range<Int>
    let hash: UInt64
  }

  init() { bytes.reserveCapacity(64) }

  static let largest = 2 * (Bounded.bytes + 8) + 2

  /// Appends the subject's key of the shape; nothing where the subject has none.
  mutating func append(_ shape: KeyShape, of subject: borrowing Subject) -> Name? {
    let start = bytes.count
    bytes.append(shape.first.rawValue)
    bytes.append(shape.second?.rawValue ?? 0xff)
    guard append(shape.first, of: subject), shape.second.map({ append($0, of: subject) }) ?? true else {
      bytes.removeSubrange(start...)
      return nil
    }
    return name(from: start)
  }

  mutating func append(_ key: Key) -> Name {
    let start = bytes.count
    bytes.append(key.first.kind.rawValue)
    bytes.append(key.second?.kind.rawValue ?? 0xff)
    append(key.first)
    if let second = key.second { append(second) }
    return name(from: start)
  }

  private mutating func append(_ part: KeyPart) {
    switch part {
    case .user(let text), .helo(let text), .sender(let text), .senderDomain(let text), .recipient(let text),
      .recipientDomain(let text):
      append(text)
    case .ip(let address): append(address)
    case .network(let network): append(network)
    case .server: append(length: 0)
    }
  }

  /// Swift seeds its hashing anew in each process, so that nobody outside can choose keys that collide.
  private func name(from start: Int) -> Name {
    let hash = bytes.withUnsafeBytes { Self.hash(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    return Name(range: start..<bytes.count, hash: hash)
  }

  static func hash(_ name: UnsafeRawBufferPointer) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(bytes: name)
    return UInt64(bitPattern: Int64(hasher.finalize()))
  }

  private mutating func append(_ kind: KeyKind, of subject: borrowing Subject) -> Bool {
    switch kind {
    case .user: return append(subject.user)
    case .ip:
      guard let ip = subject.ip else { return false }
      append(ip)
    case .network:
      guard let network = subject.network else { return false }
      append(network)
    case .helo: return append(subject.helo)
    case .sender:
      // All the world's bounces share the null sender; it is nobody.
      guard let sender = subject.sender, !sender.isEmpty else { return false }
      append(sender)
    case .senderDomain: return append(subject.senderDomain)
    case .recipient: return append(subject.recipient?.address)
    case .recipientDomain: return append(subject.recipient?.domain)
    case .server: append(length: 0)
    }
    return true
  }

  private mutating func append(_ text: String?) -> Bool {
    guard let text else { return false }
    append(text)
    return true
  }

  private mutating func append(_ text: String) {
    append(length: text.utf8.count)
    bytes.append(contentsOf: text.utf8)
  }

  private mutating func append(_ address: IPAddress, prefix: Int? = nil) {
    append(length: (address.isV4 ? 4 : 16) + (prefix == nil ? 0 : 1))
    if address.isV4 {
      withUnsafeBytes(of: UInt32(truncatingIfNeeded: address.low).bigEndian) { bytes.append(contentsOf: $0) }
    } else {
      withUnsafeBytes(of: address.high.bigEndian) { bytes.append(contentsOf: $0) }
      withUnsafeBytes(of: address.low.bigEndian) { bytes.append(contentsOf: $0) }
    }
    if let prefix { bytes.append(UInt8(prefix)) }
  }

  private mutating func append(_ network: Network) { append(network.address, prefix: network.prefix) }

  private mutating func append(length: Int) {
    bytes.append(UInt8(truncatingIfNeeded: length))
    bytes.append(UInt8(truncatingIfNeeded: length >> 8))
  }

  // MARK: - Back

  static func shape(of name: UnsafeRawBufferPointer) -> KeyShape {
    KeyShape(KeyKind(rawValue: name[0])!, name[1] == 0xff ? nil : KeyKind(rawValue: name[1])!)
  }

  static func key(of name: UnsafeRawBufferPointer) -> Key {
    let shape = shape(of: name)
    var rest = UnsafeRawBufferPointer(rebasing: name[2...])
    let first = part(shape.first, &rest)
    return Key(first, shape.second.map { part($0, &rest) })
  }

  private static func part(_ kind: KeyKind, _ rest: inout UnsafeRawBufferPointer) -> KeyPart {
    let length = Int(rest[0]) | Int(rest[1]) << 8
    let value = UnsafeRawBufferPointer(rebasing: rest[2..<2 + length])
    rest = UnsafeRawBufferPointer(rebasing: rest[(2 + length)...])
    switch kind {
    case .user: return .user(String(decoding: value, as: UTF8.self))
    case .helo: return .helo(String(decoding: value, as: UTF8.self))
    case .sender: return .sender(String(decoding: value, as: UTF8.self))
    case .senderDomain: return .senderDomain(String(decoding: value, as: UTF8.self))
    case .recipient: return .recipient(String(decoding: value, as: UTF8.self))
    case .recipientDomain: return .recipientDomain(String(decoding: value, as: UTF8.self))
    case .ip: return .ip(address(value))
    case .network:
      let address = address(UnsafeRawBufferPointer(rebasing: value.dropLast()))
      return .network(Network(of: address, prefix: Int(value[length - 1])))
    case .server: return .server
    }
  }

  private static func address(_ bytes: UnsafeRawBufferPointer) -> IPAddress {
    if bytes.count == 4 { return IPAddress(v4: UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self))) }
    return IPAddress(
      v6High: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
      low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }
}

extension KeyNames {
  /// Whether these bytes, from a file that anything may have happened to, name a key.
  static func isSound(_ name: UnsafeRawBufferPointer) -> Bool {
    guard (4...largest).contains(name.count), let first = KeyKind(rawValue: name[0]) else { return false }
    var kinds = [first]
    if name[1] != 0xff {
      guard let second = KeyKind(rawValue: name[1]), first.rawValue < second.rawValue else { return false }
      kinds.append(second)
    }
    var offset = 2
    for kind in kinds {
      guard offset + 2 <= name.count else { return false }
      let length = Int(name[offset]) | Int(name[offset + 1]) << 8
      let end = offset + 2 + length
      guard end <= name.count else { return false }
      switch kind {
      case .ip: guard length == 4 || length == 16 else { return false }
      case .network:
        guard length == 5 || length == 17 else { return false }
        // Sixteen bytes can hold an IPv4 address, which has 32 bits.
        let address = address(UnsafeRawBufferPointer(rebasing: name[(offset + 2)..<(end - 1)]))
        guard Int(name[end - 1]) <= (address.isV4 ? 32 : 128) else { return false }
      case .server: guard length == 0 else { return false }
      default: break
      }
      offset = end
    }
    return offset == name.count
  }
}

extension Key {
  /// As it is stored: one form for each key, whatever its text.
  public var bytes: [UInt8] {
    var names = KeyNames()
    _ = names.append(self)
    return names.bytes
  }

  public init?(bytes: UnsafeRawBufferPointer) {
    guard KeyNames.isSound(bytes) else { return nil }
    self = KeyNames.key(of: bytes)
  }
}
