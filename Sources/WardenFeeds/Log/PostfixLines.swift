import WardenCore

/// Postfix 2.3 … 3.10. What a line says is told by its words, not by the daemon: RFC 5424 loses that.
enum PostfixLines {
  enum Daemon {
    case smtpd, postscreen
    /// Of these no line names a client of ours.
    case inner
    /// Not told.
    case unnamed

    init?(_ name: Bytes) {
      if name.is("smtpd") {
        self = .smtpd
      } else if name.is("postscreen") {
        self = .postscreen
      } else {
        guard Self.inners.contains(where: name.is) else { return nil }
        self = .inner
      }
    }

    private static let inners: [StaticString] = [
      "qmgr", "cleanup", "smtp", "local", "lmtp", "virtual", "pipe", "bounce", "error", "discard", "anvil", "dnsblog",
      "tlsproxy", "pickup", "scache", "verify", "trivial-rewrite", "master", "proxymap", "tlsmgr", "oqmgr", "nqmgr",
      "postdrop", "sendmail", "postsuper", "postqueue", "postmap", "postalias", "postfix-script", "post-install",
      "postlog", "postlogd", "postfix", "postmulti", "postcat", "postkick", "flush", "showq", "qmqpd", "spawn", "relay",
    ]

    /// Whether a client of ours can be in its lines.
    var isFront: Bool {
      switch self {
      case .smtpd, .postscreen, .unnamed: true
      case .inner: false
      }
    }
  }

  static func read(_ message: Bytes, daemon: Daemon, service: Bytes?) -> LogFact? {
    guard var fact = fact(message, daemon) else { return nil }
    if daemon.isFront { fact.service = service.map(Text.init) }
    return fact
  }

  private static func fact(_ message: Bytes, _ daemon: Daemon) -> LogFact? {
    if let end = endOfQueueID(message) {
      var fact = ofMessage(message.from(end + 2), daemon)
      fact?.queueID = Text(message.upTo(end))
      return fact
    }
    if daemon.isFront, let fact = session(message, daemon) { return fact }
    if let warning = message.after("warning: ") {
      return isDistress(warning: warning) ? LogFact(.distress, .postfix) : other
    }
    if message.begins("fatal: ") || message.begins("panic: ") || message.begins("error: ") {
      // Whoever may submit mail can have these fail.
      return message.begins("fatal: usage: ") || message.ends(": message file too big")
        ? other : LogFact(.distress, .postfix)
    }
    return message.begins(oneOf: uninteresting) ? other : nil
  }

  private static var other: LogFact { LogFact(.other, .postfix) }

  // MARK: - The client

  /// `name[address]`, of postscreen `[address]:port`; an address that is `unknown` is nothing.
  struct Peer {
    let address: IPAddress?
    /// Where what comes after it begins.
    let end: Int

    init?(_ bytes: Bytes, at start: Int = 0) {
      var open = start
      // A name from the DNS has been looked at by Postfix: there is neither space nor bracket in it.
      while open < bytes.count, bytes[open] != UInt8(ascii: "[") {
        guard bytes[open] > 32 else { return nil }
        open += 1
      }
      guard let close = bytes.first(UInt8(ascii: "]"), from: open) else { return nil }
      address = IPAddress(bytes.part(open + 1, close))
      if bytes.has(":", at: close + 1), let port = bytes.number(at: close + 2) {
        end = port.end
      } else {
        end = close + 1
      }
    }
  }

  private static func fact(_ kind: LogFact.Kind, _ peer: Peer) -> LogFact {
    var fact = LogFact(kind, .postfix)
    fact.client = peer.address
    return fact
  }

  // MARK: - Lines of smtpd and postscreen without a queue id

  private static func session(_ message: Bytes, _ daemon: Daemon) -> LogFact? {
    switch message[0] {
    case UInt8(ascii: "N"):
      return message.after("NOQUEUE: ").map { ofMessage($0, daemon) } ?? postscreen(message)
    case UInt8(ascii: "c"):
      return message.after("connect from ").flatMap { Peer($0) }.map { fact(.connected, $0) }
    case UInt8(ascii: "d"):
      guard let rest = message.after("disconnect from "), let peer = Peer(rest) else { return nil }
      return fact(ended(rest.from(peer.end)), peer)
    case UInt8(ascii: "w"):
      return message.after("warning: ").flatMap { ofClient(warning: $0) }
    case UInt8(ascii: "l"):
      return message.after("lost connection after ").flatMap(cutOff)
    case UInt8(ascii: "t"):
      if let rest = message.after("timeout after ") { return cutOff(rest) }
      guard let rest = message.after("too many errors after ") else { return nil }
      return after(rest) { $0.is("RCPT") ? .recipientFlood : .other }
    case UInt8(ascii: "i"):
      return message.after("improper command pipelining after ").flatMap { after($0) { _ in .badCommand } }
    case UInt8(ascii: "b"):
      return message.after("bare <LF> received after ").flatMap { after($0) { _ in .badCommand } }
    default:
      return postscreen(message)
    }
  }

  /// `DATA (29 bytes) from name[address]`
  private static func after(_ rest: Bytes, _ kind: (Bytes) -> LogFact.Kind) -> LogFact? {
    guard let from = rest.first(" from "), let peer = Peer(rest, at: from + 6) else { return nil }
    return fact(kind(rest.upTo(from)), peer)
  }

  private static func cutOff(_ rest: Bytes) -> LogFact? {
    after(rest) { $0.is("DATA") || $0.begins("DATA (") || $0.begins("BDAT") ? .cutOff : .other }
  }

  /// ` ehlo=1 auth=0/3 mail=1 commands=2/5`: accepted and all, or one number where all were accepted. Before 3.0 nothing.
  private static func ended(_ counts: Bytes) -> LogFact.Kind {
    var failed = 0
    var hadMail = false
    var place = 0
    while place < counts.count {
      let word = place + 1
      if counts.has("auth=", at: word), let accepted = counts.number(at: word + 5), counts.has("/", at: accepted.end),
        let all = counts.number(at: accepted.end + 1)
      {
        failed = max(0, all.value - accepted.value)
      }
      if counts.has("mail=", at: word) { hadMail = true }
      place = counts.first(UInt8(ascii: " "), from: word) ?? counts.count
    }
    return .ended(failedLogins: failed, hadMail: hadMail)
  }

  private static func ofClient(warning: Bytes) -> LogFact? {
    if let kind = limit(warning) {
      return warning.first(" from ").flatMap { Peer(warning, at: $0 + 6) }.map { fact(kind, $0) }
    }
    if let rest = warning.after("non-SMTP command from ") { return Peer(rest).map { fact(.badCommand, $0) } }
    guard let peer = Peer(warning), warning.has(": SASL ", at: peer.end) else { return nil }
    return login(warning.from(peer.end + 7), peer)
  }

  /// `Connection rate limit exceeded: 6 from name[address] for service smtp`
  private static func limit(_ warning: Bytes) -> LogFact.Kind? {
    if warning.begins("Connection rate limit exceeded: ") || warning.begins("Connection concurrency limit exceeded: ") {
      return .connectionRefused(.rate)
    }
    if warning.begins("Recipient address rate limit exceeded: ") { return .recipientFlood }
    // Refused unseen, and counted as failed at the end of the session.
    return warning.begins("AUTH command rate limit exceeded: ") ? .loginFailed(attempts: 1, .aborted) : nil
  }

  /// `LOGIN authentication failed: reason, sasl_username=alice`; before 3.9 without a name. `LOGIN authentication aborted`.
  private static func login(_ rest: Bytes, _ peer: Peer) -> LogFact? {
    // The mechanism is what the client asked for; with a space in it, it is no mechanism.
    guard let mechanism = rest.first(UInt8(ascii: " ")), let words = rest.from(mechanism).after(" authentication ")
    else {
      return fact(.loginFailed(attempts: 1, .aborted), peer)
    }
    guard let reason = words.after("failed: ") else {
      return fact(.loginFailed(attempts: 1, words.begins("aborted") ? .aborted : .refused), peer)
    }
    // The reason is the server's; the name is all that follows, whatever it holds.
    let end = reason.first(", sasl_username=") ?? reason.count
    var fact = fact(.loginFailed(attempts: 1, failure(reason.upTo(end))), peer)
    if end < reason.count { fact.user = login(reason.from(end + 16)) }
    return fact
  }

  private static func login(_ name: Bytes) -> Text? { name.isEmpty || name.is("(unavailable)") ? nil : Text(name) }

  private static func failure(_ reason: Bytes) -> LogFact.Failure {
    if reason.begins("Connection lost to authentication server") || reason.begins("Temporary authentication failure")
      || reason.begins("temporary authentication failure") || reason.begins("generic failure")
    {
      return .server
    }
    if reason.begins("Invalid base64 data") || reason.begins("Invalid authentication mechanism")
      || reason.begins("bad protocol") || reason.begins("no mechanism available")
    {
      return .aborted
    }
    return reason.begins("mailwarden: ") ? .policy : .refused
  }

  private static func postscreen(_ message: Bytes) -> LogFact? {
    for (words, kind) in ofPostscreen {
      guard let rest = message.after(words) else { continue }
      if let peer = Peer(rest) { return fact(kind, peer) }
      // `PREGREET 14 after 0.08 from [address]:port: EHLO …`
      return rest.first("from [").flatMap { Peer(rest, at: $0 + 5) }.map { fact(kind, $0) }
    }
    return nil
  }

  private static let ofPostscreen: [(StaticString, LogFact.Kind)] = [
    ("PREGREET ", .badCommand), ("COMMAND PIPELINING from ", .badCommand), ("NON-SMTP COMMAND from ", .badCommand),
    ("BARE NEWLINE from ", .badCommand), ("COMMAND COUNT LIMIT from ", .badCommand),
    ("COMMAND LENGTH LIMIT from ", .badCommand),
    ("CONNECT from ", .other), ("DISCONNECT ", .other), ("HANGUP after ", .other), ("PASS OLD ", .other),
    ("PASS NEW ", .other),
    ("COMMAND TIME LIMIT from ", .other), ("DATA without valid RCPT from ", .other),
    ("BDAT without valid RCPT from ", .other),
  ]

  // MARK: - Lines with a queue id

  /// Short: at least five hexadecimal digits. Long: digits and consonants, with a `z` between time and inode.
  private static func endOfQueueID(_ message: Bytes) -> Int? {
    guard message[0].isDigit || message[0].isUpper || message[0].isLower else { return nil }
    var end = 0
    var isHexadecimal = true
    var hasDigit = false
    var hasZ = false
    while end < message.count, message[end].isAlphanumeric, end <= 21 {
      let byte = message[end]
      if byte.isDigit {
        hasDigit = true
      } else if !byte.isUpper || byte > UInt8(ascii: "F") {
        isHexadecimal = false
        hasZ = hasZ || byte == UInt8(ascii: "z")
      }
      end += 1
    }
    guard message.has(": ", at: end) else { return nil }
    return end >= 5 && isHexadecimal || end >= 10 && hasDigit && hasZ ? end : nil
  }

  private static func ofMessage(_ rest: Bytes, _ daemon: Daemon) -> LogFact? {
    guard !rest.isEmpty else { return nil }
    switch rest[0] {
    case UInt8(ascii: "t"):
      if let fields = rest.after("to=") { return delivery(fields) }
    case UInt8(ascii: "f"):
      if let fields = rest.after("from=<") { return queued(fields) }
      if rest.begins("filter: ") { return other }
    case UInt8(ascii: "c"):
      if let fields = rest.after("client="), daemon.isFront { return accepted(fields) }
    case UInt8(ascii: "r"):
      if rest.is("removed") { return LogFact(.removed, .postfix) }
      if let refusal = rest.after("reject: ") { return self.refusal(refusal, daemon) }
      if rest.begins("reject_warning: ") || rest.is("requeued") || rest.begins("released ") || rest.begins("replace: ")
        || rest.begins("redirect: ")
      {
        return other
      }
    case UInt8(ascii: "m"):
      if rest.begins("message-id=") || rest.begins("milter-") && !rest.begins("milter-reject: ") { return other }
      if let refusal = rest.after("milter-reject: ") { return filter(refusal) }
    case UInt8(ascii: "p"):
      if let refusal = rest.after("proxy-reject: ") { return filter(refusal) }
    case UInt8(ascii: "h"):
      if let reply = rest.after("host "),
        reply.first(" said: ") != nil || reply.first(" refused to talk to me: ") != nil
      {
        return other
      }
    default: break
    }
    return rest.begins(oneOf: uninterestingOfMessage) ? other : nil
  }

  /// `name[address], sasl_method=PLAIN, sasl_username=alice`
  private static func accepted(_ fields: Bytes) -> LogFact? {
    guard let peer = Peer(fields) else { return nil }
    var fact = fact(.accepted, peer)
    guard let start = fields.first(", sasl_username=", from: peer.end) else { return fact }
    let name = fields.from(start + 16)
    let end = [", sasl_sender=", ", orig_queue_id=", ", orig_client="].compactMap { name.first($0) }.min()
    fact.user = login(name.upTo(end ?? name.count))
    return fact
  }

  /// `alice@mx.test>, size=253, nrcpt=2 (queue active)`: the sender may hold anything, so from the end.
  private static func queued(_ fields: Bytes) -> LogFact? {
    if fields.ends(", status=expired, returned to sender") || fields.ends(", status=force-expired, returned to sender")
    {
      return LogFact(.delivery(.bounced, recipients: 1), .postfix)
    }
    guard let size = fields.last(">, size="), let bytes = fields.number(at: size + 8),
      fields.has(", nrcpt=", at: bytes.end),
      let recipients = fields.number(at: bytes.end + 8)
    else { return nil }
    var fact = LogFact(
      .queued(size: bytes.value, recipients: recipients.value, isAuthenticated: false), .postfix)
    fact.sender = Text(fields.upTo(size))
    return fact
  }

  /// `<bob@mx.test>, orig_to=<..>, relay=local, delay=0.01, .., status=sent (text)`
  private static func delivery(_ fields: Bytes) -> LogFact? {
    // The address may hold the same words, and so may what the other server said.
    guard let status = fields.only(", status=") else { return fields.first(", status=") == nil ? nil : other }
    let words = fields.from(status + 9)
    let outcome: LogFact.Outcome
    if words.begins("sent") {
      outcome = .delivered
    } else if words.begins("deferred") || words.begins("SOFTBOUNCE") {
      outcome = .deferred
    } else if words.begins("bounced") || words.begins("expired") {
      outcome = .bounced
    } else {
      // What an address probe found.
      return other
    }
    var fact = LogFact(.delivery(outcome, recipients: 1), .postfix)
    let before = fields.upTo(status)
    if before.begins("<"), let end = before.only(">, relay=") ?? before.only(">, orig_to=<") {
      let alias = before.only(">, orig_to=<")
      fact.recipient = Text(before.part(1, min(end, alias ?? end)))
    }
    return fact
  }

  /// `END-OF-MESSAGE from name[address]: 5.7.1 text; from=<..> …`. Of other stages the filter protocol tells.
  private static func filter(_ refusal: Bytes) -> LogFact? {
    if let client = refusal.after("CONNECT from "), let peer = Peer(client) {
      return Self.fact(.connectionFiltered, peer)
    }
    guard let rest = refusal.after("END-OF-MESSAGE") else { return other }
    guard let words = rest.after(" from "), let peer = Peer(words) else { return LogFact(.filterRejected, .postfix) }
    var fact = Self.fact(.filterRejected, peer)
    fact.isPermanent = words.has(": 5", at: peer.end)
    let envelope = Envelope(words)
    (fact.sender, fact.recipient, fact.user) = (envelope.sender, envelope.recipient, envelope.user)
    return fact
  }

  // MARK: - Refusals

  /// `RCPT from name[address]: 554 5.7.1 <v@elsewhere.test>: Relay access denied; from=<..> to=<..> proto=.. helo=<..>`
  private static func refusal(_ refusal: Bytes, _ daemon: Daemon) -> LogFact? {
    // Of header fields and bodies: the client stands behind their text.
    if refusal.begins("header ") || refusal.begins("body ") || refusal.begins("mime-") || refusal.begins("nested-") {
      var fact = LogFact(.filterRejected, .postfix)
      fact.isPermanent = true
      return fact
    }
    guard daemon.isFront, let from = refusal.first(" from "), let peer = Peer(refusal, at: from + 6),
      refusal.has(": ", at: peer.end)
    else { return nil }
    let stage = refusal.upTo(from)
    let words = refusal.from(peer.end + 2)
    let envelope = Envelope(words)
    let cause = envelope.reason.map(Self.cause) ?? .other
    // postscreen puts the port behind the address; whom it refuses nobody else sees.
    let isBeforeSession =
      stage.is("CONNECT") || refusal[peer.end - 1] != UInt8(ascii: "]") && refusal.has("[", at: from + 6)
    let kind: LogFact.Kind
    if isBeforeSession {
      kind = .connectionRefused(cause)
    } else if stage.is("RCPT") || stage.is("VRFY") {
      kind = .recipientRefused(cause)
    } else {
      kind = cause == .dnsbl ? .connectionRefused(.dnsbl) : .other
    }
    var fact = fact(kind, peer)
    fact.isPermanent = words.begins("5")
    (fact.sender, fact.recipient, fact.user) = (envelope.sender, envelope.recipient, envelope.user)
    return fact
  }

  /// What stands behind the reason. Addresses may hold all of it once more: then it is not told.
  private struct Envelope {
    var reason: Bytes?
    var sender: Text?
    var recipient: Text?
    var user: Text?

    /// How many places are looked at where a reason could end.
    private static let mostEnds = 8

    init(_ words: Bytes) {
      if let from = words.only("; from=<") {
        reason = words.upTo(from)
        // Postfix cuts its lines, and a client that chooses where could make the end of one its own.
        if words.count <= LogGrammar.mostOfWhole { read(words.from(from + 8)) }
      } else if let end = Self.end(ofReasonIn: words) {
        // An address holds the words once more. It can only give its own refusal another reason.
        reason = words.upTo(end)
      } else if words.first("; from=<") == nil {
        // Before MAIL: `; proto=SMTP`, `; to=<root> proto=ESMTP`; of postscreen nothing at all.
        reason = words.upTo(words.only("; to=<") ?? words.only("; proto=") ?? words.count)
        if words.first("; to=<") != nil, words.only("; to=<") == nil { reason = nil }
      }
    }

    /// Of several the one that weighs most: nobody hides that way what he has done.
    private static func end(ofReasonIn words: Bytes) -> Int? {
      var start = 0
      var light: Int?
      for _ in 0..<mostEnds {
        guard let next = words.from(start).first("; from=<") else { break }
        let end = start + next
        switch PostfixLines.cause(words.upTo(end)) {
        case .relay, .dnsbl: return end
        case .other: break
        case .unknownRecipient, .rate, .access: light = light ?? end
        }
        start = end + 1
      }
      return light
    }

    /// `x@spam.test> to=<v@elsewhere.test> proto=ESMTP helo=<..> sasl_username=<..>`; postscreen has commas.
    private mutating func read(_ words: Bytes) {
      guard let protocolName = words.last(" proto=") else { return }
      readUser(words.from(protocolName))
      var addresses = words.upTo(protocolName)
      if addresses.ends(",") { addresses = addresses.upTo(addresses.count - 1) }
      guard addresses.ends(">") else { return }
      addresses = addresses.upTo(addresses.count - 1)
      if let to = addresses.only("> to=<") {
        (sender, recipient) = (Text(addresses.upTo(to)), Text(addresses.from(to + 6)))
      } else if let to = addresses.only(">, to=<") {
        (sender, recipient) = (Text(addresses.upTo(to)), Text(addresses.from(to + 7)))
      } else if addresses.first(UInt8(ascii: ">")) == nil {
        sender = Text(addresses)
      }
    }

    /// Since 3.2 ` sasl_username=<alice>`, since 3.10 ` sasl_method=.. sasl_username=.. sasl_sender=..`, after the helo,
    /// in which there are no spaces.
    private mutating func readUser(_ words: Bytes) {
      guard let start = words.first(" sasl_username=") else { return }
      var name = words.from(start + 15)
      if let quoted = name.after("<") {
        guard let end = quoted.only(">"), end == quoted.count - 1 else { return }
        name = quoted.upTo(end)
      } else {
        name = name.upTo(name.first(" sasl_sender=") ?? name.count)
      }
      user = login(name)
    }
  }

  /// `554 5.7.1 <address>: Relay access denied`
  private static func cause(_ reason: Bytes) -> LogFact.Cause {
    var words = reason
    // The address may hold the same words.
    if let end = words.last(">: ") {
      words = words.from(end + 3)
    } else {
      while let first = words.first(UInt8(ascii: " ")), words[0].isDigit { words = words.from(first + 1) }
    }
    if words.begins("Relay access denied") { return .relay }
    if words.begins("Recipient address rejected: User unknown")
      || words.begins("Recipient address rejected: undeliverable address: ")
    {
      return .unknownRecipient
    }
    if words.begins("Service unavailable; "), words.first("] blocked using ") != nil { return .dnsbl }
    if words.begins("Error: too many recipients") || words.begins("too many connections") { return .rate }
    return words.ends(" rejected: Access denied") ? .access : .other
  }

  // MARK: - Faults

  /// Not what somebody who speaks SMTP as one does can bring about at will.
  private static func isDistress(warning: Bytes) -> Bool {
    if warning.begins("not enough free space in mail queue: ") { return true }
    if warning.begins("service \"") { return warning.first(" has reached its process limit ") != nil }
    if warning.begins("process ") {
      return warning.first(" killed by signal ") != nil || warning.first(" exit status ") != nil
    }
    if warning.ends(": bad command startup -- throttling") { return true }
    if warning.begins("problem talking to s") || warning.begins("connect #") { return true }
    // A name from the DNS or an address stands at the end of these.
    if warning.begins("valid_") || warning.begins("Illegal ") || warning.begins("malformed ") { return false }
    return warning.ends(": No space left on device") || warning.ends(": queue file write error")
  }

  // MARK: - Known, and of no interest

  private static let uninteresting: [StaticString] = [
    "Anonymous TLS connection established ", "Untrusted TLS connection established ",
    "Trusted TLS connection established ", "Verified TLS connection established ", "SSL_accept error from ",
    "SSL_connect error to ", "setting up TLS connection ", "Host offered STARTTLS",
    "certificate verification failed for ",
    "initializing the ", "starting TLS engine", "connect to ", "statistics: ", "cache ", "addr ", "DNSBL rank ",
    "ALLOWLISTED ", "WHITELISTED ", "DENYLISTED ", "BLACKLISTED ", "ALLOWLIST VETO ", "WHITELIST VETO ",
    "daemon started -- version ", "reload -- version ", "terminating on signal ", "starting the Postfix mail system",
    "stopping the Postfix mail system", "refreshing the Postfix mail system", "the Postfix mail system is ", "table ",
    "discarding EHLO keywords: ", "using backwards-compatible default setting ", "Postfix is running with ",
    "Postfix is using ", "Deleted: ", "Placed on hold: ", "Released from hold: ", "Requeued: ", "name_mask: ",
    "lost connection with ", "enabling PIX workarounds: ", "open ", "close database ", "rewrite stream disconnect",
  ]

  private static let uninterestingOfMessage: [StaticString] = [
    "uid=", "sender non-delivery notification: ", "sender delay notification: ",
    "sender delivery status notification: ", "postmaster non-delivery notification: ",
    "postmaster delay notification: ",
    "resent-message-id=", "lost connection with ", "conversation with ", "enabling PIX workarounds: ", "placed on hold",
    "skipped, still being delivered", "SASL authentication failed; server ", "hold: ", "discard: ", "prepend: ",
    "warning: ", "info: ", "strip: ", "pass: ", "bcc: ", "proxy-accept: ", "breaking line > ", "copying ",
    "Server certificate ", "Cannot start TLS: ",
  ]
}
