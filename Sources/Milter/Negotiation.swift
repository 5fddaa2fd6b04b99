import CLibmilter

/// What a session asks of the MTA, settled once before it begins.
///
/// Every round trip costs more than what a filter does with it, so ask for little: leave stages out, and spare
/// those that are only watched their reply.
public struct Negotiation: Sendable {
  /// What a milter may do to a message at its end (`SMFIF_*`).
  public struct Actions: OptionSet, Sendable, Hashable {
    public let rawValue: UInt
    public init(rawValue: UInt) { self.rawValue = rawValue }
    /// `SMFIF_ADDHDRS`: ``Context/addHeader(_:_:)``.
    public static let addHeaders = Actions(rawValue: UInt(SMFIF_ADDHDRS))
    /// `SMFIF_CHGHDRS`.
    public static let changeHeaders = Actions(rawValue: UInt(SMFIF_CHGHDRS))
    /// `SMFIF_ADDRCPT`.
    public static let addRecipients = Actions(rawValue: UInt(SMFIF_ADDRCPT))
    /// `SMFIF_DELRCPT`.
    public static let deleteRecipients = Actions(rawValue: UInt(SMFIF_DELRCPT))
    /// `SMFIF_QUARANTINE`: ``Context/quarantine(reason:)``.
    public static let quarantine = Actions(rawValue: UInt(SMFIF_QUARANTINE))
  }

  /// What the MTA can do; a milter that needs more should refuse to work with it.
  public let offeredActions: Actions

  /// The stages that the MTA shall send. `endOfMessage`, `abort` and `close` come in any case.
  public var stages: Stages = .all
  /// Stages that are only watched: the MTA does not wait for an answer there, and none can be given.
  ///
  /// Ask for it only where a stage with a reply follows in any case, as `endOfMessage` follows `body`. Postfix keeps such a
  /// stage back until the next that has a reply, and libmilter throws away what it has not read when the other end of a
  /// UNIX socket is closed: a session that ends there is never seen.
  public var withoutReply: Stages = []
  /// Whether `recipient` is also called for recipients that the MTA itself refuses (`SMFIP_RCPT_REJ`); their
  /// `Macro.recipientMailer` is `error`.
  public var seesRefusedRecipients = false
  /// What the milter will do to messages.
  public var actions: Actions = []
  /// The macros to send at each stage. A stage without an entry keeps the MTA's own list.
  public var macros = MacroLists()

  /// Adds, unanswered, what libmilter needs to see besides: its state machine ignores a stage that it finds no way to, and the
  /// MTA then waits in vain for an answer to the end of the message.
  ///
  /// - Parameter offered: the protocol word of the MTA.
  mutating func complete(offered: UInt) {
    // From a command that the MTA does not know it only goes on to the message by DATA, which protocol 3 does not have.
    if stages.contains(.unknown) {
      if offered & UInt(SMFIP_NODATA) != 0 { addUnanswered(.data) } else { stages.remove(.unknown) }
    }
    // From DATA to the body, or the end, of a message without header fields.
    if stages.contains(.data), stages.contains(.header) { addUnanswered(.endOfHeaders) }
  }

  private mutating func addUnanswered(_ stage: Stages) {
    guard stages.isDisjoint(with: stage) else { return }
    stages.insert(stage)
    withoutReply.insert(stage)
  }

  /// The protocol word for the MTA, of what it offers.
  func protocolBits(offered: UInt) -> UInt {
    var bits: UInt = 0
    for stage in Stage.allCases {
      if !stages.contains(stage) {
        bits |= stage.omitBit
      } else if withoutReply.contains(stage) {
        bits |= stage.noReplyBit
      }
    }
    if seesRefusedRecipients { bits |= UInt(SMFIP_RCPT_REJ) }
    if stages.contains(.body) { bits |= UInt(SMFIP_SKIP) }
    return bits & offered
  }
}

/// Which macros are asked for at which stage. Make it once and give it to each session: it holds libmilter's texts.
public struct MacroLists: Sendable, ExpressibleByDictionaryLiteral {
  /// libmilter's stage and the list as a C string.
  let texts: [(stage: Int32, list: [CChar])]

  /// - Parameter elements: at most 50 macros a stage (Sendmail's bound). None can be asked for at `header`, `body`, `abort`,
  ///   `close` and `unknown`.
  public init(dictionaryLiteral elements: (Stage, [Macro])...) { self.init(Dictionary(uniqueKeysWithValues: elements)) }

  /// The same from a dictionary.
  public init(_ lists: [Stage: [Macro]]) {
    texts = lists.compactMap { stage, macros in
      guard let macroStage = stage.macroStage, !macros.isEmpty else { return nil }
      return (macroStage, Array(macros.map(\.description).joined(separator: " ").utf8CString))
    }
  }
}
