import Foundation
import MilterClient
import Testing
import WardenCore
import WardenTestKit

/// The daemon is killed at random moments, under load and under administrators' orders, and started again: nothing that it
/// has acknowledged is lost.
///
/// `make crashes` plays 200 rounds (MAILWARDEN_CRASH_ROUNDS); the tests of every day a few.
@Suite("Crashes")
struct CrashTests {
  /// Counts may be so much behind.
  private static let behind = Duration.seconds(5)
  private static let rounds = ProcessInfo.processInfo.environment["MAILWARDEN_CRASH_ROUNDS"].flatMap(Int.init) ?? 6
  private static let users = (0..<8).map { "user\($0)" }

  /// What was ordered of a key, and whether it was answered.
  private struct Order {
    enum Wish: CaseIterable { case block, release, allow, revoke }
    let wish: Wish
    var isAnswered = false
  }

  /// What one life of the daemon was asked and has answered.
  private final class Life: Sendable {
    struct Notes {
      /// By user: when each message passed.
      var passed: [String: [ContinuousClock.Instant]] = [:]
      var tried: [String: Int] = [:]
      /// By key, in order.
      var orders: [String: [Order]] = [:]
    }
    let notes = Locked(Notes())
    let isOver = Locked(false)
  }

  @Test("What was acknowledged survives, round after round")
  func rounds() throws {
    let folder = try TemporaryFolder()
    let daemon = try TestDaemon(
      policy: """
        state: \(folder.file("state"))
        rules:
          - {name: daily, count: messages, per: user, limit: 1000000 per 1d, then: tempfail}
          - {name: leavers, count: broken-connections, per: ip, limit: 3 per 1h, then: block for 1d}
        """, folder: folder)
    var random = SystemRandomNumberGenerator()
    /// What is known to hold: keys that are blocked, or exempt, for certain; nothing is known of the rest.
    var blocked: [String: Bool] = [:]
    var allowed: [String: Bool] = [:]
    var byRule: Set<String> = []
    for round in 0..<Self.rounds {
      let before = try counts(daemon)
      let life = Life()
      let sockets = (milter: daemon.milterSocket, control: daemon.controlSocket)
      let threads = [work { try Self.send(sockets.milter, life) }, work { try Self.order(sockets.control, life) }]
      // Mostly short lives; some long enough for counts to be due.
      let span = Int.random(in: 0...3, using: &random) == 0 ? 5_500...8_000 : 100...2_000
      poll(nil, 0, Int32.random(in: Int32(span.lowerBound)...Int32(span.upperBound), using: &random))
      // From here on nothing is acknowledged: what the log says now was said before.
      let killed = ContinuousClock.now
      daemon.kill()
      life.isOver.withLock { $0 = true }
      for thread in threads { thread.wait() }
      byRule.formUnion(Self.blockedKeys(in: try daemon.log))
      try daemon.start()

      let notes = life.notes.withLock { $0 }
      for (key, orders) in notes.orders { Self.settle(key, orders, &blocked, &allowed) }
      let penalties = Set(try daemon.blockedKeys)
      let overrides = Set(
        (try daemon.curl("/v1/overrides") as? [[String: Any]] ?? []).compactMap { $0["target"] as? String })
      for (key, isBlocked) in blocked {
        #expect(penalties.contains(key) == isBlocked, "round \(round): \(key), \(notes.orders[key] ?? [])")
      }
      for (key, isAllowed) in allowed {
        #expect(overrides.contains(key) == isAllowed, "round \(round): \(key), \(notes.orders[key] ?? [])")
      }
      #expect(byRule.subtracting(penalties) == [], "round \(round)")
      for (user, count) in try counts(daemon) {
        let due = notes.passed[user, default: []].count { $0 < killed - Self.behind }
        let most = before[user, default: 0] + notes.tried[user, default: 0]
        #expect((before[user, default: 0] + due...most).contains(count), "round \(round): \(user)")
      }
    }
    #expect(!byRule.isEmpty && !blocked.isEmpty && !allowed.isEmpty)
    print("\(Self.rounds) crashes: \(byRule.count) blocks by rule, \(blocked.count + allowed.count) keys ordered about")
  }

  private func counts(_ daemon: TestDaemon) throws -> [String: Int] {
    try Dictionary(
      uniqueKeysWithValues: Self.users.map { ($0, try daemon.count("user:\($0)", rule: "daily") ?? 0) })
  }

  private func work(_ body: @escaping @Sendable () throws -> Void) -> DispatchSemaphore {
    let done = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      // The daemon dies under it: that is the end of its work, and no fault.
      try? body()
      done.signal()
    }
    return done
  }

  /// Messages of the users, and clients that leave without any.
  private static func send(_ socket: String, _ life: Life) throws {
    var number = 0
    while !life.isOver.withLock({ $0 }) {
      number += 1
      let user = users[number % users.count]
      let client = try MilterClient(.unix(socket), timeLimit: 2)
      try client.negotiate()
      let address = "198.51.\(Int.random(in: 0...3)).\(Int.random(in: 1...250))"
      if try client.connect(address: .ipv4(address, port: 40_000)).isRefusal { continue }
      if number % 2 == 0 {
        try client.mail("<\(user)@b.test>", macros: [("{auth_authen}", user)])
        life.notes.withLock { $0.tried[user, default: 0] += 1 }
        try client.endOfMessage(macros: [("i", "Q\(number)")])
        life.notes.withLock { $0.passed[user, default: []].append(.now) }
      }
      try client.quit()
    }
  }

  /// An administrator's orders about a few keys, one after the other.
  private static func order(_ socket: String, _ life: Life) throws {
    while !life.isOver.withLock({ $0 }) {
      let key = "user:order\(Int.random(in: 0...5))"
      let wish = Order.Wish.allCases.randomElement()!
      let place = life.notes.withLock { notes in
        notes.orders[key, default: []].append(Order(wish: wish))
        return notes.orders[key]!.count - 1
      }
      let body = #"{"key":"\#(key)","for":"1d"}"#
      let answer =
        switch wish {
        case .block: try ask(socket, "/v1/penalties", "-d", body)
        case .release: try ask(socket, "/v1/penalties?key=\(key)", "-X", "DELETE")
        case .allow: try ask(socket, "/v1/overrides", "-d", body)
        case .revoke: try ask(socket, "/v1/overrides?key=\(key)", "-X", "DELETE")
        }
      // A note says that it is not stored.
      let isStored = !answer.contains("not stored")
      if isStored { life.notes.withLock { $0.orders[key]![place].isAnswered = true } }
    }
  }

  private static func ask(_ socket: String, _ endpoint: String, _ options: String...) throws -> String {
    try Shell.check(
      "curl", ["-sS", "--max-time", "10", "--unix-socket", socket, "http://localhost\(endpoint)"] + options)
  }

  /// What must hold after the orders; nothing is known of a key whose last order was not answered.
  private static func settle(
    _ key: String, _ orders: [Order], _ blocked: inout [String: Bool], _ allowed: inout [String: Bool]
  ) {
    for order in orders {
      switch order.wish {
      case .block: blocked[key] = order.isAnswered ? true : nil
      case .release: blocked[key] = order.isAnswered ? false : nil
      case .allow: allowed[key] = order.isAnswered ? true : nil
      case .revoke: allowed[key] = order.isAnswered ? false : nil
      }
    }
  }

  private static func blockedKeys(in log: String) -> [String] {
    // The last line may be cut off.
    log.split(separator: "\n", omittingEmptySubsequences: false).dropLast().filter { $0.contains(" warning blocked ") }
      .compactMap { $0.firstMatch(of: /\ key=(\S+)/).map { String($0.1) } }
  }
}
