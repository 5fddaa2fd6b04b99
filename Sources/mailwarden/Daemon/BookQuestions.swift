import WardenControl
import WardenCore
import WardenReplay
import WardenStore

extension Store {
  /// Answers a question of the control socket.
  /// - Parameter now: the wall's clock.
  func read(
    _ reading: Control.Books.Reading, under policy: Policy, at now: Timestamp
  ) throws(ErrorReport) -> any Encodable & Sendable {
    do {
      switch reading {
      case .report(let day): return try report(day: day, at: now)
      case .suggestion: return try suggestion(under: policy, at: now)
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

  private func suggestion(under policy: Policy, at now: Timestamp) throws -> SuggestionReport {
    guard let start = try historyStart() else { throw ErrorReport(error: "there is no history yet") }
    var peaks: [Proposals.Peak] = []
    for candidate in Candidate.all {
      guard case .signal(let signal) = candidate.measure else { continue }
      for window in candidate.windows {
        // The history counts by the clock's hours and days.
        guard let period = [Period.hour, .day].first(where: { .seconds($0.rawValue) == window.span }) else { continue }
        peaks += try self.peaks(of: signal, kind: candidate.per, by: period, from: start, to: now).map {
          Proposals.Peak(candidate: candidate.name, window: window.span, key: $0.key, count: $0.count)
        }
      }
    }
    let known = Set(try self.peaks(of: .logins, kind: .ip, by: .day, from: start, to: now).map(\.key))
    let proposals = Proposals(
      peaks: peaks, from: start, to: now, knownAddresses: known.count, isKnown: { known.contains(Key(.ip($0))) },
      feeds: policy.feeds, exempt: policy.exempt, realms: policy.realms, networkPrefix: policy.networkPrefix)
    return SuggestionReport(
      from: start.rfc3339, to: now.rfc3339, days: (now - start).microseconds / TimeSpan.days(1).microseconds,
      policy: proposals.policy)
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
