import WardenCore

/// The server's figures as Prometheus takes them; docs/metrics.md says what each means. Labels are names of the policy and
/// of this program, never what a client said.
struct Metrics {
  private var page = Exposition()

  static func text(_ status: StatusReport, _ census: Census, _ figures: Figures) -> String {
    var metrics = Metrics()
    metrics.addTraffic(status, figures)
    metrics.addRules(status, census, figures)
    metrics.addHealth(status, figures)
    metrics.addState(status.state)
    metrics.addAlerts(status.alerts ?? [])
    metrics.addFeeds(status.feeds)
    metrics.addProcess(status)
    return metrics.page.text
  }

  private mutating func addTraffic(_ status: StatusReport, _ figures: Figures) {
    page.add("mailwarden_sessions_open", .gauge, "SMTP sessions that MTAs are showing now.", status.sessions_open)
    page.add(
      "mailwarden_events_total", .counter, "What was counted, by signal.", "signal",
      samples: status.totals.sorted { $0.key < $1.key }.map { ([$0.key], $0.value.total) })
    page.add(
      "mailwarden_messages_total", .counter, "Messages that passed, by whether somebody had logged in.",
      "authenticated", samples: figures.passed.map { ([Self.word($0.isAuthenticated)], $0.messages) })
    page.add(
      "mailwarden_recipients_total", .counter, "Recipients of messages that passed, by whether somebody had logged in.",
      "authenticated", samples: figures.passed.map { ([Self.word($0.isAuthenticated)], $0.recipients) })
    page.add(
      "mailwarden_decisions_total", .counter, "What was decided, by stage and by whether somebody had logged in.",
      "stage", "decision", "authenticated",
      samples: figures.decisions.map { ([$0.step.name, $0.decision, Self.word($0.isAuthenticated)], $0.count) })
    page.addHistograms(
      "mailwarden_answer_seconds", "How long the MTA's calls took, by stage.", "stage",
      bounds: Figures.AnswerTimes.bounds, figures.answerTimes.map { ($0.stage, $0.counts, $0.nanoseconds) })
  }

  private mutating func addRules(_ status: StatusReport, _ census: Census, _ figures: Figures) {
    let rules = status.rules
    page.add(
      "mailwarden_rule_info", .gauge, "The rules in force.", "rule", "mode",
      samples: rules.map { ([$0.name, $0.mode], 1) })
    page.add(
      "mailwarden_rule_episodes_total", .counter, "Episodes opened, by rule.", "rule",
      samples: rules.map { ([$0.name], $0.trips) })
    page.add(
      "mailwarden_rule_episodes_open", .gauge, "Episodes open now, by rule.", "rule",
      samples: rules.map { ([$0.name], census.episodes[$0.name] ?? 0) })
    page.add(
      "mailwarden_rule_refused_total", .counter, "Refusals, by rule.", "rule",
      samples: rules.map { ([$0.name], $0.refused) })
    page.add(
      "mailwarden_rule_notices_total", .counter, "What was told beside refusals, by rule and kind.", "rule", "kind",
      samples: rules.flatMap { rule in
        ["alert", "blocked", "delayed", "held", "observed", "run"].map {
          ([rule.name, $0], figures.notices[Figures.Notices(rule: rule.name, kind: $0)] ?? 0)
        }
      })
    page.add("mailwarden_penalties", .gauge, "Keys in the penalty box.", status.penalties)
    page.add(
      "mailwarden_rule_penalties", .gauge, "Keys in the penalty box, by rule and kind of key.", "rule", "kind",
      samples: census.penalties.map { ([$0.rule, $0.shape.description], $1) }
        .sorted { $0.0.lexicographicallyPrecedes($1.0) })
  }

  private mutating func addHealth(_ status: StatusReport, _ figures: Figures) {
    page.add("mailwarden_keys", .gauge, "Keys that are counted.", status.keys)
    page.add("mailwarden_memory_bytes", .gauge, "What the counters take.", status.memory_bytes)
    page.add("mailwarden_memory_bound_bytes", .gauge, "What the counters may take.", status.memory_bound_bytes)
    let faults = status.faults
    page.add("mailwarden_milter_faults_total", .counter, "Faults of the milter.", faults.milter_faults)
    page.add(
      "mailwarden_dropped_total", .counter, "What had no room, by kind.", "kind",
      samples: [
        (["notices"], faults.dropped_notices), (["commands"], faults.dropped_commands),
        (["keys"], faults.evicted_keys), (["penalties"], faults.dropped_penalties),
        (["episodes"], faults.dropped_episodes), (["history"], faults.dropped_history),
        (["connections"], faults.dropped_connections),
      ])
    page.add(
      "mailwarden_queue_length", .gauge, "What waits to be told, written or run, by queue.", "queue",
      samples: figures.queues.map { ([$0.name], $0.length) })
    page.add(
      "mailwarden_queue_bound", .gauge, "What may wait; beyond that it is dropped.", "queue",
      samples: figures.queues.map { ([$0.name], $0.bound) })
    page.add(
      "mailwarden_log_summarised_total", .counter, "Decisions that the log told in sums alone.", figures.summarised)
    page.add(
      "mailwarden_distress", .gauge, "How many things are wrong now, as alerts tell them.", status.distress.count)
    page.add(
      "mailwarden_policy_reloads_total", .counter, "Reloads of the policy since the start, by result.", "result",
      samples: [(["ok"], figures.reloads.succeeded), (["failed"], figures.reloads.failed)])
    page.add(
      "mailwarden_policy_last_reload_successful", .gauge, "Whether the last reload switched to the policy file.",
      status.last_reload?.ok == false ? 0 : 1)
    page.add(
      "mailwarden_policy_last_reload_success_timestamp_seconds", .gauge, "When the policy in force was read.",
      Self.seconds(figures.reloads.lastSuccess))
  }

  private mutating func addState(_ state: StateReport?) {
    guard let state else { return }
    page.add("mailwarden_state_ok", .gauge, "Whether state can be stored.", state.problem == nil ? 1 : 0)
    page.add(
      "mailwarden_state_last_stored_timestamp_seconds", .gauge, "When state was last stored.",
      samples: Self.moment(state.stored).map { [([], $0)] } ?? [])
    page.add("mailwarden_state_size_bytes", .gauge, "The size of the database.", state.size_bytes)
    page.add("mailwarden_state_size_bound_bytes", .gauge, "What the database may take.", state.size_bound_bytes)
  }

  private mutating func addAlerts(_ channels: [ChannelReport]) {
    page.add(
      "mailwarden_alerts_sent_total", .counter, "Alerts sent.", "channel",
      samples: channels.map { ([$0.channel], $0.sent) })
    page.add(
      "mailwarden_alerts_failed_total", .counter, "Attempts to send an alert that failed.", "channel",
      samples: channels.map { ([$0.channel], $0.failed) })
    page.add(
      "mailwarden_alerts_dropped_total", .counter, "Alerts that had no room or came too late.", "channel",
      samples: channels.map { ([$0.channel], $0.dropped) })
    page.add(
      "mailwarden_alerts_waiting", .gauge, "Alerts that wait to be sent.", "channel",
      samples: channels.map { ([$0.channel], $0.waiting) })
  }

  private mutating func addFeeds(_ feeds: [FeedReport]) {
    page.add(
      "mailwarden_feed_heard_total", .counter, "Requests or lines of feeds.", "feed",
      samples: feeds.map { ([$0.name], $0.heard) })
    page.add(
      "mailwarden_feed_told_total", .counter, "Requests or lines that told of something.", "feed",
      samples: feeds.map { ([$0.name], $0.told) })
    page.add(
      "mailwarden_feed_not_understood_total", .counter, "Requests or lines that were not understood.", "feed",
      samples: feeds.map { ([$0.name], $0.not_understood) })
    page.add(
      "mailwarden_feed_repeated_total", .counter, "What was told that somebody else had told already.", "feed",
      samples: feeds.map { ([$0.name], $0.repeated) })
    page.add(
      "mailwarden_feed_late_total", .counter, "What was told too late to count.", "feed",
      samples: feeds.map { ([$0.name], $0.late) })
    page.add(
      "mailwarden_feed_ok", .gauge, "Whether nothing is wrong with the feed.", "feed",
      samples: feeds.map { ([$0.name], $0.problem == nil ? 1 : 0) })
    page.add(
      "mailwarden_feed_last_heard_timestamp_seconds", .gauge, "When the feed last told anything.", "feed",
      samples: feeds.compactMap { feed in Self.moment(feed.last_heard).map { ([feed.name], $0) } })
  }

  private mutating func addProcess(_ status: StatusReport) {
    page.add("mailwarden_build_info", .gauge, "The version that runs.", "version", samples: [([status.version], 1)])
    page.add("mailwarden_up_seconds", .gauge, "Since the daemon was started.", status.uptime_seconds)
    guard let process = ProcessFigures() else { return }
    page.add("process_cpu_seconds_total", .counter, "Processor time, user and system.", process.cpuSeconds)
    page.add("process_threads", .gauge, "Threads.", process.threads)
    page.add("process_start_time_seconds", .gauge, "When the process was started.", process.startSeconds)
    page.add("process_virtual_memory_bytes", .gauge, "Virtual memory.", process.virtualBytes)
    page.add("process_resident_memory_bytes", .gauge, "Resident memory.", process.residentBytes)
    page.add("process_open_fds", .gauge, "Open file descriptors.", process.openFiles)
    page.add("process_max_fds", .gauge, "How many file descriptors may be open.", process.mostFiles)
  }

  private static func word(_ truth: Bool) -> String { truth ? "yes" : "no" }
  private static func seconds(_ moment: Timestamp) -> Int { moment.microseconds / 1_000_000 }
  private static func moment(_ text: String?) -> Int? { text.flatMap(DateText.timestamp).map(seconds) }
}
