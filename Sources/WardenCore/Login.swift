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
    guard let at = login.lastIndex(of: "@"), names.contains(String(login[login.index(after: at)...])) else {
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
    var text = path[...]
    while let first = text.first, first == "<" || first == " " { text.removeFirst() }
    while let last = text.last, last == ">" || last == " " { text.removeLast() }
    if text.first == "@", let colon = text.firstIndex(of: ":") { text = text[text.index(after: colon)...] }
    return text.lowercased()
  }

  /// What follows the last `@`; nothing for a local name or `<>`.
  public static func domain(of address: String) -> String? {
    guard let at = address.lastIndex(of: "@") else { return nil }
    let domain = address[address.index(after: at)...]
    return domain.isEmpty ? nil : String(domain)
  }

  /// Whether mail of this sender is the user's own. A user with a realm is a whole address; one without owns its
  /// local part in each of the server's domains, with any `+extension`. The null sender is nobody else's.
  static func belongs(sender: String, to user: String) -> Bool {
    if sender.isEmpty || sender == user { return true }
    let at = sender.lastIndex(of: "@") ?? sender.endIndex
    let local = sender[..<at].prefix { $0 != "+" }
    if user.contains("@") { return local + sender[at...] == user }
    return local == user
  }
}
