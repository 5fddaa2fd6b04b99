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
    public static let addHeaders = Actions(rawValue: UInt(SMFIF_ADDHDRS))
    public static let changeHeaders = Actions(rawValue: UInt(SMFIF_CHGHDRS))
    public static let addRecipients = Actions(rawValue: UInt(SMFIF_ADDRCPT))
    public static let deleteRecipients = Actions(rawValue: UInt(SMFIF_DELRCPT))
    public static let quarantine = Actions(rawValue: UInt(SMFIF_QUARANTINE))
  }

  /// What the MTA can do; a milter that needs more should refuse to work with it.
  public let offeredActions: Actions

  /// The stages that the MTA shall send. `endOfMessage`, `abort` and `close` come in any case.
  public var stages: Stages = .all
  /// Stages that are only watched: the MTA does not wait for an answer there, and none can be given.
  public var withoutReply: Stages = []
  /// Whether `recipient` is also called for recipients that the MTA itself refuses (`SMFIP_RCPT_REJ`); their
  /// `Macro.recipientMailer` is `error`.
  public var seesRefusedRecipients = false
  /// What the milter will do to messages.
  public var actions: Actions = []
  /// The macros to send at each stage. A stage without an entry keeps the MTA's own list; at most 50 a stage.
  public var macros: [Stage: [Macro]] = [:]

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
