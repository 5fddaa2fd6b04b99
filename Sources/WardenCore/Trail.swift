/// A message that passed us: the MTA has it, and can still be asked to keep it.
public struct Passage: Sendable, Equatable {
  public let at: Timestamp
  /// As the MTA calls it.
  public let queueID: String
  public let user: String?
  public let ip: IPAddress?
  public let sender: String?
  /// How many there are, and the first, where the policy has them shown.
  public let recipients: Int
  public let recipient: String?
  /// Whether it went into the MTA's quarantine.
  public let isHeld: Bool

  public init(
    at: Timestamp, queueID: String, user: String?, ip: IPAddress?, sender: String?, recipients: Int,
    recipient: String?, isHeld: Bool
  ) {
    self.at = at
    self.queueID = queueID
    self.user = user
    self.ip = ip
    self.sender = sender
    self.recipients = recipients
    self.recipient = recipient
    self.isHeld = isHeld
  }

  func isOf(_ key: Key) -> Bool {
    key.parts.allSatisfy { part in
      switch part {
      case .user(let name): user == name
      case .ip(let address): ip == address
      case .network(let network): ip.map(network.contains) ?? false
      case .sender(let address): sender == address
      case .senderDomain(let domain): sender.flatMap(Mailbox.domain(of:)) == domain
      case .server: true
      // Not kept.
      case .helo, .recipient, .recipientDomain: false
      }
    }
  }
}

/// The latest messages that passed, so that it is known what a key had sent when it trips. Bounded; the oldest go.
public final class Trail: Sendable {
  private struct State {
    var ring: [Passage] = []
    /// How many have come so far; the latest is at `(count - 1) % capacity`.
    var count = 0
    /// How many of them have been stored.
    var stored = 0
  }

  public let capacity: Int
  private let state = Locked(State())
  /// Passages looked at before mail gets its turn again.
  private static let atOnce = 1_000

  public init(capacity: Int = 100_000) { self.capacity = capacity }

  /// Remembers a message; the oldest goes where there is no room.
  public func add(_ passage: Passage) {
    state.withLock { state in
      if state.ring.count < capacity {
        state.ring.append(passage)
      } else {
        state.ring[state.count % capacity] = passage
      }
      state.count += 1
    }
  }

  /// What of a key's mail has passed.
  public struct Sent: Sendable, Equatable {
    /// The latest, newest first.
    public var latest: [Passage] = []
    /// All that are still known.
    public var messages = 0
    public var recipients = 0
    /// Where it came from, busiest first.
    public var ips: [IPAddress] = []
    public init() {}
  }

  /// What a key has sent since then; at most so many messages are told one by one.
  public func sent(by key: Key, since start: Timestamp, atMost most: Int) -> Sent {
    var sent = Sent()
    var ips: [IPAddress: Int] = [:]
    forEach(of: key, since: start) { passage in
      sent.messages += 1
      sent.recipients += passage.recipients
      if let ip = passage.ip { ips[ip, default: 0] += 1 }
      if sent.latest.count < most { sent.latest.append(passage) }
    }
    sent.ips = ips.sorted { ($0.value, $1.key.description) > ($1.value, $0.key.description) }.map(\.key)
    return sent
  }

  /// A key's messages, newest first.
  private func forEach(of key: Key, since start: Timestamp, _ body: (Passage) -> Void) {
    var next = Int.max
    var isDone = false
    while !isDone {
      state.withLock { state in
        let oldest = state.count - state.ring.count
        next = min(next, state.count - 1)
        for _ in 0..<Self.atOnce {
          // Mail that passes meanwhile takes the places of the oldest.
          guard next >= oldest, state.ring[next % capacity].at >= start else {
            isDone = true
            return
          }
          let passage = state.ring[next % capacity]
          next -= 1
          if passage.isOf(key) { body(passage) }
        }
      }
    }
  }

  /// What a key's mail was.
  public struct Portrait: Sendable, Equatable {
    /// One value, and how much of the mail it was of.
    public struct Part<Value: Sendable & Equatable>: Sendable, Equatable {
      public let value: Value
      public var messages = 0
      public var recipients = 0
      public var last: Timestamp
    }
    /// The oldest message that is still known.
    public var since: Timestamp?
    public var messages = 0
    public var recipients = 0
    /// Busiest first.
    public var networks: [Part<Network>] = []
    /// Of each message's first recipient.
    public var recipientDomains: [Part<String>] = []
    public var senders: [Part<String>] = []
    public init() {}
  }

  /// What a key's mail was since then, by networks as the prefix makes them.
  public func portrait(of key: Key, since start: Timestamp, prefix: NetworkPrefix) -> Portrait {
    var portrait = Portrait()
    var networks: [Network: Portrait.Part<Network>] = [:]
    var domains: [String: Portrait.Part<String>] = [:]
    var senders: [String: Portrait.Part<String>] = [:]
    forEach(of: key, since: start) { passage in
      func add<Value: Hashable>(_ value: Value, to parts: inout [Value: Portrait.Part<Value>]) {
        // Newest first: the first time that a value is seen is the last that it was used.
        parts[value, default: .init(value: value, last: passage.at)].messages += 1
        parts[value]!.recipients += passage.recipients
      }
      portrait.since = passage.at
      portrait.messages += 1
      portrait.recipients += passage.recipients
      if let ip = passage.ip { add(prefix.network(of: ip), to: &networks) }
      if let domain = passage.recipient.flatMap(Mailbox.domain(of:)) { add(domain, to: &domains) }
      if let sender = passage.sender { add(sender, to: &senders) }
    }
    func busiest<Value>(_ parts: [Value: Portrait.Part<Value>]) -> [Portrait.Part<Value>] {
      parts.values.sorted { ($0.messages, $0.last, "\($1.value)") > ($1.messages, $1.last, "\($0.value)") }
    }
    portrait.networks = busiest(networks)
    portrait.recipientDomains = busiest(domains)
    portrait.senders = busiest(senders)
    return portrait
  }

  // MARK: - Storing

  /// Those that are not stored yet, oldest first.
  public func takeChanges() -> [Passage] {
    state.withLock { state in
      let first = max(state.stored, state.count - state.ring.count)
      state.stored = state.count
      return (first..<state.count).map { state.ring[$0 % capacity] }
    }
  }

  /// So many of those taken last could not be stored.
  public func giveBack(_ count: Int) { state.withLock { $0.stored = max(0, $0.stored - count) } }

  /// Has everything taken anew: the store that held it is gone.
  public func forgetStored() { state.withLock { $0.stored = 0 } }

  /// Goes on from what was stored, oldest first. Only for a trail to which nothing was added.
  public func restore(_ stored: [Passage]) {
    state.withLock { state in
      guard state.count == 0 else { return }
      state.ring = stored.suffix(capacity)
      state.count = state.ring.count
      state.stored = state.count
    }
  }
}
