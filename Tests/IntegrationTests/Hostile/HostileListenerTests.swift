import Foundation
import MilterClient
import Testing
import WardenTestKit

/// The control socket, the page and Dovecot's feed under attack: mail must not notice.
///
/// What each listener does to a single client is tested where it is written; here the whole daemon is looked at.
@Suite("Hostile clients of the listeners", .serialized)
struct HostileListenerTests {
  private let page: Int
  private let feed: Int
  private let siege: Siege

  init() throws {
    page = try freePort()
    feed = try freePort()
    let folder = try TemporaryFolder()
    try folder.write("secret\n", to: "token")
    siege = try Siege(
      settings: "feeds:\n  dovecot-policy: {listen: 127.0.0.1:\(feed), token-file: \(folder.file("token"))}", page: page
    )
  }

  private var listeners: [MilterPlace] {
    [
      .unix(siege.daemon.controlSocket), .inet(host: "127.0.0.1", port: UInt16(page)),
      .inet(host: "127.0.0.1", port: UInt16(feed)),
    ]
  }

  @Test("Thousands of clients that say nothing, or half a request, take no descriptor that mail needs")
  func silent() throws {
    let count = min(Siege.rounds == nil ? 1_000 : 5_000, (Siege.mostDescriptors - 2_000) / listeners.count)
    let before = try siege.figures
    var clients: [MilterClient] = []
    for place in listeners {
      for number in 0..<count {
        guard let client = try? MilterClient(place) else { continue }
        if number % 2 == 0 { client.throwAt(Array("GET /v1/status HTTP/1.1\r\nHost: loc".utf8)) }
        clients.append(client)
      }
      try siege.stands()
    }
    let now = try siege.figures
    print("hostile: \(count) silent clients on each listener: \(now)")
    // Each listener has at most 256.
    #expect(now.descriptors - before.descriptors <= listeners.count * 256 + 50)
    for client in clients { client.close() }
    try siege.recovers()
  }

  @Test("Requests without end, whose answers nobody takes, do not make the daemon grow")
  func pipelining() throws {
    let request = Array("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
    let batch = [UInt8]((0..<1_000).map { _ in request }.joined())
    let megabytes = Siege.rounds == nil ? 20 : 500
    let before = try siege.figures
    for place in listeners {
      var sent = 0
      let client = try MilterClient(place, timeLimit: 2)
      while sent < megabytes * 1_000_000, (try? client.sendBytes(batch)) != nil { sent += batch.count }
      let now = try siege.figures
      print("hostile: \(place): \(sent) bytes of requests taken: \(now)")
      #expect(now.resident - before.resident < 32 * 1_024, "\(place)")
      try siege.stands()
      client.close()
    }
    try siege.recovers()
  }

  @Test("Readers of streams who do not read keep nobody from mail, the page or the control socket")
  func streams() throws {
    let before = try siege.figures
    var readers: [MilterClient] = []
    for place in listeners.prefix(2) {
      for _ in 0..<30 {
        let client = try MilterClient(place)
        client.throwAt(Array("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
        readers.append(client)
      }
    }
    let messages = Siege.rounds == nil ? 2_000 : 10_000
    let name = String(repeating: "x", count: 200)
    for number in 0..<messages {
      let client = try siege.open(.ipv4("198.51.100.\(number % 250)", port: 257))
      #expect(try client.send(as: "\(name)\(number % 50)", to: ["<friend@far.test>"]) == .continue)
      client.close()
      if number % 500 == 0 { try siege.stands() }
    }
    let now = try siege.figures
    print("hostile: \(readers.count) readers who do not read, \(messages) messages: \(now)")
    // 1 MiB at most waits for each reader.
    #expect(now.resident - before.resident < (readers.count + 8) * 1_024)
    let status = try Shell.check("curl", ["-s", "-S", "-m", "10", "http://127.0.0.1:\(page)/v1/status"])
    #expect(status.contains("\"uptime_seconds\""))
    for client in readers { client.close() }
    try siege.recovers()
  }
}
