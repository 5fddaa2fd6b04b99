import WardenCore

/// A way to tell administrators. Each attempt ends within a time of its own.
protocol Channel: Sendable {
  func send(_ message: AlertMessage) async throws
}

/// Why a message was not taken.
struct SendFailure: Error, CustomStringConvertible {
  /// Visible ASCII: what a server answered may be in it.
  let description: String
  /// Whether some have it: then it is not sent again.
  let isDelivered: Bool

  init(_ description: String) {
    self.description = Visible.text(description, atMost: 1_000)
    isDelivered = false
  }

  /// Of one recipient, where others have the message.
  init(ofSome failure: SendFailure) {
    description = "\(failure) (others have the message)"
    isDelivered = true
  }
}

struct TimedOut: Error {}

/// - Throws: `TimedOut`; the work is cancelled then.
func within<Result: Sendable>(
  _ limit: Duration, _ work: @escaping @Sendable () async throws -> Result
) async throws -> Result {
  try await withThrowingTaskGroup(of: Result?.self) { group in
    group.addTask { try await work() }
    group.addTask {
      try await Task.sleep(for: limit)
      return nil
    }
    defer { group.cancelAll() }
    guard let result = try await group.next()! else { throw TimedOut() }
    return result
  }
}

/// The administrator's program, with the message as JSON on its standard input.
struct CommandChannel: Channel {
  let command: [String]
  let runner: ProgramRunner

  func send(_ message: AlertMessage) async throws {
    let outcome = try await runner.run(command, input: message.json + "\n")
    guard outcome == .succeeded else { throw SendFailure("\(command[0]) \(outcome)") }
  }
}
