/// A key that was pressed.
public enum Keystroke: Equatable, Sendable {
  case character(Character)
  case up, down, pageUp, pageDown, home, end
  case enter, tab, backTab, backspace, escape
}

/// Makes keys of a terminal's bytes. Sequences begin with ESC, which is also a key: `flush` once no more bytes come.
public struct KeystrokeReader: Sendable {
  private var pending: [UInt8] = []
  private static let escape: UInt8 = 0x1b
  /// Longer sequences are none that we know.
  private static let longest = 16

  public init() {}

  public var isWaiting: Bool { !pending.isEmpty }

  public mutating func take(_ bytes: some Sequence<UInt8>) -> [Keystroke] {
    bytes.flatMap { take($0) }
  }

  public mutating func flush() -> [Keystroke] {
    defer { pending = [] }
    return pending == [Self.escape] ? [.escape] : []
  }

  private mutating func take(_ byte: UInt8) -> [Keystroke] {
    if pending.isEmpty {
      if byte != Self.escape { return Self.single(byte).map { [$0] } ?? [] }
      pending = [byte]
      return []
    }
    pending.append(byte)
    if pending.count == 2 {
      if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "O") { return [] }
      // No sequence: the key itself, and another after it.
      pending = []
      return [.escape] + take(byte)
    }
    guard (0x40...0x7e).contains(byte) || pending.count >= Self.longest else { return [] }
    defer { pending = [] }
    return Self.sequence(String(decoding: pending.dropFirst(2), as: UTF8.self)).map { [$0] } ?? []
  }

  private static func single(_ byte: UInt8) -> Keystroke? {
    switch byte {
    case 0x09: .tab
    case 0x0a, 0x0d: .enter
    case 0x08, 0x7f: .backspace
    case 0x20...0x7e: .character(Character(UnicodeScalar(byte)))
    default: nil
    }
  }

  private static func sequence(_ text: String) -> Keystroke? {
    switch text {
    case "A": .up
    case "B": .down
    case "H", "1~", "7~": .home
    case "F", "4~", "8~": .end
    case "5~": .pageUp
    case "6~": .pageDown
    case "Z": .backTab
    default: nil
    }
  }
}
