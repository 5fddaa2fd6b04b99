import WardenCore

/// What `top` writes where there is no screen: a line for each look.
public enum TopSummary {
  public static func line(_ snapshot: Snapshot) -> String {
    let clock = Figures.clock(snapshot.at)
    guard snapshot.trouble == nil, let status = snapshot.status else {
      return "\(clock) no answer, trying again: \(Quoted.control(snapshot.trouble ?? ""))"
    }
    var words = [
      clock, "sessions=\(status.sessions_open)", "blocked=\(status.penalties)", "tripped=\(snapshot.episodes.count)",
    ]
    for name in ["connections", "messages", "recipients", "refusals", "held", "auth-failures"] {
      if let rate = status.totals[name] { words.append("\(name)=\(rate.last_minute)/min") }
    }
    if let nearest = snapshot.keys.first {
      words.append("nearest=\(Quoted.value(nearest.key))")
      words.append("\(nearest.count)/\(nearest.limit) in \(nearest.window)")
    }
    if !status.distress.isEmpty { words.append("distress=\(Quoted.value(status.distress.joined(separator: "; ")))") }
    return words.joined(separator: " ")
  }
}
