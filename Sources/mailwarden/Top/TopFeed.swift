import Foundation
import WardenControl
import WardenCore
import WardenScreen

/// What `top` hears from the daemon, gathered for the one thread that draws.
final class TopFeed: Sendable {
  /// The daemon's answers to one look.
  struct Look: Sendable {
    let status: StatusReport
    let keys: [CounterReport]
    let episodes: [EpisodeReport]
    let penalties: [PenaltyReport]
    let explained: Snapshot.Explained?
  }

  enum News: Sendable {
    case looked(Look)
    case unanswered(String)
    case record(StreamRecord)
    /// Why the stream is not heard, or nothing once it is.
    case unheard(String?)
    /// An order was carried out, or was not.
    case told(String)
  }

  /// More than a screen shows; also what the daemon is asked to look for.
  private static let mostRows = "200"
  private static let hostKinds = KeyKind.allCases.filter { $0 != .user }.map(\.name).joined(separator: ",")
  /// Records between two drawings.
  private static let mostNews = 4_096

  private let client: ControlClient
  private let news = Locked<[News]>([])
  /// Readable when there are news.
  let bell: Int32
  private let clapper: Int32

  init(_ client: ControlClient) {
    self.client = client
    var ends: [Int32] = [-1, -1]
    pipe(&ends)
    for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
    (bell, clapper) = (ends[0], ends[1])
  }

  func take() -> [News] {
    var bytes = [UInt8](repeating: 0, count: 256)
    while read(bell, &bytes, bytes.count) > 0 {}
    return news.withLock { news in
      defer { news = [] }
      return news
    }
  }

  private func tell(_ item: News) {
    let isFirst = news.withLock { news in
      if case .record = item, news.count >= Self.mostNews { return false }
      news.append(item)
      return news.count == 1
    }
    var byte: UInt8 = 0
    if isFirst { _ = write(clapper, &byte, 1) }
  }

  // MARK: - Asking

  /// - Parameter openKey: whose `explain` is wanted with it.
  func look(order: TopState.Order, openKey: String?) {
    Task {
      do {
        let client = client
        async let status = client.ask("/v1/status", as: StatusReport.self)
        // One question would let a thousand addresses of a botnet crowd out the users.
        async let users = client.ask(
          "/v1/keys", query: ["order": order.rawValue, "per": "user", "limit": Self.mostRows], as: [CounterReport].self)
        async let hosts = client.ask(
          "/v1/keys", query: ["order": order.rawValue, "per": Self.hostKinds, "limit": Self.mostRows],
          as: [CounterReport].self)
        async let episodes = client.ask("/v1/episodes", as: [EpisodeReport].self)
        async let penalties = client.ask(
          "/v1/penalties", query: ["limit": Self.mostRows], as: [PenaltyReport].self)
        let explained = try await explained(openKey)
        tell(
          .looked(
            Look(
              status: try await status, keys: try await users + hosts, episodes: try await episodes,
              penalties: try await penalties, explained: explained)))
      } catch {
        tell(.unanswered("\(error)"))
      }
    }
  }

  private func explained(_ key: String?) async throws -> Snapshot.Explained? {
    guard let key else { return nil }
    do {
      let report = try await client.ask("/v1/explain", query: ["key": key], as: ExplainReport.self)
      return Snapshot.Explained(key: key, answer: .success(report))
    } catch ControlClient.Problem.refused(let why) {
      return Snapshot.Explained(key: key, answer: .failure(ErrorReport(error: why)))
    }
  }

  func carryOut(_ order: TopOrder) {
    Task {
      do {
        switch order {
        case .block(let key, let span):
          let order = BlockOrder(key: key, for: span, reason: nil)
          let report = try await client.ask("/v1/penalties", method: "POST", body: order, as: BlockReport.self)
          tell(.told(Block.text(report).replacing("\n", with: "; ")))
        case .release(let key):
          let report = try await client.ask(
            "/v1/penalties", method: "DELETE", query: ["key": key], as: ReleaseReport.self)
          tell(.told(Release.text(report).replacing("\n", with: "; ")))
        }
      } catch {
        tell(.told("NOT DONE: \(error)"))
      }
    }
  }

  /// Listens to trips and blocks as they happen, for as long as the process lives.
  func listen(decisions: [String]) {
    Task {
      while true {
        do {
          try await client.follow(
            "/v1/events", query: [("decision", decisions.joined(separator: ","))],
            opened: { self.tell(.unheard(nil)) }
          ) { message in
            if let record = StreamRecord(message) { tell(.record(record)) }
          }
          tell(.unheard("the daemon has ended the stream; trying again"))
        } catch {
          tell(.unheard("\(error)"))
        }
        try? await Task.sleep(for: .seconds(1))
      }
    }
  }
}
