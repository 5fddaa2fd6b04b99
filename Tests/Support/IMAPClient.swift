/// A plain IMAP client with a source address of choice, which can only log in.
public final class IMAPClient {
  private let connection: LineConnection

  /// Connects and waits for the greeting.
  public init(port: Int, from source: String) throws {
    connection = try LineConnection(port: port, from: source)
    _ = try connection.receiveLine()
  }

  /// The server's answer: `OK`, `NO` or `BAD` and its words.
  public func logIn(_ user: String, password: String) throws -> String {
    try connection.send("a LOGIN \(Self.quoted(user)) \(Self.quoted(password))\r\n")
    while true {
      let line = try connection.receiveLine()
      if line.hasPrefix("a ") { return String(line.dropFirst(2)) }
    }
  }

  private static func quoted(_ text: String) -> String {
    "\"\(text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
  }
}
