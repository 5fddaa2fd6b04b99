/// One SMTP session, from connect to close. It owns whatever state it needs.
///
/// libmilter calls one method at a time, but on changing threads: no thread-locals. A method that throws is a fault of
/// the milter's own; `MilterServer`'s fault policy answers for it and the session goes on.
/// Methods for stages that were not negotiated are never called; each has a default that goes on.
public protocol MilterSession: AnyObject {
  /// A client has connected. Its host is `[192.0.2.7]` or `unknown` where it has no name; there is no address where the
  /// MTA knows none (the client was gone already, or mail is local).
  func connect(host: String, address: PeerAddress?, _ context: Context) throws -> Answer
  /// HELO or EHLO, with the name that the client gives itself; again after STARTTLS.
  func helo(_ name: String, _ context: Context) throws -> Answer
  /// MAIL: a transaction begins.
  func mail(_ sender: EnvelopeArguments, _ context: Context) throws -> Answer
  /// RCPT, once a recipient.
  func recipient(_ recipient: EnvelopeArguments, _ context: Context) throws -> Answer
  /// DATA. Never refuse here: see ``Answer/refuse(_:)``.
  func data(_ context: Context) throws -> Answer
  /// A header field. Its texts are valid only inside the call.
  func header(_ name: UnsafePointer<CChar>, _ value: UnsafePointer<CChar>, _ context: Context) throws -> Answer
  /// The empty line after the header.
  func endOfHeaders(_ context: Context) throws -> Answer
  /// A piece of the body, up to 64 KiB; valid only inside the call.
  func body(_ chunk: UnsafeRawBufferPointer, _ context: Context) throws -> Answer
  /// The message is complete: the last chance to refuse it, and the only one to change it.
  func endOfMessage(_ context: Context) throws -> Answer
  /// The transaction is over without a message: RSET, a second EHLO, QUIT or a lost connection.
  func abort(_ context: Context) throws
  /// The session is over; the last call, exactly once. Must not block: libmilter can hold its pool's lock.
  func close(_ context: Context) throws
  /// A command that the MTA does not know. Which it was cannot be told safely: libmilter gives its text unchecked.
  func unknown(_ context: Context) throws -> Answer
}

extension MilterSession {
  public func connect(host: String, address: PeerAddress?, _ context: Context) throws -> Answer { .continue }
  public func helo(_ name: String, _ context: Context) throws -> Answer { .continue }
  public func mail(_ sender: EnvelopeArguments, _ context: Context) throws -> Answer { .continue }
  public func recipient(_ recipient: EnvelopeArguments, _ context: Context) throws -> Answer { .continue }
  public func data(_ context: Context) throws -> Answer { .continue }
  public func header(_ name: UnsafePointer<CChar>, _ value: UnsafePointer<CChar>, _ context: Context) throws -> Answer {
    .continue
  }
  public func endOfHeaders(_ context: Context) throws -> Answer { .continue }
  public func body(_ chunk: UnsafeRawBufferPointer, _ context: Context) throws -> Answer { .continue }
  public func endOfMessage(_ context: Context) throws -> Answer { .continue }
  public func abort(_ context: Context) throws {}
  public func close(_ context: Context) throws {}
  public func unknown(_ context: Context) throws -> Answer { .continue }
}
