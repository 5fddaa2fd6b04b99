// parses: Log
// corpus: Tests/WardenFeedsTests/Fixtures/Log/*.log Tests/WardenFeedsTests/Fixtures/Log/*.jsonl
import Foundation
import WardenCore
import WardenFeeds

/// One line of a log, in any of its forms: what is read of it must lie within it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let line = UnsafeRawBufferPointer(start: start, count: count)
  var reader = LogHeaderReader(zone: zone, newest: Timestamp(microseconds: 1_795_600_000_000_000))
  guard let header = reader.read(line) else { return 0 }
  let message = header.message.bytes
  touch(header.program)
  touch(header.host)
  touch(header.message)
  guard let fact = LogGrammar.read(header) else { return 0 }
  for text in [fact.user, fact.queueID, fact.sender, fact.recipient] {
    guard let bytes = text?.bytes, let place = bytes.baseAddress, let base = message.baseAddress else { continue }
    precondition(place >= base && place + bytes.count <= base + message.count, "a text outside of its message")
    touch(text)
  }
  touch(fact.service)
  return 0
}

private let zone = TimeZone(identifier: "Europe/Berlin")!

/// Looks at every byte, so that the sanitizer sees what is not ours.
private func touch(_ text: Text?) {
  guard let text else { return }
  sum = text.bytes.reduce(sum, &+)
}

nonisolated(unsafe) private var sum: UInt8 = 0
