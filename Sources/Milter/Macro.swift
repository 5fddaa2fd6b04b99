/// A fact that the MTA sends beside a stage: `{auth_authen}`, `i`, ….
///
/// Macros come only at the stages for which they were asked (`Negotiation.macros`); which MTA knows which differs.
public struct Macro: Sendable, Hashable, CustomStringConvertible {
  /// As libmilter writes it: one letter bare, longer names in braces.
  let symbol: StaticString

  /// - Parameter symbol: one letter bare (`"i"`), a longer name in braces (`"{auth_authen}"`).
  public init(_ symbol: StaticString) { self.symbol = symbol }

  public var description: String { symbol.description }
  public static func == (a: Macro, b: Macro) -> Bool { a.description == b.description }
  public func hash(into hasher: inout Hasher) { hasher.combine(description) }

  /// The queue id. Sendmail: from connect on. Postfix: from the second RCPT on.
  public static let queueID = Macro("i")
  /// The MTA's own host name.
  public static let hostName = Macro("j")
  /// The login, from MAIL on. Sendmail gives it as typed.
  public static let authUser = Macro("{auth_authen}")
  /// The SASL mechanism, from MAIL on.
  public static let authType = Macro("{auth_type}")
  /// The daemon that took the connection: `MTA`, `MSA`; Postfix: `milter_macro_daemon_name`.
  public static let daemonName = Macro("{daemon_name}")
  /// The mailer that the recipient resolves to; `error` where the MTA refuses it.
  public static let recipientMailer = Macro("{rcpt_mailer}")
  /// The mailer's host; of a refused recipient the enhanced status code.
  public static let recipientHost = Macro("{rcpt_host}")
  /// The recipient as resolved; of a refused recipient the text of the refusal.
  public static let recipientAddress = Macro("{rcpt_addr}")
  /// Sendmail: how many recipients of this transaction were refused so far.
  public static let badRecipients = Macro("{nbadrcpts}")
}
