import NIOCore
import WardenCore

/// The connections of a listener on which nothing is asked or answered, so that one of them can make room.
public final class IdleConnections: Sendable {
  private struct State {
    var connections: [ObjectIdentifier: (channel: any Channel, place: Int)] = [:]
    var next = 0
  }

  private let state = Locked(State())

  public init() {}

  func add(_ channel: any Channel) {
    state.withLock { state in
      state.connections[ObjectIdentifier(channel)] = (channel, state.next)
      state.next += 1
    }
  }

  func remove(_ channel: any Channel) {
    state.withLock { $0.connections[ObjectIdentifier(channel)] = nil }
  }

  /// Closes the one that has been idle longest.
  /// - Returns: false where there is none.
  func closeLongest() -> Bool {
    let longest = state.withLock { state in
      let longest = state.connections.min { $0.value.place < $1.value.place }?.key
      return longest.flatMap { state.connections.removeValue(forKey: $0) }
    }
    longest?.channel.close(promise: nil)
    return longest != nil
  }
}
