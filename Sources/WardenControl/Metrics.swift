/// The server's figures as Prometheus takes them (text format 0.0.4). Labels are signals and rules, never what a client said.
enum Metrics {
  static func text(_ status: StatusReport) -> String {
    var text = Writer()
    text.add("up_seconds", .gauge, "Since the daemon was started.", status.uptime_seconds)
    text.add("sessions_open", .gauge, "SMTP sessions that MTAs are showing now.", status.sessions_open)
    text.add("penalties", .gauge, "Keys in the penalty box.", status.penalties)
    text.add("keys", .gauge, "Keys that are counted.", status.keys)
    text.add("memory_bytes", .gauge, "What the counters take.", status.memory_bytes)
    text.add("memory_bound_bytes", .gauge, "What the counters may take.", status.memory_bound_bytes)
    text.add(
      "events_total", .counter, "What was counted, by signal.", label: "signal",
      status.totals.sorted { $0.key < $1.key }.map { ($0.key, $0.value.total) })
    text.add(
      "rule_episodes_total", .counter, "Episodes opened, by rule.", label: "rule",
      status.rules.map { ($0.name, $0.trips) })
    text.add(
      "rule_refused_total", .counter, "Refusals, by rule.", label: "rule", status.rules.map { ($0.name, $0.refused) })
    let faults = status.faults
    text.add("milter_faults_total", .counter, "Faults of the milter.", faults.milter_faults)
    text.add(
      "dropped_total", .counter, "What had no room, by kind.", label: "kind",
      [
        ("notices", faults.dropped_notices), ("commands", faults.dropped_commands), ("keys", faults.evicted_keys),
        ("penalties", faults.dropped_penalties), ("episodes", faults.dropped_episodes),
        ("history", faults.dropped_history),
      ])
    text.add("distress", .gauge, "How many things are wrong now, as alerts tell them.", status.distress.count)
    if let state = status.state {
      text.add("state_ok", .gauge, "Whether state can be stored.", state.problem == nil ? 1 : 0)
      text.add("state_size_bytes", .gauge, "The size of the database.", state.size_bytes)
      text.add("state_size_bound_bytes", .gauge, "What the database may take.", state.size_bound_bytes)
    }
    if let alerts = status.alerts {
      text.add("alerts_sent_total", .counter, "Alerts sent.", label: "channel", alerts.map { ($0.channel, $0.sent) })
      text.add(
        "alerts_failed_total", .counter, "Attempts to send an alert that failed.", label: "channel",
        alerts.map { ($0.channel, $0.failed) })
      text.add(
        "alerts_waiting", .gauge, "Alerts that wait to be sent.", label: "channel",
        alerts.map { ($0.channel, $0.waiting) })
    }
    text.add(
      "feed_heard_total", .counter, "Requests or lines of feeds.", label: "feed",
      status.feeds.map { ($0.name, $0.heard) })
    text.add(
      "feed_told_total", .counter, "Requests or lines that told of something.", label: "feed",
      status.feeds.map { ($0.name, $0.told) })
    text.add(
      "feed_not_understood_total", .counter, "Requests or lines that were not understood.", label: "feed",
      status.feeds.map { ($0.name, $0.not_understood) })
    text.add(
      "feed_repeated_total", .counter, "What was told that somebody else had told already.", label: "feed",
      status.feeds.map { ($0.name, $0.repeated) })
    text.add(
      "feed_ok", .gauge, "Whether nothing is wrong with the feed.", label: "feed",
      status.feeds.map { ($0.name, $0.problem == nil ? 1 : 0) })
    return text.lines
  }

  private struct Writer {
    enum Kind: String { case gauge, counter }
    private(set) var lines = ""

    mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: Int) {
      head(name, kind, help)
      lines += "mailwarden_\(name) \(value)\n"
    }

    mutating func add(_ name: String, _ kind: Kind, _ help: String, label: String, _ values: [(String, Int)]) {
      guard !values.isEmpty else { return }
      head(name, kind, help)
      for (value, count) in values { lines += "mailwarden_\(name){\(label)=\"\(escaped(value))\"} \(count)\n" }
    }

    /// A path may hold anything.
    private func escaped(_ value: String) -> String {
      value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    private mutating func head(_ name: String, _ kind: Kind, _ help: String) {
      lines += "# HELP mailwarden_\(name) \(help)\n# TYPE mailwarden_\(name) \(kind.rawValue)\n"
    }
  }
}
