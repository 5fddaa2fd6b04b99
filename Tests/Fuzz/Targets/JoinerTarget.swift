import Foundation

@testable import WardenCore
@testable import WardenFeeds

/// Lines of a log, joined to sessions and messages, live and in a replay, with room for few.
let joinerTarget = FuzzTarget(name: "joiner") { input in
  for mode in [LogJoiner.Mode.live, .replay] { try join(input, mode) }
}

private func join(_ input: UnsafeRawBufferPointer, _ mode: LogJoiner.Mode) throws {
  let engine = CheckedEngine(Fixture.engine())
  var sieve = EventSieve(capacity: 16)
  var bounds = LogJoiner.Bounds()
  (bounds.sessions, bounds.messages) = (4, 4)
  var joiner = LogJoiner(mode, SMTPSession.Setup(needs: engine.engine.needs), bounds: bounds)
  var reader = LogHeaderReader(zone: .gmt, newest: Fixture.start)
  var (latest, violation): (Timestamp, (any Error)?) = (Timestamp(microseconds: 0), nil)

  func tell(_ event: Event, _ teller: Teller) -> Bool {
    var goesOn = true
    sieve.sift(event, from: teller) { event in
      do {
        try require(event.at <= latest, "an event at \(event.at.rfc3339), after the last line")
        goesOn = !(try engine.decide(event)).isRefused
      } catch { violation = error }
    }
    return goesOn
  }

  for line in input.split(separator: UInt8(ascii: "\n")).prefix(200) {
    guard let header = reader.read(UnsafeRawBufferPointer(rebasing: line)) else { continue }
    latest = max(latest, header.at)
    if let fact = LogGrammar.read(header) { joiner.join(header, fact, tell) }
  }
  joiner.finish(tell)
  if let violation { throw violation }
  try engine.checkState(at: latest)
}
