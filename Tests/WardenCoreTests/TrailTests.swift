import Testing

@testable import WardenCore

/// What a key had sent is known when it trips.
@Suite("Trail")
struct TrailTests {
  private func passage(
    _ number: Int, _ user: String? = "alice", ip address: String = "192.0.2.7", recipients: Int = 2
  ) -> Passage {
    Passage(
      at: .start + .seconds(number), queueID: "Q\(number)", user: user, ip: ip(address),
      sender: "\(user ?? "-")@a.test",
      recipients: recipients, recipient: "friend\(number)@b.test", isHeld: false)
  }

  @Test("A key's own messages within the window are told, newest first; all are counted")
  func ownMessages() {
    let trail = Trail(capacity: 5_000)
    for number in 0..<3_000 { trail.add(passage(number, number % 3 == 0 ? "alice" : "bob")) }
    let sent = trail.sent(by: .user("alice"), since: .start + .seconds(1_500), atMost: 4)
    #expect(sent.latest.map(\.queueID) == ["Q2997", "Q2994", "Q2991", "Q2988"])
    #expect(sent.messages == 500 && sent.recipients == 1_000)
    #expect(sent.ips == [ip("192.0.2.7")])
    #expect(trail.sent(by: .user("carol"), since: .start, atMost: 4) == Trail.Sent())
  }

  @Test(
    "Keys of every kind that a passage knows",
    arguments: [
      ("user:alice", 3), ("ip:192.0.2.7", 2), ("network:192.0.2.0/24", 3), ("sender:alice@a.test", 3),
      ("sender-domain:a.test", 4), ("server", 4), ("user:alice,ip:192.0.2.8", 1), ("helo:x", 0),
      ("recipient:x@b.test", 0),
    ])
  func kinds(_ text: String, _ count: Int) throws {
    let trail = Trail()
    for address in ["192.0.2.7", "192.0.2.8", "192.0.2.7"] { trail.add(passage(1, ip: address)) }
    trail.add(passage(2, nil, ip: "198.51.100.1"))
    #expect(trail.sent(by: try key(text), since: .start, atMost: 9).messages == count)
  }

  @Test("The busiest address comes first")
  func addresses() {
    let trail = Trail()
    for address in ["192.0.2.1", "192.0.2.3", "192.0.2.2", "192.0.2.3"] { trail.add(passage(1, ip: address)) }
    let sent = trail.sent(by: .user("alice"), since: .start, atMost: 0)
    #expect(sent.ips.first == ip("192.0.2.3") && sent.ips.count == 3 && sent.latest == [])
  }

  @Test("The oldest go; what is stored comes once, and goes on in another process", arguments: [3, 10, 25, 31])
  func bounded(count: Int) {
    let trail = Trail(capacity: 10)
    for number in 0..<count { trail.add(passage(number)) }
    let kept = (max(0, count - 10)..<count).map { "Q\($0)" }
    let all = trail.sent(by: .server, since: .start, atMost: 99).latest.map(\.queueID)
    #expect(all == kept.reversed())
    let taken = trail.takeChanges()
    #expect(taken.map(\.queueID) == kept)
    #expect(trail.takeChanges() == [])
    trail.giveBack(2)
    #expect(trail.takeChanges().map(\.queueID) == kept.suffix(2))

    let other = Trail(capacity: 10)
    other.restore(taken)
    #expect(other.takeChanges() == [])
    other.add(passage(count))
    #expect(other.takeChanges().map(\.queueID) == ["Q\(count)"])
    #expect(
      other.sent(by: .server, since: .start, atMost: 99).latest.map(\.queueID)
        == (kept + ["Q\(count)"]).suffix(10).reversed())
  }

  @Test("A portrait says where a key's mail came from, to which domains and under which names it went")
  func portrait() throws {
    let trail = Trail()
    for number in 0..<6 {
      trail.add(passage(number, number % 2 == 0 ? "alice" : "bob", ip: number < 4 ? "192.0.2.7" : "192.0.2.99"))
    }
    trail.add(passage(9, "alice", ip: "198.51.100.1", recipients: 50))
    let portrait = trail.portrait(of: try key("user:alice"), since: .start + .seconds(1), prefix: NetworkPrefix())
    #expect(portrait.messages == 3 && portrait.recipients == 54)
    #expect(portrait.since == .start + .seconds(2))
    #expect(portrait.networks.map { "\($0.value) \($0.messages)" } == ["192.0.2.0/24 2", "198.51.100.0/24 1"])
    #expect(portrait.networks[1].recipients == 50 && portrait.networks[1].last == .start + .seconds(9))
    #expect(portrait.recipientDomains.map { "\($0.value) \($0.messages)" } == ["b.test 3"])
    #expect(portrait.senders.map(\.value) == ["alice@a.test"])
  }
}

extension Key {
  fileprivate static let server = Key(KeyPart.server)
}
