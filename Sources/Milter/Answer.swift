import CLibmilter

/// What a milter says at a stage.
public enum Answer: Sendable, Hashable {
  /// Go on (`SMFIS_CONTINUE`).
  case `continue`
  /// No more questions about this recipient, message or, at connect and HELO, connection (`SMFIS_ACCEPT`).
  case accept
  /// Take the message and throw it away (`SMFIS_DISCARD`).
  case discard
  /// Refuse with this reply: a 4xx code makes it `SMFIS_TEMPFAIL`, a 5xx code `SMFIS_REJECT`.
  ///
  /// At connect a text may be lost (Sendmail), and a 421 closes the connection. Never refuse at `data`: a client that
  /// then sends RCPT without RSET hangs until the MTA's milter time-out.
  case refuse(SMTPReply)
  /// No more body chunks, please (`SMFIS_SKIP`); only at `body`.
  case skip

  var status: sfsistat {
    switch self {
    case .continue: SMFIS_CONTINUE
    case .accept: SMFIS_ACCEPT
    case .discard: SMFIS_DISCARD
    case .refuse(let reply): reply.isTemporary ? SMFIS_TEMPFAIL : SMFIS_REJECT
    case .skip: SMFIS_SKIP
    }
  }
}

/// What becomes of mail when the milter itself is at fault.
public enum FaultPolicy: String, Sendable, CaseIterable {
  /// Mail passes; the session goes on.
  case accept
  /// The client is told to try again later.
  case tempfail
}
