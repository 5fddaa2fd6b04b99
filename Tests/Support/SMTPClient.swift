import Foundation

/// A plain SMTP client with a source address of choice, for talking to real MTAs.
public final class SMTPClient {
  public struct Reply: Sendable {
    public let code: Int
    public let text: String
  }

  private let connection: LineConnection
  public let banner: Reply

  /// Connects and waits for the banner.
  public init(port: Int, from source: String) throws {
    connection = try LineConnection(port: port, from: source)
    banner = try Self.receive(connection)
  }

  @discardableResult
  public func command(_ line: String) throws -> Reply {
    try sendBytes(line + "\r\n")
    return try Self.receive(connection)
  }

  /// AUTH PLAIN.
  public func logIn(_ user: String, password: String) throws -> Reply {
    try command("AUTH PLAIN \(Data("\0\(user)\0\(password)".utf8).base64EncodedString())")
  }

  public func authenticate(_ user: String) throws {
    let reply = try logIn(user, password: "secret-\(user.prefix { $0 != "@" }.lowercased())")
    guard reply.code == 235 else { throw Shell.Failure(description: "AUTH as \(user): \(reply)") }
  }

  /// DATA and a message of about so many bytes, with more header lines.
  public func message(bytes: Int, headers: String = "") throws -> Reply {
    let begin = try command("DATA")
    guard begin.code == 354 else { return begin }
    let line = String(repeating: "x", count: 70) + "\r\n"
    let body = String(repeating: line, count: max(1, bytes / line.utf8.count))
    return try command("From: <a@local.test>\r\nSubject: test\r\n\(headers)\r\n\(body).")
  }

  /// Tells a Postfix that takes XCLIENT to take this address for the client's: once, before EHLO.
  public func pretendToBe(at address: String) throws {
    let known = address.contains(":") ? "IPV6:\(address)" : address
    let reply = try command("XCLIENT ADDR=\(known) NAME=[UNAVAILABLE]")
    guard reply.code == 220 else { throw Shell.Failure(description: "XCLIENT ADDR=\(known): \(reply)") }
  }

  public func sendBytes(_ text: String) throws { try connection.send(text) }

  /// Ends the connection without a word.
  public func drop() { connection.drop() }

  private static func receive(_ connection: LineConnection) throws -> Reply {
    var lines: [String] = []
    while true {
      let line = try connection.receiveLine()
      lines.append(String(line.dropFirst(4)))
      if line.count < 4 || line.dropFirst(3).first != "-" {
        return Reply(code: Int(line.prefix(3)) ?? 0, text: lines.joined(separator: "\n"))
      }
    }
  }
}
