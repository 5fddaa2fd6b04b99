import WardenCore

/// What is known of a key beyond its episode.
public struct Evidence: Sendable {
  /// What of its mail has passed since `Episode.evidenceStart`, with up to `mostMessages` of the latest.
  public var sent: Trail.Sent
  /// Where that came from, busiest first.
  public var networks: [Network]
  /// How often the block that follows from the episode has refused it; nothing without a block.
  public var attempts: Int?

  public static let mostMessages = 100

  public init(sent: Trail.Sent, prefix: NetworkPrefix, attempts: Int?) {
    self.sent = sent
    self.attempts = attempts
    networks = sent.ips.map(prefix.network).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }
}

extension Episode {
  /// From when on its key's mail led to it: one window of the rule's first part before it was opened.
  public var evidenceStart: Timestamp {
    guard case .over(let findings) = worst.cause, let first = findings.first else { return opened }
    return opened + TimeSpan(microseconds: -first.bound.window.microseconds)
  }
}

extension AlertMessage.Told {
  static let mostIPs = 20
  static let mostNetworks = 20
  static let mostRecipients = 10

  init(_ episode: Episode, _ news: Episode.News, _ evidence: Evidence, wall: (Timestamp) -> Timestamp) {
    func date(_ time: Timestamp) -> String { wall(time).rfc3339 }
    var finding: Reason.Finding?
    if case .over(let findings) = episode.worst.cause { finding = findings.first }
    self.init(
      news: news, rule: episode.id.rule, key: episode.id.key.description,
      mode: episode.isObserved ? .observe : .enforce, reason: Visible.text(episode.worst.sentence, atMost: 1_000),
      opened: date(episode.opened), lastEvent: date(episode.last), ends: date(episode.quietAt), trips: episode.trips,
      refused: episode.refused, held: episode.held, count: finding?.count, limit: finding?.limit,
      window: finding?.bound.window.description,
      blocked: episode.block.map {
        AlertMessage.Blocked(
          key: $0.key.description, since: date($0.since), until: date($0.until), attempts: evidence.attempts)
      },
      networks: evidence.networks.prefix(Self.mostNetworks).map(\.description),
      ips: evidence.sent.ips.prefix(Self.mostIPs).map(\.description),
      sampleRecipients: Self.sample(evidence.sent.latest),
      // No MTA's are longer; what is must not fill the message.
      queueIds: evidence.sent.latest.map(\.queueID).filter { $0.utf8.count <= 64 },
      messagesSent: evidence.sent.messages, recipientsSent: evidence.sent.recipients)
  }

  private static func sample(_ passages: [Passage]) -> [String] {
    var sample: [String] = []
    for case let recipient? in passages.lazy.map(\.recipient)
    where sample.count < mostRecipients && !sample.contains(recipient) && recipient.utf8.count <= 320 {
      sample.append(recipient)
    }
    return sample
  }
}
