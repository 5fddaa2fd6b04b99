/// Postfix: one message under two queue ids, where a content filter takes it and hands it back.
enum Requeuing {
  private static let origin: StaticString = ", orig_queue_id="
  private static let successor: StaticString = "queued as "

  /// The id under which a message that comes back was known before, where the filter has passed it on (XFORWARD).
  static func origin(_ line: Text, host: UInt32) -> QueueID? {
    guard let place = line.bytes.first(origin) else { return nil }
    let rest = line.bytes.from(place + origin.utf8CodeUnitCount)
    return QueueID(Text(rest.upTo(rest.firstIndex { !$0.isAlphanumeric } ?? rest.count)), host: host)
  }

  /// The id under which whom a message was delivered to has queued it: `…queued as 4D3E2)`. He may not be of this machine.
  static func successor(_ line: Text, host: UInt32) -> QueueID? {
    let bytes = line.bytes
    guard bytes.ends(")") else { return nil }
    let start = bytes.dropLast().lastIndex { !$0.isAlphanumeric }.map { $0 + 1 } ?? 0
    guard bytes.has(successor, at: start - successor.utf8CodeUnitCount) else { return nil }
    return QueueID(Text(bytes.part(start, bytes.count - 1)), host: host)
  }
}
