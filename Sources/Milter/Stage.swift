import CLibmilter

/// The points of an SMTP session at which the MTA calls a milter, in the order in which they come.
///
/// `connect`, `helo`\*, ( `mail`, `recipient`\*, `data`, `header`\*, `endOfHeaders`, `body`\*, `endOfMessage` | `abort` )\*, `close`.
public enum Stage: UInt8, CaseIterable, Sendable {
  case connect  // xxfi_connect
  case helo  // xxfi_helo: HELO or EHLO; again after STARTTLS
  case mail  // xxfi_envfrom: MAIL FROM
  case recipient  // xxfi_envrcpt: RCPT TO
  case data  // xxfi_data
  case header  // xxfi_header: once a header field
  case endOfHeaders  // xxfi_eoh
  case body  // xxfi_body: once a chunk of up to 64 KiB
  case endOfMessage  // xxfi_eom
  case abort  // xxfi_abort: the transaction is given up; can come without `mail`
  case close  // xxfi_close: the session ends; can come without `connect`
  case unknown  // xxfi_unknown: a command that the MTA does not know
}

/// A set of stages.
public struct Stages: OptionSet, Sendable, Hashable {
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  public init(_ stage: Stage) { rawValue = 1 << UInt16(stage.rawValue) }

  public static let connect = Stages(.connect)
  public static let helo = Stages(.helo)
  public static let mail = Stages(.mail)
  public static let recipient = Stages(.recipient)
  public static let data = Stages(.data)
  public static let header = Stages(.header)
  public static let endOfHeaders = Stages(.endOfHeaders)
  public static let body = Stages(.body)
  public static let endOfMessage = Stages(.endOfMessage)
  public static let unknown = Stages(.unknown)

  /// Every stage that an MTA can be asked to leave out. `endOfMessage`, `abort` and `close` always come.
  public static let all: Stages = [
    .connect, .helo, .mail, .recipient, .data, .header, .endOfHeaders, .body, .endOfMessage, .unknown,
  ]

  public func contains(_ stage: Stage) -> Bool { contains(Stages(stage)) }
}

extension Stage {
  /// The protocol bit that asks the MTA to leave the stage out (`SMFIP_NO*`); none for a stage that always comes.
  var omitBit: UInt {
    switch self {
    case .connect: UInt(SMFIP_NOCONNECT)
    case .helo: UInt(SMFIP_NOHELO)
    case .mail: UInt(SMFIP_NOMAIL)
    case .recipient: UInt(SMFIP_NORCPT)
    case .data: UInt(SMFIP_NODATA)
    case .header: UInt(SMFIP_NOHDRS)
    case .endOfHeaders: UInt(SMFIP_NOEOH)
    case .body: UInt(SMFIP_NOBODY)
    case .unknown: UInt(SMFIP_NOUNKNOWN)
    case .endOfMessage, .abort, .close: 0
    }
  }

  /// The protocol bit that spares the stage its reply (`SMFIP_NR_*`); none where a reply is always due.
  var noReplyBit: UInt {
    switch self {
    case .connect: UInt(SMFIP_NR_CONN)
    case .helo: UInt(SMFIP_NR_HELO)
    case .mail: UInt(SMFIP_NR_MAIL)
    case .recipient: UInt(SMFIP_NR_RCPT)
    case .data: UInt(SMFIP_NR_DATA)
    case .header: UInt(SMFIP_NR_HDR)
    case .endOfHeaders: UInt(SMFIP_NR_EOH)
    case .body: UInt(SMFIP_NR_BODY)
    case .unknown: UInt(SMFIP_NR_UNKN)
    case .endOfMessage, .abort, .close: 0
    }
  }

  /// libmilter's name of the stage in `smfi_setsymlist` (`SMFIM_*`), where macros can be asked for.
  var macroStage: Int32? {
    switch self {
    case .connect: SMFIM_CONNECT
    case .helo: SMFIM_HELO
    case .mail: SMFIM_ENVFROM
    case .recipient: SMFIM_ENVRCPT
    case .data: SMFIM_DATA
    case .endOfHeaders: SMFIM_EOH
    case .endOfMessage: SMFIM_EOM
    case .header, .body, .abort, .close, .unknown: nil
    }
  }
}
