import WardenControl
import WardenCore

/// How often what was decided, and how much passed, without a lock.
final class DecisionMeter: Sendable {
  private enum Word: Int, CaseIterable {
    case goOn, exempt, refused, held, delayed

    init(_ verdict: Decision.Verdict) {
      switch verdict {
      case .goOn: self = .goOn
      case .exempt: self = .exempt
      case .refuse: self = .refused
      case .hold: self = .held
      case .delay: self = .delayed
      }
    }

    var name: String { self == .goOn ? "go-on" : "\(self)" }

    func canCome(at step: Step) -> Bool {
      switch self {
      case .goOn: true
      case .exempt: step == .connect
      case .refused: [.connect, .mail, .recipient, .endOfMessage, .login].contains(step)
      case .held: step == .endOfMessage
      case .delayed: step == .login
      }
    }
  }

  private let decisions = SharedCounts(Step.allCases.count * Word.allCases.count * 2)
  /// Messages, then recipients: of strangers, of users.
  private let passed = SharedCounts(4)

  func note(_ event: borrowing Event, _ decision: Decision) {
    let user = event.isAuthenticated ? 1 : 0
    decisions.add(1, to: Self.place(event.step, Word(decision.verdict), user))
    guard event.step == .endOfMessage, !decision.isRefused else { return }
    passed.add(1, to: user)
    passed.add(event.wants[.recipients], to: 2 + user)
  }

  private static func place(_ step: Step, _ word: Word, _ user: Int) -> Int {
    (Int(step.rawValue) * Word.allCases.count + word.rawValue) * 2 + user
  }

  var decisionFigures: [Figures.Decision] {
    Step.allCases.flatMap { step in
      Word.allCases.filter { $0.canCome(at: step) }.flatMap { word in
        [false, true].map { isUser in
          Figures.Decision(
            step: step, decision: word.name, isAuthenticated: isUser,
            count: decisions[Self.place(step, word, isUser ? 1 : 0)])
        }
      }
    }
  }

  var passedFigures: [Figures.Passed] {
    [0, 1].map { Figures.Passed(isAuthenticated: $0 == 1, messages: passed[$0], recipients: passed[2 + $0]) }
  }
}
