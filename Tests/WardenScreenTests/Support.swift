import WardenCore
import WardenTestKit

@testable import WardenControl
@testable import WardenScreen

/// What clients call themselves when they mean harm.
enum Hostile {
  static let names = [
    "", "alice@example.org", "\u{1b}]0;owned\u{7}", "\u{202e}drowssap", "\u{9b}2J", "a\r\nb\tc", "\u{fffd}\u{fffd}",
    "👩‍👩‍👧", "\u{301}\u{301}", "漢字漢字", String(repeating: "x", count: 5_000),
    String(repeating: "\u{202e}", count: 300), "\"\\",
  ]
}

struct RandomSnapshots {
  var random: SeededGenerator

  mutating func name() -> String { Hostile.names.randomElement(using: &random)! }
  mutating func number() -> Int {
    [0, 1, 7, 99, 100_000, 123_456_789, Int.max, -1].randomElement(using: &random)!
  }
  mutating func time() -> String {
    ["2026-11-24T10:14:05Z", "", "never", "2026-12-24T10:14:05Z"].randomElement(using: &random)!
  }
  private mutating func many<Value>(_ make: (inout Self) -> Value) -> [Value] {
    (0..<Int.random(in: 0...40, using: &random)).map { _ in make(&self) }
  }

  mutating func snapshot() -> Snapshot {
    var snapshot = Snapshot(at: Timestamp(microseconds: 1_795_515_245_123_457))
    if Bool.random(using: &random) { snapshot.status = status() }
    if Bool.random(using: &random) { snapshot.trouble = name() }
    snapshot.keys = many { $0.counter() }
    snapshot.episodes = many { $0.episode() }
    snapshot.penalties = many { $0.penalty() }
    for record in many({ $0.record() }) { snapshot.recent.take(record) }
    return snapshot
  }

  mutating func explained(_ key: String) -> Snapshot.Explained {
    let report = ExplainReport(
      key: key, limited: true, exempt: nil, overrides: [], penalties: many { $0.penalty() },
      counters: many { $0.counter() }, episodes: many { $0.episode() },
      sent: many {
        PassageReport(
          queue_id: $0.name(), at: $0.time(), ip: $0.name(), sender: $0.name(), recipients: $0.number(), held: true)
      }, sent_total: number(), sentences: many { $0.name() })
    return Snapshot.Explained(
      key: key, answer: Bool.random(using: &random) ? .success(report) : .failure(ErrorReport(error: name())))
  }

  private mutating func key() -> String { ["user:", "ip:", "helo:"].randomElement(using: &random)! + name() }

  mutating func counter() -> CounterReport {
    CounterReport(
      key: key(), rule: name(), mode: ["observe", "enforce"].randomElement(using: &random)!, signal: name(),
      window: ["1h", "30d", name()].randomElement(using: &random)!, window_seconds: 3_600, count: number(),
      limit: number(), limit_text: "", origin: nil, left: 0, free_at: time())
  }

  private mutating func episode() -> EpisodeReport {
    EpisodeReport(
      key: key(), rule: name(), mode: "enforce", reason: name(), opened: time(), last: time(), quiet_at: time(),
      trips: number(), refused: number(), held: number(), told: nil)
  }

  private mutating func penalty() -> PenaltyReport {
    PenaltyReport(
      key: key(), rule: name(), reason: name(), since: time(), until: time(), attempts: number())
  }

  mutating func record() -> StreamRecord {
    switch Int.random(in: 0..<3, using: &random) {
    case 0: return .action(ActionRecord(at: time(), who: name(), action: name(), key: key(), detail: name()))
    case 1: return .skipped(SkippedRecord(at: time(), count: 1))
    default:
      let notices = many {
        EventRecord.NoticeRecord(
          kind: $0.name(), rule: $0.name(), key: $0.key(), reason: $0.name(), until: $0.time(), command: $0.name())
      }
      return .event(
        EventRecord(
          at: time(), stage: name(), source: name(), decision: name(), queue_id: name(), ip: name(), network: nil,
          user: name(), sender: name(), helo: name(), recipients: number(), counted: [name(): number()],
          rule: name(), key: key(), reason: name(), until: time(), notices: notices))
    }
  }

  private mutating func status() -> StatusReport {
    let signals = ["connections", "messages", "recipients", "refusals", "held", "spam", "bounced", "a", "b", "c", "d"]
    let totals = Dictionary(
      uniqueKeysWithValues: signals.map {
        (
          $0,
          StatusReport.Rate(
            total: number(), last_minute: number() / 100, last_hour: number(), usual_hour: [nil, 5].randomElement()!)
        )
      })
    return StatusReport(
      version: "0.1.0", pid: 1, started: time(), uptime_seconds: abs(number() % 1_000_000_000), policy_file: name(),
      last_reload: nil, sessions_open: number(), totals: totals, rules: [], penalties: number(), keys: number(),
      memory_bytes: number(), memory_bound_bytes: number(), watchers: 0, state: nil, alerts: nil, feeds: [],
      distress: many { $0.name() },
      faults: StatusReport.Faults(
        milter_faults: number(), dropped_notices: 0, dropped_commands: 0, evicted_keys: 0, dropped_penalties: 0,
        dropped_episodes: 0, dropped_history: 0, dropped_watchers: 0, skipped_records: 0,
        dropped_connections: 0))
  }
}
