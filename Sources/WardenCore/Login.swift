/// The names under which one mailbox's owner can log in: `alice`, `Alice`, `alice@example.org`.
///
/// Sendmail passes a login as typed, Postfix's Cyrus SASL adds the realm, Dovecot leaves it. A realm that is the server's
/// own adds nothing, so it is taken off; any other realm makes another user, as hosters of many domains need.
public struct LocalRealms: Sendable, Equatable {
  /// Lower case.
  public private(set) var names: Set<String>
  /// Whether names of MTAs are added as they show themselves; off when the policy lists the realms.
  private let learns: Bool
  /// An MTA has one name, a server a few MTAs.
  private static let bound = 64

  /// - Parameter listed: the policy's `realms:`; nothing lets them be learned from the MTAs' own names.
  public init(listed: [String]? = nil) {
    names = Set((listed ?? []).map { $0.lowercased() })
    learns = listed == nil
  }

  /// Takes the MTA's host name (`{j}`) and its domain as realms: these are SASL's defaults.
  public mutating func learn(host: String) {
    guard learns, names.count < Self.bound else { return }
    let host = host.lowercased()
    guard !host.isEmpty, !names.contains(host) else { return }
    names.insert(host)
    if let dot = host.firstIndex(of: ".") { names.insert(String(host[host.index(after: dot)...])) }
  }

  /// The one name of the login's owner: lower case, without a realm of the server's own.
  public func user(login: String) -> String {
    let login = login.lowercased()
    guard let at = login.utf8.lastIndex(of: UInt8(ascii: "@")), names.contains(String(login[login.index(after: at)...]))
    else {
      return login
    }
    return String(login[..<at])
  }
}

/// An envelope address as a counter's key.
public enum Mailbox {
  /// The address in lower case without brackets, source route (`@a,@b:`) and white space; empty for `<>`.
  ///
  /// The argument is as the client typed it: brackets can be missing (Postfix's local submission).
  public static func normalized(_ path: String) -> String {
    // Bytes: splitting hostile text into characters costs more than all the rest.
    var path = path
    let isNormal = path.withUTF8 { bytes in
      bytes.allSatisfy(isPlain) && bytes.last != UInt8(ascii: ".")
    }
    // As most are; nothing is copied.
    if isNormal { return path }
    return path.withUTF8 { bytes in
      var text = bytes[...]
      while let first = text.first, first == UInt8(ascii: "<") || first == UInt8(ascii: " ") { text.removeFirst() }
      // Both MTAs take a trailing dot off a domain.
      while let last = text.last, last == UInt8(ascii: ">") || last == UInt8(ascii: " ") || last == UInt8(ascii: ".") {
        text.removeLast()
      }
      if text.first == UInt8(ascii: "@"), let colon = text.firstIndex(of: UInt8(ascii: ":")) {
        text = text[(colon + 1)...]
      }
      guard text.allSatisfy({ $0 < 0x80 }) else { return String(decoding: text, as: UTF8.self).lowercased() }
      return String(unsafeUninitializedCapacity: text.count) { lower in
        var count = 0
        let at = text.lastIndex(of: UInt8(ascii: "@")) ?? text.endIndex
        for place in text.indices {
          let byte = text[place]
          // `"alice"@x` and `al\ice@x` are alice's, too (RFC 5321, 4.1.2).
          if place < at, byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { continue }
          let isUpper = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
          lower[count] = isUpper ? byte | 0x20 : byte
          count += 1
        }
        return count
      }
    }
  }

  /// Whether it means nothing but itself, wherever it stands among others like it.
  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "@"),
      UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "="):
      true
    default: false
    }
  }

  /// What follows the last `@`; nothing for a local name or `<>`.
  public static func domain(of address: String) -> String? {
    guard let at = address.utf8.lastIndex(of: UInt8(ascii: "@")) else { return nil }
    let domain = address[address.utf8.index(after: at)...]
    return domain.isEmpty ? nil : String(domain)
  }

  /// Whether a forwarder has rewritten the sender (SRS: `SRS0=hash=time=domain=local@forwarder`).
  public static func isForwarded(_ sender: String) -> Bool {
    guard sender.hasPrefix("srs0") || sender.hasPrefix("srs1") else { return false }
    return sender.dropFirst(4).first.map { "=+-".contains($0) } ?? false
  }

  /// Whether mail of this sender is the user's own. A user with a realm is a whole address; one without owns its
  /// local part, in any domain since nobody tells which are the server's, with any `+extension`. The null sender is nobody
  /// else's.
  public static func belongs(sender: String, to user: String) -> Bool {
    if sender.isEmpty || sender == user { return true }
    let at = sender.utf8.lastIndex(of: UInt8(ascii: "@")) ?? sender.endIndex
    let whole = sender[..<at]
    // Bytes, not characters: this is asked of every message.
    let local = Substring(whole.utf8.prefix { $0 != UInt8(ascii: "+") })
    return user.utf8.contains(UInt8(ascii: "@")) ? local + sender[at...] == user : local == user || whole == user
  }
}
