import Foundation
import NIOCore
import Testing
import WardenCore
import WardenTestKit

@testable import WardenControl

/// The page's listener, with clients on raw sockets.
@Suite("Page over HTTP", .serialized)
struct WebServerTests {
  private typealias Client = RawHTTPClient
  private let page = TestPage()
  private static let block = #"{"key":"user:bob","for":"1h"}"#

  // MARK: - Who may do what

  @Test("Without a login the page and who one is are told, and nothing else; nothing can be ordered")
  func nobody() async throws {
    try await page.serve { port throws in
      for path in ["/", "/app.js", "/app.css", "/v1/session"] {
        #expect(try Client.ask(port, "GET", path).status == 200, "\(path)")
      }
      for path in ["/v1/status", "/v1/keys", "/v1/penalties", "/v1/explain?key=user:bob", "/metrics", "/v1/history"] {
        #expect(try Client.ask(port, "GET", path).status == 401, "\(path)")
      }
      for (method, path) in [("POST", "/v1/penalties"), ("POST", "/v1/reload"), ("DELETE", "/v1/session")] {
        #expect(try Client.ask(port, method, path, body: Self.block).status == 401, "\(method) \(path)")
      }
      #expect(
        try Client.ask(port, "GET", "/v1/session").body
          == #"{"may_act":false,"may_read":false,"who":null}"# + "\n")
    }
    #expect(page.engine.penalties(at: TestPage.start).isEmpty)
  }

  @Test("Where reading needs no login, ordering still does")
  func readers() async throws {
    try await page.serve(readsWithoutLogin: true) { port throws in
      #expect(try Client.ask(port, "GET", "/v1/status").status == 200)
      #expect(try Client.ask(port, "GET", "/metrics").status == 200)
      #expect(try Client.ask(port, "POST", "/v1/penalties", body: Self.block).status == 401)
      #expect(try Client.ask(port, "POST", "/v1/reload").status == 401)
      #expect(try Client.ask(port, "DELETE", "/v1/penalties?key=user:bob").status == 401)
      #expect(try Client.ask(port, "GET", "/v1/session").body.contains(#""may_act":false,"may_read":true"#))
    }
  }

  @Test("Whoever is logged in may order, under the token's name, and may no more once logged out")
  func session() async throws {
    let token = try page.token()
    try await page.serve { port in
      let (cookie, csrf) = try Client.login(port, token)
      #expect(try Client.ask(port, "GET", "/v1/status", [cookie]).status == 200)
      #expect(try Client.ask(port, "GET", "/v1/session", [cookie]).body.contains(#""who":"alice""#))
      #expect(try Client.ask(port, "POST", "/v1/penalties", [cookie, csrf], body: Self.block).status == 200)
      #expect(try Client.ask(port, "DELETE", "/v1/session", [cookie]).status == 403)
      let out = try Client.ask(port, "DELETE", "/v1/session", [cookie, csrf])
      #expect(out.status == 200)
      #expect(out.field("Set-Cookie")?.contains("Max-Age=0") == true)
      #expect(try Client.ask(port, "GET", "/v1/status", [cookie]).status == 401)
    }
    #expect(page.actions.map(\.who) == ["alice (web)"])
    #expect(page.engine.penalties(at: TestPage.start).map(\.key.description) == ["user:bob"])
  }

  @Test("An order by cookie needs the session's word; another session's will not do")
  func csrf() async throws {
    let token = try page.token()
    try await page.serve { port in
      let (cookie, csrf) = try Client.login(port, token)
      let other = try Client.login(port, token)
      for fields in [[cookie], [cookie, "X-CSRF-Token:"], [cookie, other.csrf], [cookie, csrf + "x"]] {
        #expect(try Client.ask(port, "POST", "/v1/penalties", fields, body: Self.block).status == 403)
        #expect(try Client.ask(port, "DELETE", "/v1/penalties?key=user:bob", fields).status == 403)
      }
      #expect(try Client.ask(port, "POST", "/v1/penalties", [csrf], body: Self.block).status == 401)
    }
    #expect(page.engine.penalties(at: TestPage.start).isEmpty)
  }

  @Test("Whoever has got hold of the cookie is not told the word that orders need")
  func wordIsToldOnce() async throws {
    let token = try page.token()
    try await page.serve { port in
      let (cookie, csrf) = try Client.login(port, token)
      let word = String(csrf.dropFirst("X-CSRF-Token: ".count))
      for path in ["/v1/session", "/v1/status", "/"] {
        let answer = try Client.ask(port, "GET", path, [cookie])
        #expect(answer.status == 200)
        #expect(!answer.body.contains(word) && !answer.head.contains(word), "\(path)")
      }
      #expect(
        try Client.ask(port, "GET", "/v1/session", [cookie]).body
          == #"{"may_act":true,"may_read":true,"who":"alice"}"# + "\n")
    }
  }

  @Test("HEAD is answered alike to all who may read")
  func head() async throws {
    let token = try page.token()
    try await page.serve(readsWithoutLogin: true) { port in
      let (cookie, _) = try Client.login(port, token)
      for fields in [[], [cookie], ["Authorization: Bearer \(token)"]] {
        let client = try Client(port)
        let fields = ([""] + fields).joined(separator: "\r\n")
        try client.send("HEAD /v1/status HTTP/1.1\r\nHost: localhost\(fields)\r\n\r\n")
        let answer = try client.answer(hasBody: false)
        #expect(answer.status == 405 && answer.field("Allow") == "GET", "\(answer.head)")
        // Nothing of a body stands before the next answer.
        try client.send("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(try client.answer().status == 200)
      }
    }
    try await page.serve { port throws in
      #expect(try Client.ask(port, "HEAD", "/v1/status").status == 401)
    }
  }

  @Test("A token in the request itself needs neither cookie nor word")
  func bearer() async throws {
    let token = try page.token("prometheus")
    try await page.serve { port in
      #expect(try Client.ask(port, "GET", "/metrics", ["Authorization: Bearer \(token)"]).status == 200)
      let order = try Client.ask(
        port, "POST", "/v1/penalties", ["authorization: bearer \(token)"], body: Self.block)
      #expect(order.status == 200)
      for wrong in ["Bearer \(token)x", "Bearer", "Bearer ", "Basic \(token)", token, "Bearer  \(token)"] {
        #expect(try Client.ask(port, "GET", "/v1/status", ["Authorization: \(wrong)"]).status == 401, "\(wrong)")
      }
    }
    #expect(page.actions.map(\.who) == ["prometheus (web)"])
  }

  @Test("A revoked token ends the sessions that it has begun, and so does its time")
  func revoked() async throws {
    let (page, alice, bob) = (page, try page.token(), try page.token("bob"))
    try await page.serve { port in
      let (first, second) = (try Client.login(port, alice), try Client.login(port, bob))
      _ = try page.tokens.revoke("alice")
      // A new one of the same name is another.
      _ = try page.token("alice")
      #expect(try Client.ask(port, "GET", "/v1/status", [first.cookie]).status == 401)
      #expect(try Client.ask(port, "GET", "/v1/status", [second.cookie]).status == 200)
      page.wait(WebSessions.life)
      #expect(try Client.ask(port, "GET", "/v1/status", [second.cookie]).status == 401)
      #expect(try Client.ask(port, "GET", "/v1/status", ["Authorization: Bearer \(bob)"]).status == 200)
      page.wait(.days(1))
      #expect(try Client.ask(port, "GET", "/v1/status", ["Authorization: Bearer \(bob)"]).status == 401)
    }
  }

  @Test("The cookie is out of scripts' reach and of other sites' requests; behind TLS it is for TLS alone")
  func cookie() async throws {
    let token = try page.token()
    try await page.serve { port in
      let body = #"{"token":"\#(token)"}"#
      let plain = try #require(try Client.ask(port, "POST", "/v1/session", body: body).field("Set-Cookie"))
      let parts = Set(plain.split(separator: "; ").dropFirst().map(String.init))
      #expect(parts == ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"])
      #expect(plain.wholeMatch(of: /mailwarden_session=[A-Za-z0-9_-]{43};.*/) != nil)
      #expect(!plain.contains(token))
      let encrypted = try Client.ask(
        port, "POST", "/v1/session", ["Origin: https://warden.example.org"], body: body, host: "warden.example.org")
      #expect(encrypted.field("Set-Cookie")?.contains("Secure") == true)
    }
  }

  @Test("Tokens are made on the control socket alone")
  func tokenRoutes() async throws {
    let token = try page.token()
    try await page.serve { port in
      let field = "Authorization: Bearer \(token)"
      for method in ["GET", "POST", "DELETE"] {
        let answer = try Client.ask(
          port, method, "/v1/web-tokens?name=alice", [field], body: #"{"name":"x","for":"1d"}"#)
        #expect(answer.status == 404)
      }
    }
  }

  @Test("A stream of events outlives the bound of a request, and ends with the token that has let it in")
  func stream() async throws {
    let (page, token) = (page, try page.token())
    var bounds = WebServer.Bounds()
    bounds.request = .milliseconds(500)
    bounds.answer = .milliseconds(500)
    bounds.idle = .milliseconds(500)
    try await page.serve(bounds: bounds) { port in
      let client = try Client(port)
      try client.send("GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(token)\r\n\r\n")
      let head = try client.answer(hasBody: false)
      #expect(head.status == 200)
      #expect(head.field("Cache-Control") == "no-store")
      #expect(try !client.isOver(within: 1_500))
      _ = try page.tokens.revoke("alice")
      #expect(try client.readsEnd())
    }
  }

  // MARK: - Whose request it is

  @Test(
    "A name that is not the page's is turned away, also for its files and with a token",
    arguments: ["evil.example", "evil.example:8025", "", "localhost.evil.example", "192.0.2.1", "a\u{00e4}"])
  func host(name: String) async throws {
    let token = try page.token()
    try await page.serve(readsWithoutLogin: true) { port in
      for path in ["/", "/v1/session", "/v1/status"] {
        let answer = try Client.ask(port, "GET", path, ["Authorization: Bearer \(token)"], host: name)
        #expect([400, 421].contains(answer.status), "\(path): \(answer.status)")
        #expect(!answer.body.contains("html"))
      }
    }
  }

  @Test("Its own names are let in")
  func ownHosts() async throws {
    try await page.serve { port throws in
      for name in ["localhost:9000", "127.0.0.1:8025", "[::1]:1", "warden.example.org"] {
        #expect(try Client.ask(port, "GET", "/", host: name).status == 200)
      }
    }
  }

  @Test(
    "What names two hosts, or another one in its target, is turned away",
    arguments: [
      ("/v1/status", ["localhost", "localhost"], 400), ("/v1/status", ["localhost", "evil.example"], 400),
      ("http://localhost/v1/status", ["localhost", "localhost"], 400), ("/", ["localhost", "evil.example"], 400),
      ("http://evil.example/v1/status", ["localhost"], 421), ("HTTPS://evil.example/", ["localhost"], 421),
      ("ftp://localhost/v1/status", ["localhost"], 421), ("http:/v1/status", ["localhost"], 400),
      ("http://localhost@evil.example/", ["localhost"], 421), ("http://evil.example?/", ["localhost"], 421),
      ("http://localhost/v1/status", ["evil.example"], 200), ("http://localhost:8025/", ["localhost"], 200),
    ])
  func target(_ target: String, _ hosts: [String], _ status: Int) async throws {
    try await page.serve(readsWithoutLogin: true) { port throws in
      let client = try Client(port)
      let fields = hosts.map { "Host: \($0)\r\n" }.joined()
      try client.send("GET \(target) HTTP/1.1\r\n\(fields)\r\n")
      #expect(try client.answer().status == status)
    }
  }

  @Test(
    "A request that another page has made is turned away, whether it orders, reads or logs in",
    arguments: [
      "Origin: http://evil.example", "Origin: null", "Origin: http://localhost:3000", "Origin: http://localhost",
      "Origin: http://127.0.0.1:8025", "Origin: http://localhost:8025.evil.example", "Sec-Fetch-Site: cross-site",
      "Sec-Fetch-Site: same-site", "Origin:",
    ])
  func origin(field: String) async throws {
    let token = try page.token()
    try await page.serve { port in
      let (cookie, csrf) = try Client.login(port, token)
      let fields = [cookie, csrf, field]
      #expect(try Client.ask(port, "POST", "/v1/penalties", fields, body: Self.block).status == 403)
      #expect(try Client.ask(port, "GET", "/v1/status", fields).status == 403)
      #expect(try Client.ask(port, "GET", "/v1/events", fields).status == 403)
      #expect(try Client.ask(port, "POST", "/v1/session", [field], body: #"{"token":"\#(token)"}"#).status == 403)
      let own = [cookie, csrf, "Origin: http://localhost:8025", "Sec-Fetch-Site: same-origin"]
      #expect(try Client.ask(port, "POST", "/v1/penalties", own, body: Self.block).status == 200)
    }
  }

  // MARK: - What is asked for

  @Test(
    "No path leads to anything but the page's own",
    arguments: [
      "/../etc/passwd", "/%2e%2e/etc/passwd", "/..%2fetc/passwd", "/app.js/", "//app.js", "/./app.js", "/app%2ejs",
      "/%61pp.js", "/app.js%00", "/Page/app.js", "/app.js/..", "/v1/%73tatus", "//v1/status", "/v1//status",
      "/v1/status/", "/v1/../metrics", "/v1\\status", "/etc/passwd", "/index.html", "/APP.JS", "app.js", "*",
      "/<script>alert(1)</script>", "/" + String(repeating: "a", count: 10_000),
    ])
  func path(target: String) async throws {
    let token = try page.token()
    try await page.serve { port in
      let client = try Client(port)
      try client.send("GET \(target) HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(token)\r\n\r\n")
      let answer = try client.answer()
      #expect([400, 404].contains(answer.status), "\(answer.status)")
      #expect(!answer.body.contains("<") && !answer.body.contains("root:"))
    }
  }

  @Test(
    "Methods that nothing answers to are refused",
    arguments: ["PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
  func methods(name: String) async throws {
    let token = try page.token()
    try await page.serve(readsWithoutLogin: true) { port in
      #expect([400, 401].contains(try Client.ask(port, name, "/v1/status").status))
      let answer = try Client.ask(port, name, "/v1/status", ["Authorization: Bearer \(token)"])
      #expect(answer.status == 405 && answer.field("Allow") == "GET" || answer.status == 400)
      #expect(answer.field("Content-Security-Policy") != nil)
    }
  }

  @Test("HEAD tells of a file what GET would; a file that is known is not sent again")
  func files() async throws {
    try await page.serve { port in
      let whole = try Client.ask(port, "GET", "/app.js")
      #expect(whole.field("Content-Type") == "text/javascript; charset=utf-8")
      #expect(whole.field("Cache-Control") == "no-cache")
      let head = try Client.ask(port, "HEAD", "/app.js")
      #expect(head.status == 200)
      #expect(head.field("Content-Length") == "\(whole.body.utf8.count)")
      let tag = try #require(whole.field("ETag"))
      #expect(try Client.ask(port, "GET", "/app.js", ["If-None-Match: \(tag)"]).status == 304)
      #expect(try Client.ask(port, "GET", "/app.js", ["If-None-Match: \"x\""]).status == 200)
    }
  }

  @Test("Every answer tells browsers how strict to be, and what it is", arguments: [true, false])
  func headers(hasToken: Bool) async throws {
    let token = try page.token()
    let fields = hasToken ? ["Authorization: Bearer \(token)"] : ["Authorization: Bearer x"]
    try await page.serve { port in
      for (method, path, body) in [
        ("GET", "/", ""), ("GET", "/app.css", ""), ("HEAD", "/", ""), ("GET", "/v1/session", ""),
        ("GET", "/v1/status", ""), ("GET", "/none", ""), ("GET", "/%00", ""), ("PUT", "/", ""),
        ("POST", "/v1/penalties", "{"), ("GET", "/v1/explain", ""), ("GET", "/v1/explain?key=%3Cscript%3E", ""),
        ("POST", "/v1/session", "no"), ("GET", "/v1/history?key=user:bob", ""),
      ] {
        let answer = try Client.ask(port, method, path, fields, body: body)
        Self.checkHeaders(answer, "\(method) \(path)")
        if answer.status >= 400 { #expect(answer.field("Content-Type") == "application/json", "\(path)") }
        if path.hasPrefix("/v1/") { #expect(answer.field("Cache-Control") == "no-store") }
      }
      let client = try Client(port)
      try client.send("no HTTP\r\n\r\n")
      Self.checkHeaders(try client.answer(), "no HTTP")
    }
  }

  private static func checkHeaders(_ answer: RawHTTPClient.Answer, _ what: Comment) {
    #expect(
      answer.field("Content-Security-Policy")
        == "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        + " form-action 'self'; base-uri 'none'; frame-ancestors 'none'", what)
    #expect(answer.field("X-Content-Type-Options") == "nosniff", what)
    #expect(answer.field("Referrer-Policy") == "no-referrer", what)
    #expect(answer.field("X-Frame-Options") == "DENY", what)
    #expect(answer.field("Cross-Origin-Opener-Policy") == "same-origin", what)
    #expect(answer.field("Cross-Origin-Resource-Policy") == "same-origin", what)
    #expect(answer.field("Cache-Control") != nil, what)
  }

  // MARK: - Too much

  @Test("Whoever is wrong too often has to wait; a right token is let in all the same; no secret is in the log")
  func attempts() async throws {
    let (page, token) = (page, try page.token())
    try await page.serve { port in
      func login(_ secret: String) throws -> RawHTTPClient.Answer {
        try Client.ask(port, "POST", "/v1/session", body: #"{"token":"\#(secret)"}"#)
      }
      for _ in 0..<5 { #expect(try login("wrong-secret").status == 401) }
      for _ in 0..<5 {
        #expect(try Client.ask(port, "GET", "/v1/status", ["Authorization: Bearer wrong-secret"]).status == 401)
      }
      for _ in 0..<200 { #expect(try login("wrong-secret").status == 429) }
      let bearer = try Client.ask(port, "GET", "/metrics", ["Authorization: Bearer wrong-secret"])
      #expect(bearer.status == 429)
      #expect(bearer.field("Retry-After") == "6")
      #expect(bearer.field("Connection") == "close")
      let (cookie, csrf) = try Client.login(port, token)
      #expect(try Client.ask(port, "GET", "/metrics", ["Authorization: Bearer \(token)"]).status == 200)
      page.wait(.seconds(6))
      #expect(try login("wrong-secret").status == 401)
      let log = page.log.withLock { $0 }
      let id = cookie.dropFirst("Cookie: mailwarden_session=".count)
      for secret in [token, "wrong-secret", String(id), String(csrf.dropFirst("X-CSRF-Token: ".count))] {
        #expect(!log.contains { $0.contains(secret) })
      }
      #expect(log.count { $0.contains("wrong web tokens") } == 1)
      #expect(log.count { $0.contains("web login") } == 1)
    }
  }

  @Test("A wrong token ends its connection")
  func wrongTokenEnds() async throws {
    try await page.serve { port throws in
      let client = try Client(port)
      for _ in 0..<3 { try client.send(Client.request("GET", "/v1/status", "", "Authorization: Bearer wrong")) }
      #expect(try client.answer().status == 401)
      #expect(try client.isOver(within: 10_000))
    }
  }

  @Test("Whoever reads without a login leaves streams to those who have one, and the page to the control socket")
  func streams() async throws {
    let (page, token) = (page, try page.token())
    try await page.serve(readsWithoutLogin: true) { port in
      func watch(_ fields: [String]) throws -> (client: RawHTTPClient, status: Int) {
        let client = try Client(port)
        let head = ["GET /v1/events HTTP/1.1", "Host: localhost"] + fields
        try client.send(head.joined(separator: "\r\n") + "\r\n\r\n")
        return (client, try client.answer(hasBody: false).status)
      }
      let login = ["Authorization: Bearer \(token)"]
      let watchers = page.watchers
      var open: [RawHTTPClient] = []
      for (fields, most) in [([], 32), (login, 48)] {
        while open.count < most {
          let (client, status) = try watch(fields)
          try #require(status == 200)
          open.append(client)
          let count = open.count
          // Its place is taken with its first bytes, not with its head.
          try eventually("the stream is open") { watchers.count == count }
        }
        #expect(try watch(fields).status == 503)
      }
      #expect(watchers.haveRoom(for: .control))
      open.removeFirst(5)
      try eventually("guests have left") { page.tellWatchers() == 43 }
      #expect(try watch([]).status == 200)
    }
  }

  @Test("Long bodies and headers are refused, and the next client is served")
  func long() async throws {
    let token = try page.token()
    try await page.serve { port in
      let field = "Authorization: Bearer \(token)"
      let long = String(repeating: "x", count: 100_000)
      #expect(try Client.ask(port, "POST", "/v1/session", body: #"{"token":"\#(long)"}"#).status == 413)
      #expect(try Client.ask(port, "POST", "/v1/penalties", [field], body: long).status == 413)
      let client = try Client(port)
      try? client.send("GET / HTTP/1.1\r\nHost: localhost\r\nX: \(long)\r\n\r\n")
      #expect((try? client.readsEnd()) ?? true)
      #expect(try Client.ask(port, "GET", "/v1/status", [field]).status == 200)
    }
  }

  @Test("A thousand connections that say nothing leave room for a login before long")
  func flood() async throws {
    let token = try page.token()
    var bounds = WebServer.Bounds()
    bounds.request = .seconds(2)
    try await page.serve(bounds: bounds) { port in
      var silent: [RawHTTPClient] = []
      for _ in 0..<1_000 { if let client = try? Client(port) { silent.append(client) } }
      #expect(silent.count > 900)
      try eventually("a login is possible") { (try? Client.login(port, token)) != nil }
      for client in silent { #expect(try client.isOver(within: 10_000)) }
    }
  }

  @Test("A login that is none is told so; one that is too long has that as its answer")
  func noLogin() async throws {
    try await page.serve { port throws in
      for body in ["", "{}", #"{"token":5}"#] {
        #expect(try Client.ask(port, "POST", "/v1/session", body: body).status == 400)
      }
      let long = String(repeating: "a", count: 1_025)
      #expect(try Client.ask(port, "POST", "/v1/session", body: long).status == 413)
    }
  }

  @Test("Connections beyond the bound are closed, and status and metrics say how many")
  func bound() async throws {
    let token = try page.token()
    var bounds = TestPage.patient
    bounds.connections = 2
    let page = page
    try await page.serve(bounds: bounds) { port in
      let field = "Authorization: Bearer \(token)"
      func watch() throws -> RawHTTPClient {
        let client = try Client(port)
        try client.send("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\(field)\r\n\r\n")
        #expect(try client.answer(hasBody: false).status == 200)
        return client
      }
      // Both are at work.
      var streams = [try watch(), try watch()]
      for _ in 0..<3 { #expect(try Client(port).isOver(within: 10_000)) }
      streams.removeLast()
      try eventually("there is room") { page.tellWatchers() == 1 }
      let client = try Client(port)
      func ask(_ path: String) throws -> String {
        try client.send(Client.request("GET", path, "", field))
        return try client.answer().body
      }
      #expect(try ask("/v1/status").contains(#""dropped_connections":3"#))
      #expect(try ask("/metrics").contains("\nmailwarden_dropped_total{kind=\"connections\"} 3\n"))
      #expect(page.log.withLock { $0.count { $0.contains("there are too many") } } == 1)
      // Idle by now, so a newcomer takes its place.
      #expect(try Client.ask(port, "GET", "/").status == 200)
      #expect(try client.isOver(within: 10_000))
    }
  }

  @Test("A body without an end holds its connection for no longer than a request may take")
  func endless() async throws {
    var bounds = WebServer.Bounds()
    bounds.request = .milliseconds(300)
    try await page.serve(bounds: bounds) { port in
      let client = try Client(port)
      try client.send("POST /v1/penalties HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{")
      #expect(try client.answer().status == 401)
      #expect(try client.isOver(within: 10_000))
    }
  }
}
