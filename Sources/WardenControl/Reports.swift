import WardenCore

// What the control socket says, as JSON. Field names are stable: tools read them. Times are RFC 3339 in UTC.

public struct StatusReport: Codable, Sendable {
  public struct Rate: Codable, Sendable {
    public let total: Int
    public let last_minute: Int
    public let last_hour: Int
    /// What the same hour usually has; nothing where too little is known.
    public let usual_hour: Int?
  }
  public struct RuleFigures: Codable, Sendable {
    public let name: String
    public let description: String
    public let mode: String
    /// Episodes opened since the start.
    public let trips: Int
    public let refused: Int
  }
  /// What went wrong or had no room, since the start.
  public struct Faults: Codable, Sendable {
    public let milter_faults: Int
    public let dropped_notices: Int
    public let dropped_commands: Int
    public let evicted_keys: Int
    public let dropped_penalties: Int
    public let dropped_episodes: Int
    /// Counts of keys, and decisions, that the history had no room for.
    public let dropped_history: Int
    /// Watchers that did not read, and records that streams had no room for.
    public let dropped_watchers: Int
    public let skipped_records: Int
    /// Connections to the page beyond its bound.
    public let dropped_connections: Int
  }
  public let version: String
  public let pid: Int
  public let started: String
  public let uptime_seconds: Int
  public let policy_file: String
  public let last_reload: ReloadReport?
  public let sessions_open: Int
  /// By signal, and `refusals`.
  public let totals: [String: Rate]
  public let rules: [RuleFigures]
  public let penalties: Int
  public let keys: Int
  /// What the counters take, and what the policy lets them take.
  public let memory_bytes: Int
  public let memory_bound_bytes: Int
  /// Event streams that are open.
  public let watchers: Int
  /// Nothing where the policy has no `state`.
  public let state: StateReport?
  /// Nothing where the policy has no `alerts`.
  public let alerts: [ChannelReport]?
  /// Who tells what a milter cannot see; in the order of the policy.
  public let feeds: [FeedReport]
  /// What is wrong now, as alerts tell it.
  public let distress: [String]
  public let faults: Faults
}

/// What survives a restart, and how that stands.
public struct StateReport: Codable, Sendable {
  public let folder: String
  /// Why nothing can be stored at present; nothing when all is well.
  public let problem: String?
  /// When it was last stored.
  public let stored: String?
  public let size_bytes: Int
  public let size_bound_bytes: Int
  /// A database that could not be used and was set aside at or since the start.
  public let set_aside: String?
  /// For how many whole days there is a history by the hour.
  public let history_days: Int
  public init(
    folder: String, problem: String?, stored: String?, size_bytes: Int, size_bound_bytes: Int, set_aside: String?,
    history_days: Int
  ) {
    self.folder = folder
    self.problem = problem
    self.stored = stored
    self.size_bytes = size_bytes
    self.size_bound_bytes = size_bound_bytes
    self.set_aside = set_aside
    self.history_days = history_days
  }
}

/// Limits proposed from the daemon's own history.
public struct SuggestionReport: Codable, Sendable {
  /// What of the history was looked at.
  public let from: String
  public let to: String
  public let days: Int
  /// As a policy file.
  public let policy: String

  public init(from: String, to: String, days: Int, policy: String) {
    self.from = from
    self.to = to
    self.days = days
    self.policy = policy
  }
}

/// A feed, and how it stands.
public struct FeedReport: Codable, Sendable {
  /// `dovecot-policy`, or the log as the policy names it.
  public let name: String
  /// When it last told anything; nothing when it has not yet.
  public let last_heard: String?
  /// Requests or lines: all, and those that told of something.
  public let heard: Int
  public let told: Int
  /// Of a known daemon, but not understood; or refused for want of the token.
  public let not_understood: Int
  /// What it told that somebody else had told already.
  public let repeated: Int
  /// What it told too late to count.
  public let late: Int
  /// What is wrong with it now, and what happens next.
  public let problem: String?

  public init(
    name: String, last_heard: String?, heard: Int, told: Int, not_understood: Int, repeated: Int, late: Int,
    problem: String?
  ) {
    self.name = name
    self.last_heard = last_heard
    self.heard = heard
    self.told = told
    self.not_understood = not_understood
    self.repeated = repeated
    self.late = late
    self.problem = problem
  }
}

/// A way to tell administrators, and how that stands.
public struct ChannelReport: Codable, Sendable {
  /// `mail`, `webhook`, `run`.
  public let channel: String
  public let sent: Int
  public let waiting: Int
  public let failed: Int
  public let dropped: Int
  /// Of the latest attempt, where it failed.
  public let problem: String?
  public init(channel: String, sent: Int, waiting: Int, failed: Int, dropped: Int, problem: String?) {
    self.channel = channel
    self.sent = sent
    self.waiting = waiting
    self.failed = failed
    self.dropped = dropped
    self.problem = problem
  }
}

/// A rule that is tripped on a key, until it has been quiet.
public struct EpisodeReport: Codable, Sendable {
  public let key: String
  public let rule: String
  public let mode: String
  public let reason: String
  public let opened: String
  public let last: String
  /// When it is over, if the rule does not trip again.
  public let quiet_at: String
  public let trips: Int
  public let refused: Int
  public let held: Int
  public let told: String?
}

/// What happened to the whole server, for drawing.
public struct TrendReport: Codable, Sendable {
  public let from: String
  public let to: String
  public let step_seconds: Int
  /// When each step began, oldest first; the last is under way.
  public let at: [String]
  /// By signal, and `refused`, `held`, `observed`, `blocked`: a count a step. What is not named is zero.
  public let series: [String: [Int]]
}

/// What a key's latest mail was that passed. Each list busiest first.
public struct PortraitReport: Codable, Sendable {
  public struct NetworkFigures: Codable, Sendable {
    public let network: String
    public let messages: Int
    public let recipients: Int
    public let last: String
  }
  public struct DomainFigures: Codable, Sendable {
    public let domain: String
    public let messages: Int
  }
  public struct SenderFigures: Codable, Sendable {
    public let sender: String
    public let messages: Int
  }
  public let key: String
  /// The oldest message that is known.
  public let since: String
  public let messages: Int
  public let recipients: Int
  public let networks: [NetworkFigures]
  /// Of each message's first recipient.
  public let recipient_domains: [DomainFigures]
  public let senders: [SenderFigures]
  /// Whether any of the lists has more.
  public let is_cut: Bool
}

/// A message of a key that has passed.
public struct PassageReport: Codable, Sendable {
  public let queue_id: String
  public let at: String
  public let ip: String?
  public let sender: String?
  public let recipients: Int
  public let held: Bool
}

public struct CounterReport: Codable, Sendable {
  public let key: String
  public let rule: String
  public let mode: String
  public let signal: String
  public let window: String
  public let window_seconds: Int
  /// Of a share the percentage.
  public let count: Int
  /// In force for this key now.
  public let limit: Int
  /// As the policy writes it.
  public let limit_text: String
  /// Where another limit than the rule's holds: who said so.
  public let origin: String?
  public let left: Int
  /// When one more is admitted; in the past or now where one is.
  public let free_at: String
}

public struct PenaltyReport: Codable, Sendable {
  public let key: String
  public let rule: String
  public let reason: String
  public let since: String
  public let until: String
  public let attempts: Int
}

public struct ExplainReport: Codable, Sendable {
  public let key: String
  /// Whether anything would refuse it now.
  public let limited: Bool
  /// The policy's line that exempts the key.
  public let exempt: String?
  public let overrides: [OverrideReport]
  public let penalties: [PenaltyReport]
  public let counters: [CounterReport]
  public let episodes: [EpisodeReport]
  /// The latest messages of a key that is limited or has tripped a rule, within the longest window, newest first.
  public let sent: [PassageReport]
  /// How many there are in all, as far as is known.
  public let sent_total: Int
  /// The same for people, a sentence each.
  public let sentences: [String]
}

public struct BlockOrder: Codable, Sendable {
  public let key: String
  /// A time span of the policy file: `1h`, `3d`.
  public let `for`: String
  public let reason: String?
  public init(key: String, for span: String, reason: String?) {
    self.key = key
    self.for = span
    self.reason = reason
  }
}

public struct BlockReport: Codable, Sendable {
  public let penalty: PenaltyReport
  /// What the administrator may not expect.
  public let note: String?
}

public struct AllowOrder: Codable, Sendable {
  public let key: String
  public let `for`: String
  /// Only this rule, rather than all.
  public let rule: String?
  /// Another limit of that rule, rather than none.
  public let limit: String?
  public let reason: String?
  public init(key: String, for span: String, rule: String?, limit: String?, reason: String?) {
    self.key = key
    self.for = span
    self.rule = rule
    self.limit = limit
    self.reason = reason
  }
}

public struct OverrideReport: Codable, Sendable {
  /// `user:alice`, `domain:example.org`, `network:192.0.2.0/24`, `group:staff`, or any key.
  public let target: String
  public let rule: String?
  public let effect: String
  public let until: String?
  /// The policy's line, or who ordered it.
  public let origin: String
  /// What the administrator may not expect.
  public let note: String?
}

public struct ReleaseReport: Codable, Sendable {
  public let key: String
  public let was_blocked: Bool
  /// Whether there were counts that now start anew.
  public let had_counts: Bool
  /// Penalties on something around the key, which still hold.
  public let still_blocked_by: [PenaltyReport]
  /// What the administrator may not expect.
  public let note: String?
}

public struct ReloadReport: Codable, Sendable {
  public let at: String
  /// Whether the file is now the running policy.
  public let ok: Bool
  public let problems: [String]
  public let warnings: [String]
  public init(at: String, ok: Bool, problems: [String], warnings: [String]) {
    self.at = at
    self.ok = ok
    self.problems = problems
    self.warnings = warnings
  }
}

public struct ErrorReport: Codable, Sendable, Error, CustomStringConvertible {
  /// What the status of HTTP says.
  public enum Kind: Sendable { case badRequest, notFound, tooLong, unavailable }
  public let error: String
  public var kind = Kind.badRequest
  public init(error: String, _ kind: Kind = .badRequest) {
    self.error = error
    self.kind = kind
  }
  public var description: String { error }

  private enum CodingKeys: CodingKey { case error }
}
