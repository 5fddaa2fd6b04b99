import Foundation
import WardenCore

/// What administrators are told at one moment, whichever way it goes. Field names are stable (docs/alerts.md).
///
/// Sentences are visible ASCII; keys, addresses and queue ids are as the client wrote them.
public struct AlertMessage: Sendable, Equatable, Codable {
  public var id: String
  /// Dates are of the wall clock, as `2026-11-24T10:14:05Z`.
  public var at: String
  public var host: String
  public var version: String
  /// One line, at most 200 characters.
  public var summary: String
  /// The worst ones, each with what is known of it.
  public var episodes: [Told]
  /// How many others there are, by rule.
  public var more: [More]
  public var distress: [Trouble]

  public struct Told: Sendable, Equatable, Codable {
    public var news: Episode.News
    public var rule: String
    public var key: String
    public var mode: Rule.Mode
    public var reason: String
    public var opened: String
    public var lastEvent: String
    /// When it ended, or will if the rule does not trip again.
    public var ends: String
    public var trips: Int
    public var refused: Int
    public var held: Int
    /// Of the rule's first part.
    public var count: Int?
    public var limit: Int?
    public var window: String?
    public var blocked: Blocked?
    /// Where its mail came from, busiest first.
    public var networks: [String]
    public var ips: [String]
    public var sampleRecipients: [String]
    /// Of messages that the MTA took, newest first.
    public var queueIds: [String]
    /// Since one window before it was opened, as far as is known.
    public var messagesSent: Int
    public var recipientsSent: Int
  }

  public struct Blocked: Sendable, Equatable, Codable {
    public var key: String
    public var since: String
    public var until: String
    /// How often it was refused since; nothing when the block is over.
    public var attempts: Int?
  }

  public struct More: Sendable, Equatable, Codable {
    public var rule: String
    public var episodes: Int
  }

  public struct Trouble: Sendable, Equatable, Codable {
    public var kind: Distress.Kind
    public var news: Episode.News
    public var text: String
    public var since: String
  }

  /// One line of ASCII: printed anywhere, it moves no cursor.
  public var json: String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Strings and numbers: there is nothing that could fail to encode.
    let text = String(decoding: try! encoder.encode(self), as: UTF8.self)
    var ascii = ""
    for unit in text.utf16 {
      if unit < 0x7f {
        ascii.unicodeScalars.append(UnicodeScalar(UInt8(unit)))
      } else {
        let digits = String(unit, radix: 16)
        ascii += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      }
    }
    return ascii
  }

  public init?(json: String) {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let message = try? decoder.decode(AlertMessage.self, from: Data(json.utf8)) else { return nil }
    self = message
  }

  init(
    id: String, at: String, host: String, version: String, summary: String, episodes: [Told], more: [More],
    distress: [Trouble]
  ) {
    self.id = id
    self.at = at
    self.host = host
    self.version = version
    self.summary = summary
    self.episodes = episodes
    self.more = more
    self.distress = distress
  }
}
