import CLibmilter

/// The points of an SMTP session at which the MTA calls a milter, in the order in which they come.
///
/// `connect`, `helo`\*, ( `mail`, `recipient`\*, `data`, `header`\*, `endOfHeaders`, `body`\*, `endOfMessage` | `abort` )\*, `close`.
public enum Stage: UInt8, CaseIterable, Sendable {
  /// `xxfi_connect`.
  case connect
  /// `xxfi_helo`: HELO or EHLO; again after STARTTLS.
  case helo
  /// `xxfi_envfrom`: MAIL FROM.
  case mail
  /// `xxfi_envrcpt`: RCPT TO.
  case recipient
  /// `xxfi_data`.
  case data
  /// `xxfi_header`: once a header field.
  case header
  /// `xxfi_eoh`.
  case endOfHeaders
  /// `xxfi_body`: once a chunk of up to 64 KiB.
  case body
  /// `xxfi_eom`.
  case endOfMessage
  /// `xxfi_abort`: the transaction is given up; can come without `mail`.
  case abort
  /// `xxfi_close`: the session ends; can come without `connect`.
  case close
  /// `xxfi_unknown`: a command that the MTA does not know.
  case unknown
}

/// A set of stages.
public struct Stages: OptionSet, Sendable, Hashable {
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  /// The set of one stage.
  public init(_ stage: Stage) { rawValue = 1 << UInt16(stage.rawValue) }

  /// ``Stage/connect`` alone.
  public static let connect = Stages(.connect)
  /// ``Stage/helo`` alone.
  public static let helo = Stages(.helo)
  /// ``Stage/mail`` alone.
  public static let mail = Stages(.mail)
  /// ``Stage/recipient`` alone.
  public static let recipient = Stages(.recipient)
  /// ``Stage/data`` alone.
  public static let data = Stages(.data)
  /// ``Stage/header`` alone.
  public static let header = Stages(.header)
  /// ``Stage/endOfHeaders`` alone.
  public static let endOfHeaders = Stages(.endOfHeaders)
  /// ``Stage/body`` alone.
  public static let body = Stages(.body)
  /// ``Stage/endOfMessage`` alone.
  public static let endOfMessage = Stages(.endOfMessage)
  /// ``Stage/unknown`` alone.
  public static let unknown = Stages(.unknown)

  /// Every stage that an MTA can be asked to leave out. `endOfMessage`, `abort` and `close` always come.
  public static let all: Stages = [
    .connect, .helo, .mail, .recipient, .data, .header, .endOfHeaders, .body, .endOfMessage, .unknown,
  ]

  /// Whether the stage is one of them.
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
