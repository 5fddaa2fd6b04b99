import Foundation
import Hummingbird
import Testing
import WardenCore
import WardenTestKit
import Yams

@testable import WardenControl

/// docs/openapi.yaml against what each listener has.
@Suite("The API's paths as they are written down", .serialized)
struct DescriptionTests {
  private typealias Client = RawHTTPClient
  private static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  private struct Operation {
    let method: String
    let path: String
    let asksForLogin: Bool
    let answers: Set<String>
    var name: String { "\(method) \(path)" }
  }

  /// Where the description's list of servers has them.
  private enum Listener: Int { case control, web }

  private let page = TestPage()
  private let description: [String: Any]

  init() throws {
    let text = try String(contentsOfFile: "\(Self.repository)/docs/openapi.yaml", encoding: .utf8)
    description = try #require(try Yams.load(yaml: text) as? [String: Any])
  }

  private func operations(of listener: Listener) throws -> [Operation] {
    let servers = try #require(description["servers"] as? [[String: Any]]).map { $0["url"] as? String }
    let paths = try #require(description["paths"] as? [String: [String: Any]])
    return try paths.flatMap { path, fields in
      let own = (fields["servers"] as? [[String: Any]])?.map { $0["url"] as? String }
      guard own?.contains(servers[listener.rawValue]) ?? true else { return [Operation]() }
      return try fields.filter { $0.key != "servers" }.map { method, fields in
        let fields = try #require(fields as? [String: Any])
        let security = fields["security"] as? [[String: Any]] ?? description["security"] as? [[String: Any]] ?? []
        let answers = try #require(fields["responses"] as? [String: Any])
        return Operation(
          method: method.uppercased(), path: path,
          asksForLogin: !security.isEmpty && !security.contains(where: \.isEmpty), answers: Set(answers.keys))
      }
    }
  }

  private func names(_ routes: [Router<some RequestContext>.RouteDescription]) -> Set<String> {
    Set(routes.map { "\($0.method.rawValue) \($0.path.description)" })
  }

  @Test("The control socket has the paths and methods that are described, and no others")
  func control() throws {
    let described = Set(try operations(of: .control).map(\.name))
    #expect(described.contains("POST /v1/web-tokens") && !described.contains("POST /v1/session"))
    let router = ControlServer(control: page.control, path: "", logger: page.logger).router
    #expect(described.symmetricDifference(names(router.routes)) == [])
  }

  @Test("The web listener has them as well, and the page's files")
  func web() throws {
    let described = Set(try operations(of: .web).map(\.name))
    #expect(!described.contains("POST /v1/web-tokens") && described.contains("POST /v1/session"))
    let files = try FileManager.default.contentsOfDirectory(
      atPath: "\(Self.repository)/Sources/WardenControl/Page")
    let served = (files.filter { $0 != "index.html" } + ["", "chart.js"]).flatMap { ["GET /\($0)", "HEAD /\($0)"] }
    #expect(described.union(served).symmetricDifference(names(page.server().router.routes)) == [])
  }

  @Test("At the web listener each answers to strangers as it is described, and says what it can")
  func refusals() async throws {
    let operations = try operations(of: .web)
    let token = try page.token()
    try await page.serve { port in
      let login = "Authorization: Bearer \(token)"
      for operation in operations {
        func status(_ fields: [String], host: String = "localhost") throws -> Int {
          try Client.ask(port, operation.method, operation.path, fields, host: host).status
        }
        #expect(operation.answers.isSuperset(of: ["200", "400", "401", "403", "421", "429"]), "\(operation.name)")
        if operation.asksForLogin { #expect(try status([]) == 401, "\(operation.name)") }
        #expect(try status([login, "Origin: http://evil.example"]) == 403, "\(operation.name)")
        #expect(try status([login], host: "evil.example") == 421, "\(operation.name)")
        #expect(
          try Client.ask(port, operation.method, operation.path + "?nosuch=1", [login]).status == 400,
          "\(operation.name)")
      }
      for (path, all) in Dictionary(grouping: operations, by: \.path) {
        let answer = try Client.ask(port, "PUT", path, [login])
        let allowed = Set((answer.field("Allow") ?? "").split(separator: ", ").map(String.init))
        #expect(answer.status == 405 && allowed == Set(all.map(\.method)), "\(path): \(allowed)")
      }
      // Ten wrong tokens may come at once.
      let refused = try operations.map { try Client.ask(port, $0.method, $0.path, [login + "x"]).status }
      #expect(refused == refused.indices.map { $0 < 10 ? 401 : 429 })
    }
  }
}
