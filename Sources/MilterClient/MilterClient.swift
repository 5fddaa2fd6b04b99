/// A milter-protocol client that plays the MTA: one SMTP session's conversation with a filter, over a blocking
/// socket. It sends what it is told to, in the order it is told to.
///
/// Not to be shared between threads.
public final class MilterClient {
  public typealias Macros = [(name: String, value: String)]

  /// Packets beyond this many bytes are taken for garbage.
  private static let packetLimit: UInt32 = 1 << 20

  private let connection: Connection
  /// Nil before `negotiate`.
  public private(set) var negotiated: Negotiated?
  /// The changes that the filter asked for at the last `endOfMessage`, in its order.
  public private(set) var changes: [Change] = []

  /// Connects; nothing is sent yet. `timeLimit` (seconds) holds for each read and each write.
  public init(_ place: MilterPlace, timeLimit: Int = 10) throws(MilterClientError) {
    connection = try Connection(to: place, timeLimit: timeLimit)
  }

  /// Offers the given version, actions (`SMFIF_`) and steps (`SMFIP_`); the defaults are Postfix's and Sendmail's.
  @discardableResult
  public func negotiate(
    version: UInt32 = 6, actions: UInt32 = 0x1ff, steps: UInt32 = 0x1f_ffff
  ) throws(MilterClientError) -> Negotiated {
    var bytes: [UInt8] = []
    bytes.append(packet: UInt8(ascii: "O")) {
      for number in [version, actions, steps] { $0.append(number: number) }
    }
    try transmit(bytes)
    let answer = try receive()
    guard answer.command == UInt8(ascii: "O") else {
      throw .malformed("packet \(Self.name(answer.command)) in answer to the negotiation")
    }
    let chosen = try Negotiated(answer.payload)
    guard chosen.actions & ~actions == 0, chosen.steps & ~steps == 0 else {
      throw .malformed("it takes actions or steps that were not offered")
    }
    guard chosen.macros.isEmpty || actions & Self.setsMacroLists != 0 else {
      throw .malformed("it names macros without having been offered to")
    }
    negotiated = chosen
    return chosen
  }

  @discardableResult
  public func connect(
    host: String = "client.example", address: ClientAddress = .ipv4("192.0.2.1", port: 1234), macros: Macros = []
  ) throws(MilterClientError) -> Response {
    try perform(.connect, macros) {
      $0.append(string: host)
      address.append(to: &$0)
    }
  }

  @discardableResult
  public func helo(_ name: String, macros: Macros = []) throws(MilterClientError) -> Response {
    try perform(.helo, macros) { $0.append(string: name) }
  }

  /// `path` as typed, usually in angle brackets; `arguments` are the ESMTP parameters.
  @discardableResult
  public func mail(
    _ path: String, arguments: [String] = [], macros: Macros = []
  ) throws(MilterClientError) -> Response {
    try perform(.mail, macros) {
      $0.append(string: path)
      for argument in arguments { $0.append(string: argument) }
    }
  }

  @discardableResult
  public func recipient(
    _ path: String, arguments: [String] = [], macros: Macros = []
  ) throws(MilterClientError) -> Response {
    try perform(.recipient, macros) {
      $0.append(string: path)
      for argument in arguments { $0.append(string: argument) }
    }
  }

  @discardableResult
  public func data(macros: Macros = []) throws(MilterClientError) -> Response { try perform(.data, macros) }

  /// `value` without the space after the colon, which goes out only where the filter has asked for it.
  @discardableResult
  public func header(_ name: String, _ value: String) throws(MilterClientError) -> Response {
    let space = negotiated.map { $0.steps & Self.leadingSpace != 0 } ?? false
    return try perform(.header) {
      $0.append(string: name)
      $0.append(string: space ? " " + value : value)
    }
  }

  @discardableResult
  public func endOfHeaders(macros: Macros = []) throws(MilterClientError) -> Response {
    try perform(.endOfHeaders, macros)
  }

  /// One chunk; an MTA sends 65,535 bytes at most. After `skip` an MTA sends no more chunks.
  @discardableResult
  public func body(_ bytes: [UInt8]) throws(MilterClientError) -> Response {
    try perform(.body) { $0.append(contentsOf: bytes) }
  }

  /// The filter's verdict on the message; what it wants changed is then in `changes`.
  @discardableResult
  public func endOfMessage(macros: Macros = []) throws(MilterClientError) -> Response {
    changes = []
    try send(.endOfMessage, macros)
    while true {
      let packet = try receive()
      guard let change = try Change(packet) else { return try Self.response(packet) }
      changes.append(change)
    }
  }

  /// An SMTP command that the MTA does not know.
  @discardableResult
  public func unknown(_ command: String) throws(MilterClientError) -> Response {
    try perform(.unknown) { $0.append(string: command) }
  }

  /// The end of a transaction without `endOfMessage`; has no reply.
  public func abort() throws(MilterClientError) { try sendRaw(command: UInt8(ascii: "A")) }

  /// The end of the session; has no reply, the filter closes the connection.
  public func quit() throws(MilterClientError) { try sendRaw(command: UInt8(ascii: "Q")) }

  /// Closes the socket, with or without a `quit` before.
  public func close() { connection.close() }

  /// Whether the filter has closed the connection and all that it sent has been read. Does not wait.
  public var isClosedByPeer: Bool { connection.isClosedByPeer }

  // MARK: Beyond what an MTA would say

  /// Sends one packet, whatever was negotiated.
  public func sendRaw(command: UInt8, payload: [UInt8] = []) throws(MilterClientError) {
    var bytes: [UInt8] = []
    bytes.append(packet: command) { $0.append(contentsOf: payload) }
    try transmit(bytes)
  }

  /// Sends bytes as they are, in a packet or not.
  public func sendBytes(_ bytes: [UInt8]) throws(MilterClientError) { try transmit(bytes) }

  /// Told of all bytes as they go out, so that a session can be recorded.
  public var onSend: (([UInt8]) -> Void)?

  private func transmit(_ bytes: [UInt8]) throws(MilterClientError) {
    onSend?(bytes)
    try connection.send(bytes)
  }

  /// Sends no more, and still reads.
  public func finish() { connection.finish() }

  /// Closes the socket; over TCP the filter sees a reset.
  public func reset() { connection.reset() }

  /// The next packet that is no sign of progress.
  public func receive() throws(MilterClientError) -> Packet {
    while true {
      var header = PayloadReader(try connection.receive(4))
      let length = try header.number()
      guard (1...Self.packetLimit).contains(length) else { throw .malformed("a packet of \(length) bytes") }
      let bytes = try connection.receive(Int(length))
      if bytes[0] != UInt8(ascii: "p") { return Packet(command: bytes[0], payload: Array(bytes.dropFirst())) }
    }
  }

  /// The next packet, which must be a final reply.
  public func receiveResponse() throws(MilterClientError) -> Response {
    try Self.response(try receive())
  }

  // MARK: One stage

  private func perform(
    _ stage: Stage, _ macros: Macros = [], _ payload: (inout [UInt8]) -> Void = { _ in }
  ) throws(MilterClientError) -> Response {
    let steps = negotiated?.steps ?? 0
    if steps & stage.omitted != 0 { return .notAsked }
    try send(stage, macros, payload)
    return steps & stage.unanswered != 0 ? .noReplyNegotiated : try receiveResponse()
  }

  /// Macros and command in a single write, as Postfix does it.
  private func send(
    _ stage: Stage, _ macros: Macros, _ payload: (inout [UInt8]) -> Void = { _ in }
  ) throws(MilterClientError) {
    var bytes: [UInt8] = []
    let wanted = stage.macros.flatMap { negotiated?.macros[$0] }
    let sent = wanted.map { names in macros.filter { names.contains($0.name) } } ?? macros
    if !sent.isEmpty {
      bytes.append(packet: UInt8(ascii: "D")) {
        $0.append(stage.command)
        for macro in sent {
          $0.append(string: macro.name)
          $0.append(string: macro.value)
        }
      }
    }
    bytes.append(packet: stage.command, payload)
    try transmit(bytes)
  }

  private static func response(_ packet: Packet) throws(MilterClientError) -> Response {
    if let response = try Response(packet) { return response }
    throw .malformed("packet \(name(packet.command)) where a reply is due")
  }

  private static func name(_ command: UInt8) -> String {
    (0x20..<0x7f).contains(command) ? "'\(Character(UnicodeScalar(command)))'" : "0x\(String(command, radix: 16))"
  }
}
