import Foundation
import WardenControl
import WardenCore
import WardenScreen

/// `mailwarden top` without a screen: a line for each look, and with it what has tripped since.
struct TopLines {
  /// What `--json` prints for each look; only `at` and `error` while the daemon does not answer.
  private struct Report: Encodable {
    let at: String
    var error: String?
    var status: StatusReport?
    var keys: [CounterReport]?
    var episodes: [EpisodeReport]?
    var penalties: [PenaltyReport]?
    var events: [EventRecord]?
    /// Events that were left out since.
    var skipped: Int?
  }

  private let feed: TopFeed
  private let delay: TimeSpan
  private let isJSON: Bool

  init(_ client: ControlClient, delay: TimeSpan, isJSON: Bool) {
    feed = TopFeed(client)
    self.delay = delay
    self.isJSON = isJSON
  }

  func run() -> Never {
    Output.endWithReader()
    // What is refused again and again is in the figures.
    feed.listen(decisions: ["held", "delayed", "blocked", "observed", "alert", "run"])
    feed.look(order: .limit, openKey: nil)
    var events: [EventRecord] = []
    var skipped = 0
    while true {
      var bell = pollfd(fd: feed.bell, events: Int16(POLLIN), revents: 0)
      poll(&bell, 1, -1)
      for news in feed.take() {
        switch news {
        case .looked, .unanswered:
          show(news, events, skipped)
          (events, skipped) = ([], 0)
          let feed = feed
          DispatchQueue.global().asyncAfter(deadline: .now() + .microseconds(delay.microseconds)) {
            feed.look(order: .limit, openKey: nil)
          }
        case .record(let record):
          if !isJSON { Output.line(RecordText.line(record).text { word, _ in word }) }
          if case .event(let event) = record, isJSON { events.append(event) }
          if case .skipped(let more) = record { skipped += more.count }
        case .unheard, .told: break
        }
      }
    }
  }

  private func show(_ news: TopFeed.News, _ events: [EventRecord], _ skipped: Int) {
    let now = Timestamp(microseconds: Int(Date().timeIntervalSince1970 * 1_000_000))
    var snapshot = Snapshot(at: now)
    var report = Report(at: now.rfc3339)
    switch news {
    case .looked(let look):
      snapshot.status = look.status
      snapshot.keys = look.keys
      snapshot.episodes = look.episodes
      report.status = look.status
      report.keys = look.keys
      report.episodes = look.episodes
      report.penalties = look.penalties
      report.events = events
      report.skipped = skipped
    case .unanswered(let why):
      snapshot.trouble = why
      report.error = why
    default: return
    }
    Output.line(isJSON ? JSONLine.text(JSONCoding.text(report)) : TopSummary.line(snapshot))
  }
}
