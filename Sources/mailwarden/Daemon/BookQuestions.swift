import WardenControl
import WardenCore
import WardenStore

extension Store {
  /// Answers a question of the control socket.
  /// - Parameter now: the wall's clock.
  func read(_ reading: Control.Books.Reading, at now: Timestamp) throws(ErrorReport) -> any Encodable & Sendable {
    do {
      switch reading {
      case .report(let day): return try report(day: day, at: now)
      case .history(let key, let parameters):
        let period = try period(parameters["by"])
        let end = try moment(parameters["to"], "to") ?? now + .seconds(1)
        let start = try moment(parameters["from"], "from") ?? end - period.usualSpan
        return try history(key: key, from: start, to: end, period: period)
      }
    } catch let error as ErrorReport {
      throw error
    } catch {
      throw ErrorReport(error: "\(error)")
    }
  }

  private func period(_ text: String?) throws(ErrorReport) -> Period {
    guard let text else { return .hour }
    guard let period = Period(name: text) else {
      throw ErrorReport(error: "\"\(text)\" is no stretch of time; write minute, hour or day")
    }
    return period
  }

  private func moment(_ text: String?, _ name: String) throws(ErrorReport) -> Timestamp? {
    guard let text, !text.isEmpty else { return nil }
    guard let moment = DateText.timestamp(text) else {
      throw ErrorReport(error: "\(name): \"\(text)\" is not a date; write 2026-11-20 or 2026-11-20T18:00:00+01:00")
    }
    return moment
  }
}
