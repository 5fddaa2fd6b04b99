import Foundation
import Testing

/// What the fuzzer has found worth keeping, without the fuzzer.
@Suite("Fuzz corpora")
struct CorpusTests {
  /// libmilter would take the process's signals; `make fuzz` runs its corpus.
  static let names = fuzzTargets.map(\.name).filter { $0 != "milter" }

  @Test("What the fuzzer has kept still holds", arguments: names)
  func corpus(name: String) throws {
    let target = try #require(fuzzTargets.first { $0.name == name })
    let folder = Fixture.folder.appending(path: "Corpora/\(name)")
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    #expect(!files.isEmpty)
    for file in files {
      do {
        try Data(contentsOf: file).withUnsafeBytes(target.check)
      } catch {
        Issue.record("\(file.lastPathComponent): \(error)")
      }
    }
  }
}
