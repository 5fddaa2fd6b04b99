/// Who tells of something that others tell of as well: each source, and each kind of line of the log, is another.
public enum Teller: Int, Sendable, CaseIterable {
  case milter
  /// Dovecot's auth policy requests, and its event exporter.
  case policy, events
  /// Postfix's own lines, and Sendmail's.
  case postfix, sendmail
  /// Dovecot's lines about one attempt each, and those about a whole session's.
  case dovecotAttempt, dovecotSession
  case saslauthd
}
