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
      case .rule(let report, let question): return try past(of: report, question, at: now)
      case .history(let key, let parameters):
        let period = try period(parameters["by"])
        let end = try moment(parameters["to"], "to") ?? now + .seconds(1)
        let start = try moment(parameters["from"], "from") ?? end - period.usualSpan
        return try history(key: key, from: start, to: end, period: period)
      }
    } catch let error as ErrorReport {
      throw error
    } catch let error as DayProblem {
      if case .notADay = error { throw ErrorReport(error: "\(error)") }
      throw ErrorReport(error: "\(error)", .unavailable)
    } catch {
      throw ErrorReport(error: "\(error)", .unavailable)
    }
  }

  private func suggestion(under policy: Policy, at now: Timestamp) throws -> SuggestionReport {
    guard let start = try historyStart() else { throw ErrorReport(error: "there is no history yet", .notFound) }
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

  private func past(of report: RuleReport, _ question: RuleQuestion, at now: Timestamp) throws -> RuleReport {
    guard let period = Period(dividing: question.window) else {
      throw ErrorReport(error: "the history does not tell of this rule: its window is not made up of whole minutes")
    }
    let start = now - .days(question.days)
    let ladder = try ladder(
      of: question.signal, kind: question.kind, window: question.window, by: period, limits: question.limits,
      from: start, to: now + .seconds(1), isSpared: question.isSpared)
    var report = report
    guard let first = ladder.start else {
      report.note = "there is no history of it by the \(period.name) in that time"
      return report
    }
    report.note = question.note
    report.past = RuleReport.Past(
      from: first.rfc3339, to: now.rfc3339, days: question.days, by: period.name,
      ladder: ladder.rungs.map {
        .init(limit: $0.limit, trips: $0.trips, keys: $0.keys, is_current: $0.limit == question.current)
      }, is_cut: ladder.isCut)
    return report
  }

  private func period(_ text: String?) throws(ErrorReport) -> Period {
    guard let text else { return .hour }
    guard let period = Period(name: text) else {
      throw ErrorReport(error: "\"\(text)\" is no stretch of time; write minute, hour or day")
    }
    return period
  }

  private func moment(_ text: String?, _ name: String) throws(ErrorReport) -> Timestamp? {
    guard let text else { return nil }
    guard let moment = DateText.timestamp(text) else {
      throw ErrorReport(error: "\(name): \"\(text)\" is not a date; write 2026-11-20 or 2026-11-20T18:00:00+01:00")
    }
    return moment
  }
}
