import MilterClient

/// The milter protocol as bytes, right or wrong.
enum Wire {
  /// SMFIC_OPTNEG with what both MTAs offer.
  static func negotiation(version: UInt32 = 6, actions: UInt32 = 0x1ff, steps: UInt32 = 0x1f_ffff) -> [UInt8] {
    packet("O", number(version) + number(actions) + number(steps))
  }

  static func connect(_ address: String = "192.0.2.9") -> [UInt8] {
    packet("C", text("client.test") + text("4\u{1}\u{1}" + address))
  }

  static let helo = packet("H", text("client.test"))
  static let mail = packet("M", text("<carol@local.test>"))
  static let recipient = packet("R", text("<friend@far.test>"))
  static let endOfMessage = packet("E")

  /// SMFIC_MACRO: names and values in turn.
  static func macros(_ stage: Character, _ words: [String]) -> [UInt8] {
    packet("D", [stage.asciiValue!] + words.flatMap(text))
  }

  static func packet(_ command: Character, _ payload: [UInt8] = []) -> [UInt8] {
    number(UInt32(payload.count + 1)) + [command.asciiValue!] + payload
  }

  /// With its NUL.
  static func text(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

  static func number(_ number: UInt32) -> [UInt8] {
    stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> UInt32($0)) }
  }

  /// Where each packet ends, as libmilter reads them: up to the first that it would not read on after.
  ///
  /// - Returns: the packets' commands, their ends, and whether libmilter would read a macro's value from behind its list. It
  ///   takes an odd number of words for a name without a value and reads past the end; no MTA sends that, and no milter
  ///   can keep it from that.
  static func read(_ bytes: [UInt8]) -> (packets: [(command: Character, end: Int)], isFatal: Bool) {
    var packets: [(Character, Int)] = []
    var place = 0
    while place + 5 <= bytes.count {
      let length = Int32(bitPattern: bytes[place..<place + 4].reduce(0) { $0 << 8 | UInt32($1) }) &- 1
      let end = place + 5 + max(0, Int(length))
      guard length <= 65_535, end <= bytes.count else { break }
      let command = bytes[place + 4]
      if command == UInt8(ascii: "D"), bytes[(place + 5)..<end].dropFirst().filter({ $0 == 0 }).count % 2 == 1 {
        return (packets, true)
      }
      packets.append((Character(UnicodeScalar(command)), end))
      place = end
    }
    return (packets, false)
  }
}

extension MilterClient {
  /// Sends all of it, as far as the other end takes it.
  func throwAt(_ bytes: [UInt8]) { try? sendBytes(bytes) }

  /// Reads until the other end closes: how many packets came.
  @discardableResult
  func drain() throws -> Int {
    var count = 0
    do {
      while true {
        _ = try receive()
        count += 1
      }
    } catch {
      guard error == .closed else { throw error }
      return count
    }
  }
}
