import Foundation

/// JSON of many senders: what has another type than expected is taken as missing.
enum LenientJSON {
  /// - Throws: where it is no JSON at all. What is no UTF-8 in it becomes U+FFFD: a login may hold any bytes.
  static func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Collection<UInt8>) throws -> Value {
    try JSONDecoder().decode(type, from: Data(String(decoding: bytes, as: UTF8.self).utf8))
  }
}

extension KeyedDecodingContainer {
  /// Empty where it is missing.
  func text(_ key: Key) -> String {
    // Asked first: what is thrown for a missing field costs more than all the rest.
    guard contains(key) else { return "" }
    return (try? decode(String.self, forKey: key)) ?? ""
  }

  /// `true` and `false`; as weakforced's clients may write them, `"true"` and `"false"`; as Dovecot's events do, `"yes"`.
  func flag(_ key: Key) -> Bool? {
    guard contains(key) else { return nil }
    if let flag = try? decode(Bool.self, forKey: key) { return flag }
    return switch text(key).lowercased() {
    case "true", "yes": true
    case "false", "no": false
    default: nil
    }
  }
}
