import Logging
import WardenCore

/// A line that others can cause as often as they like: told at once, then once a minute with how often.
public final class RepeatedLine: Sendable {
  private struct State {
    var untold = 0
    var fields: Logger.Metadata = [:]
    var isTelling = false
  }

  private let text: Logger.Message
  private let logger: Logger
  private let minute: @Sendable () async -> Void
  private let state = Locked(State())

  /// - Parameter minute: what to wait for between two lines.
  public init(
    _ text: Logger.Message, logger: Logger,
    minute: @escaping @Sendable () async -> Void = { try? await Task.sleep(for: .seconds(60)) }
  ) {
    self.text = text
    self.logger = logger
    self.minute = minute
  }

  /// - Parameter fields: of several that are told together, the last one's are.
  public func note(_ fields: Logger.Metadata = [:]) {
    let isFirst = state.withLock { state in
      defer { state.isTelling = true }
      state.untold += 1
      state.fields = fields
      return !state.isTelling
    }
    guard isFirst else { return }
    _ = tell()
    Task {
      repeat { await minute() } while tell()
    }
  }

  /// - Returns: false when there was nothing to tell, so that the next is told at once.
  private func tell() -> Bool {
    let (count, fields) = state.withLock { state in
      defer { state.untold = 0 }
      state.isTelling = state.untold > 0
      return (state.untold, state.fields)
    }
    guard count > 0 else { return false }
    logger.warning(text, metadata: fields.merging(["count": "\(count)"]) { $1 })
    return true
  }
}
