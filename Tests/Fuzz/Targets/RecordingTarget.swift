import Foundation

@testable import WardenCore
@testable import WardenReplay

/// A recording of events, which may come from anywhere: what is read of it is written again as it was read, and the engine
/// takes it.
let recordingTarget = FuzzTarget(name: "recording") { input in
  let engine = CheckedEngine(Fixture.engine())
  var reader = EventRecording.Reader()
  var violation: (any Error)?
  do throws(EventRecording.Problem) {
    // In two pieces, as from a pipe.
    for piece in [input[..<(input.count / 2)], input[(input.count / 2)...]] {
      try reader.read(piece) { recorded in
        do {
          let again = try writtenAndRead(recorded)
          try require(
            EventRecording.line(recorded) == EventRecording.line(again), "not read as it was written: \(recorded)")
          _ = try engine.decide(recorded.event)
        } catch { violation = error }
      }
    }
    try reader.finish()
  } catch { return }
  if let violation { throw violation }
  try require(reader.header.map { $0.mailwarden_events <= EventRecording.format } ?? false, "read without a header")
  _ = reader.blindness
  _ = reader.header?.missing(for: Fixture.policy)
}

private func writtenAndRead(_ recorded: RecordedEvent) throws -> RecordedEvent {
  try JSONDecoder().decode(RecordedEvent.self, from: Data(EventRecording.line(recorded).utf8))
}
