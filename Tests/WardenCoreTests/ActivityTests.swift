import Testing

@testable import WardenCore

/// What happened, minute by minute, against the server's own totals.
@Suite("Activity")
struct ActivityTests {
  private let activity = Activity()

  private func note(_ server: Server, _ event: Event) { activity.note(event, server.decide(event)) }

  private func sum(_ slices: [Activity.Slice], _ key: Key) -> [String: Int] {
    var sums: [String: Int] = [:]
    for counts in slices.compactMap({ $0.counts[key] }) {
      for (name, value) in zip(Activity.Counts.names, counts.values) where value > 0 { sums[name, default: 0] += value }
    }
    return sums
  }

  private func message(_ server: Server, _ user: String?, _ address: String, recipients: Int = 1) -> Event {
    var subject = Subject()
    (subject.user, subject.ip, subject.address) = (user, ip(address), ip(address))
    subject.sender = "a@example.org"
    return Event(
      at: server.now, step: .endOfMessage, subject: subject, wants: [.messages: 1, .recipients: recipients])
  }

  @Test("What passes counts for the server, the user and the address; what is refused does not")
  func passed() {
    let server = Server(Rule("cap", .messages, per: .user, .of(2, per: .hours(1))))
    for _ in 0..<5 { note(server, message(server, "alice", "192.0.2.7", recipients: 3)) }
    note(server, message(server, nil, "192.0.2.7"))
    let slices = activity.take()
    #expect(sum(slices, .user("alice")) == ["messages": 2, "recipients": 6, "refused": 3])
    #expect(sum(slices, .ip("192.0.2.7")) == ["messages": 3, "recipients": 7, "refused": 3])
    #expect(sum(slices, Key(.server)) == ["messages": 3, "recipients": 7, "refused": 3])
    #expect(activity.take() == [])
  }

  @Test("Minutes are told apart; one can come in several parts, and what is given back comes again")
  func minutes() {
    let server = Server()
    server.now = Timestamp(microseconds: 1_795_515_240_000_000)
    note(server, message(server, "alice", "192.0.2.7"))
    let early = activity.take()
    note(server, message(server, "alice", "192.0.2.7"))
    server.wait(.seconds(61))
    note(server, message(server, "bob", "192.0.2.7"))
    let late = activity.take()
    #expect(
      (early + late).map(\.minute.rfc3339) == ["2026-11-24T10:14:00Z", "2026-11-24T10:14:00Z", "2026-11-24T10:15:00Z"])
    #expect(sum(late, .user("alice")) == ["messages": 1, "recipients": 1])
    activity.giveBack(late)
    #expect(activity.take() == late)
  }

  @Test("A tripped key of another kind has what was done to it")
  func otherKeys() {
    let server = Server(Rule("cap", .messages, per: .senderDomain, .of(1, per: .hours(1)), then: .block(.hours(1))))
    for _ in 0..<3 {
      var event = message(server, nil, "192.0.2.7")
      event.subject.senderDomain = "example.org"
      note(server, event)
    }
    #expect(sum(activity.take(), Key(.senderDomain("example.org"))) == ["refused": 2, "blocked": 1])
  }

  @Test("An attack from many addresses leaves the users and the server their counts, and is counted")
  func bounded() {
    let server = Server()
    let activity = Activity(bound: 100)
    for number in 0..<300 {
      let event = message(server, "user\(number % 50)", "192.0.\(number / 250).\(number % 250)")
      activity.note(event, server.decide(event))
    }
    let slices = activity.take()
    #expect(slices[0].counts.keys.count { $0.first.kind == .ip } == 100)
    #expect(slices[0].counts.keys.count { $0.first.kind == .user } == 50)
    #expect(sum(slices, Key(.server))["messages"] == 300)
    #expect(activity.dropped == 200)
  }

  @Test("What is given back again and again stays one minute, and nothing of it is lost")
  func givenBackOften() {
    let server = Server()
    for _ in 0..<50 {
      note(server, message(server, "alice", "192.0.2.7"))
      activity.giveBack(activity.take())
    }
    let slices = activity.take()
    #expect(slices.count == 1 && activity.dropped == 0)
    #expect(sum(slices, .user("alice")) == ["messages": 50, "recipients": 50])
  }

  @Test("Where nothing can be stored only the latest minutes wait")
  func waiting() {
    let server = Server()
    for _ in 0..<30 {
      note(server, message(server, "alice", "192.0.2.7"))
      server.wait(.minutes(1))
    }
    let slices = activity.take()
    #expect(slices.count <= 12 && sum(slices, .user("alice"))["messages"] == slices.count)
    activity.giveBack(slices)
    #expect(activity.take().count <= 12)
    #expect(activity.dropped > 0)
  }
}
