// What survives a restart is stored by the words of the policy file, never by numbers of this version's source.

private func text<Value>(_ decoder: any Decoder, as read: (String) -> Value?) throws -> Value {
  let container = try decoder.singleValueContainer()
  let text = try container.decode(String.self)
  if let value = read(text) { return value }
  throw DecodingError.dataCorruptedError(in: container, debugDescription: "\"\(text)\" is no \(Value.self)")
}

private func write(_ text: String, to encoder: any Encoder) throws {
  var container = encoder.singleValueContainer()
  try container.encode(text)
}

extension Signal: Codable {
  public init(from decoder: any Decoder) throws { self = try text(decoder) { Signal(name: $0) } }
  public func encode(to encoder: any Encoder) throws { try write(name, to: encoder) }
}

extension Measure: Codable {
  public init(from decoder: any Decoder) throws { self = try text(decoder) { Measure(name: $0) } }
  public func encode(to encoder: any Encoder) throws { try write(name, to: encoder) }
}

extension KeyKind: Codable {
  public init(from decoder: any Decoder) throws { self = try text(decoder) { KeyKind(name: $0) } }
  public func encode(to encoder: any Encoder) throws { try write(name, to: encoder) }
}

extension IPAddress: Codable {
  public init(from decoder: any Decoder) throws { self = try text(decoder) { IPAddress($0) } }
  public func encode(to encoder: any Encoder) throws { try write(description, to: encoder) }
}

extension Network: Codable {
  public init(from decoder: any Decoder) throws { self = try text(decoder) { Network($0) } }
  public func encode(to encoder: any Encoder) throws { try write(description, to: encoder) }
}
