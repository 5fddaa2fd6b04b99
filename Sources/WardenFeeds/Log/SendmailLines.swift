import WardenCore

/// Sendmail 8.11 … 8.18.
enum SendmailLines {
  static func read(_ message: Bytes) -> LogFact? {
    guard let end = endOfQueueID(message) else { return words(message) }
    let rest = message.from(end + 2)
    guard !rest.isEmpty else { return nil }
    var fact = words(rest)
    if !message.begins("NOQUEUE") { fact?.queueID = Text(message.upTo(end)) }
    return fact
  }

  /// `6AL2jPjD000054: `, of old `PAA01234: `, `NOQUEUE: `.
  private static func endOfQueueID(_ message: Bytes) -> Int? {
    if message.begins("NOQUEUE: ") { return 7 }
    var end = 0
    var digits = 0
    while end < message.count, message[end].isAlphanumeric, end <= 20 {
      if message[end].isDigit { digits += 1 }
      end += 1
    }
    return end >= 8 && digits >= 5 && message.has(": ", at: end) ? end : nil
  }

  private static func words(_ message: Bytes) -> LogFact? {
    switch message[0] {
    case UInt8(ascii: "f"):
      if let fields = message.after("from=") { return queued(fields) }
    case UInt8(ascii: "t"):
      if let fields = message.after("to=") { return delivery(fields) }
      if let rest = message.after("timeout waiting for input from ") { return timeout(rest) }
    case UInt8(ascii: "A"):
      if message.begins("AUTH") { return login(message) }
    case UInt8(ascii: "r"):
      if let fields = message.after("ruleset=") { return ruleset(fields) }
      if let rest = message.after("rejecting ") { return rejecting(rest) }
      if message.begins("runqueue: ") {
        return LogFact(message.first("load average too high") != nil ? .distress : .other, .sendmail)
      }
    case UInt8(ascii: "d"):
      if message.begins("done; ") { return LogFact(.removed, .sendmail) }
    case UInt8(ascii: "c"):
      if let rest = message.after("connect from ") { return fact(.connected, lastAddress(rest)) }
      if let rest = message.after("collect: ") { return collect(rest) }
    case UInt8(ascii: "l"):
      if let rest = message.after("lost input channel from ") {
        guard let to = rest.last(" to ") else { return nil }
        return fact(rest.ends(" after data") ? .cutOff : .other, lastAddress(rest.upTo(to)))
      }
    case UInt8(ascii: "M"):
      if let rest = message.after("Milter: ") { return filter(rest) }
    case UInt8(ascii: "S"):
      if let fault = message.after("SYSERR") {
        return fault.begins("(") || fault.begins(":") ? LogFact(.distress, .sendmail) : nil
      }
    case UInt8(ascii: "<"):
      return unknownRecipient(message) ?? (message.first(">... ") != nil ? other : nil)
    case UInt8(ascii: "T"):
      if message.is("Too many recipients") { return LogFact(.recipientRefused(.rate), .sendmail) }
    default: break
    }
    return ofClient(message) ?? (isUninteresting(message) ? other : nil)
  }

  private static var other: LogFact { LogFact(.other, .sendmail) }

  private static func fact(_ kind: LogFact.Kind, _ client: IPAddress?) -> LogFact {
    var fact = LogFact(kind, .sendmail)
    fact.client = client
    return fact
  }

  // MARK: - The client

  /// The address that ends `c3.example.net [127.0.0.3]` or `[IPv6:2001:db8::1] (may be forged)`.
  private static func lastAddress(_ relay: Bytes) -> IPAddress? {
    let relay = relay.ends(" (may be forged)") ? relay.upTo(relay.count - 16) : relay
    guard relay.ends("]"), let open = relay.last("[") else { return nil }
    return address(relay.part(open + 1, relay.count - 1))
  }

  private static func address(_ text: Bytes) -> IPAddress? { IPAddress(text.after("IPv6:") ?? text) }

  /// Lines that begin with the client, whose name is the DNS's: `c3.example.net [127.0.0.3]: …`
  private static func ofClient(_ message: Bytes) -> LogFact? {
    var end = 0
    while end < message.count, message[end] > 32 { end += 1 }
    var client: IPAddress?
    if message[0] == UInt8(ascii: "[") {
      // No name.
      guard let close = message.first(UInt8(ascii: "]")) else { return nil }
      (client, end) = (address(message.part(1, close)), close + 1)
    } else if message.has(" [", at: end) {
      guard let close = message.first(UInt8(ascii: "]"), from: end) else { return nil }
      (client, end) = (address(message.part(end + 2, close)), close + 1)
    }
    if message.has(" (may be forged)", at: end) { end += 16 }
    let rest = message.from(end)
    if rest.begins(" did not issue MAIL/EXPN/VRFY/ETRN during connection to ") {
      return fact(.brokenConnection, client)
    }
    guard let words = rest.after(": ") else { return nil }
    if words.begins("Possible SMTP RCPT flood, ") { return fact(.recipientFlood, client) }
    if words.begins("probable open proxy: command=") { return fact(.badCommand, client) }
    if let attack = words.after("possible SMTP attack: command=") {
      return fact(attack.begins("AUTH,") ? .other : .badCommand, client)
    }
    let isProbe = ["VRFY ", "EXPN ", "ETRN ", "vrfy ", "expn ", "etrn "].contains { words.begins($0) }
    return isProbe ? fact(.other, client) : nil
  }

  /// `[127.0.0.7] during server cmd read`
  private static func timeout(_ rest: Bytes) -> LogFact? {
    guard let during = rest.last(" during ") else { return nil }
    return fact(rest.ends(" during message collect") ? .cutOff : .other, lastAddress(rest.upTo(during)))
  }

  // MARK: - Logins

  private static func login(_ message: Bytes) -> LogFact? {
    if let fields = message.after("AUTH=server, relay=") {
      guard let name = fields.first(", authid="), let mechanism = fields.last(", mech="), name + 9 <= mechanism else {
        return nil
      }
      var fact = fact(.loggedIn, lastAddress(fields.upTo(name)))
      fact.user = login(fields.part(name + 9, mechanism))
      return fact
    }
    if message.begins("AUTH failure (") { return failedLogin(message) }
    if message.begins("AUTH decode64 error [") {
      return fact(.loginFailed(attempts: 1, .aborted), lastAddress(message))
    }
    return message.begins("AUTH=client, ") || message.begins("AUTH: ") || message.begins("AUTH warning: ") ? other : nil
  }

  private static func login(_ name: Bytes) -> Text? { name.isEmpty ? nil : Text(name) }

  /// `AUTH failure (PLAIN): authentication failure (-13) …, user=alice, relay=c3.example.net [127.0.0.3]`; the name since
  /// 8.16.1, at most 64 bytes of it. It may hold all that follows, too: the client is the last.
  private static func failedLogin(_ message: Bytes) -> LogFact {
    let relay = message.last(", relay=")
    var fact = fact(.loginFailed(attempts: 1, failure(message)), relay.flatMap { lastAddress(message.from($0)) })
    if let relay, let name = message.first(", user="), name + 7 <= relay {
      fact.user = login(message.part(name + 7, relay))
    }
    return fact
  }

  /// By SASL's number: `(-13)`.
  private static func failure(_ message: Bytes) -> LogFact.Failure {
    guard let minus = message.first(" (-"), let code = message.number(at: minus + 3), message.has(")", at: code.end)
    else {
      return .refused
    }
    switch code.value {
    // No mechanism, a broken exchange, not the mechanism's words.
    case 4, 5, 21, 22: return .aborted
    // Something failed, no memory, out of reach, not now.
    case 1, 2, 12, 24: return .server
    default: return .refused
    }
  }

  // MARK: - Refusals

  private static func rejecting(_ rest: Bytes) -> LogFact? {
    if rest.begins("connections on daemon ") || rest.begins("new messages: ") { return LogFact(.distress, .sendmail) }
    guard let end = rest.last(" due to pre-greeting traffic") ?? rest.last(" due to traffic before response") else {
      return nil
    }
    return fact(.badCommand, lastAddress(rest.upTo(end)))
  }

  /// `check_rcpt, arg1=<v@elsewhere.test>, relay=c6.example.net [127.0.0.6], reject=550 5.7.1 <v@..>... Relaying denied`
  private static func ruleset(_ fields: Bytes) -> LogFact? {
    guard let end = fields.first(", arg1=") else { return nil }
    let name = fields.upTo(end)
    let arguments = fields.from(end + 7)
    let isConnect = name.is("check_relay")
    // At connect the arguments are the MTA's own. An address may hold the same words: the reply repeats it, and only when
    // it does so with all of them is the address what we take for it.
    guard let relay = isConnect ? arguments.first(", relay=") : endOfAddress(arguments) ?? arguments.only(", relay="),
      let value = arguments.from(relay).after(", relay=")
    else { return refused(by: name, nil, nil) }
    let valueEnd = value.first(", reject=") ?? value.first(", discard") ?? value.count
    let rest = value.from(valueEnd)
    guard arguments.upTo(relay).count(of: ", relay=") == rest.count(of: ", relay=") else {
      return refused(by: name, nil, nil)
    }
    let client = lastAddress(value.upTo(valueEnd))
    guard let reply = rest.after(", reject=") else { return fact(.other, client) }
    var fact = refused(by: name, client, reply)
    if name.is("check_rcpt") { fact.recipient = inBrackets(arguments.upTo(relay)) }
    return fact
  }

  private static func refused(by name: Bytes, _ client: IPAddress?, _ reply: Bytes?) -> LogFact {
    let cause = reply.map(cause) ?? .other
    let kind: LogFact.Kind
    if name.is("check_relay") {
      kind = .connectionRefused(cause)
    } else if name.is("check_rcpt") {
      kind = .recipientRefused(cause)
    } else {
      kind = cause == .dnsbl ? .connectionRefused(.dnsbl) : .other
    }
    var fact = fact(kind, client)
    fact.isPermanent = reply?.begins("5") ?? false
    return fact
  }

  /// `550 5.7.1 <v@elsewhere.test>... Relaying denied`
  private static func cause(_ reply: Bytes) -> LogFact.Cause {
    var words = reply
    if let end = words.last(">... ") {
      words = words.from(end + 5)
    } else {
      while let first = words.first(UInt8(ascii: " ")), words[0].isDigit { words = words.from(first + 1) }
    }
    if words.begins("Relaying ") { return .relay }
    if words.begins("User unknown") { return .unknownRecipient }
    if words.begins("Connection rate limit exceeded") || words.begins("Too many open connections") { return .rate }
    if words.begins("Access denied") { return .access }
    return words.first(" listed at ") != nil || words.first(" refused by blackhole site ") != nil ? .dnsbl : .other
  }

  private static func unknownRecipient(_ message: Bytes) -> LogFact? {
    guard message.ends(">... User unknown") else { return nil }
    var fact = LogFact(.recipientRefused(.unknownRecipient), .sendmail)
    fact.isPermanent = true
    fact.recipient = Text(message.part(1, message.count - 17))
    return fact
  }

  private static func filter(_ rest: Bytes) -> LogFact? {
    guard let reply = rest.after("data, reject=") else { return other }
    var fact = LogFact(.filterRejected, .sendmail)
    fact.isPermanent = reply.begins("5")
    return fact
  }

  // MARK: - Messages

  private static func collect(_ rest: Bytes) -> LogFact? {
    if rest.begins("premature EOM: ") || rest.begins("I/O error on connection from ") {
      return LogFact(.distress, .sendmail)
    }
    if let fields = rest.after("relay=") {
      return fields.first(", from=").map { fact(.cutOff, lastAddress(fields.upTo($0))) }
    }
    for words: StaticString in ["unexpected close on connection from ", "read timeout on connection from "] {
      guard let fields = rest.after(words) else { continue }
      let end = fields.first(", from=") ?? fields.first(", sender=") ?? fields.count
      return fact(.cutOff, lastAddress(fields.upTo(end)))
    }
    return nil
  }

  /// `<alice@mx.test>, size=62, class=0, nrcpts=2, msgid=<m1@client>, proto=ESMTPA, daemon=MTA-v4, relay=.. [127.0.0.5]`:
  /// the message's id is the client's, so that what is behind it is read from the end.
  private static func queued(_ fields: Bytes) -> LogFact? {
    guard let end = endOfAddress(fields) ?? fields.only(", size="), fields.has(", size=", at: end),
      let size = fields.number(at: end + 7), fields.has(", class=", at: size.end),
      let recipients = fields.first(", nrcpts=", from: size.end), let count = fields.number(at: recipients + 9)
    else { return other }
    let rest = fields.from(count.end)
    let relay = rest.last(", relay=")
    let beforeRelay = rest.upTo(relay ?? rest.count)
    let name = beforeRelay.last(", proto=").map { beforeRelay.from($0 + 8) }
    var fact = fact(
      .queued(size: size.value, recipients: count.value, isAuthenticated: name.map(isAuthenticated) ?? false),
      fields.count > LogGrammar.mostOfWhole ? nil : relay.flatMap { lastAddress(rest.from($0)) })
    fact.sender = inBrackets(fields.upTo(end))
    return fact
  }

  /// `ESMTPA`, `ESMTPSA`
  private static func isAuthenticated(_ name: Bytes) -> Bool {
    let name = name.upTo(name.first(UInt8(ascii: ",")) ?? name.count)
    return name.begins("ESMTP") && name.ends("A")
  }

  /// `<bob@mx.test>,<carol@mx.test>, ctladdr=.., delay=00:00:00, .., dsn=2.0.0, stat=Sent`: behind the addresses the words
  /// are Sendmail's, until the other server's answer at the end.
  private static func delivery(_ fields: Bytes) -> LogFact? {
    var end = 0
    var recipients = 0
    repeat {
      guard let next = endOfAddress(fields, from: end) else { return other }
      (end, recipients) = (next + 1, recipients + 1)
    } while end < fields.count && fields[end] != UInt8(ascii: " ")
    guard let stat = fields.first(", stat=", from: end - 1) else { return other }
    let words = fields.from(stat + 7)
    let code = fields.part(end - 1, stat).last(", dsn=").map { fields[min(end - 1 + $0 + 6, fields.count - 1)] }
    let outcome: LogFact.Outcome
    if words.begins("Sent") {
      outcome = .delivered
    } else if words.begins("Deferred") {
      outcome = .deferred
    } else if words.begins("queued") || words.begins("quarantined") {
      return other
    } else if code == UInt8(ascii: "4") || code == UInt8(ascii: "5") {
      outcome = code == UInt8(ascii: "4") ? .deferred : .bounced
    } else {
      // A filter's refusal, told before.
      return other
    }
    var fact = LogFact(.delivery(outcome, recipients: recipients), .sendmail)
    if recipients == 1 { fact.recipient = inBrackets(fields.upTo(end - 1)) }
    return fact
  }

  // MARK: - Addresses

  /// Where an address ends that a client chose: at a comma, outside of quotes and of `<>`. Nothing where there is a comment
  /// in it: what is quoted there and what is not is not worth knowing.
  private static func endOfAddress(_ fields: Bytes, from start: Int = 0) -> Int? {
    var place = start
    var isQuoted = false
    while place < fields.count {
      switch fields[place] {
      case UInt8(ascii: "\\"): place += 1
      case UInt8(ascii: "\""): isQuoted.toggle()
      case UInt8(ascii: "("):
        if !isQuoted { return nil }
      case UInt8(ascii: ","):
        if !isQuoted, fields[start] != UInt8(ascii: "<") || fields[place - 1] == UInt8(ascii: ">") { return place }
      default: break
      }
      place += 1
    }
    return nil
  }

  private static func inBrackets(_ address: Bytes) -> Text? {
    guard let inner = address.after("<") else { return Text(address) }
    return inner.ends(">") ? Text(inner.upTo(inner.count - 1)) : nil
  }

  // MARK: - Known, and of no interest

  private static func isUninteresting(_ message: Bytes) -> Bool {
    message.begins(oneOf: uninteresting)
      // The rest of a line that was too long: `j4KDbUaV007215[2]: `.
      || message.first("]: ").map { $0 < 24 && message.upTo($0).first(UInt8(ascii: "[")) ?? 0 >= 8 } ?? false
      // `h9NL1K9M013891: clone: owner=..`, `j4K975hV028499: DSN: Service unavailable`: about another message.
      || endOfQueueID(message) != nil
  }

  private static let uninteresting: [StaticString] = [
    "STARTTLS=", "STARTTLS: ", "TLS: ", "Warning: ", "starting daemon ", "started as: ", "stopping daemon",
    "restarting ",
    "daemon invoked without full pathname", "accepting connections again for daemon ", "discarded", "milter=",
    "available mech=", "CRLFile missing", "error: safesasl(", "engine=", "clone: ", "grew WorkList for ",
    "Password verification failed", "incorrect digest response", "poststats: ", "message size (", "Fixed MIME ",
    "Truncated MIME ", "File descriptors missing ",
    "alias database ", "/etc/mail/aliases: ", "/etc/aliases: ", "Authentication-Warning: ", "queue-group ", "msgid=",
    "sender notify: ", "return to sender: ", "postmaster notify: ", "DSN: ", "Syntax error in mailbox address ",
    "locked", "makeconnection ", "Milter ", "quarantine=", "daemon=", "size=", "relay=", "unauthorized PIPELINING",
  ]
}
