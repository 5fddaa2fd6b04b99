import Foundation
import WardenCore
import Yams

/// `feeds`: who tells what a milter cannot see.
extension PolicyReader {
  static func readFeeds(_ node: Node?, _ configuration: inout Configuration, _ reader: inout YAMLReader) {
    guard let node, let fields = reader.fields(of: node, .feeds) else { return }
    if let dovecot = fields["dovecot-policy"] { configuration.feeds.dovecot = readDovecot(dovecot, &reader) }
    if let log = fields["mail-log"] { readLog(log, &configuration, &reader) }
  }

  // MARK: - dovecot-policy

  private static func readDovecot(_ node: Node, _ reader: inout YAMLReader) -> FeedSettings.Dovecot? {
    let what = PolicyMapping.dovecot.name
    var (place, token): (Node?, Node?) = (node, nil)
    if node.mapping != nil {
      guard let fields = reader.fields(of: node, .dovecot) else { return nil }
      (place, token) = (fields["listen"], fields["token-file"])
      if node["listen"] == nil { reader.error("\(what) has no \"listen\"", at: node) }
    }
    guard let (host, port) = reader.addressAndPort(place, what, example: 4_001) else { return nil }
    var dovecot = FeedSettings.Dovecot(host: host.description, port: port)
    if let file = reader.text(token, "\(what).token-file") {
      if !file.hasPrefix("/") { reader.error("\"\(file)\" is not a file's absolute path", at: token) }
      dovecot.tokenFile = file
    }
    if dovecot.tokenFile == nil, node["token-file"] == nil {
      if host.isLoopback {
        reader.warn("without a \"token-file\" every program of this machine can tell of failed logins", at: place)
      } else {
        reader.error("beyond this machine \(what) needs a \"token-file\": whoever can connect is believed", at: place)
      }
    }
    return dovecot
  }

  // MARK: - mail-log

  private static func readLog(_ node: Node, _ configuration: inout Configuration, _ reader: inout YAMLReader) {
    let what = PolicyMapping.mailLog.name
    var places: Node? = node
    if node.mapping != nil {
      guard let fields = reader.fields(of: node, .mailLog) else { return }
      places = fields["from"]
      if node["from"] == nil { reader.error("\(what) has no \"from\"", at: node) }
      configuration.policy.trustsLog = readFlag(fields["trusted"], "\(what).trusted", &reader)
      if let zone = reader.text(fields["time-zone"], "\(what).time-zone") {
        if TimeZone(identifier: zone) == nil {
          let nearest = Suggestion.phrase(for: zone, among: TimeZone.knownTimeZoneIdentifiers)
          reader.error("unknown time zone \"\(zone)\"\(nearest)", at: fields["time-zone"])
        }
        configuration.feeds.timeZone = zone
      }
    }
    guard let places else { return }
    for (text, place) in reader.oneOrMore(places, what) {
      guard let log = log(text) else {
        reader.error(
          "\"\(text)\" is not a log; write /var/log/mail.log, journal, or journal:/var/log/journal", at: place)
        continue
      }
      if configuration.feeds.logs.contains(log) {
        reader.error("\"\(text)\" is there already", at: place)
        continue
      }
      configuration.feeds.logs.append(log)
    }
    let hasJournal = configuration.feeds.logs.contains { if case .journal = $0 { true } else { false } }
    let hasFile = configuration.feeds.logs.contains { if case .file = $0 { true } else { false } }
    if hasJournal, hasFile {
      reader.warn("most systems write the same lines to the journal and to files: they would count twice", at: places)
    }
  }

  private static func log(_ text: String) -> FeedSettings.Log? {
    if text == "journal" { return .journal(folder: nil) }
    let folder = text.dropFirst("journal:".count)
    if text.hasPrefix("journal:/") { return .journal(folder: String(folder)) }
    return text.hasPrefix("/") ? .file(text) : nil
  }
}

extension FeedSettings {
  /// Whether the MTA or a feed tells of it.
  func tells(_ measure: Measure) -> Bool {
    switch measure {
    case .signal(let signal):
      !signal.declaration.shownBy.isEmpty || !sources.isDisjoint(with: signal.declaration.toldBy)
    case .distinct(.passwords): dovecot != nil
    case .distinct, .new: true
    }
  }
}
