import NIOCore
import NIOPosix

/// A message handed to a server by SMTP, without TLS.
struct Submission: Sendable {
  let server: String
  let port: Int
  /// What we call ourselves.
  let name: String
  let from: String
  let to: [String]
  let lines: [String]

  /// - Throws: `SendFailure`
  func send() async throws {
    let place = "\(server):\(port)"
    do {
      let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connectTimeout(.seconds(20))
        .connect(host: server, port: port) { channel in
          channel.eventLoop.makeCompletedFuture {
            try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
          }
        }
      try await channel.executeThenClose { inbound, outbound in
        var dialogue = Dialogue(place: place, replies: inbound.makeAsyncIterator(), outbound: outbound)
        try await converse(&dialogue)
      }
    } catch let error as SendFailure {
      throw error
    } catch let error as CancellationError {
      throw error
    } catch {
      throw SendFailure("\(place): \(error)")
    }
  }

  private func converse(_ dialogue: inout Dialogue) async throws {
    try await dialogue.expect(220, after: "connecting")
    try await dialogue.say("EHLO \(name)", expecting: 250)
    try await dialogue.say("MAIL FROM:<\(from)>", expecting: 250)
    var refused: [SendFailure] = []
    for recipient in to {
      do {
        try await dialogue.say("RCPT TO:<\(recipient)>", expecting: 250)
      } catch let failure as SendFailure {
        // One address that is gone must not cost the others the message.
        refused.append(failure)
        if refused.count == to.count { throw failure }
      }
    }
    try await dialogue.say("DATA", expecting: 354)
    var text = ""
    for line in lines { text += (line.hasPrefix(".") ? "." : "") + line + "\r\n" }
    try await dialogue.say(text + ".", expecting: 250, what: "the message")
    // It has been taken: however the goodbye ends.
    try? await dialogue.say("QUIT", expecting: 221)
    if let first = refused.first { throw SendFailure(ofSome: first) }
  }

  /// One question, one answer.
  private struct Dialogue {
    let place: String
    var replies: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    var buffer = ByteBuffer()

    private static let longestReply = 8_192

    mutating func say(_ line: String, expecting code: Int, what: String? = nil) async throws {
      try await outbound.write(ByteBuffer(string: line + "\r\n"))
      try await expect(code, after: what ?? line)
    }

    mutating func expect(_ code: Int, after what: String) async throws {
      var size = 0
      while true {
        let line = try await line()
        size += line.utf8.count
        guard size <= Self.longestReply else { throw SendFailure("\(place) answers without end") }
        let digits = line.prefix(3)
        guard let found = Int(digits), digits.count == 3 else {
          throw SendFailure("\(place) does not speak SMTP: \(line)")
        }
        if line.dropFirst(3).first == "-" { continue }
        // Any code of the class will do: 251 forwards, 200 is old.
        guard found / 100 == code / 100 else { throw SendFailure("\(place) answered \(what) with: \(line)") }
        return
      }
    }

    private mutating func line() async throws -> String {
      while true {
        if let end = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
          let line = buffer.readString(length: end - buffer.readerIndex + 1)!
          return String(line.prefix { !$0.isNewline })
        }
        guard buffer.readableBytes <= Self.longestReply else { throw SendFailure("\(place) answers without end") }
        guard var more = try await replies.next() else { throw SendFailure("\(place) has hung up") }
        buffer.discardReadBytes()
        buffer.writeBuffer(&more)
      }
    }
  }
}
