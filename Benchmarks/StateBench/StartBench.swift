import ArgumentParser
import Foundation
import MilterClient
import Synchronization
import WardenCore

/// Whoever is blocked knocks while the daemon starts.
struct StartBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "start", abstract: "Starts the daemon on a filled state, with blocked addresses at its door.")

  @OptionGroup var site: Site
  @Option(help: "The daemon.") var daemon: String
  @Option(help: "How many starts.") var rounds = 5
  @Option(help: "Blocked addresses in the state, as made by `fill`.") var penalties = 100_000
  @Option(help: "Connections in each round.") var connections = 2_000
  @Flag(help: "The database has to come from the disk.") var cold = false

  /// Connections at a time.
  private static let threads = 4
  private static let patience = 60.0

  func run() throws {
    let (configuration, folder) = try site.read()
    guard let place = MilterPlace(configuration.milter.place) else {
      throw StateBench.Broken(description: "\(configuration.milter.place) is no place to connect to")
    }
    var (firsts, counts) = ([Double](), Knocking.Counts())
    for round in 0..<rounds {
      if cold { try forget("\(folder)/mailwarden.sqlite") }
      let knocking = Knocking(place, addresses: penalties, connections: connections, seed: round)
      let process = Process()
      process.executableURL = URL(fileURLWithPath: daemon)
      process.arguments = ["run", "--config", site.file]
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      let start = ContinuousClock.now
      try process.run()
      defer {
        process.terminate()
        process.waitUntilExit()
      }
      let first = knocking.run(threads: Self.threads, until: start + .seconds(Self.patience))
      guard let first, process.isRunning else {
        throw StateBench.Broken(description: "the daemon has answered nobody within \(Self.patience) s")
      }
      firsts.append((first - start) / .seconds(1))
      counts.add(knocking.counts)
      guard try !Knocking.isRefused(at: place, "192.0.2.1") else {
        throw StateBench.Broken(description: "everybody is refused")
      }
    }
    say("process start to the first answered connection\(cold ? ", from the disk" : ""): \(summary(firsts)) s")
    say(
      "connections from blocked addresses: \(counts.refused) refused, \(counts.passed) not refused, "
        + "\(counts.unanswered) without an answer; \(counts.absent) before there was a socket")
    if counts.passed > 0 { throw StateBench.Broken(description: "blocked addresses were let in") }
  }

  /// Has the kernel drop what it holds of the file.
  private func forget(_ path: String) throws {
    let file = open(path, O_RDONLY)
    guard file >= 0 else { throw StateBench.Broken(description: "\(path) cannot be read") }
    fsync(file)
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
    close(file)
  }
}

/// Connections from blocked addresses, again and again, also while nobody answers yet.
private final class Knocking: Sendable {
  struct Counts {
    var refused = 0
    var passed = 0
    /// Connected, and then closed or left without an answer.
    var unanswered = 0
    /// Nobody listened.
    var absent = 0

    mutating func add(_ other: Counts) {
      refused += other.refused
      passed += other.passed
      unanswered += other.unanswered
      absent += other.absent
    }
  }

  private struct State {
    var counts = Counts()
    var first: ContinuousClock.Instant?
    var next: Int
    var left: Int
  }

  private let place: MilterPlace
  private let addresses: Int
  private let state: Mutex<State>

  init(_ place: MilterPlace, addresses: Int, connections: Int, seed: Int) {
    self.place = place
    self.addresses = addresses
    state = Mutex(State(next: seed * connections, left: connections))
  }

  var counts: Counts { state.withLock { $0.counts } }

  /// - Returns: when the first connection had its answer.
  func run(threads: Int, until end: ContinuousClock.Instant) -> ContinuousClock.Instant? {
    let done = DispatchGroup()
    for _ in 0..<threads {
      done.enter()
      Thread.detachNewThread { [self] in
        while let number = take(), ContinuousClock.now < end { knock(number) }
        done.leave()
      }
    }
    done.wait()
    return state.withLock { $0.first }
  }

  private func take() -> Int? {
    state.withLock { state in
      guard state.left > 0 else { return nil }
      defer { state.next += 1 }
      // Scattered over all.
      return state.next * 49_999 % addresses
    }
  }

  private func knock(_ number: Int) {
    do throws(MilterClientError) {
      let isRefused = try Self.isRefused(at: place, "\(Crowd.blocked(number))")
      let now = ContinuousClock.now
      state.withLock { state in
        state.left -= 1
        if isRefused { state.counts.refused += 1 } else { state.counts.passed += 1 }
        state.first = state.first ?? now
      }
    } catch {
      if case .unreachable = error {
        state.withLock { $0.counts.absent += 1 }
        usleep(1_000)
      } else {
        state.withLock { $0.counts.unanswered += 1 }
      }
    }
  }

  /// Whether a client from there is turned away before it can name a recipient.
  static func isRefused(at place: MilterPlace, _ address: String) throws(MilterClientError) -> Bool {
    let client = try MilterClient(place, timeLimit: 60)
    try client.negotiate()
    defer { try? client.quit() }
    let greeting = try client.connect(
      host: "client.example", address: .ipv4(address, port: 4_711), macros: [("j", "mx.example")])
    if greeting.isRefusal { return true }
    try client.helo("client.example")
    return try client.mail("<somebody@sender.example>").isRefusal
  }
}
