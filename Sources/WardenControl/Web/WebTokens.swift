import Foundation
import WardenCore

/// The tokens that let somebody in at the page. Each is told once, when it is made; only its digest is kept.
///
/// Moments are the wall clock's: tokens outlive the daemon.
public final class WebTokens: Sendable {
  struct Token: Sendable, Equatable {
    let name: String
    let digest: WebSecret.Digest
    let made: Timestamp
    let until: Timestamp
  }

  /// Each is one document, so that those made before the state is read and those in it come together.
  private static let documentPrefix = "web-token/"
  static let most = 100

  private let tokens = Locked([String: Token]())
  private let keep: @Sendable ([String: String?]) -> Void

  /// - Parameter keep: stores documents, or deletes them, so that `restore` brings them back in the next process.
  ///   Called under the lock, so that what is stored last is what holds; it must ask nothing here.
  public init(keep: @escaping @Sendable ([String: String?]) -> Void) { self.keep = keep }

  func make(name: String, for span: TimeSpan, at now: Timestamp) throws(ErrorReport) -> (secret: String, Token) {
    guard Self.isPlain(name) else {
      throw ErrorReport(error: "a token's name has up to 64 letters, digits, \".\", \"_\", \"-\" and \"@\"")
    }
    dropEnded(at: now)
    let secret = WebSecret.make()
    let token = Token(name: name, digest: WebSecret.Digest(of: secret), made: now, until: now + span)
    let problem: String? = tokens.withLock { tokens in
      if tokens[name] != nil {
        return "there is a web token \"\(name)\" already; revoke it first, or take another name"
      }
      if tokens.count >= Self.most { return "there are \(Self.most) web tokens already; revoke one first" }
      tokens[name] = token
      keep([Self.documentPrefix + name: Document(token).text])
      return nil
    }
    if let problem { throw ErrorReport(error: problem) }
    return (secret, token)
  }

  func revoke(_ name: String) throws(ErrorReport) -> Token {
    let token = tokens.withLock { tokens in
      let token = tokens.removeValue(forKey: name)
      if token != nil { keep([Self.documentPrefix + name: nil]) }
      return token
    }
    guard let token else {
      throw ErrorReport(error: "there is no such web token; see mailwarden web-token --list", .notFound)
    }
    return token
  }

  /// Those that let somebody in, by name.
  func valid(at now: Timestamp) -> [Token] {
    tokens.withLock { $0.values.filter { now < $0.until } }.sorted { $0.name < $1.name }
  }

  /// Whose secret it is. Every token is compared, so that the time tells nothing.
  func owner(of secret: String, at now: Timestamp) -> Token? {
    let digest = WebSecret.Digest(of: secret)
    return valid(at: now).reduce(nil) { found, token in token.digest.matches(digest) ? token : found }
  }

  /// Whether it still lets somebody in: neither revoked, nor ended, nor replaced by another of its name.
  func holds(_ token: Token, at now: Timestamp) -> Bool {
    now < token.until && tokens.withLock { $0[token.name] == token }
  }

  private func dropEnded(at now: Timestamp) {
    tokens.withLock { tokens in
      let ended = tokens.values.filter { $0.until <= now }.map(\.name)
      for name in ended { tokens[name] = nil }
      if !ended.isEmpty { keep(Dictionary(uniqueKeysWithValues: ended.map { (Self.documentPrefix + $0, nil) })) }
    }
  }

  /// Takes back what earlier processes have made; what has been made since is newer.
  public func restore(_ documents: [String: String]) {
    for (name, text) in documents where name.hasPrefix(Self.documentPrefix) {
      let name = String(name.dropFirst(Self.documentPrefix.count))
      guard Self.isPlain(name), let token = Document(text)?.token(name) else { continue }
      tokens.withLock { tokens in
        if tokens[name] == nil, tokens.count < Self.most { tokens[name] = token }
      }
    }
  }

  private static func isPlain(_ name: String) -> Bool {
    let others = ".-_@".utf8
    return (1...64).contains(name.utf8.count)
      && name.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
          || others.contains(byte)
      }
  }

  /// A token as it is stored.
  private struct Document: Codable {
    let digest: String
    let made: Int
    let until: Int

    init(_ token: Token) {
      digest = token.digest.hex
      made = token.made.microseconds
      until = token.until.microseconds
    }

    init?(_ text: String) {
      guard let document = try? JSONDecoder().decode(Document.self, from: Data(text.utf8)) else { return nil }
      self = document
    }

    var text: String { JSONCoding.text(self) }

    func token(_ name: String) -> Token? {
      WebSecret.Digest(hex: digest).map {
        Token(
          name: name, digest: $0, made: Timestamp(microseconds: made), until: Timestamp(microseconds: until))
      }
    }
  }
}
