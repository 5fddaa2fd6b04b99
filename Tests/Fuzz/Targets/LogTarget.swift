import Foundation
import WardenCore

@testable import WardenFeeds

/// One line of a log, in any of its forms: what is read of it must lie within it.
let logTarget = FuzzTarget(name: "log") { line in
  var reader = LogHeaderReader(zone: TimeZone(identifier: "Europe/Berlin")!, newest: Fixture.start)
  guard let header = reader.read(line) else { return }
  let message = header.message.bytes
  touch(header.program)
  touch(header.host)
  touch(header.message)
  guard let fact = LogGrammar.read(header) else { return }
  for text in [fact.user, fact.queueID, fact.sender, fact.recipient, fact.service] {
    guard let bytes = text?.bytes, let place = bytes.baseAddress, let base = message.baseAddress else { continue }
    touch(text)
    // A service's name can stand in the header.
    guard text?.bytes.baseAddress != fact.service?.bytes.baseAddress else { continue }
    try require(place >= base && place + bytes.count <= base + message.count, "a text outside of its message")
  }
}

/// Looks at every byte, so that the sanitizer sees what is not ours.
private func touch(_ text: Text?) { text?.bytes.forEach { sum &+= $0 } }

nonisolated(unsafe) private var sum: UInt8 = 0
