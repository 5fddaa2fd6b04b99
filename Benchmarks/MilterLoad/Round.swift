import Glibc
import Synchronization

/// One round of load on one filter.
struct Round: Codable, Sendable {
  let messages: Int
  let stoppedMessages: Int
  let verdicts: Tally.Verdicts
  let faults: [String]
  let seconds: Double
  let figures: Figures

  struct Figures: Codable, Sendable {
    /// Microseconds of the filter's processes.
    var cpuPerMessage: Double
    var messagesPerSecond: Double
    /// Microseconds of an answered round trip.
    var median: Double
    var percentile99: Double
    var slowest: Double
  }

  /// Plays that many sessions, on as many connections at a time as the scenario has.
  /// - Parameter pace: messages a second, all connections together; nothing: as many as go.
  init(_ scenario: Scenario, sessions: Int, on filter: Filter, seed: UInt64, pace: Int? = nil) {
    final class Supply: Sendable {
      let next = Atomic(0)
    }
    let supply = Supply()
    let interval = pace.map { UInt64(scenario.messages * 1_000_000_000 / $0) } ?? 0
    let cpuBefore = filter.cpuTime
    let start = nanoseconds()
    let (tallies, time) = runTogether(scenario.connections) {
      var tally = Tally()
      do {
        // Milter sessions have a connection each; Postfix keeps the one to a policy server.
        let policy = filter.language == .milter ? nil : try PolicyClient(filter.place)
        while true {
          let number = supply.next.add(1, ordering: .relaxed).oldValue
          guard number < sessions else { break }
          sleep(until: start + UInt64(number) * interval)
          let seed = seed &+ UInt64(number)
          if let policy {
            let isAtData = filter.language == .policyAtData
            try PolicySession.play(over: policy, atData: isAtData, shape: scenario, seed: seed, into: &tally)
          } else {
            SMTPSession.play(at: filter.place, shape: scenario, seed: seed, into: &tally)
          }
        }
      } catch {
        tally.faults.append("\(error)")
      }
      return tally
    }
    // The filter learns of the last quits after they are sent.
    usleep(50_000)
    let cpu = max(cpuBefore, filter.cpuTime) - cpuBefore

    var sum = Tally()
    for tally in tallies { sum.add(tally) }
    sum.latencies.sort()
    messages = sum.messages
    stoppedMessages = sum.stoppedMessages
    verdicts = sum.verdicts
    faults = sum.faults
    seconds = Double(time) / 1e9
    figures = Figures(
      cpuPerMessage: Double(cpu) / 1000 / Double(max(1, messages)),
      messagesPerSecond: Double(messages) / seconds,
      median: Self.quantile(0.5, of: sum.latencies),
      percentile99: Self.quantile(0.99, of: sum.latencies),
      slowest: Self.quantile(1, of: sum.latencies))
  }

  /// Of sorted nanoseconds, in microseconds.
  private static func quantile(_ share: Double, of sorted: [UInt32]) -> Double {
    guard !sorted.isEmpty else { return 0 }
    return Double(sorted[Int(share * Double(sorted.count - 1))]) / 1000
  }
}
