import Foundation
import Testing
import WardenCore

@testable import WardenFeeds

/// Logs of real daemons, see `Fixtures/Log/NOTICE.md`.
@Suite("Log samples")
struct LogCorpusTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/Log")

  static func lines(_ file: String) throws -> [[UInt8]] {
    try Data(contentsOf: folder.appending(path: file)).split(separator: 10).map(Array.init)
  }

  static func files() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".log") }.sorted()
  }

  private func text(_ file: String) throws -> [String] {
    try String(contentsOf: Self.folder.appending(path: file), encoding: .utf8).split(separator: "\n").map(String.init)
  }

  /// `connected`, `ended`, …
  private func name(_ kind: LogFact.Kind) -> String { String("\(kind)".prefix { $0 != "(" }) }

  @Test("Every sample's lines are of the kinds that are expected, and what is not understood is listed")
  func kinds() throws {
    var table: [String] = []
    var unknown: [String] = []
    for file in try Self.files() {
      var counts: [String: Int] = [:]
      var reader = Lines.reader()
      for line in try Self.lines(file) {
        let kind = line.withUnsafeBytes { bytes -> String in
          guard let header = reader.read(bytes) else { return "no header" }
          if let fact = LogGrammar.read(header) { return name(fact.kind) }
          guard LogGrammar.knows(header) else { return "of others" }
          unknown.append("\(file): \(String(decoding: line, as: UTF8.self))")
          return "not understood"
        }
        counts[kind, default: 0] += 1
      }
      table.append(
        "\(file): " + counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
    }
    print(table.joined(separator: "\n"))
    #expect(try table == text("expected.txt"))
    #expect(try unknown == text("not-understood.txt"))
  }

  @Test("However syslog wrote a run down, it says the same", arguments: ["postfix-dovecot-policy", "sendmail"])
  func forms(run: String) throws {
    var first: [String]?
    for form in ["", "-rfc3164", "-rfc5424"] {
      var reader = Lines.reader()
      let facts = try Self.lines("\(run)\(form).log").map { line in
        line.withUnsafeBytes { bytes -> String in
          let header = reader.read(bytes)
          let told = header.flatMap(LogGrammar.read).map(Told.init)
          return
            "\(header?.at.rfc3339 ?? "") \(header?.host?.string ?? "") \(header?.pid ?? 0) \(String(describing: told))"
        }
      }
      if let first { #expect(first == facts) } else { first = facts }
    }
    #expect((first?.count ?? 0) > 100)
  }

  @Test("What sessions say at their end of failed logins agrees with what was said of each")
  func sums() throws {
    var reader = Lines.reader()
    var atEnd: [IPAddress: Int] = [:]
    var each: [IPAddress: Int] = [:]
    for line in try Self.lines("postfix-cyrus.log") {
      line.withUnsafeBytes { bytes in
        guard let fact = reader.read(bytes).flatMap(LogGrammar.read), let client = fact.client else { return }
        switch fact.kind {
        case .ended(let failed, _) where failed > 0: atEnd[client, default: 0] += failed
        case .loginFailed(let attempts, _): each[client, default: 0] += attempts
        default: break
        }
      }
    }
    // One exchange was broken off in the middle, of which no line tells.
    #expect(atEnd.values.reduce(0, +) == each.values.reduce(0, +) + 1)
    #expect(atEnd.filter { each[$0.key] != $0.value }.map(\.key) == [IPAddress("127.0.0.3")!])
  }
}
