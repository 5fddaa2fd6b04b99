import CLibmilter
import Glibc

/// The session's side of libmilter during one callback: macros and, at the end of a message, changes to it.
///
/// Valid only inside the callback that it was given to.
public struct Context: @unchecked Sendable {
  let pointer: OpaquePointer

  /// The macro's value, where the MTA has sent one at this stage or earlier in the session. Invalid UTF-8 is repaired.
  public func value(_ macro: Macro) -> String? {
    guard let text = symbol(macro) else { return nil }
    return String(cString: text)
  }

  /// Whether the macro has just this value; makes no copy.
  public func value(_ macro: Macro, is expected: StaticString) -> Bool {
    guard let text = symbol(macro) else { return false }
    return expected.withUTF8Buffer { strcmp(text, $0.baseAddress!) == 0 }
  }

  /// The macro's value as a number, where it is one; makes no copy.
  public func number(_ macro: Macro) -> Int? {
    guard let text = symbol(macro) else { return nil }
    var end: UnsafeMutablePointer<CChar>?
    errno = 0
    let number = strtol(text, &end, 10)
    return end != text && end?.pointee == 0 && errno == 0 ? number : nil
  }

  private func symbol(_ macro: Macro) -> UnsafeMutablePointer<CChar>? {
    macro.symbol.withUTF8Buffer { name in
      // libmilter only reads the name; its prototype says char *.
      name.withMemoryRebound(to: CChar.self) {
        smfi_getsymval(pointer, UnsafeMutablePointer(mutating: $0.baseAddress!))
      }
    }
  }

  /// Adds a header field; only at `endOfMessage`, with `Negotiation.Actions.addHeaders`.
  public func addHeader(_ name: String, _ value: String) throws {
    try withCopies(name, value) { smfi_addheader(pointer, $0, $1) }.orThrow("add the header field \(name)")
  }

  /// Puts the message into the MTA's quarantine (Postfix: the hold queue); only at `endOfMessage`.
  public func quarantine(reason: String) throws {
    try withCopies(reason, "") { text, _ in smfi_quarantine(pointer, text) }.orThrow("quarantine the message")
  }

  private func withCopies(
    _ a: String, _ b: String, _ body: (UnsafeMutablePointer<CChar>, UnsafeMutablePointer<CChar>) -> Int32
  ) -> Outcome {
    a.withCString { a in
      b.withCString { b in Outcome(status: body(UnsafeMutablePointer(mutating: a), UnsafeMutablePointer(mutating: b))) }
    }
  }

  private struct Outcome {
    let status: Int32
    func orThrow(_ what: String) throws { if status != MI_SUCCESS { throw MilterFault.refused(what) } }
  }
}

/// libmilter, or the system under it, would not do something; `FaultPolicy` turns it into an answer.
public enum MilterFault: Error, CustomStringConvertible {
  /// What could not be done: `add the header field X-Recipients`.
  case refused(String)
  /// MAIL came from an MTA that has not negotiated this session.
  case notNegotiated
  /// So many sessions are open, and no more can be.
  case full(Int)

  public var description: String {
    switch self {
    case .refused(let what): "cannot \(what)"
    case .full(let sessions):
      "\(sessions) sessions are open, and no more can be"
    case .notNegotiated: "the MTA shows a message without having negotiated; it is not watched"
    }
  }
}

/// The path and the ESMTP parameters of MAIL or RCPT; valid only inside the callback.
public struct EnvelopeArguments {
  let argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

  /// The path as the client typed it: usually `<user@example.org>`, but the brackets can be missing.
  public var path: String { argv[0].map { String(cString: $0) } ?? "" }

  /// The ESMTP parameters as typed: `SIZE=1000`, `BODY=8BITMIME`, ….
  public var parameters: [String] {
    var found: [String] = []
    var index = 1
    while let argument = argv[index] {
      found.append(String(cString: argument))
      index += 1
    }
    return found
  }
}
