import WardenCore

/// Tells what a line of a mail log says.
///
/// Every form is anchored where the daemon's own words are: what a client chose among them (its name, a login, an address
/// of the envelope) may hold anything, the same words included. Where it could move a boundary the line is read from the
/// other end; where that does not settle it, the field is left out. Time is linear, and nothing is copied.
public enum LogGrammar {
  /// - Returns: nothing for another program's line, and for one that is not understood.
  public static func read(_ header: LogHeader) -> LogFact? {
    let message = header.message.bytes
    guard !message.isEmpty, let program = program(header.program.bytes) else { return nil }
    switch program {
    case .postfix(let daemon, let service): return PostfixLines.read(message, daemon: daemon, service: service)
    case .sendmail: return SendmailLines.read(message)
    case .dovecot: return DovecotLines.read(message)
    case .dovecotProcess(let name): return DovecotLines.read(message, process: name)
    case .saslauthd: return SaslauthdLines.read(message)
    }
  }

  /// Whether it is one of the programs whose lines are looked at.
  public static func knows(_ header: LogHeader) -> Bool { program(header.program.bytes) != nil }

  /// Some syslogs cut lines at 1,024 bytes, their header included. Whoever can make a line that long can make its end his
  /// own: beyond this, what stands behind a client's words is not believed.
  static let mostOfWhole = 900

  private enum Program {
    /// `service`: what comes after the instance's name.
    case postfix(PostfixLines.Daemon, service: Bytes?)
    case sendmail, dovecot, saslauthd
    /// In Dovecot's own file.
    case dovecotProcess(Bytes)
  }

  private static func program(_ name: Bytes) -> Program? {
    if let slash = name.first(UInt8(ascii: "/")) {
      let service = name.from(slash + 1)
      var last = service
      while let next = last.first(UInt8(ascii: "/")) { last = last.from(next + 1) }
      return PostfixLines.Daemon(last).map { .postfix($0, service: service) }
    }
    guard name.count > 3 else { return nil }
    switch name[0] {
    case UInt8(ascii: "p"):
      // RFC 5424 has no room for what comes after it.
      if name.is("postfix") { return .postfix(.unnamed, service: nil) }
    case UInt8(ascii: "s"):
      if name.begins("sm-") || name.is("sendmail") { return .sendmail }
      if name.is("saslauthd") { return .saslauthd }
    case UInt8(ascii: "d"):
      if name.is("dovecot") { return .dovecot }
    default: break
    }
    return DovecotLines.isProcess(name) ? .dovecotProcess(name) : nil
  }
}
