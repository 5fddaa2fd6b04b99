import WardenControl
import WardenCore

/// What is known of the daemon at one moment.
public struct Snapshot: Sendable {
  public var at: Timestamp
  /// Nothing before the daemon has answered once.
  public var status: StatusReport?
  public var keys: [CounterReport] = []
  public var episodes: [EpisodeReport] = []
  public var penalties: [PenaltyReport] = []
  public var recent = Recent()
  public var explain: Explained?
  /// Why the figures are old: the daemon does not answer.
  public var trouble: String?
  /// Why nothing is heard of events.
  public var unheard: String?

  /// What the daemon says of the key that is open, or why it says nothing.
  public struct Explained: Sendable {
    let key: String
    let answer: Result<ExplainReport, ErrorReport>
    public init(key: String, answer: Result<ExplainReport, ErrorReport>) {
      self.key = key
      self.answer = answer
    }
  }

  public init(at: Timestamp) { self.at = at }
}
