import Testing
import WardenCore

@testable import WardenAlerts

/// What one channel does with messages that nobody takes.
@Suite("What waits") struct OutgoingTests {
  private func message(_ id: Int) -> AlertMessage {
    var message = AlertMessage.of()
    message.id = "\(id)"
    return message
  }

  @Test("A message is tried with growing pauses for a day, and then given up")
  func retries() {
    var outgoing = Outgoing()
    _ = outgoing.add(message(1), at: .start)
    var now = Timestamp.start
    var attempts: [TimeSpan] = []
    while now < .start + .days(2) {
      if outgoing.take(at: now) != nil {
        attempts.append(now - .start)
        let isGone = outgoing.ended(SendFailure("no"), at: now) != nil
        #expect(isGone == outgoing.ids.isEmpty)
      }
      now = now + .seconds(1)
    }
    #expect(attempts.prefix(6).map(\.description) == ["0s", "5s", "35s", "2m35s", "12m35s", "1h12m35s"])
    #expect(attempts.count == 28 && attempts.last! <= .days(1))
    #expect(outgoing.dropped == 1 && outgoing.failures == 28 && outgoing.sent == 0)
    #expect(outgoing.lastError?.text == "no")
  }

  @Test("One message that fails does not keep the next waiting")
  func next() {
    var outgoing = Outgoing()
    for id in 1...2 { _ = outgoing.add(message(id), at: .start) }
    #expect(outgoing.take(at: .start)?.id == "1")
    #expect(outgoing.take(at: .start) == nil, "one at a time")
    _ = outgoing.ended(SendFailure("no"), at: .start)
    #expect(outgoing.take(at: .start)?.id == "2")
    #expect(outgoing.ended(nil, at: .start) == "2")
    #expect(outgoing.ids == ["1"] && outgoing.sent == 1)
  }

  @Test("The oldest makes room, never the one that is being sent, and it is counted")
  func full() {
    var outgoing = Outgoing()
    for id in 1...Outgoing.capacity { #expect(outgoing.add(message(id), at: .start) == []) }
    #expect(outgoing.take(at: .start)?.id == "1")
    #expect(outgoing.add(message(1_000), at: .start) == ["2"])
    #expect(outgoing.ids.count == Outgoing.capacity && outgoing.dropped == 1)
    #expect(outgoing.ended(nil, at: .start) == "1")
  }

  @Test("What some have is not sent again")
  func delivered() {
    var outgoing = Outgoing()
    _ = outgoing.add(message(1), at: .start)
    _ = outgoing.take(at: .start)
    #expect(outgoing.ended(SendFailure(ofSome: SendFailure("no such user")), at: .start) == "1")
    #expect(outgoing.failures == 1 && outgoing.lastError?.text == "no such user (others have the message)")
  }

  @Test("A restart gives no message another day")
  func restart() throws {
    let document = Outgoing.document(message(1), at: .start)
    var outgoing = Outgoing()
    let isRestored = outgoing.restore(document, at: .start + .hours(23))
    #expect(isRestored)
    #expect(outgoing.take(at: .start + .hours(23)) == message(1))
    #expect(outgoing.ended(SendFailure("no"), at: .start + .hours(23) + .minutes(59) + .seconds(58)) == "1")
    let isNone = outgoing.restore("{}", at: .start)
    #expect(!isNone)
  }
}
