import WardenAlerts
import WardenControl
import WardenCore

extension AlertSurroundings {
  /// The daemon around the alerts.
  init(engine: Engine, clock: LiveClock, books: StateKeeper.Books, keeper: StateKeeper?, feeds: Feeds) {
    let evicted = Locked(0)
    self.init(
      now: clock.now, wall: clock.wall, news: { engine.news(at: $0, again: $1) },
      evidence: { episode in
        let blocked = episode.block.flatMap { block in engine.penalty(on: block.key) }
        return Evidence(
          sent: books.trail.sent(
            by: episode.id.key, since: episode.evidenceStart, atMost: Evidence.mostMessages),
          prefix: engine.policy.networkPrefix, attempts: blocked?.attempts)
      },
      vitals: {
        let pulse = engine.pulse
        var distress: [Distress.ID: String] = [:]
        if let problem = keeper?.problem { distress[Distress.ID(.database)] = problem }
        distress.merge(feeds.distress) { $1 }
        if evicted.withLock({ $0 < pulse.evictedKeys }) {
          distress[Distress.ID(.memory)] =
            "the counters have reached their bound of \(pulse.memoryBound / 1_000_000) MB, and keys that count are dropped"
        }
        evicted.withLock { $0 = pulse.evictedKeys }
        return Vitals(events: pulse.events, distress: distress)
      },
      store: { told, documents, now in
        // The message before the mark: an episode that is marked as told has left its message.
        books.documents.put(documents)
        for (episode, news) in told { engine.tell(episode, news, at: now) }
        _ = await keeper?.store(.penalties)
      },
      admit: { sender in
        guard let key = try? Key("sender:\(sender)", realms: engine.realms) else { return }
        let now = clock.now()
        _ = engine.allow(
          Override(.key(key), .exempt, until: now + .hours(1), origin: "Mailwarden's own alert mail"), at: now)
      })
  }
}

extension AlertService.ChannelReport {
  var forStatus: WardenControl.ChannelReport {
    WardenControl.ChannelReport(
      channel: name, sent: sent, waiting: waiting, failed: failures, dropped: dropped, problem: lastError?.text)
  }
}
