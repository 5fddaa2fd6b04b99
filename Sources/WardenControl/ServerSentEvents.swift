/// Takes server-sent events (WHATWG HTML, section 9.2) apart as their bytes come in.
public struct ServerSentEvents {
  public struct Message: Equatable, Sendable {
    public let event: String
    public let data: String
  }

  public struct TooLong: Error, CustomStringConvertible {
    public var description: String { "it has sent a message of more than \(ServerSentEvents.longestMessage) bytes" }
  }

  /// A record takes a few kilobytes; what is longer does not come from a daemon of ours.
  static let longestMessage = 1 << 20

  // Bytes, since a character can be cut in two where one packet ends.
  private var line: [UInt8] = []
  private var event: [UInt8] = []
  private var data: [UInt8]?
  private var isAfterCR = false

  public init() {}

  /// - Returns: the messages that these bytes complete.
  public mutating func take(_ bytes: some Sequence<UInt8>) throws(TooLong) -> [Message] {
    var messages: [Message] = []
    for byte in bytes {
      let isSecondHalf = isAfterCR && byte == UInt8(ascii: "\n")
      isAfterCR = byte == UInt8(ascii: "\r")
      if isSecondHalf { continue }
      if byte == UInt8(ascii: "\n") || isAfterCR {
        if let message = endLine() { messages.append(message) }
      } else {
        guard line.count + event.count + (data?.count ?? 0) < Self.longestMessage else { throw TooLong() }
        line.append(byte)
      }
    }
    return messages
  }

  private mutating func endLine() -> Message? {
    defer { line.removeAll(keepingCapacity: true) }
    guard !line.isEmpty else { return endMessage() }
    let name = line.prefix { $0 != UInt8(ascii: ":") }
    var value = line[name.endIndex...].dropFirst()
    if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
    if name.elementsEqual("event".utf8) {
      event = Array(value)
    } else if name.elementsEqual("data".utf8) {
      // In place: a message of many short lines would be copied for each.
      if data == nil { data = Array(value) } else { data! += [UInt8(ascii: "\n")] + value }
    }
    return nil
  }

  private mutating func endMessage() -> Message? {
    defer {
      event = []
      data = nil
    }
    return data.map {
      Message(
        event: event.isEmpty ? "message" : String(decoding: event, as: UTF8.self),
        data: String(decoding: $0, as: UTF8.self))
    }
  }
}
