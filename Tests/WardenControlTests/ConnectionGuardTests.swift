import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTPTypes
import Testing
import WardenCore
import WardenHTTP

@Suite("Connections of a listener")
struct ConnectionGuardTests {
  private let open = Locked(0)
  private let turnedAway = Locked(0)
  private let idle = IdleConnections()

  /// A connection that is open, in a time of its own.
  private func connect(makesRoom: Bool = false) throws -> EmbeddedChannel {
    let bounds = ConnectionGuard.Bounds(connections: 2, request: .seconds(10), answer: .seconds(60))
    let channel = EmbeddedChannel(
      handler: ConnectionGuard(open, bounds, idle: makesRoom ? idle : nil) { [turnedAway] in
        turnedAway.withLock { $0 += 1 }
      })
    try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    return channel
  }

  private func ask(_ channel: EmbeddedChannel) throws {
    try channel.writeInbound(
      HTTPRequestPart.head(HTTPRequest(method: .get, scheme: nil, authority: "localhost", path: "/")))
    try channel.writeInbound(HTTPRequestPart.end(nil))
  }

  private func begin(_ channel: EmbeddedChannel, _ type: String, isLast: Bool = false) throws {
    var fields: HTTPFields = [.contentType: type]
    if isLast { fields[.connection] = "close" }
    try channel.writeOutbound(HTTPResponsePart.head(HTTPResponse(status: .ok, headerFields: fields)))
  }

  private func end(_ channel: EmbeddedChannel) throws { try channel.writeOutbound(HTTPResponsePart.end(nil)) }

  /// Whether it is still open after so long.
  private func stays(_ channel: EmbeddedChannel, for seconds: Int64) -> Bool {
    channel.embeddedEventLoop.advanceTime(by: .seconds(seconds))
    return channel.isActive
  }

  @Test("Whoever says nothing is sent away, and so is whoever does not come to an end")
  func request() throws {
    let silent = try connect()
    #expect(stays(silent, for: 9))
    #expect(!stays(silent, for: 1))
    let slow = try connect()
    _ = stays(slow, for: 9)
    try slow.writeInbound(
      HTTPRequestPart.head(HTTPRequest(method: .post, scheme: nil, authority: "localhost", path: "/")))
    try slow.writeInbound(HTTPRequestPart.body(ByteBuffer(string: "{")))
    #expect(!stays(slow, for: 1))
  }

  @Test("An answer may take longer, but not for ever; between requests there is no deadline")
  func answer() throws {
    let waiting = try connect()
    try ask(waiting)
    #expect(stays(waiting, for: 59))
    #expect(!stays(waiting, for: 1))
    let answered = try connect()
    for _ in 0..<3 {
      try ask(answered)
      try begin(answered, "application/json")
      try end(answered)
      #expect(stays(answered, for: 100))
    }
  }

  @Test("A stream of events lasts, and what is asked after it has a deadline again")
  func stream() throws {
    let channel = try connect()
    try ask(channel)
    try begin(channel, "text/event-stream; charset=utf-8")
    #expect(stays(channel, for: 100_000))
    try channel.writeOutbound(HTTPResponsePart.body(ByteBuffer(string: ": \n\n")))
    #expect(stays(channel, for: 100_000))
    try end(channel)
    try ask(channel)
    #expect(!stays(channel, for: 60))
  }

  @Test("A second request does not lengthen the first one's answer")
  func pipelined() throws {
    let channel = try connect()
    try ask(channel)
    _ = stays(channel, for: 59)
    try ask(channel)
    #expect(!stays(channel, for: 1))
  }

  @Test("Whoever sends more and more requests without waiting for answers is sent away")
  func manyUnanswered() throws {
    let channel = try connect()
    for _ in 0..<8 { try ask(channel) }
    #expect(channel.isActive)
    for _ in 0..<8 {
      try begin(channel, "application/json")
      try end(channel)
    }
    for _ in 0..<8 { try ask(channel) }
    #expect(channel.isActive)
    try ask(channel)
    #expect(!channel.isActive)
  }

  @Test("After an answer that says so the connection is closed, and nothing is read any more")
  func lastAnswer() throws {
    let channel = try connect()
    try ask(channel)
    while try channel.readInbound(as: HTTPRequestPart.self) != nil {}
    try begin(channel, "application/json", isLast: true)
    try ask(channel)
    #expect(try channel.readInbound(as: HTTPRequestPart.self) == nil)
    try end(channel)
    #expect(!stays(channel, for: 1))
  }

  @Test("A newcomer takes the place of the connection that has been idle longest, never of one that is at work")
  func idleLongest() throws {
    let (first, second) = (try connect(makesRoom: true), try connect(makesRoom: true))
    for channel in [first, second] { try ask(channel) }
    let unlucky = try connect(makesRoom: true)
    #expect(!unlucky.isActive)
    unlucky.embeddedEventLoop.run()
    for channel in [second, first] {
      try begin(channel, "application/json")
      try end(channel)
    }
    let third = try connect(makesRoom: true)
    #expect(third.isActive && first.isActive && !second.isActive)
    second.embeddedEventLoop.run()
    try ask(first)
    let fourth = try connect(makesRoom: true)
    #expect(fourth.isActive && first.isActive && !third.isActive)
    #expect(turnedAway.withLock { $0 } == 3)
  }

  @Test("Connections beyond the bound are closed at once, and each that ends makes room")
  func bound() throws {
    let (first, second) = (try connect(), try connect())
    let third = try connect()
    #expect(!third.isActive)
    #expect(turnedAway.withLock { $0 } == 1)
    third.embeddedEventLoop.run()
    try first.close().wait()
    first.embeddedEventLoop.run()
    let fourth = try connect()
    #expect(fourth.isActive)
    #expect(second.isActive)
  }
}
