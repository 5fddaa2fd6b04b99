import Foundation
import Testing

@testable import WardenPolicy

/// `BadPolicies`: one file per fault, with the exact diagnostics beside it.
struct BadPolicyTests {
  @Test("There are bad policies, and each lies beside its expected output")
  func pairs() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: BadPolicy.folder.path)
    let policies = Set(files.filter { $0.hasSuffix(".yaml") }.map { $0.dropLast(".yaml".count) })
    let expected = Set(files.filter { $0.hasSuffix(".expected") }.map { $0.dropLast(".expected".count) })
    #expect(!policies.isEmpty)
    #expect(policies.subtracting(expected).sorted() == [], "without an expected output")
    #expect(expected.subtracting(policies).sorted() == [], "without a policy")
    #expect(files.count == policies.count + expected.count, "neither a policy nor an expected output")
  }

  @Test("A bad policy's problems are told exactly, and it is not used", arguments: BadPolicy.all)
  func diagnostics(_ policy: BadPolicy) throws {
    let read = PolicyReader.read(try policy.text("yaml"), file: "\(policy.name).yaml", socketCheck: socketCheck)
    #expect(read.diagnostics.map { "\($0)\n" }.joined() == (try policy.text("expected")))
    #expect(!read.errors.isEmpty)
    #expect(read.configuration == nil)
  }
}

struct BadPolicy: Sendable, CustomTestStringConvertible {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "BadPolicies")

  /// None where the folder cannot be read: `pairs` reports that.
  static let all: [BadPolicy] = {
    let files = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
    return (files ?? []).filter { $0.hasSuffix(".yaml") }.sorted().map { BadPolicy(name: String($0.dropLast(5))) }
  }()

  let name: String
  var testDescription: String { name }

  func text(_ kind: String) throws -> String {
    try String(contentsOf: Self.folder.appending(path: "\(name).\(kind)"), encoding: .utf8)
  }
}
