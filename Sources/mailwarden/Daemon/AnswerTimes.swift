import Milter
import WardenControl

/// How long the MTA's calls took: a histogram for each stage, without a lock.
///
/// Measured around libmilter's callback, which is all that is ours of an answer's time; what the MTA waits for besides is
/// the socket and a free core.
final class AnswerTimes: Sendable {
  private static let bounds = Figures.AnswerTimes.bounds
  /// A stage's buckets, the one beyond all bounds, and the sum of nanoseconds.
  private static let width = bounds.count + 2
  private let counts = SharedCounts(Stage.allCases.count * width)

  func note(_ stage: Stage, nanoseconds: Int) {
    let first = Int(stage.rawValue) * Self.width
    // Most take some microseconds: looked for from the first.
    let bucket = Self.bounds.firstIndex { nanoseconds <= $0 } ?? Self.bounds.count
    counts.add(1, to: first + bucket)
    counts.add(nanoseconds, to: first + Self.width - 1)
  }

  var figures: [Figures.AnswerTimes] {
    Stage.allCases.map { stage in
      let first = Int(stage.rawValue) * Self.width
      return Figures.AnswerTimes(
        stage: stage.name, counts: (first...first + Self.bounds.count).map { counts[$0] },
        nanoseconds: counts[first + Self.width - 1])
    }
  }
}

extension Stage {
  /// As the log writes it where it knows the same.
  fileprivate var name: String {
    switch self {
    case .connect: "connect"
    case .helo: "helo"
    case .mail: "mail"
    case .recipient: "recipient"
    case .data: "data"
    case .header: "header"
    case .endOfHeaders: "end-of-headers"
    case .body: "body"
    case .endOfMessage: "end-of-message"
    case .abort: "abort"
    case .close: "close"
    case .unknown: "command"
    }
  }
}
