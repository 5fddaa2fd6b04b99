import WardenCore
import Yams

/// What is kept, and who is told.
extension PolicyReader {
  // MARK: - state, history

  static func readState(_ node: Node?, _ reader: inout YAMLReader) -> String? {
    guard let folder = reader.text(node, "state") else { return nil }
    if !folder.hasPrefix("/") { reader.error("\"\(folder)\" is not a folder's absolute path", at: node) }
    return folder
  }

  static func readHistory(_ node: Node?, _ reader: inout YAMLReader) -> HistorySettings {
    var history = HistorySettings()
    guard let node, let fields = reader.fields(of: node, .history) else { return history }
    for (name, place) in [
      ("minutes", \HistorySettings.minutes), ("hours", \.hours), ("days", \.days), ("decisions", \.decisions),
    ] {
      // Shorter than a day's history answers no question; a century is for ever.
      let range = TimeSpan.hours(1)...TimeSpan.days(36_500)
      guard let span = readSpan(fields[name], "history.\(name)", range, &reader) else { continue }
      history[keyPath: place] = span
    }
    if let text = reader.text(fields["size"], "history.size") {
      do throws(LimitText.Problem) {
        history.size = try LimitText.size(text)
        if history.size < 16_000_000 {
          reader.error("\(text) is too little for a history; write at least 16MB", at: fields["size"])
        }
      } catch {
        reader.error(error.message, at: fields["size"])
      }
    }
    return history
  }

  // MARK: - alerts

  static func readAlerts(
    _ node: Node?, _ commands: [String: [String]], _ names: inout Names, _ reader: inout YAMLReader,
    _ templateCheck: TemplateCheck
  ) -> AlertSettings {
    var alerts = AlertSettings()
    guard let node, let fields = reader.fields(of: node, .alerts) else { return alerts }
    if let mail = fields["mail"] { alerts.mail = readMail(mail, &reader, templateCheck) }
    if let webhook = fields["webhook"] { alerts.webhook = readWebhook(webhook, &reader) }
    if let place = fields["run"], let name = reader.text(place, "alerts.run"),
      names.hasCommand(name, at: place, &reader)
    {
      alerts.run = commands[name]
    }
    for (name, place, range) in [
      ("wait", \AlertSettings.wait, .seconds(0)...(.hours(1))),
      ("interval", \.interval, .seconds(1)...(.days(1))),
      ("repeat", \.again, .minutes(1)...(.days(31))),
    ] as [(String, WritableKeyPath<AlertSettings, TimeSpan>, ClosedRange<TimeSpan>)] {
      if let span = readSpan(fields[name], "alerts.\(name)", range, &reader) { alerts[keyPath: place] = span }
    }
    readMost(fields["at-most"], &alerts, &reader)
    readSilence(fields["silence"], &alerts, &reader)
    if !["mail", "webhook", "run"].contains(where: { fields[$0] != nil }) {
      reader.warn("neither \"mail\", \"webhook\" nor \"run\" is named: alerts go to the log alone", at: node)
    }
    return alerts
  }

  private static func readSpan(
    _ node: Node?, _ what: String, _ range: ClosedRange<TimeSpan>, _ reader: inout YAMLReader
  ) -> TimeSpan? {
    guard let text = reader.text(node, what) else { return nil }
    guard let span = TimeSpan(text) else {
      reader.error("\"\(text)\" is not a length of time; write 10s, 5m, 4h or 2d", at: node)
      return nil
    }
    guard range.contains(span) else {
      reader.error("\(what) is from \(range.lowerBound) to \(range.upperBound), not \(text)", at: node)
      return nil
    }
    return span
  }

  private static func readMost(_ node: Node?, _ alerts: inout AlertSettings, _ reader: inout YAMLReader) {
    guard let text = reader.text(node, "alerts.at-most") else { return }
    let words = text.split(whereSeparator: \.isWhitespace).map(String.init)
    guard words.count == 3, words[1] == "per", isDigits(words[0]), let count = Int(words[0]),
      let window = TimeSpan(words[2])
    else { return reader.error("\"\(text)\" is not a number of messages and a time; write 12 per 1h", at: node) }
    guard (1...1_000).contains(count), window >= .minutes(1), window <= .days(31) else {
      return reader.error("alerts.at-most is from 1 to 1000 messages per 1m to 31d, not \(text)", at: node)
    }
    (alerts.most, alerts.mostWindow) = (count, window)
  }

  private static func readSilence(_ node: Node?, _ alerts: inout AlertSettings, _ reader: inout YAMLReader) {
    guard let text = reader.text(node, "alerts.silence") else { return }
    if text == "off" { return alerts.silence = nil }
    let digits = text.dropLast().split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard text.hasSuffix("x"), (1...2).contains(digits.count), digits.allSatisfy(isDigits),
      let whole = Int(digits[0]), digits.count == 1 || digits[1].count == 1, (1...1_000).contains(whole)
    else { return reader.error("\"\(text)\" is not a factor; write 3x, 2.5x or off", at: node) }
    alerts.silence = whole * 10 + (digits.count == 1 ? 0 : Int(digits[1])!)
  }

  // MARK: - mail

  private static func readMail(
    _ node: Node, _ reader: inout YAMLReader, _ templateCheck: TemplateCheck
  ) -> AlertSettings.Mail? {
    guard let fields = reader.fields(of: node, .mail) else { return nil }
    var mail = AlertSettings.Mail(to: [])
    if let to = fields["to"] {
      for (text, place) in reader.oneOrMore(to, "alerts.mail.to") {
        if isAddress(text) || isAtom(text) { mail.to.append(text) } else { notAnAddress(text, place, &reader) }
      }
    } else if node["to"] == nil {
      reader.error("alerts.mail has no \"to\"", at: node)
    }
    if let from = reader.text(fields["from"], "alerts.mail.from") {
      if isAddress(from) { mail.from = from } else { notAnAddress(from, fields["from"], &reader) }
    }
    if let program = fields["program"] {
      let words = reader.oneOrMore(program, "alerts.mail.program", commas: true)
      if let first = words.first {
        if !first.text.hasPrefix("/") || program.sequence == nil && first.text.contains(where: \.isWhitespace) {
          reader.error(
            "\"\(first.text)\" is not a program's absolute path; write [/usr/sbin/sendmail]", at: first.node)
        }
        mail.way = .program(words.map(\.text))
      }
    }
    if let smtp = fields["smtp"], let text = reader.text(smtp, "alerts.mail.smtp") {
      if fields["program"] != nil { reader.error("mail goes through \"program\" or \"smtp\", not both", at: smtp) }
      if let (host, port) = hostAndPort(text) {
        mail.way = .smtp(host: host, port: port)
      } else {
        reader.error("\"\(text)\" is not a host and port; write mail.example.org:25 or [2001:db8::1]:25", at: smtp)
      }
    }
    for (name, place) in [("subject", \AlertSettings.Mail.subject), ("body", \.body)] {
      guard let text = reader.text(fields[name], "alerts.mail.\(name)") else { continue }
      if let problem = templateCheck(text) { reader.error("alerts.mail.\(name): \(problem)", at: fields[name]) }
      mail[keyPath: place] = text
    }
    return mail
  }

  private static func notAnAddress(_ text: String, _ node: Node?, _ reader: inout YAMLReader) {
    reader.error("\"\(text)\" is not a mail address; write postmaster@example.org", at: node)
  }

  private static func isAddress(_ text: String) -> Bool {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    return text.utf8.count <= 254 && parts.count == 2 && parts.allSatisfy { isAtom($0) }
  }

  /// RFC 5322's dot-atom: nothing that means something in a header, in SMTP or to a program.
  private static func isAtom(_ text: some StringProtocol) -> Bool {
    !text.isEmpty && text.first != "-"
      && text.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte & 0xdf)
          || "!#$%&'*+-/=?^_`{|}~.".utf8.contains(byte)
      }
  }

  private static func isDigits(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
  }

  /// `mail.example.org`, `mail.example.org:25`, `192.0.2.7:25`, `[2001:db8::1]:25`.
  private static func hostAndPort(_ text: String) -> (host: String, port: Int)? {
    var (host, port) = (text, "25")
    if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
      (host, port) = (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
      guard let address = IPAddress(host), !address.isV4 else { return nil }
    } else {
      let isName = host.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte & 0xdf) || "-._".utf8.contains(byte)
      }
      guard !host.isEmpty, isName else { return nil }
    }
    guard isDigits(port), let number = Int(port), (1...65_535).contains(number) else { return nil }
    return (host, number)
  }

  // MARK: - webhook

  private static func readWebhook(_ node: Node, _ reader: inout YAMLReader) -> AlertSettings.Webhook? {
    guard let fields = reader.fields(of: node, .webhook) else { return nil }
    var webhook = AlertSettings.Webhook(url: "")
    if let url = reader.text(fields["url"], "alerts.webhook.url") {
      if !isURL(url) {
        // Without the address, whose path may be a secret: the problems of a reload stand in the log.
        reader.error(
          "alerts.webhook.url is not a web address; write https://hooks.example.org/mailwarden", at: fields["url"])
      }
      webhook.url = url
    } else if node["url"] == nil {
      reader.error("alerts.webhook has no \"url\"", at: node)
    }
    if let file = reader.text(fields["secret-file"], "alerts.webhook.secret-file") {
      if !file.hasPrefix("/") { reader.error("\"\(file)\" is not a file's absolute path", at: fields["secret-file"]) }
      webhook.secretFile = file
    }
    return webhook
  }

  private static func isURL(_ text: String) -> Bool {
    guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else { return false }
    let host = text.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" }
    // A name and password in the address would be shown by every log.
    return !host.isEmpty && !host.hasPrefix(":") && !host.contains("@")
      && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
  }
}
