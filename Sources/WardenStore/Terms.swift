import Foundation
import GRDB
import WardenCore

/// What many penalties and episodes have in common: written once, as JSON, and read once. What differs stands in their own
/// rows, so that a hundred thousand of them are read in a moment.
struct Terms: Hashable, Codable {
  let rule: String
  let cause: Cause
  // Of a penalty:
  var code: ReplyCode?
  var reply: ReplyTemplate?
  var filter: Filter?

  enum Cause: Hashable, Codable {
    case over([Finding])
    case neighbours
    case administrator
  }

  struct Finding: Hashable, Codable {
    let quantity: Quantity
    let bound: Limit
    let isShare: Bool
  }

  init(_ reason: Reason) {
    rule = reason.rule
    switch reason.cause {
    case .over(let findings):
      cause = .over(findings.map { Finding(quantity: $0.quantity, bound: $0.bound, isShare: $0.share != nil) })
    case .neighbours: cause = .neighbours
    case .administrator: cause = .administrator
    }
  }

  init(_ penalty: Penalty) {
    self.init(penalty.reason)
    (code, reply, filter) = (penalty.code, penalty.reply, penalty.filter)
  }

  private var isSound: Bool {
    if case .over(let findings) = cause, findings.isEmpty || !findings.allSatisfy(\.bound.isSound) { return false }
    return (code?.isSound ?? true) && (reply?.code.isSound ?? true)
  }

  init?(json: String) {
    guard let terms = JSON.decode(Terms.self, json), terms.isSound else { return nil }
    self = terms
  }

  // MARK: - What differs

  /// What was found, as it stands in a row: of each finding `count limit`, a `+` where there may be more, and of a share its
  /// two counts; an administrator's words as they are.
  static func found(_ cause: Reason.Cause) -> String {
    switch cause {
    case .over(let findings):
      findings.map { finding in
        let share = finding.share.map { " \($0.part) \($0.whole)" } ?? ""
        return "\(finding.count) \(finding.limit)\(finding.isLeast ? "+" : "")\(share)"
      }.joined(separator: ",")
    case .neighbours(let count, let limit): "\(count) \(limit)"
    case .administrator(let note): note
    }
  }

  func cause(found: UnsafeRawBufferPointer) -> Reason.Cause? {
    switch cause {
    case .administrator: return .administrator(note: String(decoding: found, as: UTF8.self))
    case .neighbours:
      var numbers = Numbers(found)
      guard let count = numbers.next(), numbers.skip(" "), let limit = numbers.next(), numbers.isAtEnd else {
        return nil
      }
      return .neighbours(count: count, limit: limit)
    case .over(let parts):
      var numbers = Numbers(found)
      var findings: [Reason.Finding] = []
      findings.reserveCapacity(parts.count)
      for part in parts {
        guard findings.isEmpty || numbers.skip(","), let finding = part.finding(&numbers) else { return nil }
        findings.append(finding)
      }
      return numbers.isAtEnd ? .over(findings) : nil
    }
  }
}

extension Terms.Finding {
  fileprivate func finding(_ numbers: inout Numbers) -> Reason.Finding? {
    guard let count = numbers.next(), numbers.skip(" "), let limit = numbers.next() else { return nil }
    let isLeast = numbers.skip("+")
    var share: Reason.Finding.Share?
    if isShare {
      guard numbers.skip(" "), let part = numbers.next(), numbers.skip(" "), let whole = numbers.next() else {
        return nil
      }
      share = .init(part: part, whole: whole)
    }
    return Reason.Finding(
      quantity: quantity, count: count, isLeast: isLeast, limit: limit, bound: bound, share: share)
  }
}

/// Numbers in a text, one after the other.
private struct Numbers {
  private let text: UnsafeRawBufferPointer
  private var place = 0

  init(_ text: UnsafeRawBufferPointer) { self.text = text }

  var isAtEnd: Bool { place == text.count }

  mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard place < text.count, text[place] == UInt8(ascii: character) else { return false }
    place += 1
    return true
  }

  mutating func next() -> Int? {
    let start = place
    var number = 0
    while place < text.count, (0x30...0x39).contains(text[place]), place - start < 18 {
      number = number * 10 + Int(text[place] - 0x30)
      place += 1
    }
    return place > start && Sound.count(number) ? number : nil
  }
}

enum JSON {
  static func text(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Strings, whole numbers and flags: there is nothing that could fail to encode.
    return String(decoding: try! encoder.encode(value), as: UTF8.self)
  }

  static func decode<Value: Decodable>(_ type: Value.Type, _ text: String) -> Value? {
    try? JSONDecoder().decode(type, from: Data(text.utf8))
  }
}

/// The numbers under which terms are stored, within one transaction.
struct TermsTable {
  private var ids: [Terms: Int] = [:]
  private let find: RawStatement
  private let insert: RawStatement

  init(_ database: Database) throws {
    find = try RawStatement(database, "SELECT id FROM terms WHERE text = ?")
    insert = try RawStatement(database, "INSERT INTO terms (text) VALUES (?) RETURNING id")
  }

  mutating func id(of terms: Terms) throws -> Int {
    if let id = ids[terms] { return id }
    let text = JSON.text(terms)
    var id: Int?
    for statement in [find, insert] where id == nil {
      statement.bind(1, text)
      try statement.forEach { id = statement.int(0) }
    }
    ids[terms] = id!
    return id!
  }

  /// All that can be read, by their numbers.
  static func all(_ database: Database) throws -> [Int: Terms] {
    let rows = try RawStatement(database, "SELECT id, text FROM terms")
    var all: [Int: Terms] = [:]
    try rows.forEach { all[rows.int(0)] = Terms(json: rows.text(1)) }
    return all
  }
}
