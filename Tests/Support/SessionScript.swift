import Foundation
import WardenCore

/// A scripted SMTP session: what clients do, and what is expected at each stage.
///
///     # comments and empty lines are skipped
///     policy                           YAML, indented, up to the first line that is not
///       rules: …
///     from 127.0.50.4 => go-on         opens a connection; the one before must have ended
///     login alice
///     mail alice@local.test => go-on
///     rcpt friend@far.test => go-on
///     rcpt nobody@local.test => unknown    the MTA itself refuses it
///     message 1000 => refused 450 26 messages
///     rset | quit | drop | cut-off | command FOO
///     release user:alice
///     blocked ip:127.0.50.4  |  free ip:127.0.50.4
///     repeat 25 … end
///
/// The same script runs against the engine, through the milter protocol and through real MTAs, and has to get the same
/// decisions at the same stages.
public struct SessionScript: Sendable {
  public enum Expectation: Sendable, Equatable {
    case goOn
    /// The MTA's own refusal, which we only hear of.
    case unknownRecipient
    case refused(code: Int, text: String)
  }

  public enum Action: Sendable, Equatable {
    case from(String)
    case login(String)
    case mail(String)
    case recipient(String)
    case message(bytes: Int)
    /// DATA, half a message, and the connection is lost.
    case cutOff
    case command(String)
    case reset, quit, drop
    case release(String)
    case blocked(String), free(String)
  }

  public struct Line: Sendable {
    public let number: Int
    public let action: Action
    public let expectation: Expectation
  }

  public let name: String
  public let policy: String
  public let lines: [Line]

  public struct Problem: Error, CustomStringConvertible {
    public let description: String
  }

  public init(file: URL) throws {
    try self.init(
      name: file.deletingPathExtension().lastPathComponent,
      text: String(decoding: try Data(contentsOf: file), as: UTF8.self))
  }

  public init(name: String, text: String) throws {
    self.name = name
    var policy: [Substring] = []
    var lines: [Line] = []
    var isPolicy = false
    var repeated: (count: Int, from: Int)?
    for (index, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if isPolicy, raw.isEmpty || raw.first == " " {
        policy.append(raw.dropFirst(2))
        continue
      }
      isPolicy = false
      let line = raw.prefix { $0 != "#" }.trimmingCharacters(in: .whitespaces)
      let words = line.split(separator: " ", maxSplits: 1).map(String.init)
      switch words.first {
      case nil: continue
      case "policy": isPolicy = true
      case "repeat": repeated = (Int(words[1]) ?? 0, lines.count)
      case "end":
        guard let (count, from) = repeated else {
          throw Problem(description: "\(name):\(index + 1): end without repeat")
        }
        let block = lines[from...]
        for _ in 1..<count { lines += block }
        repeated = nil
      default:
        lines.append(try Self.line(line, number: index + 1, in: name))
      }
    }
    self.policy = policy.joined(separator: "\n")
    self.lines = lines
  }

  private static func line(_ text: String, number: Int, in name: String) throws -> Line {
    let halves = text.components(separatedBy: " => ")
    let words = halves[0].split(separator: " ", maxSplits: 1).map(String.init)
    let argument = words.count > 1 ? words[1] : ""
    let action: Action
    switch words[0] {
    case "from": action = .from(argument)
    case "login": action = .login(argument)
    case "mail": action = .mail(argument)
    case "rcpt": action = .recipient(argument)
    case "message": action = .message(bytes: Int(argument) ?? 0)
    case "cut-off": action = .cutOff
    case "command": action = .command(argument)
    case "rset": action = .reset
    case "quit": action = .quit
    case "drop": action = .drop
    case "release": action = .release(argument)
    case "blocked": action = .blocked(argument)
    case "free": action = .free(argument)
    default: throw Problem(description: "\(name):\(number): unknown action \"\(words[0])\"")
    }
    return Line(
      number: number, action: action,
      expectation: halves.count > 1 ? try expectation(halves[1], "\(name):\(number)") : .goOn)
  }

  private static func expectation(_ text: String, _ place: String) throws -> Expectation {
    let words = text.split(separator: " ", maxSplits: 2).map(String.init)
    switch words[0] {
    case "go-on": return .goOn
    case "unknown": return .unknownRecipient
    case "refused":
      guard words.count > 1, let code = Int(words[1]) else { break }
      return .refused(code: code, text: words.count > 2 ? words[2] : "")
    default: break
    }
    throw Problem(description: "\(place): \"\(text)\" is not an expectation")
  }
}
