import WardenCore

/// What only metrics tell: the process's own figures, beside those of `status`.
public struct Figures: Sendable {
  /// What was decided: how often.
  public struct Decision: Sendable {
    public let step: Step
    /// `go-on`, `exempt`, `refused`, `held`, `delayed`.
    public let decision: String
    public let isAuthenticated: Bool
    public let count: Int
    public init(step: Step, decision: String, isAuthenticated: Bool, count: Int) {
      self.step = step
      self.decision = decision
      self.isAuthenticated = isAuthenticated
      self.count = count
    }
  }

  /// Mail that passed, by whether somebody had logged in to send it.
  public struct Passed: Sendable {
    public let isAuthenticated: Bool
    public let messages: Int
    public let recipients: Int
    public init(isAuthenticated: Bool, messages: Int, recipients: Int) {
      self.isAuthenticated = isAuthenticated
      self.messages = messages
      self.recipients = recipients
    }
  }

  /// How long the MTA's calls at one stage took.
  public struct AnswerTimes: Sendable {
    public let stage: String
    /// How many fell between each of the `bounds` and the one before; the last: beyond all.
    public let counts: [Int]
    public let nanoseconds: Int
    public init(stage: String, counts: [Int], nanoseconds: Int) {
      self.stage = stage
      self.counts = counts
      self.nanoseconds = nanoseconds
    }

    /// In nanoseconds: from 10 µs, less than any answer's way to the MTA, to 1 s, where clients begin to notice.
    public static let bounds = [
      10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000,
      50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000,
    ]
  }

  /// Something that waits to be worked on.
  public struct Queue: Sendable {
    public let name: String
    public let length: Int
    public let bound: Int
    public init(name: String, length: Int, bound: Int) {
      self.name = name
      self.length = length
      self.bound = bound
    }
  }

  /// What was told of a rule, by kind.
  public struct Notices: Hashable, Sendable {
    public let rule: String
    public let kind: String
    public init(rule: String, kind: String) {
      self.rule = rule
      self.kind = kind
    }
  }

  public struct Reloads: Sendable {
    public private(set) var succeeded = 0
    public var failed = 0
    /// Of the policy in force.
    public private(set) var lastSuccess: Timestamp
    public init(lastSuccess: Timestamp) { self.lastSuccess = lastSuccess }

    public mutating func succeed(at now: Timestamp) {
      succeeded += 1
      lastSuccess = now
    }
  }

  let decisions: [Decision]
  let passed: [Passed]
  let answerTimes: [AnswerTimes]
  let queues: [Queue]
  let notices: [Notices: Int]
  /// Decisions that the log told in sums alone.
  let summarised: Int
  let reloads: Reloads

  public init(
    decisions: [Decision], passed: [Passed], answerTimes: [AnswerTimes], queues: [Queue], notices: [Notices: Int],
    summarised: Int, reloads: Reloads
  ) {
    self.decisions = decisions
    self.passed = passed
    self.answerTimes = answerTimes
    self.queues = queues
    self.notices = notices
    self.summarised = summarised
    self.reloads = reloads
  }
}
