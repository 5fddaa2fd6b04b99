import Foundation
import NIOCore
import NIOFoundationCompat

/// JSON as this API writes it: keys in order, so that two answers can be compared, and slashes bare.
public enum JSONCoding {
  public static func text(_ value: some Encodable, pretty: Bool = false) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting =
      pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
    // The reports hold strings, numbers and flags: there is nothing that could fail to encode.
    return String(decoding: try! encoder.encode(value), as: UTF8.self)
  }

  static func encode(_ value: some Encodable) -> ByteBuffer { ByteBuffer(string: text(value) + "\n") }

  static func decode<Value: Decodable>(_ type: Value.Type, from buffer: ByteBuffer) throws -> Value {
    try JSONDecoder().decode(type, from: Data(buffer: buffer))
  }
}
