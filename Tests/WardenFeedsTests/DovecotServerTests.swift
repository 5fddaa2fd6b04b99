import Foundation
import Logging
import NIOCore
import Testing
import WardenCore
import WardenTestKit

@testable import WardenFeeds

/// The feed over HTTP, with clients on raw sockets.
@Suite("Dovecot feed over HTTP", .serialized)
struct DovecotServerTests {
  private static let body = DovecotFeed.body("alice", "192.0.2.7")

  /// Beside other tests a server may wait long for a thread.
  private static let patient: DovecotFeedServer.Bounds = {
    var bounds = DovecotFeedServer.Bounds()
    bounds.request = .seconds(120)
    return bounds
  }()

  /// Runs the server on a free port while the client does its work, on a thread of its own: a client waits for the server,
  /// and must not keep it from a thread.
  private func withServer(
    _ desk: DovecotDesk = DovecotDesk(), bounds: DovecotFeedServer.Bounds = Self.patient,
    _ client: @escaping @Sendable (Int, DovecotFeed) throws -> Void
  ) async throws {
    let feed = desk.feed()
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let server = DovecotFeedServer(feed: feed, host: "127.0.0.1", port: 0, bounds: bounds, logger: logger)
    let (ports, running) = AsyncStream.makeStream(of: Int.self)
    let task = Task { try await server.application { running.yield($0) }.run() }
    var iterator = ports.makeAsyncIterator()
    let port = try #require(await iterator.next())
    let result = await Task(executorPreference: OwnThreads()) { try client(port, feed) }.result
    task.cancel()
    _ = await task.result
    try result.get()
  }

  @Test("Dovecot's own requests are answered")
  func own() async throws {
    try await withServer { port, feed in
      let client = try RawHTTPClient(port)
      let allow = try client.post("/?command=allow", Self.body)
      #expect(allow.status == 200)
      #expect(allow.body == #"{"status":0,"msg":""}"# + "\n")
      #expect(allow.head.lowercased().contains("content-type: application/json"))
      let report = DovecotFeed.body("alice", "192.0.2.7", "1", #","success":"false""#)
      #expect(try client.post("/dovecot?src=mx1&command=report", report).body == #"{"status":"ok"}"# + "\n")
      #expect(try client.post("/events", DovecotCapture.events()[0]).status == 200)
      #expect(try client.get("/?command=ping").body == #"{"status":"ok"}"# + "\n")
      #expect(try client.post("/?command=ping", "").status == 200)
      #expect(try client.post("/?command=reset", #"{"ip":"192.0.2.7"}"#).status == 200)
      #expect(try client.post("/?command=addBLEntry", "{}").status == 404)
      #expect(try client.get("/?command=allow").status == 405)
      #expect(try client.get("/").status == 404)
      let figures = feed.figures
      #expect((figures.asked, figures.told, figures.events, figures.pings, figures.resets) == (1, 1, 1, 2, 1))
    }
  }

  @Test("The token is taken from either field, or as a password")
  func tokens() async throws {
    try await withServer(DovecotDesk(token: "s3:cret")) { port, feed in
      let client = try RawHTTPClient(port)
      func status(_ field: String) throws -> Int { try client.post("/?command=allow", Self.body, field).status }
      func basic(_ text: String) -> String { "Authorization: Basic \(Data(text.utf8).base64EncodedString())" }
      #expect(try status("X-Mailwarden-Token: s3:cret") == 200)
      #expect(try status("x-api-key: s3:cret") == 200)
      #expect(try status(basic("anybody:s3:cret")) == 200)
      #expect(try status(basic(":s3:cret")) == 200)
      let wrong = [
        "X-None: 1", "X-Mailwarden-Token: s3", "X-Mailwarden-Token:", "X-API-Key: other", basic("s3:cret"),
        basic("a:b"),
        basic("none"), "Authorization: Basic ***", "Authorization: Bearer s3:cret", "Authorization: Basic",
      ]
      // Whoever has no token keeps no connection.
      for field in wrong {
        #expect(try RawHTTPClient(port).post("/?command=allow", Self.body, field).status == 401, "\(field)")
      }
      #expect(try RawHTTPClient(port).get("/?command=ping").status == 401)
      #expect(feed.figures.unauthorised == wrong.count + 1)
    }
  }

  @Test("A body is read up to its bound, and the connection goes on after one that is longer")
  func longBody() async throws {
    let longest = 16_384
    var bounds = DovecotFeedServer.Bounds()
    bounds.body = longest
    try await withServer(bounds: bounds) { port, feed in
      let client = try RawHTTPClient(port)
      let padding = String(repeating: " ", count: longest - Self.body.utf8.count)
      #expect(try client.post("/?command=allow", Self.body + padding).status == 200)
      let answer = try client.post("/?command=allow", Self.body + padding + " ")
      #expect(answer.status == 413)
      #expect(try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) is [String: Any])
      #expect(try client.post("/?command=allow", Self.body).status == 200)
      #expect(feed.figures.unreadable == 1)
    }
  }

  @Test("The longest of logins is within the bound")
  func longestHonest() async throws {
    try await withServer { port, feed in
      let escaped = String(repeating: #"\u0001"#, count: 8_192)
      let fields = #""original_user":"\#(escaped)","user":"\#(escaped)","remote_ip":"192.0.2.7""#
      let client = try RawHTTPClient(port)
      #expect(try client.post("/events", #"{"event":"auth_request_finished","fields":{\#(fields)}}"#).status == 200)
      #expect(feed.figures.unreadable == 0)
    }
  }

  @Test("A thousand requests go over one connection, and several at once in their order")
  func keepAlive() async throws {
    try await withServer { port, feed in
      let client = try RawHTTPClient(port)
      for _ in 0..<1_000 { #expect(try client.post("/?command=allow", Self.body).status == 200) }
      let request = RawHTTPClient.request("POST", "/?command=allow", Self.body)
      let other = RawHTTPClient.request("GET", "/?command=none", "")
      try client.send(request + other + request)
      #expect([try client.answer().status, try client.answer().status, try client.answer().status] == [200, 404, 200])
      #expect(feed.figures.asked == 1_002)
    }
  }

  @Test("A body in chunks, and a request that asks for the end of the connection")
  func otherForms() async throws {
    try await withServer { port, _ in
      let client = try RawHTTPClient(port)
      try client.send(
        "POST /?command=allow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
          + "\(String(Self.body.utf8.count, radix: 16))\r\n\(Self.body)\r\n0\r\n\r\n")
      #expect(try client.answer().status == 200)
      #expect(try client.post("/?command=allow", Self.body, "Connection: close").status == 200)
      #expect(try client.readsEnd())
    }
  }

  @Test("Clients that are slow hold nobody up, and are sent away")
  func slow() async throws {
    var bounds = DovecotFeedServer.Bounds()
    bounds.request = .milliseconds(300)
    bounds.idle = .milliseconds(600)
    try await withServer(bounds: bounds) { port, _ in
      let inHeader = try RawHTTPClient(port)
      try inHeader.send("POST /?command=allow HTTP/1.1\r\nHost:")
      let inBody = try RawHTTPClient(port)
      try inBody.send("POST /?command=allow HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
      let silent = try RawHTTPClient(port)
      let client = try RawHTTPClient(port)
      for _ in 0..<50 { #expect(try client.post("/?command=allow", Self.body).status == 200) }
      for late in [inBody, silent, inHeader] { #expect(try late.readsEnd()) }
    }
  }

  @Test(
    "A client that drips bytes is sent away all the same",
    arguments: ["Host: x\r\nContent-Length: 100000\r\n\r\n", "X: "])
  func dripping(beginning: String) async throws {
    var bounds = DovecotFeedServer.Bounds()
    bounds.request = .milliseconds(200)
    bounds.idle = .milliseconds(200)
    try await withServer(bounds: bounds) { port, _ in
      let client = try RawHTTPClient(port)
      try client.send("POST /?command=allow HTTP/1.1\r\n" + beginning)
      var bytes = 0
      while try !client.isOver(within: 10) {
        try client.send("x")
        bytes += 1
        try #require(bytes < 1_000)
      }
      #expect(bytes > 0)
    }
  }

  @Test("Connections beyond the bound are closed at once, and there is room again when one ends")
  func bound() async throws {
    var bounds = DovecotFeedServer.Bounds()
    bounds.connections = 2
    try await withServer(bounds: bounds) { port, feed in
      var clients = [try RawHTTPClient(port), try RawHTTPClient(port)]
      for client in clients { #expect(try client.post("/?command=allow", Self.body).status == 200) }
      let third = try RawHTTPClient(port)
      #expect(try third.readsEnd())
      #expect(feed.figures.turnedAway == 1)
      for client in clients { #expect(try client.post("/?command=allow", Self.body).status == 200) }
      clients.removeLast()
      // The server hears of the end when it comes to it.
      var status: Int?
      for _ in 0..<1_000 where status == nil {
        status = try? RawHTTPClient(port).post("/?command=allow", Self.body).status
      }
      #expect(status == 200)
    }
  }

  @Test(
    "What is no HTTP ends the connection, and the next client is served",
    arguments: [
      "\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "POST /?command=allow HTTP/9.9\r\n\r\n",
      "POST /?command=allow HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "POST /?command=allow HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "POST / HTTP/1.1\r\nX: \(String(repeating: "x", count: 10_000))\r\n\r\n",
      "POST / HTTP/1.1\r\n\(String(repeating: "X: 1\r\n", count: 200))\r\n",
    ])
  func noHTTP(text: String) async throws {
    try await withServer { port, _ in
      let client = try RawHTTPClient(port)
      try client.send(text)
      #expect(try client.readsEnd())
      let next = try RawHTTPClient(port)
      #expect(try next.post("/?command=allow", Self.body).status == 200)
    }
  }
}
