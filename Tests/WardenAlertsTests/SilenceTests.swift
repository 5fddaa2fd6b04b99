import Testing
import WardenCore

@testable import WardenAlerts

/// Nights are quiet, and nobody is woken for them.
@Suite("Silence") struct SilenceTests {
  /// Looks every ten seconds; mail comes when told.
  private struct Watch {
    var watch = SilenceWatch()
    var now = Timestamp(microseconds: 1_795_478_400_000_000)  // a midnight
    var events = 0
    /// When silence was told to begin to be distress, and for how long it was.
    var alarms: [Timestamp] = []

    mutating func pass(_ span: TimeSpan, mailEvery pause: TimeSpan?) {
      let end = now + span
      var next = pause.map { now + $0 }
      while now < end {
        now = now + .seconds(10)
        if let due = next, now >= due {
          events += 1
          next = due + pause!
        }
        if watch.look(at: now, events: events, tenths: 30) != nil { alarms.append(now) }
      }
    }

    /// Mail each minute by day; from midnight to six every forty minutes.
    mutating func days(_ count: Int) {
      for _ in 0..<count {
        pass(.hours(6), mailEvery: .minutes(40))
        pass(.hours(18), mailEvery: .minutes(1))
      }
    }

    mutating func restart(after span: TimeSpan) {
      watch = SilenceWatch(document: watch.document)
      events = 0
      now = now + span
    }
  }

  @Test("A week of nights is told to nobody; an outage is, at three times the longest night's silence")
  func week() {
    var watch = Watch()
    watch.days(7)
    #expect(watch.alarms == [])
    let stop = watch.now
    watch.pass(.hours(3), mailEvery: nil)
    // The longest silence was forty minutes, give or take a look.
    #expect(watch.alarms.first! > stop + .minutes(115) && watch.alarms.first! < stop + .minutes(123))
    #expect(watch.alarms.count > 300)
    let before = watch.alarms.count
    watch.pass(.minutes(5), mailEvery: .minutes(1))
    #expect(watch.alarms.count <= before + 7)
  }

  @Test("On the first day nothing is known yet")
  func firstDay() {
    var watch = Watch()
    watch.pass(.hours(1), mailEvery: .minutes(1))
    watch.pass(.hours(22), mailEvery: nil)
    #expect(watch.alarms == [])
  }

  @Test("A busy server's silence is not told before five minutes")
  func busy() {
    var watch = Watch()
    watch.pass(.days(2), mailEvery: .seconds(10))
    let stop = watch.now
    watch.pass(.minutes(10), mailEvery: nil)
    #expect(watch.alarms.first! > stop + .minutes(5) && watch.alarms.first! <= stop + .minutes(6))
  }

  @Test("A restart is no silence and teaches none, however long it took")
  func restart() {
    var watch = Watch()
    watch.days(3)
    for _ in 0..<20 {
      watch.restart(after: .hours(5))
      watch.pass(.hours(1), mailEvery: .minutes(1))
    }
    #expect(watch.alarms == [])
    let stop = watch.now
    watch.restart(after: .hours(10))
    // What it knew it still knows: after a restart without mail, too, somebody is told.
    watch.pass(.hours(3), mailEvery: nil)
    #expect(watch.alarms.first! > stop + .hours(11) + .minutes(55))
    #expect(watch.alarms.first! < stop + .hours(12) + .minutes(5))
  }

  @Test("A machine that slept has heard nothing, which means nothing")
  func sleep() {
    var watch = Watch()
    watch.days(2)
    watch.now = watch.now + .hours(9)
    watch.pass(.hours(1), mailEvery: .minutes(1))
    #expect(watch.alarms == [])
    #expect(watch.watch.learned.longest.values.max()! < .minutes(45))
  }

  @Test("An outage does not make the next one usual, but a server that has become quieter is learned")
  func outage() {
    var watch = Watch()
    watch.days(3)
    watch.pass(.hours(20), mailEvery: nil)
    watch.pass(.hours(4), mailEvery: .minutes(1))
    #expect(watch.watch.learned.longest.values.max()! <= .minutes(81))
    watch.pass(.days(3), mailEvery: .hours(6))
    watch.alarms = []
    watch.pass(.days(3), mailEvery: .hours(6))
    #expect(watch.alarms == [])
  }

  @Test("What was longest is forgotten after a week")
  func forgets() {
    var watch = Watch()
    watch.days(1)
    watch.pass(.days(8), mailEvery: .minutes(1))
    #expect(watch.watch.learned.longest.count == 7)
    #expect(watch.watch.learned.longest.values.max()! < .minutes(2))
  }

  @Test("A document that is none begins anew", arguments: [nil, "", "{}", "[1]"])
  func document(text: String?) { #expect(SilenceWatch(document: text) == SilenceWatch()) }

  @Test(
    "A document with absurd numbers is not believed",
    arguments: [
      #"{"watched":9223372036854775807,"longest":{}}"#,
      #"{"watched":86400000000,"longest":{"20000":9223372036854775807}}"#,
      #"{"watched":-5,"longest":{}}"#, #"{"watched":1,"longest":{"-9223372036854775808":1}}"#, "garbage",
    ])
  func absurd(_ document: String) {
    var watch = SilenceWatch(document: document)
    #expect(watch.learned == SilenceWatch.Learned())
    for second in 0..<10 { _ = watch.look(at: .start + .seconds(second), events: second / 3, tenths: 30) }
  }
}
