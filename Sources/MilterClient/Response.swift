extension MilterClient {
  /// What came of one stage.
  public enum Response: Sendable, Hashable {
    /// The filter has negotiated the stage away; nothing was sent.
    case notAsked
    /// The filter has negotiated the reply away; the command was sent, nothing was read.
    case noReplyNegotiated
    case `continue`
    case accept
    case reject
    case tempfail
    case discard
    case skip
    /// A reply in the filter's own words, line by line as on the wire: `450-4.7.1 one`, `450 4.7.1 two`.
    ///
    /// libmilter passes the text as the filter gave it: a `%%` stays doubled here, the MTA makes one `%` of it.
    case reply([String])

    /// Whether the MTA turns the client away: `reject`, `tempfail` or a `reply`.
    public var isRefusal: Bool {
      switch self {
      case .reject, .tempfail, .reply: true
      default: false
      }
    }
  }

  /// A change to the message that the filter asked for at its end.
  public enum Change: Sendable, Hashable {
    case addHeader(name: String, value: String)
    /// `index` 0 is above all others.
    case insertHeader(index: UInt32, name: String, value: String)
    /// The `index`th field of that name, from 1; an empty value deletes it.
    case changeHeader(index: UInt32, name: String, value: String)
    case addRecipient(String, arguments: String? = nil)
    case deleteRecipient(String)
    case changeSender(String, arguments: String? = nil)
    case replaceBody([UInt8])
    case quarantine(reason: String)
  }
}

extension MilterClient.Response {
  /// Nil where the packet is no final reply.
  init?(_ packet: Packet) throws(MilterClientError) {
    switch Character(UnicodeScalar(packet.command)) {
    case "c": self = .continue
    case "a": self = .accept
    case "r": self = .reject
    case "t": self = .tempfail
    case "d": self = .discard
    case "s": self = .skip
    case "y":
      var reader = PayloadReader(packet.payload)
      let text = try reader.string()
      // "\r\n" is a single Character.
      self = .reply(text.split(whereSeparator: \.isNewline).map(String.init))
    default: return nil
    }
  }
}

extension MilterClient.Change {
  /// Nil where the packet is no change.
  init?(_ packet: Packet) throws(MilterClientError) {
    var reader = PayloadReader(packet.payload)
    switch Character(UnicodeScalar(packet.command)) {
    case "h": self = .addHeader(name: try reader.string(), value: try reader.string())
    case "i": self = .insertHeader(index: try reader.number(), name: try reader.string(), value: try reader.string())
    case "m": self = .changeHeader(index: try reader.number(), name: try reader.string(), value: try reader.string())
    case "+": self = .addRecipient(try reader.string())
    case "2": self = .addRecipient(try reader.string(), arguments: try reader.strings().first)
    case "-": self = .deleteRecipient(try reader.string())
    case "e": self = .changeSender(try reader.string(), arguments: try reader.strings().first)
    case "b": self = .replaceBody(packet.payload)
    case "q": self = .quarantine(reason: try reader.string())
    default: return nil
    }
  }
}
