/// Why a conversation with a filter came to nothing.
public enum MilterClientError: Error, Hashable, CustomStringConvertible {
  /// The filter's socket cannot be reached; `errno` text, or the resolver's.
  case unreachable(String)
  /// The filter did not answer, or did not take what was sent, within the time limit.
  case timedOut
  /// The filter has closed the connection.
  case closed
  /// The filter sent what the protocol does not allow here.
  case malformed(String)

  public var description: String {
    switch self {
    case .unreachable(let why): "cannot reach the filter: \(why)"
    case .timedOut: "no answer from the filter within the time limit"
    case .closed: "the filter has closed the connection"
    case .malformed(let what): "the filter broke the protocol: \(what)"
    }
  }
}
