import WardenControl
import WardenCore

/// A list on the screen.
public enum Pane: Int, CaseIterable, Sendable {
  case users, hosts, episodes, penalties, recent

  var title: String {
    switch self {
    case .users: "Users"
    case .hosts: "Networks, addresses, others"
    case .episodes: "Tripped rules"
    case .penalties: "Blocked"
    case .recent: "Trips and blocks"
    }
  }
}

/// A column of a list; the one without a width takes what the others leave.
struct Column {
  let title: String
  let width: Int?
  var isRight = false
}

enum Cell {
  case text(String, Style = .plain)
  /// A part of a whole, as a bar.
  case bar(Double)
}

/// A line of a list, and what it is of.
struct Row {
  /// The same as long as it is the same thing, wherever it stands in the list.
  let id: String
  let key: String
  let cells: [Cell]
}

extension Pane {
  /// - Parameter width: columns that have no room are left out, the last first.
  func columns(width: Int) -> [Column] {
    let all: [Column] =
      switch self {
      case .users, .hosts:
        [
          Column(title: "", width: nil), Column(title: "", width: width < 100 ? 10 : 20),
          Column(title: "count/limit", width: 11, isRight: true), Column(title: "in", width: 4),
          Column(title: "rule", width: 14),
        ]
      case .episodes:
        [
          Column(title: "", width: nil), Column(title: "rule", width: 14),
          Column(title: "trips", width: 5, isRight: true), Column(title: "refused", width: 7, isRight: true),
          Column(title: "held", width: 5, isRight: true), Column(title: "quiet in", width: 8, isRight: true),
        ]
      case .penalties:
        [
          Column(title: "", width: nil), Column(title: "left", width: 8, isRight: true),
          Column(title: "tried", width: 5, isRight: true), Column(title: "rule", width: 14),
        ]
      case .recent:
        [
          Column(title: "", width: 8), Column(title: "", width: 8), Column(title: "", width: nil),
          Column(title: "times", width: 5, isRight: true),
        ]
      }
    // The first column must keep a name's worth of room.
    var columns = all
    while columns.count > 1, columns.reduce(0, { $0 + ($1.width ?? 12) + 1 }) + 2 > width { columns.removeLast() }
    return columns
  }

  func rows(_ snapshot: Snapshot, filter: String) -> [Row] {
    let all: [Row] =
      switch self {
      case .users: snapshot.keys.filter(isOurs).map(row)
      case .hosts: snapshot.keys.filter(isOurs).map(row)
      case .episodes: snapshot.episodes.map { row($0, at: snapshot.at) }
      case .penalties: snapshot.penalties.map { row($0, at: snapshot.at) }
      case .recent: snapshot.recent.happenings.map(row)
      }
    let filter = filter.lowercased()
    return filter.isEmpty ? all : all.filter { $0.id.lowercased().contains(filter) }
  }

  /// Pairs with a user are the user's.
  private func isOurs(_ counter: CounterReport) -> Bool { (self == .users) == counter.key.hasPrefix("user:") }

  private func row(_ counter: CounterReport) -> Row {
    let share = counter.limit > 0 ? Double(counter.count) / Double(counter.limit) : Double(counter.count)
    let figures = "\(Figures.short(counter.count))/\(Figures.short(counter.limit))"
    return Row(
      id: "\(counter.key) \(counter.rule)", key: counter.key,
      cells: [
        .text(counter.key), .bar(share), .text(figures, share >= 1 ? .bad : .plain), .text(counter.window),
        .text(counter.rule, counter.mode == "observe" ? .dim : .plain),
      ])
  }

  private func row(_ episode: EpisodeReport, at now: Timestamp) -> Row {
    Row(
      id: "\(episode.key) \(episode.rule)", key: episode.key,
      cells: [
        .text(episode.key), .text(episode.rule, episode.mode == "observe" ? .dim : .plain),
        .text(Figures.short(episode.trips)), .text(Figures.short(episode.refused), episode.refused > 0 ? .bad : .plain),
        .text(Figures.short(episode.held)), .text(Figures.left(until: episode.quiet_at, from: now)),
      ])
  }

  private func row(_ penalty: PenaltyReport, at now: Timestamp) -> Row {
    Row(
      id: "\(penalty.key) \(penalty.rule)", key: penalty.key,
      cells: [
        .text(penalty.key), .text(Figures.left(until: penalty.until, from: now)),
        .text(Figures.short(penalty.attempts)), .text(penalty.rule),
      ])
  }

  private func row(_ happening: Recent.Happening) -> Row {
    Row(
      id: happening.id, key: happening.key,
      cells: [
        .text(Figures.clock(happening.at), .dim), .text(happening.kind, RecordText.style(of: happening.kind)),
        .text(
          happening.reason.isEmpty ? "\(happening.key) \(happening.rule)" : "\(happening.rule): \(happening.reason)"),
        .text(happening.times > 1 ? "x\(Figures.short(happening.times))" : ""),
      ])
  }
}
