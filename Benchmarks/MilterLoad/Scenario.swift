/// The shape of the load.
struct Scenario: Codable, Sendable, CustomStringConvertible {
  let connections: Int
  /// Of each message.
  let recipients: Int
  /// In each session.
  let messages: Int

  init(connections: Int, recipients: Int, messages: Int) {
    self.connections = connections
    self.recipients = recipients
    self.messages = messages
  }

  /// Reads `CONNECTIONS,RECIPIENTS,MESSAGES`.
  init(_ text: String) throws {
    let numbers = text.split(separator: ",").compactMap { Int($0) }.filter { $0 > 0 }
    guard numbers.count == 3 else { throw Options.Problem(text: "--scenario is not CONNECTIONS,RECIPIENTS,MESSAGES") }
    self.init(connections: numbers[0], recipients: numbers[1], messages: numbers[2])
  }

  var description: String {
    "\(connections) connections, \(recipients) recipient\(recipients == 1 ? "" : "s") a message, "
      + "\(messages) message\(messages == 1 ? "" : "s") a session"
  }

  static let full = [1, 51].flatMap { recipients in
    [1, 20].flatMap { messages in
      [8, 64, 256].map { Scenario(connections: $0, recipients: recipients, messages: messages) }
    }
  }

  /// Beside peers; a policy server of Perl has a process for each connection.
  static let peers = [(1, 1), (1, 20), (51, 1)].flatMap { recipients, messages in
    [8, 64].map { Scenario(connections: $0, recipients: recipients, messages: messages) }
  }

  static let quickPeers = peers.filter { $0.connections == 8 }

  static let quick = [
    Scenario(connections: 8, recipients: 1, messages: 1),
    Scenario(connections: 256, recipients: 1, messages: 1),
    Scenario(connections: 64, recipients: 51, messages: 1),
  ]
}
