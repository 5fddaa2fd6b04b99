import Foundation
import WardenCore

@testable import WardenFeeds

/// What a line says, kept.
struct Told: Equatable {
  var kind: LogFact.Kind
  var client: String?
  var user: String?
  var queueID: String?
  var sender: String?
  var recipient: String?
  var isPermanent: Bool

  init(
    _ kind: LogFact.Kind, _ client: String? = nil, user: String? = nil, id queueID: String? = nil,
    from sender: String? = nil, to recipient: String? = nil, permanent isPermanent: Bool = false
  ) {
    self.kind = kind
    self.client = client
    self.user = user
    self.queueID = queueID
    self.sender = sender
    self.recipient = recipient
    self.isPermanent = isPermanent
  }

  init(_ fact: LogFact) {
    self.init(
      fact.kind, fact.client?.description, user: fact.user?.string, id: fact.queueID?.string,
      from: fact.sender?.string, to: fact.recipient?.string, permanent: fact.isPermanent)
  }
}

/// A header, kept.
struct Head: Equatable {
  var at: String
  var host: String?
  var program: String
  var pid: Int
  var message: String
}

enum Lines {
  static let newest = Timestamp(microseconds: 1_795_600_000_000_000)  // 2026-11-25T09:46:40Z

  static func reader(_ zone: String = "UTC", newest: Timestamp = newest) -> LogHeaderReader {
    LogHeaderReader(zone: TimeZone(identifier: zone)!, newest: newest)
  }

  static func fact<R>(_ line: [UInt8], _ body: (LogFact?) throws -> R) rethrows -> R {
    var reader = reader()
    return try line.withUnsafeBytes { try body(reader.read($0).flatMap(LogGrammar.read)) }
  }

  /// What a daemon's own words say.
  static func told(_ message: String, by program: String) -> Told? { told(Array(message.utf8), by: program) }

  static func told(_ message: [UInt8], by program: String) -> Told? {
    fact(Array("2026-11-21T02:34:04.418501+00:00 mx \(program)[108]: ".utf8) + message) { $0.map(Told.init) }
  }

  static func head(_ line: String, _ zone: String = "UTC", newest: Timestamp = newest) -> Head? {
    var reader = reader(zone, newest: newest)
    return head(line, &reader)
  }

  static func head(_ line: String, _ reader: inout LogHeaderReader) -> Head? {
    Array(line.utf8).withUnsafeBytes {
      reader.read($0).map {
        Head(
          at: $0.at.rfc3339, host: $0.host?.string, program: $0.program.string, pid: $0.pid, message: $0.message.string)
      }
    }
  }
}
