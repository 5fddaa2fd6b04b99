/// The fields of a line that is a JSON object: rsyslog's with `ts`, `host`, `tag`, `pid` and `msg`, or journalctl's.
enum LogJSON {
  struct Fields {
    var time: Bytes?
    /// journalctl counts them since 1970.
    var microseconds: Int?
    var host: Bytes?
    var program: Bytes?
    var pid = 0
    var message: Bytes?
  }

  /// - Parameter scratch: for texts with escapes, which end up there; as long as the line.
  /// - Returns: nothing for what is no object, or whose message is no text.
  static func fields(of line: Bytes, into scratch: UnsafeMutableRawBufferPointer) -> Fields? {
    var reader = Reader(line: line, scratch: scratch)
    return reader.fields()
  }

  private struct Reader {
    let line: Bytes
    let scratch: UnsafeMutableRawBufferPointer
    var place = 1
    var used = 0

    mutating func fields() -> Fields? {
      var fields = Fields()
      while true {
        skipSpace()
        guard place < line.count, line[place] == UInt8(ascii: "\""), let key = string()?.bytes else { return nil }
        skipSpace()
        guard take(":") else { return nil }
        skipSpace()
        guard value(of: key, &fields) else { return nil }
        skipSpace()
        if take(",") { continue }
        return take("}") ? fields : nil
      }
    }

    /// - Returns: whether it could be read.
    private mutating func value(of key: Bytes, _ fields: inout Fields) -> Bool {
      if key.is("MESSAGE") || key.is("msg") {
        fields.message = place < line.count && line[place] == UInt8(ascii: "[") ? numbers() : text()
        return fields.message != nil
      }
      guard place < line.count, line[place] == UInt8(ascii: "\"") else {
        let start = place
        guard skip() else { return false }
        if key.is("pid") { fields.pid = line.part(start, place).number(at: 0)?.value ?? 0 }
        return true
      }
      if key.is("SYSLOG_IDENTIFIER") || key.is("tag") {
        fields.program = text()
        return fields.program != nil
      }
      guard let value = string()?.bytes else { return false }
      if key.is("__REALTIME_TIMESTAMP") {
        fields.microseconds = Self.microseconds(value)
      } else if key.is("ts") {
        fields.time = value
      } else if key.is("_HOSTNAME") || key.is("host") {
        fields.host = value
      } else if key.is("SYSLOG_PID") || key.is("pid") || key.is("_PID") && fields.pid == 0 {
        fields.pid = value.number(at: 0)?.value ?? 0
      }
      return true
    }

    private static func microseconds(_ text: Bytes) -> Int? {
      // Until the year 5138.
      guard (1...17).contains(text.count), text.allSatisfy(\.isDigit) else { return nil }
      return text.reduce(0) { $0 * 10 + Int($1 & 15) }
    }

    private mutating func skipSpace() {
      while place < line.count, line[place] == 32 || line[place] == 9 { place += 1 }
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
      guard place < line.count, line[place] == UInt8(ascii: scalar) else { return false }
      place += 1
      return true
    }

    /// What is between the quotes, and whether there are escapes in it.
    private mutating func string() -> (bytes: Bytes, isEscaped: Bool)? {
      place += 1
      let start = place
      var isEscaped = false
      while place < line.count, line[place] != UInt8(ascii: "\"") {
        if line[place] == UInt8(ascii: "\\") {
          isEscaped = true
          place += 1
        }
        place += 1
      }
      guard place < line.count else { return nil }
      place += 1
      return (line.part(start, place - 1), isEscaped)
    }

    private mutating func text() -> Bytes? {
      guard place < line.count, line[place] == UInt8(ascii: "\""), let string = string() else { return nil }
      return string.isEscaped ? unescaped(string.bytes) : string.bytes
    }

    /// Passes over a value that nobody asks for. Not recursive, so that depth costs nothing.
    private mutating func skip() -> Bool {
      var depth = 0
      while place < line.count {
        switch line[place] {
        case UInt8(ascii: "\""):
          guard string() != nil else { return false }
          if depth == 0 { return true }
          continue
        case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
        case UInt8(ascii: ","):
          if depth == 0 { return true }
        case UInt8(ascii: "]"), UInt8(ascii: "}"):
          if depth == 0 { return true }
          depth -= 1
          if depth == 0 {
            place += 1
            return true
          }
        default: break
        }
        place += 1
      }
      return false
    }

    /// A text that is no UTF-8, as journalctl has it: its bytes as numbers.
    private mutating func numbers() -> Bytes? {
      let start = used
      place += 1
      while true {
        skipSpace()
        guard let number = line.number(at: place), number.value < 256 else { return nil }
        add(UInt8(number.value))
        place = number.end
        skipSpace()
        if take(",") { continue }
        return take("]") ? written(from: start) : nil
      }
    }

    private mutating func add(_ byte: UInt8) {
      // Nothing gets longer by being read.
      scratch[used] = byte
      used += 1
    }

    private func written(from start: Int) -> Bytes { Bytes(scratch).part(start, used) }

    private mutating func unescaped(_ text: Bytes) -> Bytes? {
      let start = used
      var place = 0
      while place < text.count {
        guard text[place] == UInt8(ascii: "\\") else {
          add(text[place])
          place += 1
          continue
        }
        guard place + 1 < text.count else { return nil }
        switch text[place + 1] {
        case UInt8(ascii: "n"): add(10)
        case UInt8(ascii: "t"): add(9)
        case UInt8(ascii: "r"): add(13)
        case UInt8(ascii: "b"): add(8)
        case UInt8(ascii: "f"): add(12)
        case UInt8(ascii: "u"):
          guard let unit = Self.unit(text, at: place + 2) else { return nil }
          var scalar = UInt32(unit)
          if UTF16.isLeadSurrogate(unit), text.has("\\u", at: place + 6), let low = Self.unit(text, at: place + 8),
            UTF16.isTrailSurrogate(low)
          {
            scalar = 0x10000 + (UInt32(unit) - 0xD800) << 10 + UInt32(low) - 0xDC00
            place += 6
          }
          for byte in UTF8.encode(Unicode.Scalar(scalar) ?? "\u{FFFD}")! { add(byte) }
          place += 4
        default: add(text[place + 1])
        }
        place += 2
      }
      return written(from: start)
    }

    private static func unit(_ text: Bytes, at start: Int) -> UInt16? {
      guard start + 4 <= text.count else { return nil }
      var unit: UInt16 = 0
      for byte in text.part(start, start + 4) {
        guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 128 else { return nil }
        unit = unit << 4 | UInt16(digit)
      }
      return unit
    }
  }
}
