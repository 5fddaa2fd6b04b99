import Foundation
import WardenControl

/// A message of the daemon's stream of events.
public enum StreamRecord: Sendable {
  case event(EventRecord)
  case action(ActionRecord)
  case skipped(SkippedRecord)

  /// - Returns: nothing for what another version's daemon may send and we do not know.
  public init?(_ message: ServerSentEvents.Message) {
    func read<Record: Decodable>(_ make: (Record) -> StreamRecord) -> StreamRecord? {
      (try? JSONDecoder().decode(Record.self, from: Data(message.data.utf8))).map(make)
    }
    let record: StreamRecord? =
      switch message.event {
      case "event": read(StreamRecord.event)
      case "action": read(StreamRecord.action)
      case "skipped": read(StreamRecord.skipped)
      default: nil
      }
    guard let record else { return nil }
    self = record
  }
}
